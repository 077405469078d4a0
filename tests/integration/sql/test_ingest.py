"""The writing side on both databases: exact, fenced, all or nothing."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from monitor.adapters.sql import SqlStore, open_store
from monitor.core.evidence import CoverageGap
from monitor.errors import Fenced, NotFound, StoreAway, StoreRefused, ValueRefused
from monitor.ports import Probe, Tail
from tests.integration.sql.traffic import MINUTE, PARTITION, T0, claimed, failures, flush, uses


def rows(store: SqlStore, sql: str) -> list[tuple[object, ...]]:
    with store._db.reading() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def test_a_new_partition_has_no_position_and_each_claim_raises_its_epoch(store: SqlStore) -> None:
    first = store.claim(PARTITION, worker="w1", now_ms=T0)
    second = store.claim(PARTITION, worker="w2", now_ms=T0)
    assert (first.epoch, first.next_offset, first.tail, first.identity, first.stopped) == (1, None, None, None, None)
    assert second.epoch == 2


def test_flushes_of_the_same_cells_add_up(store: SqlStore) -> None:
    claim = claimed(store)
    store.apply(flush(claim, 0, uses(T0, T0 + 1, T0 + MINUTE)))
    store.apply(flush(claim, 3, uses(T0 + 2, count=5)))
    assert rows(store, "SELECT bucket_ms, requests FROM usage_points ORDER BY 1") == [(T0, 7), (T0 + MINUTE, 1)]
    assert rows(store, "SELECT accepted, first_accepted_ms, last_accepted_ms FROM callers") == [(8, T0, T0 + MINUTE)]
    assert rows(store, "SELECT uses, first_ms, last_ms FROM caller_days") == [(8, T0, T0 + MINUTE)]
    assert rows(store, "SELECT from_offset, to_offset, records FROM ledger ORDER BY 1") == [(0, 3, 3), (3, 4, 1)]


def test_the_next_claim_continues_where_the_last_flush_ended(store: SqlStore) -> None:
    claim = claimed(store)
    store.apply(flush(claim, 0, uses(T0)))
    again = store.claim(PARTITION, worker="w2", now_ms=T0)
    assert (again.next_offset, again.identity, again.tail) == (1, "cluster/topic-1", Tail.of(0, T0, b"last"))


@pytest.mark.parametrize("from_offset", [0, 2], ids=["of a batch applied before", "past a hole"])
def test_a_flush_that_does_not_continue_is_fenced_and_writes_nothing(store: SqlStore, from_offset: int) -> None:
    claim = claimed(store)
    store.apply(flush(claim, 0, uses(T0)))
    with pytest.raises(Fenced):
        store.apply(flush(claim, from_offset, uses(T0)))
    assert rows(store, "SELECT sum(requests) FROM usage_points") == [(1,)]


def test_an_earlier_owner_is_fenced_in_everything(store: SqlStore) -> None:
    old = claimed(store)
    store.claim(PARTITION, worker="w2", now_ms=T0)
    with pytest.raises(Fenced):
        store.apply(flush(old, 0, uses(T0)))
    with pytest.raises(Fenced):
        store.begin(old, offset=7, identity="x", now_ms=T0)
    with pytest.raises(Fenced):
        store.stop_line(old, reason="x", now_ms=T0)


def test_a_value_that_the_database_cannot_hold_refuses_the_whole_flush(store: SqlStore) -> None:
    claim = claimed(store)
    for value in ({"client": "\ud800"}, {"count": 2**63}):
        with pytest.raises(ValueRefused):
            store.apply(flush(claim, 0, uses(T0, **value)))
    store.apply(flush(claim, 0, uses(T0)))
    assert rows(store, "SELECT sum(requests) FROM usage_points") == [(1,)]


def test_values_far_longer_than_an_index_takes_are_stored(store: SqlStore) -> None:
    claim = claimed(store)
    long = "x" * 60_000
    store.apply(flush(claim, 0, uses(T0, credential=long, client=long, source=long, gateway=long)))
    assert rows(store, "SELECT length(client), length(credential) FROM callers") == [(60_000, 60_000)]


def test_absent_and_empty_callers_are_two(store: SqlStore) -> None:
    claim = claimed(store)
    store.apply(flush(claim, 0, uses(T0, client=None)))
    store.apply(flush(claim, 1, uses(T0, client="", source=None)))
    store.apply(flush(claim, 2, uses(T0, client=None)))
    assert sorted(rows(store, "SELECT accepted FROM callers")) == [(1,), (2,)]


def test_a_partition_is_complete_through_the_latest_probe_that_was_reached(store: SqlStore) -> None:
    claim = claimed(store)

    def complete() -> object:
        return rows(store, "SELECT complete_through_ms FROM partitions")[0][0]

    store.probed([Probe(partition=PARTITION, end_offset=2, probed_at_ms=T0)], {"gw.logs": 1})
    store.probed([Probe(partition=PARTITION, end_offset=4, probed_at_ms=T0 + 5)], {"gw.logs": 1})
    assert complete() is None
    store.apply(flush(claim, 0, uses(T0, T0, T0)))
    assert complete() == T0, "the second probe's end is not reached yet: the first one still counts"
    store.apply(flush(claim, 3, uses(T0)))
    assert complete() == T0 + 5
    store.probed([Probe(partition=PARTITION, end_offset=4, probed_at_ms=T0 + 9)], {"gw.logs": None})
    assert complete() == T0 + 9


def test_probes_of_a_partition_that_stands_still_stay_few(store: SqlStore) -> None:
    claimed(store)
    for each in range(200):
        store.probed([Probe(partition=PARTITION, end_offset=each + 1, probed_at_ms=T0 + each)], {})
    pending = rows(store, "SELECT pending_probes FROM partitions")[0][0]
    assert str(pending).count("[") < 70


def test_a_gap_begins_a_new_generation_and_is_remembered(store: SqlStore) -> None:
    claim = claimed(store)
    store.apply(flush(claim, 0, uses(T0)))
    gap = CoverageGap(topic="gw.logs", partition=0, from_ms=T0, to_ms=None, recorded_at_ms=T0 + 9, reason="retention")
    store.begin(claim, offset=50, identity="cluster/topic-1", now_ms=T0 + 9, gap=gap)
    store.apply(flush(claim, 50, uses(T0)))
    assert rows(store, "SELECT generation, from_offset FROM ledger ORDER BY 1") == [(0, 0), (1, 50)]
    assert rows(store, "SELECT from_ms, to_ms, recorded_at_ms, reason FROM gaps") == [(T0, None, T0 + 9, "retention")]


def test_a_stopped_line_says_why_at_the_next_claim_until_it_is_resumed(store: SqlStore) -> None:
    claim = claimed(store)
    store.stop_line(claim, reason="too many rejects", now_ms=T0)
    assert store.claim(PARTITION, worker="w", now_ms=T0).stopped == "too many rejects"
    store.resume_line(PARTITION, reason="mapping fixed", by="ana", now_ms=T0)
    assert store.claim(PARTITION, worker="w", now_ms=T0).stopped is None
    with pytest.raises(NotFound):
        store.resume_line(PARTITION, reason="again", by="ana", now_ms=T0)


def test_folded_failures_have_no_credential(store: SqlStore) -> None:
    claim = claimed(store)
    store.apply(flush(claim, 0, failures(T0, T0, credential=None)))
    assert rows(store, "SELECT credential, cred FROM usage_series") == [(None, None)]
    assert rows(store, "SELECT unmapped, aggregated FROM ledger") == [(2, 0)]


@pytest.mark.parametrize(
    "url",
    ["postgresql://nobody@127.0.0.1:9/none", "sqlite:////nowhere/at/all.db"],
    ids=["a port where nobody listens", "a folder that is not there"],
)
def test_a_database_that_is_away_is_noticed_on_use_and_not_before(url: str) -> None:
    store = open_store(url)
    with pytest.raises(StoreAway):
        store.claim(PARTITION, worker="w", now_ms=T0)


def test_a_database_without_tables_says_what_to_do(url: str) -> None:
    with pytest.raises(StoreRefused, match="db upgrade"):
        open_store(url).claim(PARTITION, worker="w", now_ms=T0)
