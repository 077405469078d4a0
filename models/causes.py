"""Why it fails: the reason and the registry where they say it, else the structure of who fails and who does not.

The model says *that* it is odd; this says *why*. Where gateways hide reasons, the explanations of `models.scopes`
are weighed: by trees grown on simulated rollovers if there are any, else by rules over the best-fitting scope.
"""

# ruff: noqa: PLR0917 - one call shape for all parts of a row, key first and now last
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from models.breakdown import Evidence, LifeCycle, storm_ratio
from models.cause import Cause
from models.history import CREDENTIAL, ERROR, FORBIDDEN, LIMITED, MALFORMED, NAMELESS, KeyPast
from models.scopes import Cells, Explanation, Scope, cells, explanations
from models.vetoes import without_ruled_out
from models.votes import CauseVotes

_STORM_FAILURES = 8
_STORM_RATIO = 4.0
_NEAR_EXPIRY_MINUTES = 30
_HABITUAL_RUNS = 2
_HABIT_MINUTES = 12 * 60
_HABIT_FAILURES = 3.0
_STUFFING_CALLERS = 4
_STUFFING_FAILURES = 10
_NAMELESS_IS_USUAL = 0.3


_SPOKEN_OF: dict[Cause, tuple[Scope, ...]] = {
    Cause.PROPAGATION_DELAY: (Scope.REGION, Scope.GATEWAYS, Scope.EVERYONE),
    Cause.STALE_GATEWAY: (Scope.GATEWAY,),
    Cause.WRONG_SECRET: (Scope.CALLER,),
    Cause.RETRY_STORM: (Scope.CALLER,),
    Cause.WRONG_ENVIRONMENT: (Scope.SOURCE, Scope.CALLER),
    Cause.CALLER_FAULT: (Scope.CALLER,),
}
"""The scopes that a cause's sentence may speak of; any other cause speaks of everyone."""


class StructureModel(Protocol):
    """Weighs the causes that structure must tell apart."""

    def weigh(self, features: tuple[float, ...]) -> dict[str, float]:
        """Return log odds by cause, comparable with each other."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A cause, the explanation behind it and the numbers of the sentence.

    Counts are since the trouble began: `callers` and `gateways` fail; `fine_gateways` and `fine_callers` do not.
    `since` is in epoch minutes.
    """

    cause: Cause
    explanation: Explanation
    failures: int
    successes: int
    callers: int
    gateways: int
    fine_callers: int
    fine_gateways: int
    gateways_in_scope: int
    since: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the rules ask of the fleet: a gateway's region, its habit of one reason for all, its habit of no names.

    is_environment: tells a source that several clients share from one client's own address.
    """

    region_of: Callable[[str], str]
    hides_reasons: Callable[[str], bool]
    namelessness: Callable[[str], float]
    is_environment: Callable[[str], bool] = lambda _: True


def judge(
    key: KeyPast,
    number: int,
    evidence: Evidence,
    life: LifeCycle,
    *,
    around: Surroundings,
    now: int,
    features: tuple[float, ...] = (),
    model: StructureModel | None = None,
    votes: CauseVotes | None = None,
) -> Verdict:
    """Name the cause of a version's failures.

    Args:
        key: the key's past.
        number: the failing version.
        evidence: its recent failures.
        life: where the version stands.
        around: the fleet's habits.
        now: the look, epoch minutes.
        features: this look's row, for the model.
        model: weighs what structure must tell; None leaves it to the best-fitting scope.
        votes: of the episode's looks so far; this one is added, and their sum decides. None lets this look decide.
    """
    version = key.versions[number]
    found = cells(version, evidence)
    fits = explanations(key, number, found, around.region_of, around.is_environment)
    cause = _plain(key, number, evidence, life, around, now)
    odds: dict[str, float] = {}
    if cause is None and model is not None:
        odds = _one_callers_own(without_ruled_out(model.weigh(features), features), evidence, around)
        cause = Cause(max(sorted(odds), key=lambda each: odds[each]))
    elif cause is None:
        cause = _fitting(key, evidence, life, fits, now)
    if votes is not None:
        cause = Cause(votes.hear(odds or {cause.value: 0.0}, reason=evidence.reason))
    explanation = _spoken(cause, fits)
    failing_at = {g for _, g in found.failed}
    failing = {who for who, _ in found.failed}
    fine_at = {g for _, g in found.ok} - failing_at
    region = around.region_of
    return Verdict(
        cause=cause,
        explanation=explanation,
        failures=sum(found.failed.values()),
        successes=sum(found.ok.values()),
        callers=len(failing),
        gateways=len(failing_at),
        fine_callers=len({who for who, _ in found.ok} - failing),
        fine_gateways=len(fine_at),
        gateways_in_scope=_in_scope(explanation, failing_at | set(version.ever_ok_at), region),
        since=found.onset,
        reason=evidence.reason,
    )


def _one_callers_own(odds: dict[str, float], evidence: Evidence, around: Surroundings) -> dict[str, float]:
    """Prefer a wrong secret to a wrong environment where one client fails and the gateway hides the reason.

    Only `unknown_credential`, said by a gateway that says other things too, speaks of another environment's key.
    """
    secret, environment = Cause.WRONG_SECRET.value, Cause.WRONG_ENVIRONMENT.value
    clients = {c.who[0] for c in evidence.callers}
    one = len(evidence.callers) == 1 or (len(clients) == 1 and not clients & {"", NAMELESS})
    hidden = evidence.reason == "other" or all(around.hides_reasons(g) for g in evidence.by_gateway)
    if one and hidden and odds.get(environment, -math.inf) > odds.get(secret, math.inf):
        return {**odds, secret: odds[environment], environment: odds[secret]}
    return odds


def _in_scope(explanation: Explanation, gateways: set[str], region_of: Callable[[str], str]) -> int:
    if explanation.scope is Scope.REGION:
        return sum(region_of(g) == explanation.name for g in gateways)
    return len(gateways)


def _spoken(cause: Cause, fits: dict[Scope, Explanation]) -> Explanation:
    offered = [fits[scope] for scope in _SPOKEN_OF.get(cause, (Scope.EVERYONE,)) if scope in fits]
    return max(offered, key=lambda e: e.fit, default=fits[Scope.EVERYONE])


def stuffed(key: KeyPast, evidence: Evidence, around: Surroundings) -> bool:
    """Tell whether callers that nobody knows try credentials, where gateways usually name those that fail."""
    unknown = [c for c in evidence.callers if c.who not in key.proven]
    failures = sum(c.failures for c in unknown)
    if len(unknown) < len(evidence.callers) or failures < _STUFFING_FAILURES:
        return False
    if any(key.callers[c.who].nameless for c in unknown):
        usual = max(around.namelessness(g) for g in evidence.by_gateway)
        return usual < _NAMELESS_IS_USUAL
    return len(unknown) >= _STUFFING_CALLERS


def _habitual(evidence: Evidence, life: LifeCycle, now: int) -> bool:
    """Tell whether the caller failed like this before: on an earlier day, before the rollover began, and as much."""
    lead = evidence.lead
    if now - lead.first <= _HABIT_MINUTES or lead.runs_before < _HABITUAL_RUNS:
        return False
    usual = lead.failures_before / lead.runs_before
    return lead.failures <= _HABIT_FAILURES * usual and (life.started is None or lead.first < life.started)


def _plain(  # noqa: PLR0911 - one rule a line, the first that fits
    key: KeyPast, number: int, evidence: Evidence, life: LifeCycle, around: Surroundings, now: int
) -> Cause | None:
    """Name the cause where the reason, the registry or a caller's own past says it; None where structure must."""
    by_kind = {ERROR: Cause.UPSTREAM_OUTAGE, LIMITED: Cause.RATE_LIMITED, MALFORMED: Cause.CALLER_FAULT}
    if evidence.kind in by_kind:
        return by_kind[evidence.kind]
    if stuffed(key, evidence, around):
        return Cause.CREDENTIAL_STUFFING
    alone = len(evidence.callers) == 1
    hidden = all(around.hides_reasons(g) for g in evidence.by_gateway)
    if alone and not hidden and life.role != "to" and _habitual(evidence, life, now):
        return Cause.CALLER_FAULT
    on_its_way_out = life.role in {"", "from"}
    expired = life.expires is not None and life.expires <= now + _NEAR_EXPIRY_MINUTES
    if evidence.reason == "expired" or (hidden and on_its_way_out and expired):
        return Cause.PREMATURE_EXPIRY
    if life.retired is not None and life.role == "from":
        return Cause.CALLER_FAULT
    if evidence.reason == "revoked" and on_its_way_out:
        return Cause.EARLY_REVOCATION if key.versions[number].ok_total else Cause.CALLER_FAULT
    return None


def _fitting(  # noqa: PLR0911 - one rule a line, the first that fits
    key: KeyPast, evidence: Evidence, life: LifeCycle, fits: dict[Scope, Explanation], now: int
) -> Cause:
    """Read the cause off the best-fitting scope."""
    alone = len(evidence.callers) == 1
    fastest = max((f.count for f in evidence.failures if f.minute > now - 5), default=0)
    if alone and fastest >= _STORM_FAILURES and storm_ratio(key, evidence, now) >= _STORM_RATIO:
        return Cause.RETRY_STORM
    if evidence.kind == FORBIDDEN:
        return Cause.SCOPE_LOSS
    best = max(fits.values(), key=lambda e: e.fit).scope
    if best is Scope.GATEWAY:
        return Cause.STALE_GATEWAY
    if best in {Scope.GATEWAYS, Scope.REGION}:
        return Cause.PROPAGATION_DELAY
    if best is Scope.SOURCE:
        return Cause.WRONG_ENVIRONMENT
    if best is Scope.CALLER:
        unknown = evidence.kind == CREDENTIAL and evidence.reason == "unknown_credential"
        return Cause.WRONG_ENVIRONMENT if unknown else Cause.WRONG_SECRET
    return Cause.EARLY_REVOCATION if life.role == "from" else Cause.PROPAGATION_DELAY


__all__ = ["Cells", "Scope", "StructureModel", "Surroundings", "Verdict", "judge"]
