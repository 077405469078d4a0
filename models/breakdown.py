"""The breakdown behind a row of features: what failed in the last hour, for whom, and what came before it."""

# ruff: noqa: PLR0917 - one call shape for all parts of a row, key first and now last
from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from models.history import (
    CREDENTIAL,
    HOUR_BINS,
    N_CLASSES,
    REASON_CLASS,
    CallerKey,
    CallerPast,
    KeyPast,
    RecentFailure,
)
from models.surprise import tail_surprise

_HOUR = 60
_PSEUDO_REQUESTS = 60.0
_STRENGTH_CAP = 3000.0
_FEW = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeCycle:
    """Where a key version stands at a look: minutes since the epoch, None where it does not apply."""

    role: str = ""
    started: int | None = None
    retired: int | None = None
    expires: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetView:
    """What a look knows beyond the key: rates of reasons over all keys, keys that fail now, gateways' habits.

    addresses: sources at which one client alone was seen, in the whole fleet.
    hidden: the share of a gateway's commonest reason; nameless: the share of its rejections without a client.
    """

    rates: Mapping[str, float]
    keys_failing_at: Mapping[str, int]
    hidden: Mapping[str, float]
    nameless: Mapping[str, float]
    regions: Mapping[str, str]
    keys_failing: int
    addresses: AbstractSet[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerEvidence:
    """A failing caller as of a look: its running failures and what came before them."""

    who: CallerKey
    failures: int
    started: int
    ok_since: int
    streak: int
    runs_before: int
    failures_before: int
    first: int
    fresh: bool
    recovered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The breakdown behind one row: the failures of the leading class in the last hour, and who caused them."""

    kind: int
    reason: str
    failures: tuple[RecentFailure, ...]
    callers: tuple[CallerEvidence, ...]
    lead: CallerEvidence
    by_gateway: Mapping[str, int]


def _caller_evidence(who: CallerKey, past: CallerPast, number: int, kind: int, failed: int, now: int) -> CallerEvidence:
    mine = past.versions[number]
    failures, started, runs_before, before, first = 0, now, 0, 0, now
    for (_, reason), run in past.runs.items():
        if REASON_CLASS.get(reason, CREDENTIAL) != kind:
            continue
        first = min(first, run.first)
        if run.last >= now - past.run_gap(now):
            started = min(started, run.started)
            failures += run.failures
            runs_before += run.runs_before
            before += run.failures_before
        else:
            runs_before += run.runs_before + 1
            before += run.failures_before + run.failures
    return CallerEvidence(
        who=who,
        failures=max(failures, failed),
        started=started,
        ok_since=mine.ok_since_run,
        streak=mine.streak,
        runs_before=runs_before,
        failures_before=before,
        first=first,
        fresh=runs_before == 0 and started > now - 6 * _HOUR and (past.nameless or past.first_seen < started - _HOUR),
        recovered=mine.streak == 0,
    )


def gather(key: KeyPast, number: int, fleet: FleetView, now: int) -> Evidence | None:
    """Collect a version's failures of the last hour, of the class of reasons that is oddest. None without any."""
    version = key.versions[number]
    recent = [f for f in version.failures if f.minute > now - _HOUR]
    if not recent:
        return None
    if len(recent) < _FEW:  # a caller that asks once an hour needs a longer look back
        recent = [f for f in version.failures if f.minute > now - 6 * _HOUR]
    by_reason: dict[str, int] = {}
    counts = [0] * N_CLASSES
    for f in recent:
        by_reason[f.reason] = by_reason.get(f.reason, 0) + f.count
        counts[REASON_CLASS.get(f.reason, CREDENTIAL)] += f.count
    requests = version.ok.total(now, HOUR_BINS) + sum(counts)
    kind, best = CREDENTIAL, -1.0
    for k in range(N_CLASSES):
        if counts[k]:
            odd = tail_surprise(counts[k], requests, *prior_of(key, class_rate(key, fleet, k)))
            if odd > best:
                kind, best = k, odd
    chosen = tuple(f for f in recent if REASON_CLASS.get(f.reason, CREDENTIAL) == kind)
    by_caller: dict[CallerKey, int] = {}
    by_gateway: dict[str, int] = {}
    for f in chosen:
        by_caller[f.caller] = by_caller.get(f.caller, 0) + f.count
        by_gateway[f.gateway] = by_gateway.get(f.gateway, 0) + f.count
    callers = tuple(_caller_evidence(who, key.callers[who], number, kind, n, now) for who, n in by_caller.items())
    lead = max(callers, key=lambda c: (c.fresh and not c.recovered, not c.recovered, c.fresh, c.failures))
    reason = max((r for r in by_reason if REASON_CLASS.get(r, CREDENTIAL) == kind), key=lambda r: by_reason[r])
    return Evidence(kind=kind, reason=reason, failures=chosen, callers=callers, lead=lead, by_gateway=by_gateway)


def class_rate(key: KeyPast, fleet: FleetView, kind: int) -> tuple[float, float]:
    """Return the key's decayed failures of a class of reasons, and the fleet's rate of it."""
    own = sum(n for r, n in key.rates.failures.items() if REASON_CLASS.get(r, CREDENTIAL) == kind)
    all_keys = sum(x for r, x in fleet.rates.items() if REASON_CLASS.get(r, CREDENTIAL) == kind)
    return own, all_keys


def prior_of(key: KeyPast, rate: tuple[float, float]) -> tuple[float, float]:
    """Return (failures, requests) of the Gamma prior: the key's own, capped, plus pseudo-requests of the fleet."""
    own, everyone = rate
    requests = key.rates.requests
    shrink = min(1.0, _STRENGTH_CAP / requests) if requests > 0 else 1.0
    return own * shrink + _PSEUDO_REQUESTS * max(everyone, 1e-5), requests * shrink + _PSEUDO_REQUESTS


def storm_ratio(key: KeyPast, evidence: Evidence, now: int) -> float:
    """Return how much faster the fastest failing caller fails in five minutes than it usually asks; at least 0.01."""
    fastest: dict[CallerKey, int] = {}
    for f in evidence.failures:
        if f.minute > now - 5:
            fastest[f.caller] = fastest.get(f.caller, 0) + f.count
    worst = 0.01
    for who, failures in fastest.items():
        worst = max(worst, failures / (usual_requests(key.callers[who], now) + 1.0))
    return worst


def usual_requests(past: CallerPast, now: int) -> float:
    """Return how many requests of a caller are usually served within five minutes."""
    failed = sum(run.failures + run.failures_before for run in past.runs.values())
    return 5.0 * max(1, past.requests - failed) / max(60, now - past.first_seen)
