"""One row of numbers per key version that failed in this minute: rates, callers' pasts, places, life cycle.

The columns are named once, in `NAMES`. Every feature uses what was known at the look alone.
"""

# ruff: noqa: PLR0917 - one call shape for all parts of a row, key first and now last
from __future__ import annotations

import math

from models.breakdown import Evidence, FleetView, LifeCycle, class_rate, prior_of
from models.history import (
    ERROR,
    FORBIDDEN,
    HOUR_BINS,
    LIMITED,
    MALFORMED,
    SIX_HOUR_BINS,
    CallerKey,
    KeyPast,
    VersionPast,
)
from models.structure import SCOPE_NAMES, WIDE_NAMES, scope_features, wide_features
from models.surprise import contrast, tail_surprise, wilson_lower

NAMES: tuple[str, ...] = (
    # rates: one-sided, of the leading class of reasons
    "surprise_5m", "surprise_1h", "surprise_6h", "surprise_reason", "novelty", "record", "excess", "fail_share_1h",
    "fail_share_5m", "version_lift", "other_version_requests", "other_version_failures", "failures_1h", "failures_5m",
    "failures_6h",
    # the reason
    "is_forbidden", "is_limited", "is_malformed", "is_error", "is_dead", "is_wrong_secret", "is_unknown", "is_inactive",
    # who fails and who does not
    "failing_callers", "fresh_callers", "ok_callers", "recovered_callers", "fresh_failures", "streak_sum", "streak_max",
    "failing_share_of_callers", "settled_failing", "repeaters",
    # the leading caller's past
    "lead_failures", "lead_ok_since", "lead_minutes", "lead_streak", "lead_runs_before", "lead_failures_before",
    "lead_on_version_minutes", "lead_ok_version", "lead_ok_here", "lead_ok_route", "lead_other_version_ok", "lead_rate",
    "lead_burst", "lead_requests", "lead_surprise", "lead_silence", "lead_share", "lead_age", "lead_version_ok_count",
    "lead_routes_failing", "lead_gateways_failing",
    # where
    "failing_gateways", "top_gateway_share", "ok_at_failing", "ok_elsewhere", "gateway_contrast", "region_contrast",
    "caller_contrast", "route_contrast", "never_ok_here", "siblings_ok", "top_gateway_callers", "failing_routes",
    # the fleet and strangers
    "keys_failing_here", "keys_failing", "strangers_1h", "nameless_share", "nameless_habit", "reason_sameness",
    # what is missing: successes and callers that should be there
    "key_ok_ratio", "version_ok_ratio", "lost_callers", "version_callers", "adoption", "version_gateways",
    *SCOPE_NAMES,
    "gateway_ok_10m", "failing_minutes", "lead_other_failures", "lead_other_ok_age", "lead_nameless",
    # life cycle
    "is_to", "is_from", "in_rollover", "rollover_hours", "is_retired", "retired_hours", "past_expiry", "near_expiry",
    "traffic_share",
    "version_ok_6h", "version_ok_total", "version_hours", "hours_since_first_failure", "key_rate",
    *WIDE_NAMES,
)  # fmt: skip
INDEX = {name: i for i, name in enumerate(NAMES)}

FOREST_NAMES: tuple[str, ...] = (
    "surprise_5m", "surprise_1h", "surprise_6h", "surprise_reason", "novelty", "record", "excess", "version_lift",
    "fresh_callers", "fresh_failures", "streak_max", "lead_surprise", "gateway_contrast", "region_contrast",
    "caller_contrast", "never_ok_here",
)  # fmt: skip
FOREST_COLUMNS = tuple(INDEX[name] for name in FOREST_NAMES)
"""The one-sided features: higher is more harmful in each, as an isolation forest knows no sides."""

_HOUR = 60
_DAY = 1440
_REGULAR = 10
_LOST_MINUTES = 20
_SETTLED_MINUTES = 120


def _log(x: float) -> float:
    return math.log1p(max(0.0, x))


def vector(key: KeyPast, number: int, evidence: Evidence, fleet: FleetView, life: LifeCycle, now: int) -> list[float]:
    """Compute one row of `NAMES`.

    Args:
        key: the key's past, this look included.
        number: the version that failed.
        evidence: what `gather` returned.
        fleet: rates and neighbours.
        life: where the version stands.
        now: the look, in minutes since the epoch.
    """
    version = key.versions[number]
    rates = _rate_features(key, version, number, evidence, fleet, now)
    callers = _caller_features(key, number, evidence, now)
    lead = _lead_features(key, number, evidence, fleet, now)
    place = _place_features(version, evidence, now)
    top = max(evidence.by_gateway, key=lambda g: evidence.by_gateway[g])
    rejections = sum(evidence.by_gateway.values())
    around = [
        _log(fleet.keys_failing_at.get(top, 0)),
        _log(fleet.keys_failing),
        _log(key.strangers.total(now, HOUR_BINS)),
        sum(f.count for f in evidence.failures if key.callers[f.caller].nameless) / rejections,
        sum(n * fleet.nameless.get(g, 0.25) for g, n in evidence.by_gateway.items()) / rejections,
        sum(n * fleet.hidden.get(g, 0.5) for g, n in evidence.by_gateway.items()) / rejections,
        *_missing_features(key, number, evidence, fleet, top, now),
    ]
    wide = wide_features(key, number, evidence, fleet, life, now)
    return rates + callers + lead + place + around + _life_features(key, version, evidence, life, now) + wide


def _rate_features(
    key: KeyPast, version: VersionPast, number: int, evidence: Evidence, fleet: FleetView, now: int
) -> list[float]:
    kind = evidence.kind
    ring = version.by_class[kind]
    f5, f60, f360 = ring.total(now, 2), ring.total(now, HOUR_BINS), ring.total(now, SIX_HOUR_BINS)
    f60 = max(f60, f5, 1)
    f360 = max(f360, f60)
    n5 = version.ok.total(now, 2) + f5
    n60, n360 = version.ok.total(now, HOUR_BINS) + f60, version.ok.total(now, SIX_HOUR_BINS) + f360
    prior = prior_of(key, class_rate(key, fleet, kind))
    by_reason: dict[str, int] = {}
    for f in evidence.failures:
        by_reason[f.reason] = by_reason.get(f.reason, 0) + f.count
    reason_surprise = max(
        tail_surprise(n, n60, *prior_of(key, (key.rates.failures.get(r, 0.0), fleet.rates.get(r, 0.0))))
        for r, n in by_reason.items()
    )
    past = sum(key.rates.failures.values())
    everyone = sum(fleet.rates.values())
    share = (
        key.rates.failures.get(evidence.reason, 0.0)
        + 2 * (fleet.rates.get(evidence.reason, 0.0) + 1e-6) / (everyone + 1e-5)
    ) / (past + 2.0)
    other_f, other_n = 0, 0
    for n, v in key.versions.items():
        if n != number:
            failed = v.by_class[kind].total(now, HOUR_BINS)
            other_f += failed
            other_n += failed + v.ok.total(now, HOUR_BINS)
    reason = evidence.reason
    return [
        tail_surprise(f5, n5, *prior),
        tail_surprise(f60, n60, *prior),
        tail_surprise(f360, n360, *prior),
        reason_surprise,
        -math.log10(max(share, 1e-6)),
        min(5.0, max(-3.0, math.log((f60 + 0.5) / (key.rates.records[kind] + 0.5)))),
        wilson_lower(f60, n60) - prior[0] / prior[1],
        f60 / n60,
        f5 / n5 if n5 else 0.0,
        math.log((f60 + 0.5) / (n60 + 1.0)) - math.log((other_f + 0.5) / (other_n + 1.0)) if other_n else 0.0,
        _log(other_n),
        _log(other_f),
        _log(f60),
        _log(f5),
        _log(f360),
        float(kind == FORBIDDEN),
        float(kind == LIMITED),
        float(kind == MALFORMED),
        float(kind == ERROR),
        float(reason in {"revoked", "expired"}),
        float(reason == "wrong_secret"),
        float(reason in {"unknown_credential", "other"}),
        float(reason == "not_yet_active"),
    ]


def _caller_features(key: KeyPast, number: int, evidence: Evidence, now: int) -> list[float]:
    failing = evidence.callers
    failing_names = {c.who for c in failing}
    ok_callers = 0
    for who, past in key.proven.items():
        mine = past.versions.get(number)
        if mine is not None and who not in failing_names and mine.last_ok > now - _HOUR:
            ok_callers += 1
    fresh = [c for c in failing if c.fresh]
    settled = 0
    for c in failing:
        first_ok = key.callers[c.who].versions[number].first_ok
        if 0 <= first_ok < now - _SETTLED_MINUTES:
            settled += 1
    return [
        _log(len(failing)),
        _log(sum(not c.recovered for c in fresh)),
        _log(ok_callers),
        _log(sum(c.recovered for c in failing)),
        _log(sum(c.failures for c in fresh)),
        _log(sum(c.streak for c in failing)),
        _log(max(c.streak for c in failing)),
        len(failing) / (len(failing) + ok_callers),
        _log(settled),
        _log(sum(c.runs_before > 0 for c in failing)),
    ]


def _lead_features(key: KeyPast, number: int, evidence: Evidence, fleet: FleetView, now: int) -> list[float]:
    lead = evidence.lead
    past = key.callers[lead.who]
    mine = past.versions[number]
    rows = [f for f in evidence.failures if f.caller == lead.who]
    other_ok = max((v.last_ok for n, v in past.versions.items() if n != number), default=-1)
    minutes = max(1, now - past.first_seen)
    rate = past.requests / minutes
    five = sum(f.count for f in rows if f.minute > now - 5)
    routes = {f.route for f in rows if f.route is not None}
    gateways = {f.gateway for f in rows}
    last = rows[-1]
    own, everyone = class_rate(key, fleet, evidence.kind)
    key_rate = (own + 0.3) / (key.rates.requests + 100.0) + everyone
    before = max(0, past.requests - lead.failures - lead.ok_since)
    surprise = tail_surprise(
        lead.failures, lead.failures + lead.ok_since, lead.failures_before + 30.0 * key_rate, before + 30.0
    )
    total = sum(f.count for f in evidence.failures)
    return [
        _log(lead.failures),
        _log(lead.ok_since),
        _log(now - lead.started),
        _log(lead.streak),
        _log(lead.runs_before),
        _log(lead.failures_before),
        _log(now - mine.first_seen),
        float(mine.first_ok >= 0),
        float(any(g in mine.ok_at for g in gateways)),
        0.5 if not routes else float(last.route in past.routes),
        float(other_ok >= lead.started) if other_ok >= 0 else -1.0,
        math.log(max(rate, 1e-5)),
        math.log((five + 0.5) / (5 * rate + 0.5)),
        _log(past.requests),
        surprise,
        _log((now - mine.last_ok) * rate) if mine.last_ok >= 0 else -1.0,
        sum(f.count for f in rows) / total,
        _log(now - past.first_seen),
        _log(mine.successes),
        _log(len(routes)),
        _log(len(gateways)),
    ]


def _place_features(version: VersionPast, evidence: Evidence, now: int) -> list[float]:
    by_gateway = evidence.by_gateway
    total = sum(by_gateway.values())
    ok_at = {g: r.total(now, HOUR_BINS) for g, r in version.ok_at.items()}
    ok_all = sum(ok_at.values())
    top = max(by_gateway, key=lambda g: by_gateway[g])
    region_of = {f.gateway: f.region for f in evidence.failures}
    ok_failing = sum(ok_at.get(g, 0) for g in by_gateway)
    by_route: dict[str, int] = {}
    by_caller: dict[CallerKey, int] = {}
    by_region: dict[str, int] = {}
    callers_at_top = set()
    for f in evidence.failures:
        by_caller[f.caller] = by_caller.get(f.caller, 0) + f.count
        by_region[f.region] = by_region.get(f.region, 0) + f.count
        if f.route is not None:
            by_route[f.route] = by_route.get(f.route, 0) + f.count
        if f.gateway == top:
            callers_at_top.add(f.caller)
    region = max(by_region, key=lambda r: by_region[r])
    ok_region = sum(n for g, n in ok_at.items() if region_of.get(g) == region)
    route_contrast = 0.0
    if by_route:
        route = max(by_route, key=lambda r: by_route[r])
        ring = version.ok_on.get(route)
        ok_route = ring.total(now, HOUR_BINS) if ring else 0
        route_contrast = _share_contrast(by_route[route], ok_route, total, max(ok_all, ok_route))
    worst_caller = max(by_caller.values())
    return [
        _log(len(by_gateway)),
        by_gateway[top] / total,
        _log(ok_failing),
        _log(ok_all - ok_failing),
        max(_share_contrast(n, ok_at.get(g, 0), total, ok_all) for g, n in by_gateway.items()),
        _share_contrast(by_region[region], ok_region, total, ok_all),
        contrast(worst_caller, worst_caller, total - worst_caller, total - worst_caller + ok_all),
        route_contrast,
        float(not any(g in version.ever_ok_at for g in by_gateway)),
        _log(ok_all - ok_region),
        _log(len(callers_at_top)),
        _log(len(by_route)),
    ]


def _share_contrast(failed: int, ok: int, failed_all: int, ok_all: int) -> float:
    return contrast(failed, failed + ok, failed_all - failed, failed_all - failed + ok_all - ok)


def _missing_features(
    key: KeyPast, number: int, evidence: Evidence, fleet: FleetView, top: str, now: int
) -> list[float]:
    version = key.versions[number]
    ok_hour = key.ok.total(now, HOUR_BINS)
    yesterday = key.ok.total(now - _DAY, HOUR_BINS)
    age = max(_HOUR, now - min((v.first_seen for v in key.versions.values()), default=now))
    usual = 0.5 * yesterday + 0.5 * _HOUR * sum(v.ok_total for v in key.versions.values()) / age
    ok_version = version.ok.total(now, HOUR_BINS)
    before = (version.ok.total(now, SIX_HOUR_BINS) - ok_version) / 5.0
    lost = adopted = 0
    for past in key.proven.values():
        last_ok = max(v.last_ok for v in past.versions.values())
        mine = past.versions.get(number)
        adopted += mine is not None and mine.first_ok >= 0
        if past.requests >= _REGULAR and now - last_ok > _LOST_MINUTES:
            lost += past.requests * (now - last_ok) > 5.0 * (now - past.first_seen)
    lead = key.callers[evidence.lead.who]
    other_failures = sum(run.failures for (n, _), run in lead.runs.items() if n != number and run.last > now - _HOUR)
    other_ok = max((v.last_ok for n, v in lead.versions.items() if n != number), default=-1)
    ring = version.ok_at.get(top)
    return [
        math.log((ok_hour + 0.5) / (usual + 0.5)),
        math.log((ok_version + 0.5) / (before + 0.5)),
        _log(lost),
        _log(adopted),
        adopted / max(1, len(key.proven)),
        _log(len(version.ever_ok_at)),
        *scope_features(key, number, evidence, fleet, top, now),
        _log(ring.total(now, 2)) if ring else 0.0,
        _log(len({f.minute for f in evidence.failures})),
        _log(other_failures),
        _log(now - other_ok) if other_ok >= 0 else -1.0,
        float(lead.nameless),
    ]


def _life_features(key: KeyPast, version: VersionPast, evidence: Evidence, life: LifeCycle, now: int) -> list[float]:
    running = life.started is not None and life.started <= now
    retired = life.retired is not None and life.retired <= now
    hours = (now - life.started) / 60.0 if running and life.started is not None else 0.0
    all_ok = sum(v.ok.total(now, HOUR_BINS) for v in key.versions.values())
    first_failure = version.first_failure.get(evidence.kind, now)
    seen = min((c.first_seen for c in key.callers.values()), default=now)
    return [
        float(running and life.role == "to"),
        float(running and life.role == "from"),
        float(running and (not retired or hours <= 48)),  # noqa: PLR2004 - DESIGN section 8: 48 h after the start
        _log(hours),
        float(retired),
        _log((now - life.retired) / 60.0) if retired and life.retired is not None else -1.0,
        float(life.expires is not None and life.expires <= now),
        float(life.expires is not None and abs(now - life.expires) <= 120),  # noqa: PLR2004 - two hours
        version.ok.total(now, HOUR_BINS) / all_ok if all_ok else 0.0,
        _log(version.ok.total(now, SIX_HOUR_BINS)),
        _log(version.ok_total),
        _log((now - version.first_seen) / 60.0),
        _log((now - first_failure) / 60.0),
        math.log(max(sum(c.requests for c in key.callers.values()) / max(1, now - seen), 1e-5)),
    ]
