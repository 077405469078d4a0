"""Flip-flops: back on the old version after a success on the new one."""

from __future__ import annotations

import pytest

from monitor.core.alerts import AlertKind
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS
from tests.unit.alerting.looks import START, caller, kinds, look, told

BEFORE = START - DAY_MS
MOVED = START + DAY_MS


@pytest.mark.parametrize(
    ("why", "old", "new", "expected"),
    [
        ("back after hours", [BEFORE, MOVED + 3 * HOUR_MS], [MOVED], 1),
        ("pods of one deployment overlap for minutes", [BEFORE, MOVED + 10 * MINUTE_MS], [MOVED], 0),
        ("it never moved", [BEFORE, MOVED], [], 0),
        ("it never came back", [BEFORE], [MOVED], 0),
        ("never on the old before it moved: an adopter, not one who is back", [MOVED + HOUR_MS], [MOVED], 0),
        ("a late record from before the move", [BEFORE, MOVED - HOUR_MS], [MOVED], 0),
    ],
)
def test_a_return_to_the_old_version_is_told(why: str, old: list[int], new: list[int], expected: int) -> None:
    alerts = told(look(MOVED + DAY_MS, caller(old=old, new=new)), kind=AlertKind.FLIP_FLOP)
    assert len(alerts) == expected, why


def test_it_ends_when_the_caller_is_cleared_and_a_later_return_is_another_episode() -> None:
    first = caller(old=[BEFORE, MOVED + HOUR_MS], new=[MOVED])
    again = caller(old=[BEFORE, MOVED + HOUR_MS, MOVED + 9 * DAY_MS], new=[MOVED, MOVED + 2 * HOUR_MS])
    alerts = told(
        look(MOVED + 2 * HOUR_MS, first),
        look(MOVED + 3 * HOUR_MS, first),
        look(MOVED + 5 * DAY_MS, first, holding=()),
        look(MOVED + 6 * DAY_MS, first, holding=()),
        look(MOVED + 9 * DAY_MS, again),
        kind=AlertKind.FLIP_FLOP,
    )
    assert kinds(alerts) == ["flip_flop", "resolved", "flip_flop"]
    assert alerts[0].episode == alerts[1].episode != alerts[2].episode


def test_a_caller_that_does_not_hold_the_gate_is_not_told_of() -> None:
    back = caller(old=[BEFORE, MOVED + HOUR_MS], new=[MOVED])
    assert told(look(MOVED + DAY_MS, back, holding=()), kind=AlertKind.FLIP_FLOP) == []
