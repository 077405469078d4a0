"""Every panel's question is asked of a real PostgreSQL: empty, with one row, and with a fleet's worth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from monitor.adapters.sql import SqlStore, open_store, upgrade
from monitor.core.decision import Blocker, CallerName, CallerState, Verdict
from monitor.core.instants import DAY_MS, HOUR_MS, from_ms
from tests.contract.store.factories import (
    NEW,
    OLD,
    T0,
    Feed,
    decision,
    event,
    failure,
    gap,
    incident,
    registered,
    reject,
    rollover,
)
from tests.integration.dashboards.macros import interpolated
from tests.unit.dashboards.test_dashboards import panels

FILES = sorted((Path(__file__).resolve().parents[3] / "dashboards" / "grafana").glob("*.json"))
UNTIL = T0 + 23 * HOUR_MS
VARIABLES: dict[str, str | list[str]] = {
    "rollover": "billing-2026-05",
    "key": "billing-api",
    "region": ["(all)"],
    "step": "1h",
    "__interval": "1h",
}


BLOCKER = Blocker(
    clause="C7",
    summary="acme is not proven on v2",
    what_would_clear_it="one success on v2",
    caller=CallerName(client="acme", source="prod"),
    state=CallerState.DUE,
    last_seen_ms=T0,
    next_expected_ms=T0 + DAY_MS,
    requests_per_day=1.5,
)


def macros(sql: str) -> str:
    """Return what reaches PostgreSQL."""
    return interpolated(sql, VARIABLES, from_ms(T0 - DAY_MS), from_ms(UNTIL))


def questions() -> list[Any]:
    found = []
    for path in FILES:
        dashboard = json.loads(path.read_text("utf-8"))
        asked = [(each["title"], each["targets"][0]) for each in panels(dashboard)]
        asked += [(f"annotation {each['name']}", each["target"]) for each in dashboard["annotations"]["list"]]
        asked += [
            (f"variable {each['name']}", {"rawSql": each["query"], "format": "table"})
            for each in dashboard["templating"]["list"]
            if each["type"] == "query"
        ]
        found += [
            pytest.param(title, target, id=f"{path.stem}: {title}") for title, target in asked if "rawSql" in target
        ]
    rules = yaml.safe_load((FILES[0].parents[1] / "alerts.yaml").read_text("utf-8"))
    found += [
        pytest.param(f"alert {each['alert']}", {"rawSql": each["sql"], "format": "alert"}, id=each["alert"])
        for each in rules
        if "sql" in each
    ]
    return found


@pytest.fixture(scope="module")
def databases(postgres_server: Any) -> Iterator[dict[str, str]]:
    """Three databases, made once: `none`, `one` row of each, `many`."""
    made = {name: postgres_server.create_database() for name in ("none", "one", "many")}
    for name, url in made.items():
        upgrade(url)
        store = open_store(url)
        if name != "none":
            fill(store, many=name == "many")
        store.close()
    yield {name: url.replace("+psycopg", "") for name, url in made.items()}
    for url in made.values():
        postgres_server.drop_database(url)


def fill(store: SqlStore, *, many: bool) -> None:
    registered(store, rollovers=(rollover(deadline_ms=UNTIL),))
    hours = range(48) if many else range(1)
    feed = Feed(store)
    feed.flush(
        [
            each
            for hour in hours
            for each in (
                event(T0 + hour * HOUR_MS, credential=OLD, region="eu"),
                event(T0 + hour * HOUR_MS, credential=NEW, region="eu"),
                failure(T0 + hour * HOUR_MS, credential=NEW, region="eu"),
                event(T0 + hour * HOUR_MS, credential="nobody-knows"),
            )
        ],
        rejects=[reject(arrival_ms=T0 + HOUR_MS)],
    )
    claim = store.claim(feed.partition, worker="w1", now_ms=T0)
    store.begin(claim, offset=feed.next + 10, identity="topic-1", now_ms=T0, gap=gap())
    name = "billing-2026-05"
    alert = {"kind": "straggler", "severity": "warning", "rollover": name, "key": "billing-api", "text": "acme is left"}
    with store.snapshot(write=True) as snapshot:
        snapshot.record(decision(blockers=(BLOCKER,)))
        if many:
            snapshot.record(decision(verdict=Verdict.GO, evaluated_at_ms=T0 + DAY_MS))
            snapshot.record(decision(blockers=(BLOCKER, BLOCKER), evaluated_at_ms=T0 + 2 * DAY_MS))
        snapshot.audit(
            "alert", rollover=name, body={"alert": alert, "notified": True, "reason": "first"}, at_ms=T0 + HOUR_MS
        )
        snapshot.transition(name, expected="overlap", to="frozen", by="ana", reason=None, now_ms=T0 + HOUR_MS)
        snapshot.put_incident(incident(opened_at_ms=T0 + HOUR_MS))
        key, version = "billing-api", 1
        rows = [each for each in store.caller_rows(key) if each.version == version]
        snapshot.put_states(
            {(key, version, each.client, each.source): CallerState.ACTIVE for each in rows}, now_ms=UNTIL
        )


def ask(url: str, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(macros(sql))  # type: ignore[call-overload]
        return [each.name for each in cursor.description or ()], cursor.fetchall()


@pytest.mark.postgres
@pytest.mark.parametrize(("title", "target"), questions())
def test_a_panels_query_runs_and_returns_what_its_kind_needs(
    databases: dict[str, str], title: str, target: dict[str, Any]
) -> None:
    columns, _ = ask(databases["none"], target["rawSql"])
    if target["format"] == "time_series":
        assert columns[0] == "time", title
        assert "metric" in columns, title
    if title.startswith("annotation"):
        assert {"time", "text", "tags"} <= set(columns)
    _, one = ask(databases["one"], target["rawSql"])
    _, many = ask(databases["many"], target["rawSql"])
    assert one, f"{title}: nothing is shown of a store with one row of each"
    assert len(many) >= len(one)


@pytest.mark.parametrize(
    ("sql", "fault", "why"),
    [
        ("SELECT nothing FROM v_usage", psycopg.errors.UndefinedColumn, "a column that the view does not have"),
        ("SELECT 1 FROM v_nothing", psycopg.errors.UndefinedTable, "a view that does not exist"),
        ("SELECT $nothing FROM v_usage", KeyError, "a variable that no dashboard defines"),
        ("SELECT $__timeSlice(bucket) FROM v_usage", LookupError, "a macro that Grafana does not know"),
        ("SELECT 1 FROM v_usage WHERE $__timeFilter(coalesce(bucket, now()))", psycopg.Error, "a nested parenthesis"),
    ],
)
@pytest.mark.postgres
def test_a_wrong_query_would_be_found(databases: dict[str, str], sql: str, fault: type[Exception], why: str) -> None:
    with pytest.raises(fault):
        ask(databases["none"], sql)


@pytest.mark.postgres
def test_a_quote_in_a_value_stays_a_value(databases: dict[str, str]) -> None:
    begin, end = from_ms(T0), from_ms(UNTIL)
    sql = interpolated("SELECT '$key', ARRAY[$region]", {"key": "o'b", "region": ["a'b", "c"]}, begin, end)
    with psycopg.connect(databases["none"]) as connection:
        assert connection.execute(sql).fetchone() == ("o'b", ["a'b", "c"])  # type: ignore[call-overload]
