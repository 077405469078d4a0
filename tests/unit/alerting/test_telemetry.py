"""Telemetry: what keeps the gate from seeing, told once for all rollovers that feel it."""

from __future__ import annotations

from dataclasses import replace

from monitor.core.alerting import Look, follow_telemetry
from monitor.core.alerts import Alert, AlertKind
from monitor.core.decision import Clause, Json, Status
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, rfc3339
from tests.unit.alerting.looks import ROLLOVER, START, kinds, look

NOW = START + 100 * HOUR_MS
OTHER = replace(ROLLOVER, id="other-1")


def silent(gateway: str, *, since: int, until: int | None = None, count: int = 1) -> Clause:
    """Return a C3 that says that a gateway was silent from then to then (or still is)."""
    latest: Json = {"from": rfc3339(since), "to": None if until is None else rfc3339(until)}
    described: Json = {"gateway": gateway, "region": "eu", "silences": count, "latest_silence": latest}
    return Clause(id="C3", status=Status.UNKNOWN, summary="silent", evidence={"gateways": [described]})


def told(*ticks: list[Look]) -> list[Alert]:
    """Return the alerts of consecutive ticks."""
    memory: dict[str, Json] = {}
    alerts: list[Alert] = []
    for looks in ticks:
        found, kept = follow_telemetry(memory, looks, looks[0].now_ms)
        alerts += found
        memory = dict(kept)
    return alerts


def test_a_silent_gateway_is_told_once_by_name_and_resolved_when_no_window_holds_it_any_more() -> None:
    lasts = silent("edge-1", since=NOW - HOUR_MS)
    over = silent("edge-1", since=NOW - HOUR_MS, until=NOW + HOUR_MS)
    alerts = told(
        [look(NOW, clauses=[lasts])],
        [look(NOW + 1, clauses=[lasts])],
        [look(NOW + 2 * HOUR_MS, clauses=[over])],
        [look(NOW + 9 * DAY_MS)],
    )
    assert [(each.kind.value, each.gateway, each.region, each.cause) for each in alerts] == [
        ("telemetry", "edge-1", "eu", "C3"),
        ("resolved", "edge-1", "eu", "C3"),
    ]
    assert alerts[0].episode == alerts[1].episode
    assert alerts[0].rollover == "billing-1"


def test_two_rollovers_that_feel_the_same_silence_are_one_alert() -> None:
    clause = silent("edge-1", since=NOW - HOUR_MS)
    (alert,) = told([look(NOW, clauses=[clause]), look(NOW, clauses=[clause], rollover=OTHER)])
    assert alert.rollover is None
    assert alert.evidence["rollovers"] == ["billing-1", "other-1"]


def test_a_second_silence_of_the_same_gateway_is_told_within_the_episode_even_when_it_is_over_by_then() -> None:
    first = silent("edge-1", since=NOW - HOUR_MS)
    heard = silent("edge-1", since=NOW - HOUR_MS, until=NOW + HOUR_MS)
    second = silent("edge-1", since=NOW + 3 * HOUR_MS, until=NOW + 4 * HOUR_MS, count=2)
    alerts = told(
        [look(NOW, clauses=[first])],
        [look(NOW + 2 * HOUR_MS, clauses=[heard])],
        [look(NOW + 5 * HOUR_MS, clauses=[second])],
        [look(NOW + 6 * HOUR_MS, clauses=[second])],
    )
    assert kinds(alerts) == ["telemetry", "telemetry"]
    assert len({each.episode for each in alerts}) == 1


def test_a_gateway_whose_records_always_come_late_is_told_once() -> None:
    hours = [NOW + hour * HOUR_MS for hour in range(48)]
    alerts = told(*([look(now, clauses=[silent("edge-1", since=now - 20 * MINUTE_MS)])] for now in hours))
    assert kinds(alerts) == ["telemetry"]


def test_late_records_that_cut_a_silence_short_begin_no_other() -> None:
    alerts = told(
        [look(NOW, clauses=[silent("edge-1", since=NOW - 4 * HOUR_MS)])],
        [look(NOW + HOUR_MS, clauses=[silent("edge-1", since=NOW - 2 * HOUR_MS, until=NOW - HOUR_MS, count=2)])],
    )
    assert kinds(alerts) == ["telemetry"]


def test_the_time_before_all_history_is_no_silence_of_a_gateway() -> None:
    clause = Clause(
        id="C3", status=Status.UNKNOWN, summary="?", evidence={"gateways": [{"gateway": "edge-1", "silences": 0}]}
    )
    assert told([look(NOW, clauses=[clause])]) == []


def test_gateways_are_told_apart_and_unregistered_ones_are_named() -> None:
    clause = Clause(id="C3", status=Status.UNKNOWN, summary="?", evidence={"gateways": [], "unregistered": ["edge-9"]})
    (alert,) = told([look(NOW, clauses=[clause])])
    assert (alert.kind, alert.gateway) == (AlertKind.TELEMETRY, "edge-9")


def test_what_keeps_clause_5_is_told_kind_by_kind_as_it_comes() -> None:
    def clause(**troubles: Json) -> Clause:
        return Clause(id="C5", status=Status.UNKNOWN, summary="C5?", evidence={"troubles": troubles})

    strays: Json = ["credential ghost succeeds and is not registered"]
    alerts = told(
        [look(NOW, clauses=[clause(unregistered=strays, rejects=[], sampling=[])])],
        [look(NOW + 1, clauses=[clause(unregistered=strays, rejects=["3 records"], sampling=["edge-2"])])],
        [look(NOW + 2, clauses=[clause(unregistered=strays, rejects=[], sampling=["edge-2"])])],
    )
    assert [(each.kind.value, each.gateway) for each in alerts] == [
        ("telemetry", None),
        ("telemetry", None),
        ("telemetry", "edge-2"),
        ("resolved", None),
    ]
    assert alerts[3].episode == alerts[1].episode != alerts[0].episode
    assert {each.cause for each in alerts} == {"C5"}


def test_clocks_are_telemetry_and_the_rest_of_clause_9_is_not() -> None:
    pinned = Clause(id="C9", status=Status.FAIL, summary="pinned", evidence={"troubles": {"clocks": []}})
    skewed = Clause(id="C9", status=Status.UNKNOWN, summary="?", evidence={"troubles": {"clocks": ["12 min ahead"]}})
    (alert,) = told([look(NOW, clauses=[pinned])], [look(NOW + 1, clauses=[skewed])])
    assert (alert.cause, alert.at_ms) == ("C9", NOW + 1)
    assert "12 min ahead" in alert.text


def test_other_clauses_are_one_episode_each_and_those_about_callers_are_none() -> None:
    clauses = [
        Clause(id=f"C{number}", status=Status.UNKNOWN, summary=f"C{number}?") for number in (1, 2, 4, 5, 6, 8, 9)
    ]
    alerts = told([look(NOW, clauses=clauses)])
    assert [each.cause for each in alerts] == ["C2", "C4", "C5"]
    assert "C5?" in alerts[2].text


def test_a_retired_rollover_feels_nothing() -> None:
    retired = replace(ROLLOVER, retired_at_ms=NOW - HOUR_MS)
    assert told([look(NOW, clauses=[silent("edge-1", since=NOW - HOUR_MS)], rollover=retired)]) == []
