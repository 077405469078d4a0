"""Trouble beyond doubt, told from structure alone: a rule beside the trees, which know what their simulator did.

Each five minutes in which a known caller failed, or was served, at a gateway is one witness. Claims about a place or
about everybody are weighed against two that blame no rollover: one caller broke itself, or it is the usual noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from models.breakdown import Evidence, LifeCycle
from models.history import BIN_MINUTES, CREDENTIAL, FORBIDDEN, REASON_CLASS, CallerKey, KeyPast, RecentFailure
from models.scopes import background, claim

_LOG_ODDS = math.log(1e3)
"""A look at a key version comes a few hundred times in a key-day: one in ten thousand is rare even so."""
_MINUTES = 15
"""Look-ups of keys fail and heal within a quarter of an hour; what lasts longer is no blip."""
_WINDOWS = 4
_SIX_HOURS = 360
_USED = 10
"""Requests by which a caller has shown that it can use the key."""
_SEVERAL, _TWICE = 3, 2
_OTHER_KEYS = 2
"""Keys that fail at one gateway at once, this one included: more of them make it an outage."""
_BROKEN = 0.15
_MOSTLY = 0.5


Counts = tuple[int, int]
"""Windows in which requests failed, and in which some were served."""


@dataclass(slots=True)
class _Witnesses:
    """Windows of five minutes in which requests failed, and in which some were served, by caller and gateway."""

    failed: dict[tuple[CallerKey, str], int] = field(default_factory=dict)
    ok: dict[tuple[CallerKey, str], int] = field(default_factory=dict)

    @property
    def every(self) -> Counts:
        """Count all of them."""
        return sum(self.failed.values()), sum(self.ok.values())

    def by_gateway(self) -> dict[str, Counts]:
        """Count at each gateway."""
        counts: dict[str, Counts] = {}
        for (_, gateway), failed, ok in self._all():
            before = counts.get(gateway, (0, 0))
            counts[gateway] = (before[0] + failed, before[1] + ok)
        return counts

    def by_caller(self) -> dict[CallerKey, Counts]:
        """Count for each caller."""
        counts: dict[CallerKey, Counts] = {}
        for (who, _), failed, ok in self._all():
            before = counts.get(who, (0, 0))
            counts[who] = (before[0] + failed, before[1] + ok)
        return counts

    def _all(self) -> Iterable[tuple[tuple[CallerKey, str], int, int]]:
        return [(at, self.failed.get(at, 0), self.ok.get(at, 0)) for at in self.failed.keys() | self.ok.keys()]


def beyond_doubt(
    key: KeyPast,
    number: int,
    evidence: Evidence,
    life: LifeCycle,
    *,
    keys_failing_here: int,
    region_of: Callable[[str], str],
    retirements_told: bool = False,
    now: int,
) -> bool:
    """Tell whether what fails, where and for whom leaves no other explanation than a failed rollover.

    Args:
        key: the key's past.
        number: the failing version.
        evidence: its recent failures.
        life: where the version stands; refusals of a retired version are never beyond doubt.
        keys_failing_here: keys that fail at the leading gateway just now, this one included.
        region_of: a gateway's region, "" where none is known.
        retirements_told: whether the registry writes retirements down, so that a version without one is alive.
        now: the look, epoch minutes.
    """
    if evidence.kind not in {CREDENTIAL, FORBIDDEN} or keys_failing_here > _OTHER_KEYS:
        return False
    if life.started is None or life.started > now or life.role not in {"to", "from"}:
        return False
    if life.retired is not None and life.role == "from":
        return False
    if retirements_told and life.role == "from" and _dead_alive(key, number, evidence):
        return True
    failures = _lasting(key, number, evidence, now)
    if not failures:
        return False
    found = _witnesses(key, number, failures)
    return (
        _never_served(key, number, failures)
        or _in_one_place(found, region_of)
        or _everybody(key, number, found, life)
        or _on_some_routes(key, number, failures, now)
    )


def _dead_alive(key: KeyPast, number: int, evidence: Evidence) -> bool:
    """Tell whether gateways call a version dead that the registry calls alive, to callers that used it."""
    used = {c.who for c in evidence.callers if c.who in key.proven and not c.recovered}
    used = {who for who in used if key.proven[who].versions[number].successes >= _USED}
    dead = sum(f.count for f in evidence.failures if f.caller in used and f.reason in {"revoked", "expired"})
    return dead >= _TWICE


def _lasting(key: KeyPast, number: int, evidence: Evidence, now: int) -> list[RecentFailure]:
    """Return the failures of known callers since the trouble began; none where it is too young or too thin."""
    version = key.versions[number]
    began = min((c.started for c in evidence.callers), default=now)
    onset = max(began, now - _SIX_HOURS)
    at_home = {source for _, source in key.proven} - {""}
    chosen = [
        f
        for f in version.failures
        if f.minute >= onset
        and REASON_CLASS.get(f.reason, CREDENTIAL) == evidence.kind
        and (f.caller in key.proven or (key.callers[f.caller].nameless and f.caller[1] in at_home))
    ]
    lasted = max((f.minute for f in chosen), default=now) - min((f.minute for f in chosen), default=now)
    if lasted < _MINUTES or len({f.minute // BIN_MINUTES for f in chosen}) < _WINDOWS:
        return []
    return chosen


def _witnesses(key: KeyPast, number: int, failures: Iterable[RecentFailure]) -> _Witnesses:
    found = _Witnesses()
    seen = {(f.caller, f.gateway, f.minute // BIN_MINUTES) for f in failures}
    for who, gateway, _ in seen:
        found.failed[who, gateway] = found.failed.get((who, gateway), 0) + 1
    first = min(window for _, _, window in seen)
    for window, slab in key.versions[number].joint:
        if window >= first:
            for at in slab:
                found.ok[at] = found.ok.get(at, 0) + 1
    return found


def _never_served(key: KeyPast, number: int, failures: Iterable[RecentFailure]) -> bool:
    """Tell whether a caller that used another version well has been refused with this one ever since it moved.

    Where gateways name nobody whom they refuse, its source must be known, and nobody at all have been served.
    """
    windows: dict[CallerKey, set[int]] = {}
    for f in failures:
        windows.setdefault(f.caller, set()).add(f.minute // BIN_MINUTES)
    for who, failed in windows.items():
        if len(failed) < _WINDOWS or BIN_MINUTES * (max(failed) - min(failed)) < _MINUTES:
            continue
        past = key.proven.get(who)
        if past is None and key.versions[number].ok_total == 0:
            return True
        if past is not None and past.versions[number].first_ok < 0:
            served = sum(v.successes for n, v in past.versions.items() if n < number)
            if served >= _USED:
                return True
    return False


def _in_one_place(found: _Witnesses, region_of: Callable[[str], str]) -> bool:
    """Tell whether requests fail at a gateway, at several or in a region, and not elsewhere."""
    counts = found.by_gateway()
    failing = {g for g, (failed, _) in counts.items() if failed}
    broken = frozenset(g for g in failing if counts[g][0] > _BROKEN * counts[g][1])
    places = [(frozenset({g}), len(counts)) for g in failing]
    regions = {region_of(g) for g in failing} - {""}
    places += [(frozenset(g for g in counts if region_of(g) == region), len(counts)) for region in regions]
    places.append((broken, len(counts) ** 2))
    every = found.every
    rival = max(background(*every), _one_caller(found))
    for place, choices in places:
        if 0 < len(place) < len(counts):
            failed, ok = sum(counts[g][0] for g in place), sum(counts[g][1] for g in place)
            if claim(failed, ok, every[0] - failed, every[1] - ok, choices) - rival >= _LOG_ODDS:
                return True
    return False


def _one_caller(found: _Witnesses) -> float:
    """Return the log likelihood that the caller that explains most of it broke itself."""
    counts, every = found.by_caller(), found.every
    return max(
        claim(failed, ok, every[0] - failed, every[1] - ok, len(counts)) for failed, ok in counts.values() if failed
    )


def _everybody(key: KeyPast, number: int, found: _Witnesses, life: LifeCycle) -> bool:
    """Tell whether several callers that used the key fail with this version, and hardly any does not."""
    failing = {who for who, _ in found.failed}
    known = {who for who in failing if who in key.proven}
    if len(known) < _SEVERAL:
        return False
    if life.role == "from" and not any(key.proven[w].versions[number].successes >= _USED for w in known):
        return False
    every = found.every
    odds = claim(*every, 0, 0, 1) - max(background(*every), _one_caller(found))
    return every[0] >= _MOSTLY * sum(every) and odds >= _LOG_ODDS


def _on_some_routes(key: KeyPast, number: int, failures: Iterable[RecentFailure], now: int) -> bool:
    """Tell whether several callers are refused on routes that worked for them, and nobody is served there."""
    version = key.versions[number]
    callers: dict[str, set[CallerKey]] = {}
    first = now
    for f in failures:
        first = min(first, f.minute)
        if f.route is not None and f.caller in key.proven and f.route in key.callers[f.caller].routes:
            callers.setdefault(f.route, set()).add(f.caller)
    windows = (now - first) // BIN_MINUTES
    dead = [
        who
        for route, who in callers.items()
        if (ring := version.ok_on.get(route)) is None or ring.total(now, max(1, windows)) == 0
    ]
    return len(set().union(*dead)) >= 2 if dead else False  # noqa: PLR2004 - one might have broken itself


__all__ = ["beyond_doubt"]
