"""The steps of a rollover's life, each in a writing snapshot: what the core allows is made, and recorded with a name.

Raises `Conflict` where a step is refused, `NotFound` for an unknown rollover. The state is compared and set by the
store, so of many at once exactly one succeeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from monitor.control.judge import Judge
from monitor.control.ledger import DECISION_KIND, keep_answered
from monitor.core.decision import CallerName, Decision, Json, Verdict
from monitor.core.instants import parse_rfc3339
from monitor.core.registry import Rollover
from monitor.core.rollover import Lifecycle, Override, Refusal, RefusalReason, Wish, propose
from monitor.errors import Conflict
from monitor.ports import RolloverState, Snapshot


class Action(StrEnum):
    """A step by its name in the API and on the command line."""

    FREEZE = "freeze"
    BROWNOUT = "brownout"
    DISABLE = "disable"
    ENABLE = "enable"
    COMPLETE = "complete"
    ROLLBACK = "rollback"


LEADS_TO: Mapping[Action, Lifecycle] = {
    Action.FREEZE: Lifecycle.FROZEN,
    Action.BROWNOUT: Lifecycle.BROWNOUT,
    Action.DISABLE: Lifecycle.DISABLED,
    Action.ENABLE: Lifecycle.FROZEN,
    Action.COMPLETE: Lifecycle.COMPLETED,
    Action.ROLLBACK: Lifecycle.ROLLED_BACK,
}
_NO_REASON = "no reason was given"


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


def step(
    snapshot: Snapshot,
    judge: Judge,
    rollover: str,
    action: Action,
    *,
    by: str,
    reason: str | None,
    now_ms: int,
    override: Override | None = None,
) -> Stepped:
    """Make a step that needs no GO."""
    wish = Wish(to=LEADS_TO[action], by=by, reason=reason or _NO_REASON, override=override)
    return _make(snapshot, judge, snapshot.state(rollover, now_ms), wish, now_ms=now_ms, decision=None)


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
    state = snapshot.state(rollover, now_ms)
    if evidence_hash is not None:
        _known_go(snapshot, rollover, evidence_hash, now_ms)
    decision = judge.decide_one(snapshot, rollover, now_ms=now_ms)
    wish = Wish(to=Lifecycle.RETIRED, by=by, reason=reason)
    done = _make(snapshot, judge, state, wish, now_ms=now_ms, decision=decision)
    keep_answered(snapshot, decision)
    return done


def emergency(
    snapshot: Snapshot,
    judge: Judge,
    rollover: str,
    *,
    by: str,
    reason: str,
    now_ms: int,
    override_pin: bool = False,
    approved_by: str | None = None,
) -> Stepped:
    """Cut a compromised version off whatever the gate says; what it says (who will break) is written down with it.

    A pin vetoes this too, unless it is overruled by name, which is recorded.
    """
    state = snapshot.state(rollover, now_ms)
    decision = judge.decide_one(snapshot, rollover, now_ms=now_ms)
    override = Override(by=by, reason=reason, approved_by=approved_by) if override_pin else None
    wish = Wish(to=Lifecycle.EMERGENCY, by=by, reason=reason, override=override)
    done = _make(snapshot, judge, state, wish, now_ms=now_ms, decision=decision)
    keep_answered(snapshot, decision)
    return done


def start(snapshot: Snapshot, rollover: Rollover, *, by: str, now_ms: int) -> bool:
    """Begin a rollover; the same one again changes nothing and returns false."""
    known = snapshot.registry().rollover_by_id.get(rollover.id)
    if known == rollover:
        return False
    snapshot.start_rollover(rollover, by=by, now_ms=now_ms)
    return True


def _make(
    snapshot: Snapshot,
    judge: Judge,
    state: RolloverState,
    wish: Wish,
    *,
    now_ms: int,
    decision: Decision | None,
) -> Stepped:
    """Make a step as the core allows it. A refusal by the decision itself is an outcome; any other is a `Conflict`."""
    it = state.rollover
    proposed = propose(
        wish,
        state=state.state,
        since_ms=state.since_ms,
        rollover=it,
        registry=snapshot.registry(),
        policy=judge.policy_of(it),
        now_ms=now_ms,
        decision=decision,
        still_rejected=_still_rejected(snapshot, state, now_ms) if wish.to is Lifecycle.COMPLETED else (),
        two_person=judge.two_person,
    )
    if isinstance(proposed, Refusal):
        held = decision is not None and decision.verdict is not Verdict.GO
        if wish.to is Lifecycle.RETIRED and held and proposed.reason is not RefusalReason.WRONG_STATE:
            return Stepped(rollover=it.id, state=state.state, by=wish.by, done=False, decision=decision)
        raise Conflict(proposed.sentence)
    snapshot.transition(
        it.id, expected=proposed.expected.value, to=proposed.to.value, by=wish.by, reason=wish.reason, now_ms=now_ms
    )
    if proposed.record:
        body: dict[str, Json] = {"to": proposed.to.value, "by": wish.by, "reason": wish.reason, **proposed.record}
        snapshot.audit(proposed.to.value, rollover=it.id, body=body, at_ms=now_ms)
    return Stepped(rollover=it.id, state=proposed.to.value, by=wish.by, done=True, decision=decision)


def _still_rejected(snapshot: Snapshot, state: RolloverState, now_ms: int) -> tuple[CallerName, ...]:
    """Return the callers that were rejected with the old version since it was retired."""
    it = state.rollover
    key = snapshot.registry().key_by_name.get(it.key)
    old = key.version(it.from_version) if key is not None else None
    credentials = frozenset(old.credentials if old is not None else ())
    found = {
        (each.client, each.source)
        for each in snapshot.key(it.id, now_ms).callers
        if each.credential in credentials
        and each.client is not None
        and (each.facts.last_rejected_ms or 0) > state.since_ms
    }
    return tuple(CallerName(client=client, source=source) for client, source in sorted(found, key=str))


def _known_go(snapshot: Snapshot, rollover: str, evidence_hash: str, now_ms: int) -> None:
    rows = snapshot.audit_entries(rollover=rollover, kind=DECISION_KIND, limit=100)
    for row in rows:
        body = row.body
        if body.get("evidence_hash") == evidence_hash and body.get("decision") == Verdict.GO.value:
            if parse_rfc3339(str(body["valid_until"])) > now_ms:
                return
            raise Conflict(f"that GO was valid until {body['valid_until']}; ask for a new one")
    raise Conflict("no such GO was given for this rollover; ask for one")
