"""A rollover's life: which step may follow which, and what each asks for. Pure: a step or a refusal, never an act.

`planned -> overlap -> frozen -> brownout -> disabled -> retired -> completed`; `rolled_back` from any of them;
`emergency` when the key is compromised. The store makes the step by compare-and-set; the gate's GO is what retires.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from monitor.core.decision import CallerName, Decision, Json, Verdict
from monitor.core.instants import DAY_MS, HOUR_MS, format_duration, rfc3339
from monitor.core.policy import Policy
from monitor.core.registry import Pin, Registry, Rollover


class Lifecycle(StrEnum):
    """Where a rollover stands."""

    PLANNED = "planned"
    OVERLAP = "overlap"
    FROZEN = "frozen"
    BROWNOUT = "brownout"
    DISABLED = "disabled"
    RETIRED = "retired"
    COMPLETED = "completed"
    ROLLED_BACK = "rolled_back"
    EMERGENCY = "emergency"


_L = Lifecycle
_OPEN = frozenset({_L.OVERLAP, _L.FROZEN, _L.BROWNOUT, _L.DISABLED})

STEPS: Mapping[Lifecycle, frozenset[Lifecycle]] = {
    _L.PLANNED: frozenset({_L.OVERLAP, _L.ROLLED_BACK, _L.EMERGENCY}),
    _L.OVERLAP: frozenset({_L.FROZEN, _L.BROWNOUT, _L.DISABLED, _L.RETIRED, _L.ROLLED_BACK, _L.EMERGENCY}),
    _L.FROZEN: frozenset({_L.OVERLAP, _L.BROWNOUT, _L.DISABLED, _L.RETIRED, _L.ROLLED_BACK, _L.EMERGENCY}),
    _L.BROWNOUT: frozenset({_L.OVERLAP, _L.FROZEN, _L.DISABLED, _L.RETIRED, _L.ROLLED_BACK, _L.EMERGENCY}),
    _L.DISABLED: frozenset({_L.OVERLAP, _L.FROZEN, _L.BROWNOUT, _L.RETIRED, _L.ROLLED_BACK, _L.EMERGENCY}),
    _L.RETIRED: frozenset({_L.COMPLETED, _L.ROLLED_BACK}),
    _L.EMERGENCY: frozenset({_L.COMPLETED, _L.ROLLED_BACK}),
    _L.COMPLETED: frozenset(),
    _L.ROLLED_BACK: frozenset(),
}
"""What may follow what. Back from `disabled` and `brownout` is allowed: both are reversible."""

_ENDS_USE = frozenset({_L.BROWNOUT, _L.DISABLED, _L.RETIRED, _L.EMERGENCY})
"""Steps after which the old version is refused somewhere: a pin vetoes them."""

_NEEDS_REASON = frozenset({_L.EMERGENCY, _L.ROLLED_BACK})

MAX_HOLD_MS: Mapping[Lifecycle, int] = {
    _L.FROZEN: 30 * DAY_MS,
    _L.BROWNOUT: DAY_MS,
    _L.DISABLED: 7 * DAY_MS,
    _L.RETIRED: 7 * DAY_MS,
    _L.EMERGENCY: HOUR_MS,
}
"""How long a rollover may stay in a state until somebody is called; `overlap` is held by its deadline instead."""


class RefusalReason(StrEnum):
    """Why a step was refused; small and fixed, for exit codes and HTTP statuses."""

    WRONG_STATE = "wrong_state"
    NO_GO = "no_go"
    UNKNOWN = "unknown"
    PINNED = "pinned"
    NEEDS_NAME = "needs_name"
    NEEDS_REASON = "needs_reason"
    NEEDS_SECOND_PERSON = "needs_second_person"
    TOO_EARLY = "too_early"


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A named override of a pin or of the watch after retirement. It never replaces a GO."""

    by: str
    reason: str
    approved_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The step that somebody asks for."""

    to: Lifecycle
    by: str
    reason: str | None = None
    override: Override | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An allowed step: make it by compare-and-set on `expected`, and append `record` to the ledger with it."""

    rollover: str
    expected: Lifecycle
    to: Lifecycle
    by: str
    reason: str | None
    record: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why not, in a sentence for whoever asked."""

    reason: RefusalReason
    sentence: str


def propose(
    wish: Wish,
    *,
    state: str,
    since_ms: int,
    rollover: Rollover,
    registry: Registry,
    policy: Policy,
    now_ms: int,
    decision: Decision | None = None,
    still_rejected: tuple[CallerName, ...] = (),
    two_person: bool = False,
) -> Step | Refusal:
    """Return the step, or why it is refused.

    `decision` is the gate's answer made in the same transaction: `retired` asks for a GO of the whole rollover;
    `emergency` never waits, and records from it who will break. `still_rejected`: callers rejected with the old version
    since its retirement, who keep a rollover from being completed.
    """
    here = Lifecycle(state)
    refused = next(
        _refusals(wish, here, since_ms, rollover, registry, policy, now_ms, decision, still_rejected, two_person), None
    )
    if refused is not None:
        return refused
    return Step(
        rollover=rollover.id,
        expected=here,
        to=wish.to,
        by=wish.by,
        reason=wish.reason,
        record=_record(wish, decision, _pins(rollover, registry, now_ms)),
    )


def state_at(state: str, *, started_at_ms: int, now_ms: int) -> Lifecycle:
    """Return the state at a time: a planned rollover overlaps from its start on."""
    here = Lifecycle(state)
    return Lifecycle.OVERLAP if here is Lifecycle.PLANNED and now_ms >= started_at_ms else here


def overstayed(state: str, *, since_ms: int, deadline_ms: int | None, now_ms: int) -> str | None:
    """Return a sentence for whoever must be called because the rollover stands still for too long, or `None`."""
    here = Lifecycle(state)
    most = MAX_HOLD_MS.get(here)
    if most is not None and now_ms - since_ms > most:
        return f"it is {here.value} since {rfc3339(since_ms)}; at most {format_duration(most)} was foreseen"
    if here in _OPEN and deadline_ms is not None and now_ms > deadline_ms:
        return f"its deadline passed at {rfc3339(deadline_ms)} and the old version is not retired"
    return None


def _refusals(  # noqa: PLR0917 - `propose`'s own arguments, passed on
    wish: Wish,
    here: Lifecycle,
    since_ms: int,
    rollover: Rollover,
    registry: Registry,
    policy: Policy,
    now_ms: int,
    decision: Decision | None,
    still_rejected: tuple[CallerName, ...],
    two_person: bool,
) -> Iterator[Refusal]:
    if not wish.by.strip():
        yield Refusal(reason=RefusalReason.NEEDS_NAME, sentence="every step is made by somebody: give a name")
    if wish.to not in STEPS[here]:
        allowed = ", ".join(sorted(STEPS[here])) or "nothing"
        yield Refusal(
            reason=RefusalReason.WRONG_STATE,
            sentence=f"{rollover.id} is {here.value}: {allowed} may follow, not {wish.to.value}",
        )
    if wish.to in _NEEDS_REASON and not (wish.reason or "").strip():
        yield Refusal(reason=RefusalReason.NEEDS_REASON, sentence=f"{wish.to.value} needs a reason")
    pins = _pins(rollover, registry, now_ms)
    if wish.to in _ENDS_USE and pins:
        yield from _pinned(wish, pins, two_person=two_person)
    if wish.to is Lifecycle.RETIRED:
        yield from _not_go(rollover, decision, now_ms)
    if wish.to is Lifecycle.COMPLETED and here is Lifecycle.RETIRED:
        yield from _watched(wish, since_ms, policy, now_ms, still_rejected, two_person=two_person)


def _pinned(wish: Wish, pins: tuple[Pin, ...], *, two_person: bool) -> Iterator[Refusal]:
    pin = pins[0]
    sentence = f"{pin.key} v{pin.version} is pinned by {pin.by}: {pin.reason}"
    if wish.to is not Lifecycle.EMERGENCY or wish.override is None:
        how = "take off the pin" if wish.to is not Lifecycle.EMERGENCY else "take off the pin, or override it by name"
        yield Refusal(reason=RefusalReason.PINNED, sentence=f"{sentence}; {how}")
    else:
        yield from _override(wish.override, two_person=two_person)


def _override(override: Override, *, two_person: bool) -> Iterator[Refusal]:
    if not override.by.strip() or not override.reason.strip():
        yield Refusal(reason=RefusalReason.NEEDS_REASON, sentence="an override needs a name and a reason")
    approved = (override.approved_by or "").strip().casefold()
    if two_person and approved in ("", override.by.strip().casefold()):
        yield Refusal(reason=RefusalReason.NEEDS_SECOND_PERSON, sentence="an override needs a second person's approval")


def _not_go(rollover: Rollover, decision: Decision | None, now_ms: int) -> Iterator[Refusal]:
    if decision is None or decision.rollover != rollover.id or decision.region is not None:
        yield Refusal(reason=RefusalReason.UNKNOWN, sentence="there is no decision on this rollover as a whole")
        return
    if not decision.evaluated_at_ms <= now_ms <= decision.valid_until_ms:
        yield Refusal(
            reason=RefusalReason.UNKNOWN,
            sentence=f"the decision of {rfc3339(decision.evaluated_at_ms)} is not valid now: it must be made anew",
        )
    if decision.verdict is not Verdict.GO:
        why = "; ".join(each.summary for each in decision.blockers[:3])
        yield Refusal(
            reason=RefusalReason.NO_GO if decision.verdict is Verdict.NO_GO else RefusalReason.UNKNOWN,
            sentence=f"the gate says {decision.verdict.value}: {why}",
        )


def _watched(
    wish: Wish,
    since_ms: int,
    policy: Policy,
    now_ms: int,
    still_rejected: tuple[CallerName, ...],
    *,
    two_person: bool,
) -> Iterator[Refusal]:
    over = since_ms + policy.watch_after_retire_ms
    if wish.override is not None:
        yield from _override(wish.override, two_person=two_person)
    elif now_ms < over:
        yield Refusal(reason=RefusalReason.TOO_EARLY, sentence=f"retirement is watched until {rfc3339(over)}")
    elif still_rejected:
        names = ", ".join(str(each) for each in still_rejected[:10])
        yield Refusal(
            reason=RefusalReason.NO_GO,
            sentence=f"callers are rejected with the retired version: {names}; override by name",
        )


def _pins(rollover: Rollover, registry: Registry, now_ms: int) -> tuple[Pin, ...]:
    return tuple(
        pin
        for pin in registry.pins
        if pin.key == rollover.key
        and pin.version == rollover.from_version
        and (pin.until_ms is None or now_ms < pin.until_ms)
    )


def _record(wish: Wish, decision: Decision | None, pins: tuple[Pin, ...]) -> dict[str, Json]:
    """Return what the ledger keeps beside the step: the override, and who breaks where nobody waited for GO."""
    kept: dict[str, Json] = {}
    if wish.override is not None:
        kept["override"] = {
            "by": wish.override.by,
            "reason": wish.override.reason,
            "approved_by": wish.override.approved_by,
            "pins": [f"{pin.by}: {pin.reason}" for pin in pins],
        }
    if decision is not None and wish.to in _ENDS_USE:
        kept["decision"] = decision.verdict.value
        kept["evidence_hash"] = decision.evidence_hash
        kept["blast_radius"] = decision.blast_radius.as_json()
        kept["will_break"] = [
            {"client": each.caller.client, "source": each.caller.source}
            for each in decision.blockers
            if each.caller is not None and each.clause == "C7"
        ]
    return kept
