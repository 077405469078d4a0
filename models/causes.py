"""Why it fails: the explanation that fits best who fails and who succeeds, then the cause that explanation speaks of.

The model says *that* something is odd; these rules say *why*. Explanations (one gateway, one region, one caller, one
environment, everybody) are compared by their marginal likelihood, so that structure decides where gateways hide reasons.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from models.breakdown import Evidence, LifeCycle
from models.history import CREDENTIAL, ERROR, FORBIDDEN, LIMITED, MALFORMED, CallerKey, KeyPast

_HOUR = 60
_STRAY = 0.02
"""Share of failures that any explanation leaves to chance."""
_A, _B = 1.5, 0.5
"""Beta prior of the share that fails where the trouble is: mostly all of it."""
_STORM_FAILURES = 8
_STORM_RATIO = 6.0
_NEAR_EXPIRY_MINUTES = 30


class Cause(StrEnum):
    """Causes of an incident (DESIGN section 8)."""

    PROPAGATION_DELAY = "propagation_delay"
    STALE_GATEWAY = "stale_gateway"
    EARLY_REVOCATION = "early_revocation"
    PREMATURE_EXPIRY = "premature_expiry"
    SCOPE_LOSS = "scope_loss"
    WRONG_SECRET = "wrong_secret"  # noqa: S105 - a cause, not a secret
    WRONG_ENVIRONMENT = "wrong_environment"
    RETRY_STORM = "retry_storm"
    RATE_LIMITED = "rate_limited"
    CREDENTIAL_STUFFING = "credential_stuffing"
    UPSTREAM_OUTAGE = "upstream_outage"
    CLIENT_OUTAGE = "client_outage"
    CALLER_FAULT = "caller_fault"
    UNKNOWN = "unknown"


NOT_THE_ROLLOVER = frozenset(
    {Cause.CALLER_FAULT, Cause.CREDENTIAL_STUFFING, Cause.UPSTREAM_OUTAGE, Cause.CLIENT_OUTAGE}
)
"""Causes for which the rollover is not to blame: told to the owner, no gate stopped, no roll-back advised."""


class Scope(StrEnum):
    """What an explanation blames."""

    GATEWAY = "gateway"
    REGION = "region"
    CALLER = "caller"
    SOURCE = "source"
    EVERYONE = "everyone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The best-fitting scope with its numbers; `margin` is its lead over the next scope in log likelihood."""

    scope: Scope
    name: str
    failures: int
    requests: int
    margin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A cause, the explanation behind it and the numbers of the sentence. Times in epoch minutes."""

    cause: Cause
    explanation: Explanation
    failures: int
    successes: int
    callers: int
    gateways: int
    since: int
    reason: str


def _fit(failures: float, successes: float, stray: float) -> float:
    """Log marginal likelihood: a Beta-Binomial inside, stray failures outside."""
    inside = (
        math.lgamma(failures + _A)
        + math.lgamma(successes + _B)
        - math.lgamma(failures + successes + _A + _B)
        + math.lgamma(_A + _B)
        - math.lgamma(_A)
        - math.lgamma(_B)
    )
    return inside + stray * math.log(_STRAY)


def explain(key: KeyPast, number: int, evidence: Evidence, region_of: Callable[[str], str], now: int) -> Explanation:
    """Choose the scope that explains best which requests of a version fail since the trouble began."""
    version = key.versions[number]
    started = min(c.started for c in evidence.callers)
    bins = max(1, min(12, now // 5 - max(started, now - _HOUR + 5) // 5 + 1))
    ok_at = {g: ring.total(now, bins) for g, ring in version.ok_at.items()}
    ok_all = sum(ok_at.values())
    by_gateway = dict(evidence.by_gateway)
    total = sum(by_gateway.values())
    by_caller: dict[CallerKey, int] = {}
    for f in evidence.failures:
        by_caller[f.caller] = by_caller.get(f.caller, 0) + f.count
    gateways = set(ok_at) | set(by_gateway)
    regions = {region_of(g) for g in gateways}
    known = [who for who, past in key.callers.items() if number in past.versions]
    options: list[tuple[float, Explanation]] = []

    def offer(scope: Scope, name: str, failures: int, ok: int, choices: int, handicap: float = 0.0) -> None:
        fit = _fit(failures, ok, total - failures) - math.log(max(1, choices)) - handicap
        options.append(
            (fit, Explanation(scope=scope, name=name, failures=failures, requests=failures + ok, margin=0.0))
        )

    for g, n in by_gateway.items():
        offer(Scope.GATEWAY, g, n, ok_at.get(g, 0), len(gateways))
    for r in {region_of(g) for g in by_gateway}:
        here = [g for g in gateways if region_of(g) == r]
        failed = sum(by_gateway.get(g, 0) for g in here)
        offer(Scope.REGION, r, failed, sum(ok_at.get(g, 0) for g in here), len(regions))
    ok_since = {c.who: c.ok_since for c in evidence.callers}
    for who, n in by_caller.items():
        offer(Scope.CALLER, "/".join(w for w in who if w), n, ok_since[who], len(known))
    sources = {who[1] for who in known}
    for source in {who[1] for who in by_caller}:
        same = [who for who in known if who[1] == source]
        if len(same) < 2 or len(sources) < 2:  # noqa: PLR2004 - one caller, or one environment, is the other scope
            continue
        failed = sum(by_caller.get(who, 0) for who in same)
        ok = sum(
            ok_since.get(who, 0) if who in by_caller else int(key.callers[who].versions[number].last_ok >= started)
            for who in same
        )
        offer(Scope.SOURCE, source, failed, ok, len(sources), 0.7)
    offer(Scope.EVERYONE, "", total, ok_all, 1)
    options.sort(key=lambda o: -o[0])
    best = options[0][1]
    second = next((fit for fit, e in options[1:] if e.scope != best.scope), -math.inf)
    return Explanation(
        scope=best.scope,
        name=best.name,
        failures=best.failures,
        requests=best.requests,
        margin=min(99.0, options[0][0] - second),
    )


def judge(
    key: KeyPast,
    number: int,
    evidence: Evidence,
    life: LifeCycle,
    *,
    region_of: Callable[[str], str],
    hides_reasons: Callable[[str], bool],
    now: int,
) -> Verdict:
    """Name the cause of a version's failures.

    Args:
        key: the key's past.
        number: the failing version.
        evidence: its failures of the last hour.
        life: where the version stands.
        region_of: a gateway's region.
        hides_reasons: whether a gateway gives one reason for every rejection.
        now: the look, epoch minutes.
    """
    explanation = explain(key, number, evidence, region_of, now)
    failed = sum(f.count for f in evidence.failures)
    hidden = evidence.kind == CREDENTIAL and all(hides_reasons(g) for g in evidence.by_gateway)
    since = min(c.started for c in evidence.callers)
    return Verdict(
        cause=_cause(key, number, evidence, life, explanation, hidden=hidden, now=now),
        explanation=explanation,
        failures=failed,
        successes=key.versions[number].ok.total(now, max(1, min(12, (now - since) // 5 + 1))),
        callers=len(evidence.callers),
        gateways=len(evidence.by_gateway),
        since=since,
        reason=evidence.reason,
    )


def storms(key: KeyPast, evidence: Evidence, now: int) -> bool:
    """Tell whether the fastest failing caller fails far faster in five minutes than it usually asks."""
    fastest: dict[CallerKey, int] = {}
    for f in evidence.failures:
        if f.minute > now - 5:
            fastest[f.caller] = fastest.get(f.caller, 0) + f.count
    for who, failures in fastest.items():
        past = key.callers[who]
        failed = sum(run.failures + run.failures_before for run in past.runs.values())
        usual = 5.0 * max(1, past.requests - failed) / max(60, now - past.first_seen)
        if failures >= _STORM_FAILURES and failures >= _STORM_RATIO * (usual + 0.5):
            return True
    return False


def _cause(
    key: KeyPast,
    number: int,
    evidence: Evidence,
    life: LifeCycle,
    explanation: Explanation,
    *,
    hidden: bool,
    now: int,
) -> Cause:
    alone = len(evidence.callers) == 1
    if evidence.kind == ERROR:
        return Cause.UPSTREAM_OUTAGE
    if evidence.kind == MALFORMED:
        return Cause.CALLER_FAULT
    if evidence.kind == LIMITED:
        return Cause.RATE_LIMITED
    if alone and evidence.lead.runs_before > 2:  # noqa: PLR2004 - it has failed this way on other days
        return Cause.CALLER_FAULT
    if storms(key, evidence, now) and explanation.scope in {Scope.CALLER, Scope.GATEWAY, Scope.REGION} and alone:
        return Cause.RETRY_STORM
    if evidence.kind == FORBIDDEN:
        return _forbidden(key, evidence)
    dead = life.retired is not None or (life.role == "from" and evidence.reason in {"revoked", "expired"})
    if evidence.reason == "expired":
        return Cause.PREMATURE_EXPIRY
    if evidence.reason == "revoked":
        return Cause.CALLER_FAULT if dead and life.retired is not None and alone else Cause.EARLY_REVOCATION
    if life.role == "from" or (life.role != "to" and life.expires is not None and life.expires <= now):
        return _old_version(key, number, evidence, life, explanation, hidden=hidden, now=now)
    return _place_or_person(evidence, explanation, hidden=hidden)


def _forbidden(key: KeyPast, evidence: Evidence) -> Cause:
    known = any(f.route is None or f.route in key.callers[f.caller].routes for f in evidence.failures)
    return Cause.SCOPE_LOSS if known or len(evidence.callers) > 1 else Cause.CALLER_FAULT


def _old_version(
    key: KeyPast,
    number: int,
    evidence: Evidence,
    life: LifeCycle,
    explanation: Explanation,
    *,
    hidden: bool,
    now: int,
) -> Cause:
    """Name the cause where the reason does not say it and the version is on its way out."""
    expired = life.expires is not None and life.expires <= now + _NEAR_EXPIRY_MINUTES
    everyone = explanation.scope is Scope.EVERYONE or not key.versions[number].ok.total(now, 2)
    if expired:
        return Cause.PREMATURE_EXPIRY
    if everyone or hidden or evidence.reason in {"unknown_credential", "other"}:
        return Cause.EARLY_REVOCATION
    return _place_or_person(evidence, explanation, hidden=hidden)


def _place_or_person(evidence: Evidence, explanation: Explanation, *, hidden: bool) -> Cause:
    if explanation.scope is Scope.GATEWAY:
        return Cause.STALE_GATEWAY
    if explanation.scope is Scope.SOURCE:
        return Cause.WRONG_ENVIRONMENT
    if explanation.scope is Scope.CALLER:
        unknown = evidence.reason in {"unknown_credential", "other"}
        return Cause.WRONG_ENVIRONMENT if unknown and not hidden else Cause.WRONG_SECRET
    return Cause.PROPAGATION_DELAY
