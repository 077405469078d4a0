"""Every panel's question is asked of a real PostgreSQL: empty, with one row, and with a fleet's worth."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from monitor.adapters.sql import SqlStore, open_store, upgrade
from monitor.core.decision import CallerState
from monitor.core.instants import DAY_MS, HOUR_MS, from_ms
from tests.contract.store.factories import NEW, OLD, T0, Feed, decision, event, failure, incident, registered, reject

FILES = sorted((Path(__file__).resolve().parents[3] / "dashboards" / "grafana").glob("*.json"))
UNTIL = T0 + 3 * DAY_MS


def macros(sql: str) -> str:
    """Return what Grafana's PostgreSQL datasource makes of a query (macros.go), and its variables put in."""
    begin, end = (f"'{from_ms(each).isoformat()}'" for each in (T0 - DAY_MS, UNTIL))
    sql = re.sub(r"\$__timeFilter\(([^)]*)\)", rf"\1 BETWEEN {begin} AND {end}", sql)
    sql = re.sub(
        r"\$__timeGroupAlias\(([^,)]*),\s*([^)]*)\)",
        r'to_timestamp(floor(extract(epoch from \1)/3600)*3600) AS "time"',
        sql,
    )
    for name, value in {"$rollover": "billing-2026-05", "$key": "billing-api", "($region)": "('eu', '-')"}.items():
        sql = sql.replace(name, value)
    assert "$" not in sql, f"a macro or variable is left: {sql}"
    return sql


def questions() -> list[Any]:
    found = []
    for path in FILES:
        dashboard = json.loads(path.read_text("utf-8"))
        asked = [(each["title"], each["targets"][0]) for each in dashboard["panels"] if each["type"] != "row"]
        asked += [(f"annotation {each['name']}", each["target"]) for each in dashboard["annotations"]["list"]]
        asked += [
            (f"variable {each['name']}", {"rawSql": each["query"], "format": "table"})
            for each in dashboard["templating"]["list"]
            if each["type"] == "query"
        ]
        found += [
            pytest.param(title, target, id=f"{path.stem}: {title}") for title, target in asked if "rawSql" in target
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
    registered(store)
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
    with store.snapshot(write=True) as snapshot:
        snapshot.record(decision())
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
    assert one or title == "annotation GO", f"{title}: nothing is shown of a store with one row of each"
    assert len(many) >= len(one)
