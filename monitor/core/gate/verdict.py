"""`decide`: nine clauses, worst wins, and an exception anywhere is `unknown` with its name, never a pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from typing import TypeVar

import orjson

from monitor.core.callers import CallerCache, Standing
from monitor.core.decision import BlastRadius, Decision, Eta, EtaState, Progress, Status, Verdict
from monitor.core.evidence import KeyEvidence, Telemetry
from monitor.core.gate.around import blast_radius, eta, progress, telemetry_notes
from monitor.core.gate.c1_registry import registry as c1_registry
from monitor.core.gate.c2_ingest import ingest
from monitor.core.gate.c3_gateways import gateways
from monitor.core.gate.c4_ledger import ledger
from monitor.core.gate.c5_attribution import attribution
from monitor.core.gate.c6_residual import residual
from monitor.core.gate.c7_callers import callers
from monitor.core.gate.c8_health import health
from monitor.core.gate.c9_policy import clocks_and_policy
from monitor.core.gate.finding import Finding, finding, trouble, worst
from monitor.core.gate.look import Look
from monitor.core.policy import Policy
from monitor.core.registry import Registry, Rollover

CLAUSES: Mapping[str, Callable[[Look], Finding]] = {
    "C1": c1_registry,
    "C2": ingest,
    "C3": gateways,
    "C4": ledger,
    "C5": attribution,
    "C6": residual,
    "C7": callers,
    "C8": health,
    "C9": clocks_and_policy,
}

_VERDICT_OF = {Status.PASS: Verdict.GO, Status.FAIL: Verdict.NO_GO, Status.UNKNOWN: Verdict.UNKNOWN}

_T = TypeVar("_T")


def decide(
    *,
    rollover: Rollover,
    registry: Registry,
    policy: Policy,
    evidence: KeyEvidence,
    telemetry: Telemetry,
    region: str | None = None,
    cache: CallerCache | None = None,
) -> Decision:
    """Return the gate's answer at `telemetry.now_ms`, in one region where given.

    The rollover's own policy is laid over `policy` here (doing so twice changes nothing). The same evidence gives the
    same decision, with or without a cache.
    """
    look = _look(rollover, registry, policy, evidence, telemetry, region, cache)
    findings = judge(look)
    return compose(look, findings)


def caller_states(
    *,
    rollover: Rollover,
    registry: Registry,
    policy: Policy,
    evidence: KeyEvidence,
    telemetry: Telemetry,
    region: str | None = None,
    cache: CallerCache | None = None,
) -> Sequence[Standing]:
    """Return every caller of the old version with its standing, in the order of names (`v_callers.state`, pages)."""
    return tuple(_look(rollover, registry, policy, evidence, telemetry, region, cache).roster)


def judge(look: Look, clauses: Mapping[str, Callable[[Look], Finding]] = CLAUSES) -> tuple[Finding, ...]:
    """Return each clause's finding, in order."""
    return tuple(_judged(look, name, clause) for name, clause in clauses.items())


def compose(look: Look, findings: Sequence[Finding]) -> Decision:
    """Return the decision that follows from the findings. Nothing but nine passes is GO."""
    verdict = verdict_of(findings)
    blockers = tuple(blocker for each in findings for blocker in each.blockers)
    return Decision(
        rollover=look.rollover.id,
        key=look.rollover.key,
        from_version=look.rollover.from_version,
        to_version=look.rollover.to_version,
        region=look.region,
        verdict=verdict,
        evaluated_at_ms=look.now_ms,
        valid_until_ms=look.now_ms + look.policy.decision_ttl_ms,
        evidence_hash=evidence_hash(look, findings),
        clauses=tuple(each.clause for each in findings),
        blockers=blockers,
        blast_radius=_tried(
            lambda: blast_radius(look),
            BlastRadius(callers=0, requests_per_day=0.0, share_of_requests=0.0, next_hit_ms=None),
        ),
        eta=_tried(
            lambda: eta(look, verdict, blockers), Eta(state=EtaState.STALLED, earliest_go_ms=None, limited_by=None)
        ),
        progress=_tried(lambda: progress(look), Progress(callers=0, callers_cleared=0, requests_moved_share=None)),
        telemetry_notes=_tried(lambda: telemetry_notes(look), ("Callers could not be computed: see the clauses.",)),
    )


def verdict_of(findings: Sequence[Finding]) -> Verdict:
    """Return the verdict: NO_GO beats UNKNOWN beats GO, and fewer than all nine clauses are not GO either."""
    if tuple(each.clause.id for each in findings) != tuple(CLAUSES):
        return Verdict.UNKNOWN
    return _VERDICT_OF[worst(each.clause.status for each in findings)]


def evidence_hash(look: Look, findings: Sequence[Finding]) -> str:
    """Return SHA-256 over the canonical JSON of what decided: callers, clauses with their numbers, policy, versions.

    Not the time of asking: the same evidence has the same hash as long as it is judged the same.
    """
    body = {
        "rollover": look.rollover.id,
        "region": look.region,
        "policy": asdict(look.policy),
        "credentials": [sorted(look.old_credentials), sorted(look.new_credentials)],
        "callers": _tried(lambda: look.roster.digest(), None),  # noqa: PLW0108 - the roster may be what fails
        "clauses": [[each.clause.id, each.clause.status.value, dict(each.clause.evidence)] for each in findings],
    }
    return sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _look(  # noqa: PLR0917 - `decide`'s own arguments, passed on
    rollover: Rollover,
    registry: Registry,
    policy: Policy,
    evidence: KeyEvidence,
    telemetry: Telemetry,
    region: str | None,
    cache: CallerCache | None,
) -> Look:
    return Look(
        rollover=rollover,
        registry=registry,
        policy=policy.overridden(dict(rollover.policy)) if rollover.policy else policy,
        evidence=evidence,
        telemetry=telemetry,
        region=region,
        cache=cache,
    )


def _judged(look: Look, name: str, clause: Callable[[Look], Finding]) -> Finding:
    found, fault = _attempt(lambda: clause(look))
    if found is not None and found.clause.id == name:
        return found
    what = f"{name} could not be computed: {fault or 'it answered for another clause'}"
    failed = trouble(name, Status.UNKNOWN, what, "the fault is removed: see the daemon's log")
    return finding(name, [failed], passed="", evidence={})


def _tried(call: Callable[[], _T], otherwise: _T) -> _T:
    found, _ = _attempt(call)
    return otherwise if found is None else found


def _attempt(call: Callable[[], _T]) -> tuple[_T | None, str | None]:
    """Return the answer, or the fault's name: the one broad except of the gate."""
    try:
        return call(), None
    except Exception as error:  # noqa: BLE001 - whatever goes wrong must read as UNKNOWN, never as a missing answer
        return None, f"{type(error).__name__}: {error}"
