"""A caller that stops instead of failing is told once, and only where rhythm, switch and gateways are sure."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from models.cause import Cause
from models.detector import Detector
from models.episodes import Action, Alert
from models.observations import UsageRow
from models.silence import Silences
from models.state import FleetState
from tests.unit.models.rollover_traffic import DAY, START, at, facts, use

BEGAN, SWITCH, STOP, END = 3 * DAY, 3 * DAY + 240, 3 * DAY + 600, 3 * DAY + 900


def office(minute: int) -> bool:
    return minute % 5 == 0 and 480 <= minute % DAY < 1080


def others(minute: int) -> bool:
    """Another caller asks at the same gateways all the time."""
    return minute % 4 == 0


def told_of(
    mine: Callable[[int], bool],
    *,
    moved: bool = True,
    beside: Callable[[int], bool] = others,
    source: str = "prod",
    sibling: Callable[[int], bool] | None = None,
    retired_minute: int | None = None,
    until: int = END,
    later: int = 0,
) -> list[Alert]:
    state, silences, told = FleetState(), Silences(), []
    state.register([facts(started_minute=BEGAN + later, retired_minute=retired_minute)])
    for minute in range(until):
        rows: list[UsageRow] = []
        version = 2 if moved and minute >= SWITCH + later else 1
        if mine(minute):
            rows.append(use(minute, client="acme", source=source, version=version))
        if beside(minute):
            rows += [use(minute, client=name, source="prod", version=1) for name in ("globex", "initech")]
        if sibling is not None and sibling(minute):
            rows.append(use(minute, client="acme", source="10.1.2.3", version=version))
        state.add(rows)
        if minute % 60 == 0:
            state.look(int(START.timestamp()) // 60 + minute, frozenset())
        told += silences.look(state, int(START.timestamp()) // 60 + minute, at(minute + 1))
    return told


def steady(minute: int) -> bool:
    return minute % 5 == 0 and minute < STOP


def test_a_caller_that_falls_silent_after_its_switch_is_told_once_within_an_hour() -> None:
    (alert,) = told_of(steady)
    assert alert.finding.cause is Cause.CLIENT_OUTAGE
    assert at(STOP) < alert.at <= at(STOP + 61)
    assert (alert.finding.client, alert.finding.source) == ("acme", "prod")
    assert "moved to v2 and is silent on all versions since" in alert.finding.text
    assert "never paused longer than 5 min" in alert.finding.text


def test_it_is_over_when_the_caller_is_heard_again() -> None:
    told = told_of(lambda minute: minute % 5 == 0 and not STOP <= minute < STOP + 120)
    assert [a.action for a in told] == [Action.OPENED, Action.CLOSED]
    assert told[0].episode == told[1].episode
    assert at(STOP + 120) <= told[1].at <= at(STOP + 130)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (lambda: told_of(steady, moved=False), "it never tried the new version: the gate's callers' states see it"),
        (lambda: told_of(steady, retired_minute=SWITCH + 60), "the rollover is over"),
        (lambda: told_of(steady, beside=lambda m: m % 4 == 0 and m < STOP), "its gateways are dark too"),
        (
            lambda: told_of(lambda m: office(m) and 3 * DAY <= m < 7 * DAY + 600, later=4 * DAY, until=10 * DAY + 700),
            "four days with nights promise nothing of a weekend",
        ),
        (lambda: told_of(lambda m: steady(m) and m >= 2 * DAY), "a day and a half is no rhythm"),
        (lambda: told_of(lambda m: m % 180 == 0 and m < STOP), "too few requests for a rhythm"),
        (
            lambda: told_of(steady, source="10.1.2.9", sibling=lambda m: m >= STOP and m % 5 == 0),
            "another of its pods took over",
        ),
    ],
)
def test_a_harmless_silence_is_not_told(told: Callable[[], list[Alert]], why: str) -> None:
    assert told() == [], why


def test_a_silence_of_nights_is_told_where_no_weekend_explains_it() -> None:
    told = told_of(lambda m: office(m) and 3 * DAY <= m < 7 * DAY + 600, later=3 * DAY, until=10 * DAY + 700)
    assert told == []
    stopped = 6 * DAY - 720
    (alert,) = told_of(lambda m: office(m) and m < stopped, later=2 * DAY - 300, until=7 * DAY + 720)
    assert alert.finding.client == "acme"


@pytest.mark.parametrize("source", ["10.1.2.9", None])
def test_a_caller_that_is_refused_without_its_name_is_not_silent(source: str | None) -> None:
    state, silences, told = FleetState(), Silences(), []
    state.register([facts(started_minute=BEGAN)])
    for minute in range(END):
        rows = [use(minute, client=name, source=None, version=1) for name in ("globex", "initech") if minute % 4 == 0]
        if minute % 5 == 0:
            refused = minute >= STOP
            mine = use(minute, client=None if refused else "acme", source=source, version=2 if minute >= SWITCH else 1)
            rows.append(mine._replace(reason="other", outcome="failure") if refused else mine)
        state.add(rows)
        if minute % 60 == 0:
            state.look(int(START.timestamp()) // 60 + minute, frozenset())
        told += silences.look(state, int(START.timestamp()) // 60 + minute, at(minute + 1))
    assert told == []


def test_an_open_silence_survives_a_restart() -> None:
    (alert,) = told_of(steady)
    detector = Detector(reranker=None)
    detector.restore([alert], at(END))
    assert list(detector.silences.open) == [("billing", "acme", "prod")]
    assert detector.episodes.open == {}
