"""Claims, fences and flushes: offsets and counts move together, or not at all."""

from __future__ import annotations

import pytest

from monitor.errors import Fenced, NotFound, StoreRefused
from monitor.ports import Applied, Partition, Probe, Store, Tail
from tests.contract.store.factories import P0, T0, Feed, event, failure, gap, recount, reject
from tests.contract.store.worlds import World


def test_a_partition_that_was_never_read_is_claimed_without_a_position(store: Store) -> None:
    claim = store.claim(P0, worker="w1", now_ms=T0)
    assert (claim.next_offset, claim.tail, claim.identity, claim.stopped) == (None, None, None, None)


def test_every_claim_raises_the_epoch(store: Store) -> None:
    epochs = [store.claim(P0, worker=f"w{n}", now_ms=T0 + n).epoch for n in range(3)]
    assert epochs == sorted(set(epochs))


def test_a_claim_tells_where_the_last_owner_ended(store: Store) -> None:
    tail = Tail.of(1, T0, b"the last record")
    Feed(store, offset=0, identity="topic-1").flush([event(), event()], tail=tail)
    claim = store.claim(P0, worker="w2", now_ms=T0)
    assert (claim.next_offset, claim.tail, claim.identity) == (2, tail, "topic-1")


def test_claims_of_partitions_do_not_touch_each_other(store: Store) -> None:
    first = Feed(store)
    Feed(store, Partition("gw", 1)).flush([event()])
    Feed(store, Partition("other", 0), offset=7).flush([event()])
    first.flush([event()])
    assert [each.next_offset for each in store.partition_states()] == [1, 1, 8]


def test_a_fenced_worker_can_neither_apply_nor_begin_nor_stop(store: Store) -> None:
    old = Feed(store)
    old.flush([event()])
    store.claim(P0, worker="w2", now_ms=T0)
    before = (store.usage_cells(from_ms=0, to_ms=2 * T0), store.ledger(), store.partition_states())
    with pytest.raises(Fenced):
        old.flush([event(), failure()], rejects=[reject()])
    with pytest.raises(Fenced):
        store.begin(old.claim, offset=50, identity="x", now_ms=T0, gap=gap())
    with pytest.raises(Fenced):
        store.stop_line(old.claim, reason="too many rejects", now_ms=T0)
    assert (store.usage_cells(from_ms=0, to_ms=2 * T0), store.ledger(), store.partition_states()) == before
    assert not store.rejects()


def test_a_flush_that_does_not_begin_where_the_store_stands_is_refused_whole(store: Store) -> None:
    feed = Feed(store)
    feed.flush([event()])
    for wrong in (0, 2):
        feed.next = wrong
        with pytest.raises(Fenced):
            feed.flush([event()])
    assert sum(count for _, count in store.usage_cells(from_ms=0, to_ms=2 * T0)) == 1


def test_the_same_flush_twice_counts_once(store: Store) -> None:
    applied = Feed(store).flush([event()])
    with pytest.raises(Fenced):
        store.apply(applied)
    assert sum(count for _, count in store.usage_cells(from_ms=0, to_ms=2 * T0)) == 1


def test_a_flush_that_does_not_add_up_is_refused(store: Store) -> None:
    feed = Feed(store)
    with pytest.raises(StoreRefused):
        store.apply(
            Applied(
                partition=P0,
                epoch=feed.claim.epoch,
                from_offset=0,
                to_offset=3,
                records=3,
                aggregate=recount([event()]),
                rejects=[reject()],
                applied_at_ms=T0,
            )
        )
    assert not store.ledger()


def test_a_flush_without_records_moves_the_position(store: Store) -> None:
    feed = Feed(store)
    feed.flush()
    feed.flush([event()])
    rows = store.ledger(P0)
    assert [(row.from_offset, row.to_offset, row.records) for row in rows] == [(0, 1, 0), (1, 2, 1)]


def test_the_ledger_tiles_a_partition_and_conserves_its_elements(store: Store) -> None:
    feed = Feed(store, offset=40)
    feed.flush([event(), failure(credential="nobody-knows")], rejects=[reject(42)])
    feed = Feed(store)
    feed.flush([event()])
    rows = store.ledger(P0)
    assert [(row.from_offset, row.to_offset) for row in rows] == [(40, 43), (43, 44)]
    assert [(row.records, row.aggregated, row.unmapped, row.rejected) for row in rows] == [(3, 1, 1, 1), (1, 1, 0, 0)]
    assert rows[0].epoch < rows[1].epoch
    assert not any(row.backfill for row in rows)


def test_rejects_keep_their_place_and_come_newest_first(store: Store) -> None:
    feed = Feed(store)
    feed.flush(rejects=[reject(0, sample="first"), reject(1, index=3, sample="second", arrival_ms=T0 + 1)])
    feed.flush(rejects=[reject(2, sample="third", arrival_ms=T0 + 2)])
    rows = store.rejects()
    assert [(row.sample, row.offset, row.index, row.at_ms - T0) for row in rows] == [
        ("third", 2, 0, 2),
        ("second", 1, 3, 1),
        ("first", 0, 0, 0),
    ]
    assert (rows[0].partition, rows[0].reason, rows[0].sha256) == (P0, "not_json", "ab" * 32)
    assert len(store.rejects(limit=2)) == 2


def test_a_stopped_line_stands_still_for_every_worker_until_it_is_resumed(store: Store) -> None:
    feed = Feed(store)
    store.stop_line(feed.claim, reason="too many rejects", now_ms=T0)
    assert store.claim(P0, worker="w2", now_ms=T0).stopped == "too many rejects"
    assert [each.stopped for each in store.partition_states()] == ["too many rejects"]
    store.resume_line(P0, reason="mapping put right", by="ana", now_ms=T0 + 5)
    assert store.claim(P0, worker="w2", now_ms=T0).stopped is None


def test_who_resumed_a_line_and_why_is_in_the_ledger_of_evidence(store: Store) -> None:
    store.stop_line(Feed(store).claim, reason="too many rejects", now_ms=T0)
    store.resume_line(P0, reason="mapping put right", by="ana", now_ms=T0 + 5)
    with store.snapshot() as snapshot:
        newest = snapshot.audit_entries()[0]
    assert newest.at_ms == T0 + 5
    assert newest.body["by"] == "ana"
    assert newest.body["reason"] == "mapping put right"


@pytest.mark.parametrize("known", [False, True])
def test_a_line_that_does_not_stand_still_cannot_be_resumed(store: Store, known: bool) -> None:
    if known:
        Feed(store)
    with pytest.raises(NotFound):
        store.resume_line(P0, reason="why not", by="ana", now_ms=T0)


def probed(store: Store, *, end: int) -> None:
    store.probed([Probe(partition=P0, end_offset=end, probed_at_ms=T0 + 1)], {P0.topic: 1, "other": 3})


@pytest.mark.parametrize(
    ("end", "gaps", "why"),
    [(2, 0, "it was read to its end: nothing is missing"), (3, 1, "a record was never read: the gate must feel it")],
)
def test_a_topic_that_is_forgotten_is_not_waited_for(store: Store, end: int, gaps: int, why: str) -> None:
    feed = Feed(store)
    feed.flush([event(), event()])
    probed(store, end=end)
    assert store.forget_topic(P0.topic, reason="shut down", by="ana", now_ms=T0 + 5) == gaps, why
    with store.snapshot() as snapshot:
        telemetry = snapshot.telemetry(T0 + 5, fine_window_ms=1, lookback_ms=1)
        newest = snapshot.audit_entries()[0]
    assert telemetry.expected_partitions == {"other": 3}
    assert [(each.partition, each.to_ms) for each in telemetry.gaps] == [(0, T0 + 5)] * gaps, why
    assert (newest.kind, newest.body["by"], newest.body["reason"]) == ("topic_forgotten", "ana", "shut down")
    assert sum(count for _, count in store.usage_cells(from_ms=0, to_ms=2 * T0)) == 2


def test_a_forgotten_topic_that_comes_back_goes_on_where_it_was(store: Store) -> None:
    feed = Feed(store)
    feed.flush([event(), event()])
    probed(store, end=2)
    store.forget_topic(P0.topic, reason="by mistake", by="ana", now_ms=T0 + 5)
    feed.flush([event()])
    probed(store, end=3)
    assert [(each.next_offset, each.complete_through_ms) for each in store.partition_states()] == [(3, T0 + 1)]
    with pytest.raises(NotFound):
        store.forget_topic("gw.never-heard", reason="?", by="ana", now_ms=T0)


def test_another_process_sees_what_was_applied_and_fences_the_first(world: World) -> None:
    feed = Feed(world.store)
    feed.flush([event()])
    other = Feed(world.another())
    assert other.next == 1
    with pytest.raises(Fenced):
        feed.flush([event()])
    other.flush([event()])
    assert sum(count for _, count in world.store.usage_cells(from_ms=0, to_ms=2 * T0)) == 2


@pytest.mark.parametrize(
    "text",
    ["x" * 4_000, "Zoë 🔑 \u202e rtl", "'; DROP TABLE usage; --", "a\\b%_\"c'", "tab\tand\nline"],
)
def test_names_from_logs_are_kept_as_they_are(store: Store, text: str) -> None:
    Feed(store).flush([event(client=text, source=text, gateway=text, region=text, credential=text)])
    ((cell, count),) = store.usage_cells(from_ms=0, to_ms=2 * T0)
    assert (cell.credential, cell.gateway, cell.region, count) == (text, text, text, 1)


def test_counts_beyond_32_bits_are_exact(store: Store) -> None:
    feed = Feed(store)
    feed.flush([event(count=2**40)])
    feed.flush([event(count=2**40 + 1)])
    assert [count for _, count in store.usage_cells(from_ms=0, to_ms=2 * T0)] == [2**41 + 1]
