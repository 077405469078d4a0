"""Does it matter which gateway, region, client, source or route? Tests of who and where, with the other held fixed.

A place is to blame where it matters at which gateway a failing caller asks; a caller is, where it matters who asks at a
failing gateway. Each answer is the log Bayes factor of "parts differ in how much of it fails" over "they do not": near
nothing where there was little to see, whatever the traffic.
"""

# ruff: noqa: PLR0917 - one call shape for all parts of a row, key first and now last
from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median_low

from models.breakdown import usual_requests
from models.history import BIN_MINUTES, NAMELESS, CallerKey, KeyPast, RecentFailure, VersionPast
from models.scopes import Cells, claim, log_beta

CONTRAST_NAMES: tuple[str, ...] = (
    "gateway_matters", "sibling_matters", "region_matters", "client_matters", "source_matters", "route_matters",
    "wide_callers", "lasting_storm", "key_gateways", "key_regions", "failing_gateways_share",
)  # fmt: skip
_PRIOR = 0.5
"""Of both shapes of the Beta prior of a part's share that fails: mostly nearly all of it, or nearly nothing."""
_MOST = 20.0
_NO_FIT = 25.0
_FAILING = 0.15
_HOUR = 60
_STILL = 0.01

Counts = dict[str, list[float]]
"""Failed and served requests by part."""


def contrast_features(
    key: KeyPast,
    version: VersionPast,
    found: Cells,
    failures: Sequence[RecentFailure],
    region_of: Callable[[str], str],
    now: int,
) -> list[float]:
    """Compute `CONTRAST_NAMES` from a trouble's cells and its failures, oldest first."""
    suspects, at = _suspects(found), {gateway for _, gateway in found.failed}
    by_gateway = _counts(found, lambda who, gateway: gateway if who in suspects else None)
    by_region = _merged(by_gateway, region_of)
    of_client = _counts(found, lambda who, gateway: who[0] if gateway in at else None)
    of_source = _counts(found, lambda who, gateway: who[1] if gateway in at else None)
    unnamed = any(who[0] in {"", NAMELESS} for who, _ in found.failed)
    served = {gateway for past in key.versions.values() for gateway in past.ever_ok_at} | at
    return [
        differ(by_gateway),
        sum(differ({g: n for g, n in by_gateway.items() if region_of(g) == region}) for region in by_region),
        differ(by_region),
        0.0 if unnamed else differ(of_client),
        0.0 if of_source.keys() == {""} else differ(of_source),
        differ(_by_route(version, failures, now)),
        _callers_fit(found),
        math.log(_lasting_storm(key, failures, now)),
        math.log1p(len(served)),
        math.log1p(len({region_of(g) for g in served})),
        len(at) / max(1, len(served)),
    ]


def differ(parts: Mapping[str, list[float]]) -> float:
    """Return the log Bayes factor that parts fail to different shares, over one share for all of them; bounded."""
    if len(parts) < 2:  # noqa: PLR2004 - one part cannot differ from itself
        return 0.0
    alone = sum(_evidence(*counts) for counts in parts.values())
    together = _evidence(sum(f for f, _ in parts.values()), sum(ok for _, ok in parts.values()))
    return min(_MOST, max(-_MOST, alone - together))


def _evidence(failed: float, ok: float) -> float:
    return log_beta(failed + _PRIOR, ok + _PRIOR) - log_beta(_PRIOR, _PRIOR)


def _suspects(found: Cells) -> set[CallerKey]:
    """Return who fails; where a refusal names nobody, everyone known at its source may have."""
    failing = {who for who, _ in found.failed}
    unnamed = {who[1] for who in failing if who[0] == NAMELESS}
    return failing | {who for who, _ in found.ok if who[1] in unnamed}


def _counts(found: Cells, part_of: Callable[[CallerKey, str], str | None]) -> Counts:
    counts: Counts = defaultdict(lambda: [0.0, 0.0])
    for i, cells in enumerate((found.failed_capped, found.ok_capped)):
        for (who, gateway), n in cells.items():
            part = part_of(who, gateway)
            if part is not None:
                counts[part][i] += n
    return counts


def _merged(parts: Counts, name_of: Callable[[str], str]) -> Counts:
    merged: Counts = defaultdict(lambda: [0.0, 0.0])
    for part, (failed, ok) in parts.items():
        merged[name_of(part)][0] += failed
        merged[name_of(part)][1] += ok
    return merged


def _by_route(version: VersionPast, failures: Iterable[RecentFailure], now: int) -> Counts:
    """Count by route since the trouble began; nothing where routes are not written down."""
    counts: Counts = defaultdict(lambda: [0.0, 0.0])
    onset = now
    for f in failures:
        onset = min(onset, f.minute)
        if f.route is not None:
            counts[f.route][0] += min(f.count, 2)
    if not counts or not version.ok_on:
        return {}
    for route, ring in version.ok_on.items():
        counts[route][1] += ring.total(now, (now - onset) // BIN_MINUTES + 1)
    return counts


def _callers_fit(found: Cells) -> float:
    """Return how much better some of the callers explain it than everyone does; no fit where all of them fail."""
    of_caller = _counts(found, lambda who, _: "\n".join(who))
    failing = [part for part, (failed, ok) in of_caller.items() if failed > _FAILING * ok]
    if not failing or len(failing) == len(of_caller):
        return -_NO_FIT
    failed, ok = (sum(of_caller[part][i] for part in failing) for i in (0, 1))
    all_failed, all_ok = (sum(counts[i] for counts in of_caller.values()) for i in (0, 1))
    inside = claim(failed, ok, all_failed - failed, all_ok - ok, len(of_caller) ** min(2, len(failing)))
    return min(_MOST, max(-_MOST, inside - claim(all_failed, all_ok, 0, 0, 1)))


def _lasting_storm(key: KeyPast, failures: Iterable[RecentFailure], now: int) -> float:
    """Return how much faster than usual a client fails, in most five minutes of the last hour since it began."""
    bins: dict[tuple[str, str], dict[int, int]] = {}
    for f in failures:
        if f.minute > now - _HOUR:
            who = ("", f.caller[1]) if f.caller[0] == NAMELESS else (f.caller[0], "")
            counts = bins.setdefault(who, {})
            counts[f.minute // BIN_MINUTES] = counts.get(f.minute // BIN_MINUTES, 0) + f.count
    usual = dict.fromkeys(bins, 0.0)
    for (client, source), past in key.callers.items():
        for who in {(client, ""), ("", source)} & bins.keys():
            usual[who] += usual_requests(past, now)
    worst = _STILL
    for who, counts in bins.items():
        span = range(min(counts), max(now // BIN_MINUTES, *counts) + 1)  # a clock may have gone back
        worst = max(worst, median_low(counts.get(i, 0) for i in span) / (usual[who] + 1.0))
    return worst
