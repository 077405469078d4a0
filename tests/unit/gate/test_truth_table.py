"""The gate's truth table: four answers of nine clauses, all 262,144 rows of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import product

import pytest

from monitor.core.decision import Status, Verdict
from monitor.core.gate import CLAUSES, verdict
from monitor.core.gate.finding import Finding, finding, trouble
from monitor.core.gate.look import Look
from tests.unit.gate.world import World, moved

ANSWERS = ("pass", "fail", "unknown", "error")


def _look() -> Look:
    world = World(uses=moved())
    return Look(
        rollover=world.registry.rollovers[0],
        registry=world.registry,
        policy=world.policy,
        evidence=world.known(),
        telemetry=world.seen(),
        region=None,
        cache=None,
    )


def _clause(name: str, answer: str) -> Callable[[Look], Finding]:
    def judge(_: Look) -> Finding:
        if answer == "error":
            raise ZeroDivisionError("the query returned no row")
        troubles = [] if answer == "pass" else [trouble(name, Status(answer), "why", "how")]
        return finding(name, troubles, passed="fine", evidence={})

    return judge


FOUND = {
    name: {answer: verdict.judge(_look(), {name: _clause(name, answer)})[0] for answer in ANSWERS} for name in CLAUSES
}


def _expected(answers: tuple[str, ...]) -> Verdict:
    if "fail" in answers:
        return Verdict.NO_GO
    return Verdict.GO if set(answers) == {"pass"} else Verdict.UNKNOWN


def test_worst_wins_in_every_row_of_the_truth_table() -> None:
    rows: Counter[Verdict] = Counter()
    for answers in product(ANSWERS, repeat=len(CLAUSES)):
        found = verdict.verdict_of([FOUND[name][answer] for name, answer in zip(CLAUSES, answers, strict=True)])
        assert found is _expected(answers), answers
        rows[found] += 1
    assert rows[Verdict.GO] == 1, "nine passes are the only way to GO"
    assert sum(rows.values()) == 4**9


@pytest.mark.parametrize("name", CLAUSES)
@pytest.mark.parametrize("answer", ANSWERS[1:])
def test_one_clause_that_does_not_pass_blocks_with_a_reason(name: str, answer: str) -> None:
    look = _look()
    clauses = {each: _clause(each, answer if each == name else "pass") for each in CLAUSES}
    decision = verdict.compose(look, verdict.judge(look, clauses))
    assert decision.verdict is (Verdict.NO_GO if answer == "fail" else Verdict.UNKNOWN)
    assert [each.clause for each in decision.blockers] == [name]
    if answer == "error":
        assert "ZeroDivisionError: the query returned no row" in decision.blockers[0].summary


def test_a_missing_clause_is_no_pass() -> None:
    findings = [FOUND[name]["pass"] for name in CLAUSES]
    for left_out in range(len(findings)):
        assert verdict.verdict_of(findings[:left_out] + findings[left_out + 1 :]) is Verdict.UNKNOWN
    assert verdict.verdict_of([]) is Verdict.UNKNOWN, "no clause at all is no evidence"
    assert verdict.verdict_of(findings) is Verdict.GO


def test_a_clause_that_answers_for_another_is_unknown() -> None:
    found = verdict.judge(_look(), {"C4": _clause("C5", "pass")})[0]
    assert (found.clause.id, found.clause.status) == ("C4", Status.UNKNOWN)


@pytest.mark.parametrize("status", [Status.FAIL, Status.UNKNOWN])
def test_a_finding_that_blocks_without_a_reason_cannot_be_made(status: Status) -> None:
    clause = FOUND["C1"][status.value].clause
    with pytest.raises(ValueError, match="0 blockers"):
        Finding(clause=clause)
