"""Changes of the verdict, and what comes after the retirement."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.core.alerts import AlertKind, AlertSeverity
from monitor.core.decision import Verdict
from monitor.core.instants import DAY_MS, HOUR_MS
from tests.unit.alerting.looks import ACME, ROLLOVER, START, caller, kinds, look, told

RETIRED_AT = START + 10 * DAY_MS
RETIRED = replace(ROLLOVER, retired_at_ms=RETIRED_AT)
AFTER = RETIRED_AT + HOUR_MS


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["NO_GO"], []),
        (["GO"], []),
        (["NO_GO", "NO_GO", "GO"], [("NO_GO->GO", "info")]),
        (["GO", "NO_GO"], [("GO->NO_GO", "critical")]),
        (["GO", "UNKNOWN"], [("GO->UNKNOWN", "critical")]),
        (["UNKNOWN", "NO_GO", "UNKNOWN"], [("UNKNOWN->NO_GO", "info"), ("NO_GO->UNKNOWN", "info")]),
    ],
)
def test_each_change_of_the_verdict_is_told_and_a_lost_go_is_critical(
    verdicts: list[str], expected: list[tuple[str, str]]
) -> None:
    looks = [look(START + at * HOUR_MS, verdict=Verdict(each)) for at, each in enumerate(verdicts)]
    alerts = told(*looks, kind=AlertKind.DECISION_CHANGED)
    assert [(each.cause, each.severity.value) for each in alerts] == expected


@pytest.mark.parametrize(
    ("why", "view", "expected"),
    [
        ("accepted: it is not off everywhere", caller(old=[START, AFTER]), "accepted"),
        ("a known caller is rejected", caller(old=[START], rejected=[AFTER]), "rejected"),
        ("known by the new version alone", caller(new=[START], rejected=[AFTER]), "rejected"),
        ("a stranger is rejected", caller(rejected=[AFTER]), None),
        ("the last use was before the retirement, however late it arrived", caller(old=[RETIRED_AT - 1]), None),
        ("the last attempt was before the retirement", caller(old=[START], rejected=[RETIRED_AT]), None),
    ],
)
def test_whoever_comes_with_the_retired_version_is_named(why: str, view: object, expected: str | None) -> None:
    alerts = told(look(AFTER + HOUR_MS, view, rollover=RETIRED), kind=AlertKind.POST_RETIREMENT_USE)  # type: ignore[arg-type]
    assert [(each.cause, each.client, each.severity) for each in alerts] == (
        [] if expected is None else [(expected, ACME[0], AlertSeverity.CRITICAL)]
    ), why


def test_an_attempt_without_a_name_counts_where_its_source_is_known() -> None:
    known = caller(("acme", "eu"), old=[START])
    nameless, stranger = caller((None, "eu"), rejected=[AFTER]), caller((None, "mars"), rejected=[AFTER])
    alerts = told(look(AFTER, known, nameless, stranger, rollover=RETIRED), kind=AlertKind.POST_RETIREMENT_USE)
    assert [(each.client, each.source) for each in alerts] == [(None, "eu")]


def test_a_caller_that_keeps_coming_is_told_once_and_corrected_once_if_it_is_let_in() -> None:
    rejected = [caller(old=[START], rejected=[AFTER + step * HOUR_MS]) for step in range(5)]
    let_in = caller(old=[START, AFTER + 6 * HOUR_MS], rejected=[AFTER + 4 * HOUR_MS])
    looks = [
        look(AFTER + step * HOUR_MS, view, rollover=RETIRED) for step, view in enumerate([*rejected, let_in, let_in])
    ]
    alerts = told(*looks, kind=AlertKind.POST_RETIREMENT_USE)
    assert [each.cause for each in alerts] == ["rejected", "accepted"]
    assert len({each.episode for each in alerts}) == 1


@pytest.mark.parametrize(
    ("why", "new", "silent_days", "ends"),
    [
        ("works on the new version and left the old one alone for more than a day", [AFTER + HOUR_MS], 2, True),
        ("works on the new version for an hour only", [AFTER + HOUR_MS], 0.1, False),
        ("does not work anywhere, for days", [], 3, False),
        ("silent for a week", [], 7, True),
    ],
)
def test_the_episode_ends_when_the_caller_is_seen_to_be_well(
    why: str, new: list[int], silent_days: float, ends: bool
) -> None:
    first, later = caller(old=[START], rejected=[AFTER]), caller(old=[START], rejected=[AFTER], new=new)
    alerts = told(
        look(AFTER, first, rollover=RETIRED),
        look(AFTER + int(silent_days * DAY_MS), later, rollover=RETIRED),
        kind=AlertKind.POST_RETIREMENT_USE,
    )
    assert kinds(alerts) == ["post_retirement_use", *(["resolved"] if ends else [])], why


def test_what_was_open_before_the_retirement_ends_with_it() -> None:
    adopter = caller(old=[START + DAY_MS])
    alerts = told(look(START + 2 * DAY_MS, adopter), look(RETIRED_AT, adopter, rollover=RETIRED))
    assert kinds(alerts) == ["new_adopter", "resolved"]
