"""Features of structure: who fails and who does not, in one hour and since the trouble began, and what gateways say.

They tell causes apart where gateways hide the reason. The columns are named here, in step with what is returned.
"""

# ruff: noqa: PLR0917 - one call shape for all parts of a row, key first and now last
from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from models.breakdown import Evidence, FleetView, LifeCycle, storm_ratio
from models.contrasts import CONTRAST_NAMES, contrast_features
from models.history import (
    CREDENTIAL,
    FORBIDDEN,
    NAMELESS,
    REASON_CLASS,
    SIX_HOUR_BINS,
    KeyPast,
    RecentFailure,
    VersionPast,
)
from models.scopes import Cells, Scope, cells, cells_since, claim, explanations

SCOPE_NAMES: tuple[str, ...] = (
    "fit_gateway", "fit_gateways", "fit_region", "fit_caller", "fit_source", "siblings_in_region", "sibling_ok",
    "others_ok_here", "lead_ok_elsewhere", "callers_of_source", "sources", "known_routes_failing", "routes_ok",
    "storm_ratio", "onset_minutes", "weak_share",
)  # fmt: skip
WIDE_NAMES: tuple[str, ...] = (
    # which claim fits best since the trouble began
    "wide_gateway", "wide_gateways", "wide_region", "wide_caller", "wide_source", "wide_client", "wide_routes",
    "wide_minutes", "wide_failures", "wide_ok", "wide_share",
    # what gateways say that do not have one word for everything
    "told_forbidden", "told_wrong_secret", "told_revoked", "told_expired", "told_inactive", "told_unknown", "untold",
    # who fails, and what works meanwhile for them and beside them
    "failing_clients", "ok_clients", "siblings_of_client_ok", "neighbours_at_source_ok", "own_share",
    "failing_callers_ok_elsewhere", "others_ok_at_failing", "others_ok", "gateways_of_failing", "failing_regions",
    "fine_in_failing_regions", "fine_regions", "fastest_minute",
    # dates
    "expiry_gap", "start_gap",
    *CONTRAST_NAMES,
)  # fmt: skip
_NO_FIT = 25.0
_MOST = 20.0
_SIX_HOURS = 360
_ONE_WORD = 0.8
_TWO_AT_MOST = 2
_REFUSALS = frozenset({CREDENTIAL, FORBIDDEN})
_NO_DATE = 12.0


def _log(x: float) -> float:
    return math.log1p(max(0.0, x))


def _bounded(fit: float) -> float:
    return min(_MOST, max(-_MOST, fit))


def scope_features(key: KeyPast, number: int, evidence: Evidence, fleet: FleetView, top: str, now: int) -> list[float]:
    """Compute `SCOPE_NAMES`: the last hour's claims, and what works beside the leading caller and gateway."""
    version = key.versions[number]
    found = cells(version, evidence)

    def region_of(gateway: str) -> str:
        return fleet.regions.get(gateway, "")

    fits = explanations(key, number, found, region_of, lambda source: source not in fleet.addresses)
    everyone = fits[Scope.EVERYONE].fit

    def lead_over_all(scope: Scope) -> float:
        return _bounded(fits[scope].fit - everyone) if scope in fits else -_NO_FIT

    who = evidence.lead.who
    siblings = {g for g in version.ever_ok_at if region_of(g) == region_of(top) and g != top} if region_of(top) else ()
    failing = {w for w, _ in found.failed}
    routes = {f.route for f in evidence.failures if f.caller == who and f.route is not None}
    mine = key.callers[who].routes
    routes_ok = sum(ring.total(now, 2) > 0 for r in routes if (ring := version.ok_on.get(r)) is not None)
    return [
        lead_over_all(Scope.GATEWAY),
        lead_over_all(Scope.GATEWAYS),
        lead_over_all(Scope.REGION),
        lead_over_all(Scope.CALLER),
        lead_over_all(Scope.SOURCE),
        _log(len(siblings)),
        _log(sum(n for (_, g), n in found.ok.items() if g in siblings)),
        _log(sum(n for (w, g), n in found.ok.items() if g == top and w not in failing)),
        _log(sum(n for (w, g), n in found.ok.items() if w == who and g != top)),
        _log(sum(w[1] == who[1] for w in key.proven)),
        _log(len({w[1] for w in key.proven})),
        sum(r in mine for r in routes) / len(routes) if routes and mine else -1.0,
        routes_ok / len(routes) if routes and version.ok_on else -1.0,
        math.log(storm_ratio(key, evidence, now)),
        _log(now - found.onset),
        fits[Scope.EVERYONE].failures / max(1, fits[Scope.EVERYONE].requests),
    ]


def wide_features(
    key: KeyPast, number: int, evidence: Evidence, fleet: FleetView, life: LifeCycle, now: int
) -> list[float]:
    """Compute `WIDE_NAMES`: refusals of all reasons together, from the beginning of the trouble, six hours at most."""
    version = key.versions[number]
    chosen = _since_onset(version, evidence, now)
    onset = chosen[0].minute if chosen else now
    found = cells_since(version, chosen, onset)

    def region_of(gateway: str) -> str:
        return fleet.regions.get(gateway, "")

    fits = explanations(key, number, found, region_of, lambda source: source not in fleet.addresses)
    everyone = fits[Scope.EVERYONE]

    def lead_over_all(scope: Scope) -> float:
        return _bounded(fits[scope].fit - everyone.fit) if scope in fits else -_NO_FIT

    return [
        lead_over_all(Scope.GATEWAY),
        lead_over_all(Scope.GATEWAYS),
        lead_over_all(Scope.REGION),
        lead_over_all(Scope.CALLER),
        lead_over_all(Scope.SOURCE),
        _client_fit(found, everyone.fit),
        _routes_fit(version, chosen, onset, now),
        _log(now - onset),
        _log(everyone.failures),
        _log(everyone.requests - everyone.failures),
        everyone.failures / max(1, everyone.requests),
        *_told(chosen, fleet),
        *_beside(evidence, found, region_of),
        _log(max((f.count for f in chosen if f.minute > now - _SIX_HOURS), default=0)),
        _gap(onset, life.expires),
        _gap(onset, life.started),
        *contrast_features(key, version, found, chosen, region_of, now),
    ]


def _since_onset(version: VersionPast, evidence: Evidence, now: int) -> list[RecentFailure]:
    """Return the trouble's refusals: those of its callers' running failures and all that came since, six hours at most.

    Gateways that hide the reason and those that tell it put one trouble into two classes: here they are together.
    """
    fresh = [c for c in evidence.callers if c.fresh] or list(evidence.callers)
    onset = max(now - _SIX_HOURS, min(*(c.started for c in fresh), *(f.minute for f in evidence.failures)))
    kinds = _REFUSALS if evidence.kind in _REFUSALS else {evidence.kind}
    return sorted(
        (f for f in version.failures if f.minute >= onset and REASON_CLASS.get(f.reason, CREDENTIAL) in kinds),
        key=lambda f: f.minute,
    )


def _client_fit(found: Cells, everyone: float) -> float:
    """Return how much better one principal explains it, all its sources together, than everyone does."""
    failed: dict[str, float] = {}
    ok: dict[str, float] = {}
    for (who, _), n in found.failed_capped.items():
        failed[who[0]] = failed.get(who[0], 0) + n
    for (who, _), n in found.ok_capped.items():
        ok[who[0]] = ok.get(who[0], 0) + n
    named = failed.keys() - {"", NAMELESS}
    if not named:
        return -_NO_FIT
    all_failed, all_ok = sum(failed.values()), sum(ok.values())
    choices = len(failed.keys() | ok.keys())
    return _bounded(
        max(claim(failed[c], ok.get(c, 0), all_failed - failed[c], all_ok - ok.get(c, 0), choices) for c in named)
        - everyone
    )


def _routes_fit(version: VersionPast, chosen: Iterable[RecentFailure], onset: int, now: int) -> float:
    """Return how much better some routes explain it than all of them do; no fit where routes are not written down."""
    if not version.ok_on:
        return -_NO_FIT
    failed: dict[str, float] = {}
    for f in chosen:
        if f.route is not None:
            failed[f.route] = failed.get(f.route, 0) + min(f.count, _TWO_AT_MOST)
    if not failed:
        return -_NO_FIT
    bins = min(SIX_HOUR_BINS, (now - onset) // 5 + 2)
    ok = {route: float(ring.total(now, bins)) for route, ring in version.ok_on.items()}
    broken = [r for r, n in failed.items() if n > 0.15 * ok.get(r, 0.0)]
    inside, inside_ok = sum(failed[r] for r in broken), sum(ok.get(r, 0.0) for r in broken)
    total, total_ok = sum(failed.values()), sum(ok.values())
    everyone = claim(total, total_ok, 0, 0, 1)
    choices = max(1, len(failed.keys() | ok.keys())) ** min(len(broken), _TWO_AT_MOST)
    return _bounded(claim(inside, inside_ok, total - inside, total_ok - inside_ok, choices) - everyone)


def _told(chosen: Iterable[RecentFailure], fleet: FleetView) -> list[float]:
    names = ("forbidden", "wrong_secret", "revoked", "expired", "not_yet_active", "unknown_credential")
    told = dict.fromkeys(names, 0)
    untold = 0
    for f in chosen:
        if f.reason in told and fleet.hidden.get(f.gateway, 0.5) < _ONE_WORD:
            told[f.reason] += min(f.count, _TWO_AT_MOST)
        else:
            untold += min(f.count, _TWO_AT_MOST)
    return [*(_log(n) for n in told.values()), _log(untold)]


def _beside(evidence: Evidence, found: Cells, region_of: Callable[[str], str]) -> list[float]:
    failing = {who for who, _ in found.failed}
    failing_at = {g for _, g in found.failed}
    fine_at = {g for _, g in found.ok} - failing_at
    lead = evidence.lead.who
    clients = {who[0] for who in failing}
    own_ok = elsewhere = here = others = same_client = same_source = 0
    for (who, gateway), n in found.ok_capped.items():
        if who in failing:
            own_ok += n if gateway in failing_at else 0
            elsewhere += n if gateway not in failing_at else 0
            continue
        others += n
        here += n if gateway in failing_at else 0
        same_client += n if who[0] == lead[0] else 0
        same_source += n if who[1] == lead[1] and who[0] != lead[0] else 0
    failed = sum(found.failed_capped.values())
    bad = {region_of(g) for g in failing_at}
    used = {g for (who, g) in (*found.ok, *found.failed) if who in failing}
    return [
        _log(len(clients)),
        _log(len({who[0] for who, _ in found.ok} - clients)),
        _log(same_client),
        _log(same_source),
        failed / max(1, failed + own_ok),
        _log(elsewhere),
        _log(here),
        _log(others),
        _log(len(used)),
        _log(len(bad)),
        _log(sum(region_of(g) in bad for g in fine_at)),
        _log(len({region_of(g) for g in fine_at} - bad)),
    ]


def _gap(onset: int, date: int | None) -> float:
    """Return how long after a date the trouble began: signed log minutes."""
    if date is None:
        return _NO_DATE
    return math.copysign(_log(abs(onset - date)), onset - date)
