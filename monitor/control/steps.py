"""The steps of a rollover's life, each in a writing snapshot: allowed or not, by whom, and with which GO.

Raises `Conflict` where the state does not allow the step, `NotFound` for an unknown rollover. The state is compared and
set by the store, so of many at once exactly one succeeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from monitor.control.judge import Judge
from monitor.control.ledger import DECISION_KIND, keep_answered
from monitor.core.decision import Decision, Json, Verdict
from monitor.core.instants import parse_rfc3339, rfc3339
from monitor.core.registry import Rollover
from monitor.errors import Conflict
from monitor.ports import Snapshot


class Step(StrEnum):
    """A step by its name in the API and on the command line."""

    FREEZE = "freeze"
    BROWNOUT = "brownout"
    DISABLE = "disable"
    ENABLE = "enable"
    RETIRE = "retire"
    EMERGENCY = "emergency"
    COMPLETE = "complete"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """From which states a step leads where."""

    to: str
    before: frozenset[str]


IN_USE = frozenset({"overlap", "frozen", "brownout", "disabled"})
"""States in which the old version may still come back, and from which it may be retired."""
RULES: Mapping[Step, Rule] = {
    Step.FREEZE: Rule(to="frozen", before=frozenset({"overlap", "brownout"})),
    Step.BROWNOUT: Rule(to="brownout", before=frozenset({"overlap", "frozen"})),
    Step.DISABLE: Rule(to="disabled", before=frozenset({"overlap", "frozen", "brownout"})),
    Step.ENABLE: Rule(to="frozen", before=frozenset({"disabled", "brownout"})),
    Step.RETIRE: Rule(to="retired", before=IN_USE),
    Step.EMERGENCY: Rule(to="retired", before=IN_USE | {"planned"}),
    Step.COMPLETE: Rule(to="completed", before=frozenset({"retired"})),
    Step.ROLLBACK: Rule(to="rolled_back", before=IN_USE | {"planned", "retired"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped:
    """Where the rollover stands after the attempt, and the decision it went by. `done` is false where that forbids."""

    rollover: str
    state: str
    by: str
    done: bool
    decision: Decision | None = None

    def as_json(self) -> dict[str, Json]:
        """Return it as HTTP and the command line show it."""
        return {
            "rollover": self.rollover,
            "state": self.state,
            "by": self.by,
            "done": self.done,
            "decision": None if self.decision is None else self.decision.as_json(),
        }


def step(snapshot: Snapshot, rollover: str, what: Step, *, by: str, reason: str | None, now_ms: int) -> Stepped:
    """Make a step that needs no GO."""
    before = _allowed(snapshot, rollover, what, now_ms)
    after = RULES[what].to
    snapshot.transition(rollover, expected=before, to=after, by=by, reason=reason, now_ms=now_ms)
    return Stepped(rollover=rollover, state=after, by=by, done=True)


def retire(
    snapshot: Snapshot,
    judge: Judge,
    rollover: str,
    *,
    by: str,
    reason: str | None,
    now_ms: int,
    evidence_hash: str | None = None,
) -> Stepped:
    """Consume a GO: decide anew in this very transaction, write it down, and retire the old version only on GO.

    With `evidence_hash`, the GO of that hash must have been answered before and still be valid. Whatever is decided is
    written into the ledger; without GO nothing else is.
    """
    before = _allowed(snapshot, rollover, Step.RETIRE, now_ms)
    if evidence_hash is not None:
        _known_go(snapshot, rollover, evidence_hash, now_ms)
    decision = judge.decide_one(snapshot, rollover, now_ms=now_ms)
    keep_answered(snapshot, decision)
    if decision.verdict is not Verdict.GO:
        return Stepped(rollover=rollover, state=before, by=by, done=False, decision=decision)
    after = RULES[Step.RETIRE].to
    snapshot.transition(rollover, expected=before, to=after, by=by, reason=reason, now_ms=now_ms)
    return Stepped(rollover=rollover, state=after, by=by, done=True, decision=decision)


def emergency(
    snapshot: Snapshot, judge: Judge, rollover: str, *, by: str, reason: str, override_pin: bool, now_ms: int
) -> Stepped:
    """Retire a compromised version whatever the gate says; what it says (who will break) is written down with it.

    A pin vetoes this too, unless it is overruled by name, which is recorded.
    """
    before = _allowed(snapshot, rollover, Step.EMERGENCY, now_ms)
    registry = snapshot.registry()
    it = registry.rollover_by_id[rollover]
    pins = [
        each
        for each in registry.pins
        if each.key == it.key and each.version == it.from_version and (each.until_ms is None or each.until_ms > now_ms)
    ]
    if pins and not override_pin:
        raise Conflict(
            f"{it.key} v{it.from_version} is pinned by {pins[0].by} ({pins[0].reason}); "
            "unpin it, or overrule the pin by name (override_pin)"
        )
    decision = judge.decide_one(snapshot, rollover, now_ms=now_ms)
    keep_answered(snapshot, decision)
    after = RULES[Step.EMERGENCY].to
    snapshot.audit(
        "emergency",
        rollover=rollover,
        body={
            "by": by,
            "reason": reason,
            "decision": decision.verdict.value,
            "evidence_hash": decision.evidence_hash,
            "overruled_pins": [{"by": each.by, "reason": each.reason} for each in pins],
            "blast_radius": decision.blast_radius.as_json(),
        },
        at_ms=now_ms,
    )
    snapshot.transition(rollover, expected=before, to=after, by=by, reason=f"emergency: {reason}", now_ms=now_ms)
    return Stepped(rollover=rollover, state=after, by=by, done=True, decision=decision)


def start(snapshot: Snapshot, rollover: Rollover, *, by: str, now_ms: int) -> bool:
    """Begin a rollover; the same one again changes nothing and returns false."""
    known = snapshot.registry().rollover_by_id.get(rollover.id)
    if known == rollover:
        return False
    snapshot.start_rollover(rollover, by=by, now_ms=now_ms)
    return True


def _allowed(snapshot: Snapshot, rollover: str, what: Step, now_ms: int) -> str:
    """Return the state; raise `Conflict` where it does not allow the step."""
    state = snapshot.state(rollover, now_ms)
    rule = RULES[what]
    if state.state not in rule.before:
        since = f" since {rfc3339(state.since_ms)}" + (f", by {state.by}" if state.by else "")
        raise Conflict(
            f"rollover {rollover!r} is {state.state}{since}; {what} needs {' or '.join(sorted(rule.before))}"
        )
    return state.state


def _known_go(snapshot: Snapshot, rollover: str, evidence_hash: str, now_ms: int) -> None:
    rows = snapshot.audit_entries(rollover=rollover, kind=DECISION_KIND, limit=100)
    for row in rows:
        body = row.body
        if body.get("evidence_hash") == evidence_hash and body.get("decision") == Verdict.GO.value:
            if parse_rfc3339(str(body["valid_until"])) > now_ms:
                return
            raise Conflict(f"that GO was valid until {body['valid_until']}; ask for a new one")
    raise Conflict("no such GO was given for this rollover; ask for one")
