"""The views beside the contract's, which dashboards read: columns, types and rows, the same on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from monitor.adapters.sql import SqlStore
from monitor.core.decision import (
    BlastRadius,
    Blocker,
    CallerName,
    CallerState,
    Clause,
    Decision,
    Eta,
    EtaState,
    Progress,
    Status,
    Verdict,
)
from monitor.core.instants import from_ms
from tests.contract.store.factories import gap, key, registered, rollover
from tests.integration.sql.test_views import apply, moment, rows
from tests.integration.sql.traffic import DAY, HOUR, PARTITION, T0, claimed, failures, uses

COLUMNS = {
    "v_rollovers": "rollover key from_version to_version state started_at deadline retired_at decision evaluated_at "
    "callers callers_cleared requests_moved_share requests_per_day_left eta earliest_go limited_by",
    "v_blockers": "rollover clause summary client source state last_seen next_expected requests_per_day "
    "what_would_clear_it",
    "v_alerts": "at kind severity rollover key cause episode text told reason",
    "v_steps": "rollover at from_state to_state by reason",
    "v_gateways": "gateway region first_seen last_seen records",
    "v_partitions": "topic partition next_offset end_offset lag applied_at probed_at worker stopped",
    "v_hours": "hour key version accepted rejected",
    "v_gaps": "topic partition from_time to_time recorded_at reason",
}
DECISION = Decision(
    rollover="billing-2026-05",
    key="billing-api",
    from_version=1,
    to_version=2,
    verdict=Verdict.NO_GO,
    evaluated_at_ms=T0 + HOUR,
    valid_until_ms=T0 + 2 * HOUR,
    evidence_hash="ab",
    clauses=(Clause(id="C7", status=Status.FAIL, summary="1 caller"),),
    blockers=(
        Blocker(
            clause="C7",
            summary='it says "still"',
            what_would_clear_it="one success on v2",
            caller=CallerName(client="acme", source=None),
            state=CallerState.DUE,
            last_seen_ms=T0,
            next_expected_ms=T0 + DAY,
            requests_per_day=0.5,
        ),
        Blocker(clause="C2", summary="behind", what_would_clear_it="wait"),
    ),
    blast_radius=BlastRadius(callers=1, requests_per_day=41.5, share_of_requests=0.25, next_hit_ms=T0 + DAY),
    eta=Eta(state=EtaState.WAITING, earliest_go_ms=T0 + 9 * DAY, limited_by="C7 acme/-"),
    progress=Progress(callers=4, callers_cleared=3, requests_moved_share=None),
)


@pytest.mark.parametrize("view", COLUMNS)
def test_a_view_has_its_columns_in_order_and_is_empty_at_first(store: SqlStore, view: str) -> None:
    with store._db.reading() as connection:
        found = connection.execute(text(f"SELECT * FROM {view}"))  # noqa: S608 - a name of the table above
        assert list(found.keys()) == COLUMNS[view].split()
        assert found.all() == []


def times(row: dict[str, Any], *names: str) -> list[Any]:
    return [None if row[name] is None else moment(row.pop(name)) for name in names]


def test_a_rollover_that_nobody_has_judged_yet_is_shown_where_its_clock_has_it(store: SqlStore) -> None:
    later = rollover("later", started_at_ms=4_000_000_000_000)
    registered(store, rollovers=(rollover(started_at_ms=T0, deadline_ms=None), later))
    now, planned = rows(store, "SELECT * FROM v_rollovers ORDER BY started_at")
    assert (now["state"], planned["state"]) == ("overlap", "planned")
    assert (now["from_version"], now["to_version"], now["key"]) == (1, 2, "billing-api")
    assert times(now, "started_at", "deadline") == [from_ms(T0), None]
    assert [now[name] for name in ("decision", "callers", "eta", "earliest_go", "retired_at")] == [None] * 5


def test_a_judged_rollover_carries_its_verdict_its_progress_and_when_it_may_end(store: SqlStore) -> None:
    registered(store)
    with store.snapshot(write=True) as look:
        look.record(DECISION)
    (row,) = rows(store, "SELECT * FROM v_rollovers")
    assert times(row, "evaluated_at", "earliest_go") == [from_ms(T0 + HOUR), from_ms(T0 + 9 * DAY)]
    named = ("decision", "callers", "callers_cleared", "requests_moved_share", "requests_per_day_left", "eta")
    assert [row[name] for name in named] == ["NO_GO", 4, 3, None, 41.5, "waiting"]
    assert row["limited_by"] == "C7 acme/-"


def test_a_retirement_that_was_rolled_back_is_none(store: SqlStore) -> None:
    registered(store)
    for expected, to, retired in (("overlap", "retired", True), ("retired", "rolled_back", False)):
        with store.snapshot(write=True) as look:
            look.transition("billing-2026-05", expected=expected, to=to, by="ana", reason="it's time", now_ms=T0 + DAY)
        (row,) = rows(store, "SELECT state, retired_at FROM v_rollovers")
        assert (row["state"], row["retired_at"] is not None) == (to, retired)
    steps = rows(store, "SELECT * FROM v_steps ORDER BY to_state")
    assert times(steps[0], "at") == [from_ms(T0 + DAY)]
    assert steps[0] == {
        "rollover": "billing-2026-05",
        "from_state": "overlap",
        "to_state": "retired",
        "by": "ana",
        "reason": "it's time",
    }
    assert steps[1]["to_state"] == "rolled_back"


def test_each_blocker_is_a_row_with_its_numbers(store: SqlStore) -> None:
    registered(store)
    with store.snapshot(write=True) as look:
        look.record(DECISION)
    telemetry, caller = rows(store, "SELECT * FROM v_blockers ORDER BY clause")
    assert (telemetry["clause"], telemetry["client"], telemetry["last_seen"]) == ("C2", None, None)
    assert times(caller, "last_seen", "next_expected") == [from_ms(T0), from_ms(T0 + DAY)]
    assert caller == {
        "rollover": "billing-2026-05",
        "clause": "C7",
        "summary": 'it says "still"',
        "client": "acme",
        "source": None,
        "state": "due",
        "requests_per_day": 0.5,
        "what_would_clear_it": "one success on v2",
    }


@pytest.mark.parametrize(("notified", "told"), [(True, "yes"), (False, "no")])
def test_an_alert_says_whether_it_was_told_and_why(store: SqlStore, notified: bool, told: str) -> None:
    registered(store)
    alert = {"kind": "straggler", "severity": "warning", "rollover": "billing-2026-05", "text": "acme is left"}
    with store.snapshot(write=True) as look:
        body = {"alert": alert, "notified": notified, "reason": "first"}
        look.audit("alert", rollover="billing-2026-05", body=body, at_ms=T0 + 1)
        look.audit("something else", rollover=None, body={}, at_ms=T0)
    (row,) = rows(store, "SELECT * FROM v_alerts")
    assert times(row, "at") == [from_ms(T0 + 1)]
    assert row == alert | {"told": told, "reason": "first", "key": None, "cause": None, "episode": None}


def test_hours_hold_what_each_version_had_accepted_and_rejected(store: SqlStore) -> None:
    registered(store, keys=(key(old=["cred-a1"], new=["cred-a2"]),))
    apply(store, uses(T0, T0 + 1, T0 + HOUR, count=2), failures(T0))
    found = rows(store, "SELECT * FROM v_hours ORDER BY version, hour")
    assert times(found[0], "hour") == [from_ms(T0 - T0 % HOUR)]
    assert found[0] == {"key": "billing-api", "version": 1, "accepted": 4, "rejected": 0}
    assert [(each["version"], each["accepted"], each["rejected"]) for each in found[1:]] == [(1, 2, 0), (2, 0, 1)]


def test_gateways_partitions_and_gaps_are_shown_as_they_stand(store: SqlStore) -> None:
    apply(store, uses(T0, T0 + 2 * HOUR))
    (gateway,) = rows(store, "SELECT * FROM v_gateways")
    assert times(gateway, "first_seen", "last_seen") == [from_ms(T0), from_ms(T0 + 2 * HOUR)]
    assert gateway == {"gateway": "edge-1", "region": "eu", "records": 2}
    (partition,) = rows(store, "SELECT * FROM v_partitions")
    named = ("topic", "partition", "next_offset", "lag", "worker", "stopped")
    assert [partition[name] for name in named] == [PARTITION.topic, PARTITION.partition, 2, None, "w1", None]
    hole_of = gap(topic=PARTITION.topic, partition=PARTITION.partition, from_ms=T0, to_ms=T0 + HOUR)
    store.begin(claimed(store), offset=10, identity="cluster/topic-1", now_ms=T0, gap=hole_of)
    (hole,) = rows(store, "SELECT * FROM v_gaps")
    assert times(hole, "from_time", "to_time") == [from_ms(T0), from_ms(T0 + HOUR)]
