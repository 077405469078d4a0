"""The views that other people's tools read: exact columns, types and rows, the same on both databases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from monitor.adapters.sql import SqlStore
from monitor.core.decision import CallerState
from monitor.core.events import Reject, RejectReason
from monitor.core.instants import from_ms
from monitor.core.registry import Key, KeyVersion, Registry, Rollover
from monitor.core.windows import Aggregate
from monitor.ports import Incident
from tests.integration.sql.traffic import DAY, MINUTE, T0, claimed, failures, flush, uses

COLUMNS = {
    "v_usage": "bucket bucket_seconds key version credential gateway region outcome reason requests",
    "v_callers": "key version client source first_success last_success last_failure successes failures "
    "longest_gap_seconds state",
    "v_ledger": "topic partition from_offset to_offset epoch records aggregated unmapped rejected",
    "v_rejects": "at topic partition offset index reason sha256 sample",
    "v_decisions": "rollover evaluated_at decision evidence_hash",
    "v_incidents": "key version opened_at closed_at kind cause severity",
}
REGISTRY = Registry(
    keys=(
        Key(
            key="billing-api",
            versions=(
                KeyVersion(version=1, credentials=("cred-a1",)),
                KeyVersion(version=2, credentials=("cred-a2", "cred-a2b")),
            ),
        ),
    ),
    rollovers=(Rollover(id="billing", key="billing-api", from_version=1, to_version=2, started_at_ms=T0),),
)


def rows(store: SqlStore, sql: str) -> list[dict[str, Any]]:
    with store._db.reading() as connection:
        return [dict(row._mapping) for row in connection.execute(text(sql))]


def moment(value: object) -> datetime:
    """Read a time of either database; text must be ISO 8601 in UTC."""
    if isinstance(value, str):
        assert value.endswith("Z")
        return datetime.fromisoformat(value)
    assert isinstance(value, datetime)
    assert value.tzinfo is not None
    return value.astimezone(UTC)


@pytest.fixture
def filled(store: SqlStore) -> SqlStore:
    store.import_registry(REGISTRY, source="keys.yaml", by="ana", now_ms=T0)
    return store


def apply(store: SqlStore, *aggregates: Aggregate) -> None:
    claim = claimed(store)
    at = claim.next_offset or 0
    for each in aggregates:
        applied = flush(claim, at, each)
        store.apply(applied)
        at = applied.to_offset


@pytest.mark.parametrize("view", COLUMNS)
def test_a_view_has_its_columns_in_order_and_is_empty_at_first(store: SqlStore, view: str) -> None:
    with store._db.reading() as connection:
        found = connection.execute(text(f"SELECT * FROM {view}"))  # noqa: S608 - a name of the table above
        assert list(found.keys()) == COLUMNS[view].split()
        assert found.all() == []


def test_usage_is_joined_to_key_versions_when_it_is_read(store: SqlStore) -> None:
    apply(store, uses(T0, T0 + 1))
    assert rows(store, "SELECT key, version, credential FROM v_usage") == [
        {"key": None, "version": None, "credential": "cred-a1"}
    ]
    store.import_registry(REGISTRY, source="keys.yaml", by="ana", now_ms=T0)
    (row,) = rows(store, "SELECT * FROM v_usage")
    assert moment(row.pop("bucket")) == from_ms(T0)
    assert row == {
        "bucket_seconds": 60,
        "key": "billing-api",
        "version": 1,
        "credential": "cred-a1",
        "gateway": "edge-1",
        "region": "eu",
        "outcome": "success",
        "reason": "ok",
        "requests": 2,
    }


@pytest.mark.parametrize(
    ("made", "credential", "why"),
    [
        (failures(T0, credential=None), None, "folded when it was counted"),
        (failures(T0, credential="gone"), None, "its credential has left the registry since"),
        (failures(T0, credential="cred-a2"), "cred-a2", "a registered credential keeps its failures"),
        (uses(T0, credential="stranger"), "stranger", "a success of an unknown credential is always counted by name"),
    ],
)
def test_failures_of_unknown_credentials_have_none_in_v_usage(
    filled: SqlStore, made: Aggregate, credential: str | None, why: str
) -> None:
    apply(filled, made)
    (row,) = rows(filled, "SELECT key, version, credential FROM v_usage")
    assert row["credential"] == credential, why
    assert (row["key"] is None) == (credential != "cred-a2")


def test_a_caller_is_one_row_over_credentials_and_regions_of_a_version(filled: SqlStore) -> None:
    first = uses(T0, T0 + 2 * DAY, credential="cred-a2", region="eu")
    second = uses(T0 + 3 * DAY, credential="cred-a2b", region="us", count=4)
    apply(filled, first, second, failures(T0 + 4 * DAY + 123, credential="cred-a2"))
    with filled.snapshot(write=True) as look:
        look.put_states({("billing-api", 2, "acme", "eu"): CallerState.DUE}, now_ms=T0)
    (row,) = rows(filled, "SELECT * FROM v_callers")
    times = [moment(row.pop(name)) for name in ("first_success", "last_success", "last_failure")]
    assert times == [from_ms(T0), from_ms(T0 + 3 * DAY), from_ms(T0 + 4 * DAY + 123)]
    assert row == {
        "key": "billing-api",
        "version": 2,
        "client": "acme",
        "source": "eu",
        "successes": 6,
        "failures": 1,
        "longest_gap_seconds": 2 * 86_400,
        "state": "due",
    }


def test_a_caller_without_client_and_source_finds_its_state(filled: SqlStore) -> None:
    apply(filled, uses(T0, client=None, source=None))
    with filled.snapshot(write=True) as look:
        look.put_states({("billing-api", 1, None, None): CallerState.ACTIVE}, now_ms=T0)
    row = {"client": None, "source": None, "state": "active", "longest_gap_seconds": None}
    assert rows(filled, "SELECT client, source, state, longest_gap_seconds FROM v_callers") == [row]


def test_the_longest_gap_grows_over_flushes(filled: SqlStore) -> None:
    apply(filled, uses(T0), uses(T0 + 5 * DAY), uses(T0 + 6 * DAY))
    assert rows(filled, "SELECT longest_gap_seconds FROM v_callers") == [{"longest_gap_seconds": 5 * 86_400}]


def test_two_regions_that_follow_each_other_have_their_gap_between_them(filled: SqlStore) -> None:
    apply(filled, uses(T0, T0 + DAY, region="eu"), uses(T0 + 9 * DAY, region="us"))
    assert rows(filled, "SELECT longest_gap_seconds FROM v_callers") == [{"longest_gap_seconds": 8 * 86_400}]


def test_rejects_are_shown_where_they_stood(store: SqlStore) -> None:
    reject = Reject(offset=0, index=3, reason=RejectReason.NOT_JSON, sha256="ab", sample="{…", arrival_ms=T0 + 7)
    claim = claimed(store)
    store.apply(flush(claim, 0, Aggregate(), rejects=(reject,)))
    (row,) = rows(store, "SELECT * FROM v_rejects")
    assert moment(row.pop("at")) == from_ms(T0 + 7)
    assert row == {
        "topic": "gw.logs",
        "partition": 0,
        "offset": 0,
        "index": 3,
        "reason": "not_json",
        "sha256": "ab",
        "sample": "{…",
    }
    (tile,) = rows(store, "SELECT * FROM v_ledger")
    assert tile == {
        "topic": "gw.logs",
        "partition": 0,
        "from_offset": 0,
        "to_offset": 1,
        "epoch": 1,
        "records": 1,
        "aggregated": 0,
        "unmapped": 0,
        "rejected": 1,
    }


def test_an_open_incident_has_no_end(store: SqlStore) -> None:
    with store.snapshot(write=True) as look:
        look.put_incident(
            Incident(
                id="i1",
                key="billing-api",
                version=2,
                kind="failed_rollover",
                cause="scope_loss",
                severity="critical",
                opened_at_ms=T0,
                summary="s",
                holds_gate=True,
            )
        )
    (row,) = rows(store, "SELECT * FROM v_incidents")
    assert moment(row.pop("opened_at")) == from_ms(T0)
    assert row["closed_at"] is None
    assert (row["kind"], row["cause"], row["severity"]) == ("failed_rollover", "scope_loss", "critical")


@pytest.mark.postgres
def test_a_panel_with_a_time_range_uses_the_index_on_time(postgres_url: str) -> None:
    from monitor.adapters.sql import open_store, upgrade  # noqa: PLC0415 - one database only

    upgrade(postgres_url)
    store = open_store(postgres_url)
    with store._db.writing() as connection:
        connection.execute(
            text(
                "INSERT INTO usage_points SELECT s, m * :minute, 1 "
                "FROM generate_series(1, 20000) m, generate_series(1, 20) s ORDER BY m"
            ),
            {"minute": MINUTE},
        )
        connection.execute(text("ANALYZE usage_points"))
    with store._db.reading() as connection:
        plan = connection.execute(
            text("EXPLAIN SELECT sum(requests) FROM v_usage WHERE bucket >= to_timestamp(1140000)")
        ).scalars()
        assert "ix_usage_points_time" in "\n".join(plan)
    store.close()
