"""The stack's story on real parts: a client moves from one key to the next, and every panel has something to show."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from monitor.demo.parts.process import wait_until
from tests.e2e.stack import ROLES, Stack
from tests.integration.dashboards.macros import interpolated
from tests.unit.dashboards.test_dashboards import FILES, panels

NEEDS_TROUBLE = {
    "Alerts",
    "Alerts by kind",
    "Coverage gaps",
    "Incidents",
    "Latest rejects",
    "Rejected requests by key version",
    "Rejected requests by reason",
    "Rejected requests by version and reason",
    "Successes of unregistered credentials",
    "Fenced flushes",
    "Failed looks",
    "Past or near their deadline",
}
"""Panels that are empty, or nought, where all goes well."""

EXPRESSED = {"$__rate_interval": "1m", "$__range": "1h", "$rollover": "billing-v1-to-v2"}


def call_for(stack: Stack, secret: str, *, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert stack.call(secret) == 200
        time.sleep(0.05)  # the pace of a client, not a wait


@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.envoy
def test_the_stack_comes_up_from_its_files_and_every_panel_has_something_to_show(tmp_path: Path) -> None:
    with Stack(tmp_path) as stack:
        call_for(stack, "demo-billing-key-v1", seconds=3)
        call_for(stack, "demo-billing-key-v2", seconds=3)
        assert stack.call("nobody's") == 401

        def moved() -> bool:
            with psycopg.connect(stack.reader_dsn()) as connection:
                versions = connection.execute(
                    "SELECT version, sum(requests) FROM v_usage WHERE outcome = 'success' GROUP BY 1 ORDER BY 1"
                ).fetchall()
                verdicts = connection.execute("SELECT decision, callers FROM v_rollovers").fetchall()
            return [each[0] for each in versions] == [1, 2] and bool(verdicts) and verdicts[0][1] == 1

        wait_until(moved, seconds=60, what="both versions and a verdict in the views")
        wait_until(
            lambda: len(stack.asked('count_over_time(up{job="rollwatch"}[5m]) >= 3')) == len(ROLES),
            seconds=60,
            what="Prometheus to read every process three times",
        )
        assert {each["value"][1] for each in stack.asked('up{job="rollwatch"}')} == {"1"}, "the token opens /metrics"
        empty = every_panel(stack) - NEEDS_TROUBLE
        assert empty == set()
        for daemon in stack.daemons.values():
            assert daemon.get("/readyz")[0] == 200

        # The database goes: the three that watchers ask still answer.
        bearer = (tmp_path / "tokens" / "prometheus").read_text("utf-8").strip()
        stack.postgres.stop("fast")
        for daemon in stack.daemons.values():
            wait_until(lambda d=daemon: d.get("/readyz")[0] == 503, seconds=30, what="the loss to be told")
            assert daemon.get("/healthz")[0] == 200
            status, text = daemon.get("/metrics", token=bearer)
            assert status == 200, f"{status} {text[:300]}"
        stack.postgres.start()


def every_panel(stack: Stack) -> set[str]:
    """Return the titles of those that show nothing, asked as Grafana would."""
    now = datetime.now(UTC)
    since = now - timedelta(hours=6)
    variables: dict[str, Any] = {
        "rollover": "billing-v1-to-v2",
        "key": "billing-api",
        "region": ["(all)"],
        "step": "1m",
    }
    empty = set()
    with psycopg.connect(stack.reader_dsn(), autocommit=True) as connection:
        for path in FILES:
            for panel in panels(json.loads(path.read_text("utf-8"))):
                target = panel["targets"][0]
                if "rawSql" in target:
                    sql = interpolated(target["rawSql"], variables, since, now)
                    shown: Any = connection.execute(sql).fetchall()  # type: ignore[call-overload]
                else:
                    expression = target["expr"]
                    for name, value in (
                        ("$__rate_interval", "1m"),
                        ("$__range", "1h"),
                        ("$rollover", "billing-v1-to-v2"),
                    ):
                        expression = expression.replace(name, value)
                    shown = stack.asked(expression)
                if not shown:
                    empty.add(panel["title"])
    return empty
