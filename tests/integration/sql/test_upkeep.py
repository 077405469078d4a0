"""Growing old without losing anything: folds, leadership, migrations at once, the database going away."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from monitor.adapters.sql import SqlStore, open_store, upgrade
from monitor.core.evidence import KeyEvidence
from monitor.demo.parts.postgres import PostgresServer
from monitor.errors import StoreAway, StoreRefused
from monitor.ports import Partition, Retention
from tests.integration.sql.test_views import REGISTRY
from tests.integration.sql.traffic import DAY, HOUR, MINUTE, T0, claimed, failures, flush, uses


def rows(store: SqlStore, sql: str) -> list[tuple[Any, ...]]:
    with store._db.reading() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def evidence(store: SqlStore, now_ms: int) -> KeyEvidence:
    with store.snapshot() as look:
        return look.key("billing", now_ms)


def test_folding_days_changes_nothing_that_the_gate_reads_whatever_arrives_meanwhile(store: SqlStore) -> None:
    store.import_registry(REGISTRY, source="keys.yaml", by="ana", now_ms=T0)
    claim = claimed(store)
    now_ms = T0 + 41 * DAY
    store.apply(flush(claim, 0, uses(*[T0 + day * DAY for day in range(40)])))
    before = evidence(store, now_ms)
    removed = store.prune(Retention(), now_ms=now_ms)
    assert removed["caller_days"] == 39
    assert evidence(store, now_ms) == before
    late = uses(T0 + 5 * DAY + HOUR, T0 + 5 * DAY + 2 * HOUR)
    store.apply(flush(claim, 40, late))
    merged = evidence(store, now_ms)
    assert merged.callers[0].activity[5].uses == 3
    store.prune(Retention(), now_ms=now_ms)
    assert evidence(store, now_ms) == merged


def test_a_gap_that_late_uses_fill_is_corrected_by_upkeep(store: SqlStore) -> None:
    store.import_registry(REGISTRY, source="keys.yaml", by="ana", now_ms=T0)
    claim = claimed(store)
    store.apply(flush(claim, 0, uses(T0, T0 + 10 * DAY)))
    store.apply(flush(claim, 2, uses(T0 + 4 * DAY)))
    store.prune(Retention(), now_ms=T0 + 11 * DAY)
    assert rows(store, "SELECT longest_gap_seconds FROM v_callers") == [(6 * 86_400,)]


def test_fine_buckets_fold_into_hours_with_the_same_sums(store: SqlStore) -> None:
    claim = claimed(store)
    store.apply(flush(claim, 0, uses(*[T0 + each * MINUTE for each in range(90)])))
    store.prune(Retention(), now_ms=T0 + 15 * DAY)
    store.apply(flush(claim, 90, uses(T0)))
    found = rows(store, "SELECT bucket_seconds, requests FROM v_usage ORDER BY bucket, bucket_seconds")
    assert found == [(60, 1), (3600, 60), (3600, 30)]
    store.prune(Retention(), now_ms=T0 + 15 * DAY)
    assert rows(store, "SELECT bucket_seconds, requests FROM v_usage ORDER BY bucket") == [(3600, 61), (3600, 30)]


def test_failures_older_than_their_detail_go_with_their_series(store: SqlStore) -> None:
    claim = claimed(store)
    store.apply(flush(claim, 0, failures(T0, client="old")))
    store.apply(flush(claim, 1, failures(T0 + 20 * DAY, client="new")))
    store.prune(Retention(), now_ms=T0 + 20 * DAY)
    assert rows(store, "SELECT client FROM failure_series") == [("new",)]
    assert [cell.client for cell, _ in store.failure_cells(from_ms=0, to_ms=T0 + 30 * DAY)] == ["new"]


def test_one_of_many_leads_until_it_closes(url: str) -> None:
    upgrade(url)
    first, second = open_store(url), open_store(url)
    assert first.lead("schedule")
    assert first.lead("schedule"), "it stays the leader"
    assert not second.lead("schedule")
    assert second.lead("alerts"), "another name is another matter"
    first.close()
    assert second.lead("schedule")
    second.close()


def test_many_processes_may_migrate_at_once(url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(upgrade, url) for _ in range(8)]:
            done.result()
    store = open_store(url)
    store.ping()
    store.close()


def test_a_database_of_a_newer_version_is_refused(url: str) -> None:
    upgrade(url)
    store = open_store(url)
    with store._db.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    with pytest.raises(StoreRefused, match="newer"):
        upgrade(url)


def test_workers_on_the_same_rows_neither_lose_nor_block_each_other(store: SqlStore) -> None:
    """Four partitions, the same callers and gateways in opposite orders."""
    faults: list[BaseException] = []

    def work(number: int) -> None:
        try:
            claim = claimed(store, Partition("gw.logs", number))
            clients = [f"c{each}" for each in range(20)]
            for turn in range(10):
                made = uses(T0 + turn, client="all")
                for client in clients if number % 2 else reversed(clients):
                    more = uses(T0 + turn, client=client)
                    for part in ("usage", "callers", "days", "caller_gateways"):
                        getattr(made, part).update(getattr(more, part))
                store.apply(flush(claim, turn, made))
        except BaseException as fault:  # noqa: BLE001 - told to the test's own thread
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert rows(store, "SELECT min(accepted), max(accepted), count(*) FROM callers") == [(40, 40, 21)]
    assert rows(store, "SELECT records FROM gateways") == [(40,)]


@pytest.mark.postgres
def test_a_postgresql_that_restarts_is_away_and_then_back(postgres_server: PostgresServer, postgres_url: str) -> None:
    upgrade(postgres_url)
    store = open_store(postgres_url)
    claim = claimed(store)
    assert store.lead("schedule")
    postgres_server.stop("immediate")
    with pytest.raises(StoreAway):
        store.apply(flush(claim, 0, uses(T0)))
    with pytest.raises(StoreAway):
        store.lead("schedule")
    postgres_server.start()
    store.apply(flush(claim, 0, uses(T0)))
    assert store.lead("schedule")
    assert rows(store, "SELECT sum(requests) FROM usage_points") == [(1,)]
    store.close()


def test_a_write_snapshot_sees_what_the_one_before_wrote_however_they_overlap(store: SqlStore) -> None:
    def add(number: int) -> int:
        with store.snapshot(write=True) as look:
            return look.audit("test", rollover=None, body={"number": number}, at_ms=T0).seq

    with ThreadPoolExecutor(8) as pool:
        numbers = sorted(pool.map(add, range(24)))
    assert numbers == list(range(1, 25))
    assert store.verify_audit() == []
