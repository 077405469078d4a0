"""Stragglers and the deadline: reminders at fixed marks, once each, that end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.core.alerts import AlertKind, AlertSeverity
from monitor.core.decision import Verdict
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS
from tests.unit.alerting.looks import ACME, DEADLINE, GLOBEX, ROLLOVER, START, caller, kinds, look, told

WITH_DEADLINE = replace(ROLLOVER, deadline_ms=DEADLINE)
EVERY_6_HOURS = [START - DAY_MS + step * 6 * HOUR_MS for step in range(200)]


def _upto(times: list[int], now: int) -> list[int]:
    return [at for at in times if at <= now]


def test_a_caller_that_stays_is_reminded_of_at_each_mark_within_one_episode() -> None:
    looks = [
        look(at, caller(old=_upto(EVERY_6_HOURS, at)), rollover=WITH_DEADLINE)
        for at in range(START, DEADLINE + 2 * DAY_MS, HOUR_MS)
    ]
    alerts = told(*looks, kind=AlertKind.STRAGGLER)
    assert [(each.cause, each.at_ms) for each in alerts] == [
        ("7d", DEADLINE - 7 * DAY_MS),
        ("3d", DEADLINE - 3 * DAY_MS),
        ("1d", DEADLINE - DAY_MS),
        ("1h", DEADLINE - HOUR_MS),
        ("passed", DEADLINE),
    ]
    assert len({each.episode for each in alerts}) == 1
    assert [each.severity for each in alerts][::4] == [AlertSeverity.INFO, AlertSeverity.CRITICAL]
    assert {(each.client, each.source) for each in alerts} == {ACME}


def test_reminders_stop_with_a_resolved_once_the_caller_moved() -> None:
    stays, moved = caller(old=[START]), caller(old=[START], new=[START + HOUR_MS])
    alerts = told(
        look(DEADLINE - 7 * DAY_MS, stays, rollover=WITH_DEADLINE),
        look(DEADLINE - 5 * DAY_MS, moved, holding=(), rollover=WITH_DEADLINE),
        look(DEADLINE - 3 * DAY_MS, moved, holding=(), rollover=WITH_DEADLINE),
        kind=AlertKind.STRAGGLER,
    )
    assert kinds(alerts) == ["straggler", "resolved"]


@pytest.mark.parametrize(
    ("why", "old", "new", "expected"),
    [
        ("it never succeeded on the new version", [-40], [], 1),
        ("it moved yesterday and only waits to be believed", [-30], [-29], 0),
        ("it uses both: an hourly job stays behind", [-12, -11, -10, -9, -1], [-12.5, -0.5], 1),
        ("it used both for hours, and is silent for many of its gaps", [-60, -59, -58, -57], [-60.5, -1], 0),
        ("its second process comes once in days", [-150, -70, -20], [-160, -1], 1),
    ],
)
def test_a_caller_that_has_just_moved_is_not_reminded(
    why: str, old: list[float], new: list[float], expected: int
) -> None:
    mark = DEADLINE - 3 * DAY_MS
    view = caller(old=[mark + int(at * HOUR_MS) for at in old], new=[mark + int(at * HOUR_MS) for at in new])
    assert len(told(look(mark, view, rollover=WITH_DEADLINE), kind=AlertKind.STRAGGLER)) == expected, why


@pytest.mark.parametrize(
    ("why", "days_to_deadline", "marks"),
    [
        ("a short rollover has no marks before its start", 2, ["1d", "1h", "passed"]),
        ("the mark at the very start is none: everybody is on the old version then", 7, ["3d", "1d", "1h", "passed"]),
    ],
)
def test_marks_before_the_start_are_none(why: str, days_to_deadline: int, marks: list[str]) -> None:
    deadline = START + days_to_deadline * DAY_MS
    rollover = replace(ROLLOVER, deadline_ms=deadline)
    looks = [look(at, caller(old=[START]), rollover=rollover) for at in range(START, deadline + HOUR_MS, HOUR_MS)]
    assert [each.cause for each in told(*looks, kind=AlertKind.STRAGGLER)] == marks, why


def test_of_several_marks_that_passed_unseen_only_the_latest_is_told() -> None:
    alerts = told(look(DEADLINE - 20 * HOUR_MS, caller(old=[START]), rollover=WITH_DEADLINE), kind=AlertKind.STRAGGLER)
    assert [each.cause for each in alerts] == ["1d"]


def test_without_a_deadline_there_is_one_reminder_a_week_after_the_start() -> None:
    looks = [look(START + hour * HOUR_MS, caller(old=[START])) for hour in range(24 * 20)]
    alerts = told(*looks, kind=AlertKind.STRAGGLER)
    assert [(each.cause, each.at_ms) for each in alerts] == [("no_deadline", START + 7 * DAY_MS)]


@pytest.mark.parametrize("verdict", [Verdict.NO_GO, Verdict.UNKNOWN])
def test_a_deadline_that_nears_without_a_go_is_told_at_each_mark(verdict: Verdict) -> None:
    looks = [
        look(at, caller(old=[START]), verdict=verdict, rollover=WITH_DEADLINE)
        for at in range(START, DEADLINE + DAY_MS, HOUR_MS)
    ]
    alerts = told(*looks, kind=AlertKind.DEADLINE)
    assert [each.cause for each in alerts] == ["7d", "3d", "1d", "1h", "passed"]
    assert alerts[-1].at_ms == DEADLINE


def test_a_go_ends_the_deadlines_episode_and_its_loss_begins_another() -> None:
    alerts = told(
        look(DEADLINE - 3 * DAY_MS, rollover=WITH_DEADLINE),
        look(DEADLINE - 2 * DAY_MS, verdict=Verdict.GO, rollover=WITH_DEADLINE),
        look(DEADLINE - DAY_MS, verdict=Verdict.GO, rollover=WITH_DEADLINE),
        look(DEADLINE - DAY_MS + MINUTE_MS, rollover=WITH_DEADLINE),
        look(DEADLINE - DAY_MS + 2 * MINUTE_MS, rollover=WITH_DEADLINE),
        kind=AlertKind.DEADLINE,
    )
    assert [(each.kind.value, each.cause) for each in alerts] == [
        ("deadline", "3d"),
        ("resolved", "3d"),
        ("deadline", "1d"),
    ]
    assert alerts[0].episode == alerts[1].episode != alerts[2].episode


def test_nothing_is_told_of_a_deadline_under_a_go_or_after_the_retirement() -> None:
    retired = replace(WITH_DEADLINE, retired_at_ms=DEADLINE - 8 * DAY_MS)
    assert told(look(DEADLINE, verdict=Verdict.GO, rollover=WITH_DEADLINE), kind=AlertKind.DEADLINE) == []
    assert told(look(DEADLINE, caller(GLOBEX, old=[START]), rollover=retired)) == []
