"""The lifecycle: which step may follow which, and what each asks for."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from monitor.core.decision import CallerName, Decision, Verdict
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS
from monitor.core.policy import Policy
from monitor.core.registry import Pin
from monitor.core.rollover import (
    STEPS,
    Lifecycle,
    Override,
    Refusal,
    RefusalReason,
    Step,
    Wish,
    overstayed,
    propose,
    state_at,
)
from tests.unit.gate.world import START, World, every, moved, registry

NOW = START + 30 * DAY_MS
GO = World(uses=moved(), now=NOW).decide()
NO_GO = World(uses=[*moved(), *every(HOUR_MS, first=START - 90 * DAY_MS, last=NOW, client="slow")], now=NOW).decide()
PIN = Pin(key="k", version=1, reason="audit", by="bo")


def ask(
    to: Lifecycle,
    state: str = "overlap",
    decision: Decision | None = GO,
    *,
    pins: tuple[Pin, ...] = (),
    now: int = NOW,
    since: int = START,
    rejected: tuple[CallerName, ...] = (),
    two_person: bool = False,
    by: str = "ana",
    reason: str | None = "leaked",
    override: Override | None = None,
) -> Step | Refusal:
    world = registry(pins=pins)
    return propose(
        Wish(to=to, by=by, reason=reason, override=override),
        state=state,
        since_ms=since,
        rollover=world.rollovers[0],
        registry=world,
        policy=Policy(),
        now_ms=now,
        decision=decision,
        still_rejected=rejected,
        two_person=two_person,
    )


def refused(answer: Step | Refusal) -> RefusalReason | None:
    return answer.reason if isinstance(answer, Refusal) else None


@pytest.mark.parametrize(("here", "to"), list(product(Lifecycle, Lifecycle)))
def test_only_the_steps_of_the_table_are_made(here: Lifecycle, to: Lifecycle) -> None:
    answer = ask(to, here, since=NOW - DAY_MS)
    if to in STEPS[here]:
        assert isinstance(answer, Step)
        assert (answer.expected, answer.to, answer.by) == (here, to, "ana")
    else:
        assert refused(answer) is RefusalReason.WRONG_STATE


def test_a_rolled_back_or_completed_rollover_is_over_and_everything_open_can_be_rolled_back() -> None:
    assert not STEPS[Lifecycle.ROLLED_BACK]
    assert not STEPS[Lifecycle.COMPLETED]
    assert all(Lifecycle.ROLLED_BACK in after for after in STEPS.values() if after)


@pytest.mark.parametrize("state", ["overlap", "frozen", "brownout", "disabled"])
def test_retiring_takes_a_go_that_is_valid_now(state: str) -> None:
    to = Lifecycle.RETIRED
    assert refused(ask(to, state)) is None
    assert refused(ask(to, state, None)) is RefusalReason.UNKNOWN
    assert refused(ask(to, state, NO_GO)) is RefusalReason.NO_GO
    assert refused(ask(to, state, replace(GO, verdict=Verdict.UNKNOWN))) is RefusalReason.UNKNOWN
    assert refused(ask(to, state, replace(GO, region="eu"))) is RefusalReason.UNKNOWN
    assert refused(ask(to, state, replace(GO, rollover="q"))) is RefusalReason.UNKNOWN
    assert refused(ask(to, state, now=NOW + 10 * MINUTE_MS + 1)) is RefusalReason.UNKNOWN
    assert refused(ask(to, state, now=NOW - 1)) is RefusalReason.UNKNOWN


def test_an_override_never_replaces_a_go() -> None:
    override = Override(by="ana", reason="hurry", approved_by="bo")
    assert refused(ask(Lifecycle.RETIRED, decision=NO_GO, override=override)) is RefusalReason.NO_GO


def test_a_refusal_says_what_the_gate_said() -> None:
    answer = ask(Lifecycle.RETIRED, decision=NO_GO)
    assert isinstance(answer, Refusal)
    assert "slow/eu" in answer.sentence


def test_an_emergency_needs_a_name_and_a_reason_never_waits_and_records_who_breaks() -> None:
    to = Lifecycle.EMERGENCY
    assert refused(ask(to, by=" ")) is RefusalReason.NEEDS_NAME
    assert refused(ask(to, reason=None)) is RefusalReason.NEEDS_REASON
    answer = ask(to, decision=NO_GO)
    assert isinstance(answer, Step)
    assert answer.record["will_break"] == [{"client": "slow", "source": "eu"}]
    assert refused(ask(to, decision=None)) is None


@pytest.mark.parametrize("to", ["brownout", "disabled", "retired", "emergency"])
def test_a_pin_vetoes_every_step_that_ends_use(to: str) -> None:
    assert refused(ask(Lifecycle(to), pins=(PIN,))) is RefusalReason.PINNED
    assert refused(ask(Lifecycle(to), pins=(replace(PIN, until_ms=NOW),))) is None
    assert refused(ask(Lifecycle(to), pins=(replace(PIN, version=2),))) is None


@pytest.mark.parametrize("to", ["frozen", "rolled_back"])
def test_a_pin_holds_nothing_that_keeps_the_old_version(to: str) -> None:
    assert refused(ask(Lifecycle(to), pins=(PIN,))) is None


def test_only_an_emergency_overrides_a_pin_and_the_ledger_keeps_by_whom() -> None:
    override = Override(by="ana", reason="leaked on a forum")
    answer = ask(Lifecycle.EMERGENCY, pins=(PIN,), override=override)
    assert isinstance(answer, Step)
    assert answer.record["override"] == {
        "by": "ana",
        "reason": "leaked on a forum",
        "approved_by": None,
        "pins": ["bo: audit"],
    }
    assert refused(ask(Lifecycle.DISABLED, pins=(PIN,), override=override)) is RefusalReason.PINNED
    empty = Override(by="ana", reason=" ")
    assert refused(ask(Lifecycle.EMERGENCY, pins=(PIN,), override=empty)) is RefusalReason.NEEDS_REASON


@pytest.mark.parametrize(
    ("approved", "two_person", "reason"),
    [
        (None, False, None),
        (None, True, RefusalReason.NEEDS_SECOND_PERSON),
        ("Ana ", True, RefusalReason.NEEDS_SECOND_PERSON),
        ("bo", True, None),
    ],
)
def test_the_two_person_rule_is_for_overrides_and_configurable(
    approved: str | None, two_person: bool, reason: RefusalReason | None
) -> None:
    override = Override(by="ana", reason="leaked", approved_by=approved)
    answer = ask(Lifecycle.EMERGENCY, pins=(PIN,), override=override, two_person=two_person)
    assert refused(answer) is reason


def test_a_retirement_is_watched_before_it_is_completed() -> None:
    to, slow = Lifecycle.COMPLETED, (CallerName(client="slow", source="eu"),)
    assert refused(ask(to, "retired", since=NOW - HOUR_MS)) is RefusalReason.TOO_EARLY
    assert refused(ask(to, "retired", since=NOW - 2 * HOUR_MS)) is None
    assert refused(ask(to, "retired", since=NOW - DAY_MS, rejected=slow)) is RefusalReason.NO_GO
    override = Override(by="ana", reason="its owner knows")
    assert refused(ask(to, "retired", since=NOW - DAY_MS, rejected=slow, override=override)) is None


def test_a_planned_rollover_overlaps_from_its_start_on() -> None:
    assert state_at("planned", started_at_ms=START, now_ms=START - 1) is Lifecycle.PLANNED
    assert state_at("planned", started_at_ms=START, now_ms=START) is Lifecycle.OVERLAP
    assert state_at("frozen", started_at_ms=START, now_ms=START) is Lifecycle.FROZEN


@pytest.mark.parametrize(
    ("why", "state", "days", "deadline", "called"),
    [
        ("disabled is a tripwire, not a home", "disabled", 8, None, True),
        ("disabled for a week is foreseen", "disabled", 7, None, False),
        ("an overlap lasts until its deadline", "overlap", 300, None, False),
        ("and not beyond", "overlap", 5, NOW - 1, True),
        ("a retired rollover has no deadline", "retired", 5, NOW - 1, False),
        ("what is over is over", "completed", 900, NOW - 1, False),
    ],
)
def test_whoever_stands_still_for_too_long_is_called(
    why: str, state: str, days: int, deadline: int | None, called: bool
) -> None:
    found = overstayed(state, since_ms=NOW - days * DAY_MS, deadline_ms=deadline, now_ms=NOW)
    assert (found is not None) is called, why
