"""One consistent view: what is written becomes true together, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from monitor.errors import StoreRefused
from monitor.ports import Snapshot, Store
from tests.contract.store.factories import T0, Feed, decision, event, incident, message, registered, rollover
from tests.contract.store.worlds import World

NAME = "billing-2026-05"


def test_a_failed_write_leaves_no_trace(store: Store) -> None:
    registered(store)
    before = _all_of(store)
    with pytest.raises(ZeroDivisionError), store.snapshot(write=True) as snapshot:
        _write_everything(snapshot, then=lambda: 1 // 0)
    assert _all_of(store) == before
    assert not store.verify_audit()


def test_what_is_written_is_seen_in_the_same_snapshot_and_by_the_next(store: Store) -> None:
    registered(store)
    with store.snapshot(write=True) as snapshot:
        _write_everything(snapshot)
        inside = (snapshot.evaluations(), snapshot.states(T0), snapshot.memos("slack/"), len(snapshot.audit_entries()))
        assert snapshot.registry().rollover_by_id.keys() == {NAME, "second"}
    with store.snapshot() as snapshot:
        assert inside == (
            snapshot.evaluations(),
            snapshot.states(T0),
            snapshot.memos("slack/"),
            len(snapshot.audit_entries()),
        )


def test_a_reading_snapshot_refuses_every_write(store: Store) -> None:
    registered(store)
    with store.snapshot() as snapshot:
        for write in (
            lambda: snapshot.record(decision()),
            lambda: snapshot.put_evaluation(decision()),
            lambda: snapshot.audit("note", rollover=None, body={}, at_ms=T0),
            lambda: snapshot.start_rollover(rollover("second"), by="ana", now_ms=T0),
            lambda: snapshot.transition(NAME, expected="overlap", to="frozen", by="ana", reason=None, now_ms=T0),
            lambda: snapshot.put_states({}, now_ms=T0),
            lambda: snapshot.put_incident(incident()),
            lambda: snapshot.enqueue(message()),
            lambda: snapshot.put_memo("m", {}, now_ms=T0),
        ):
            with pytest.raises(StoreRefused):
                write()


def test_nothing_moves_while_a_snapshot_is_open(world: World) -> None:
    registered(world.store)
    feed = Feed(world.another())
    feed.flush([event()])
    thread = threading.Thread(target=lambda: feed.flush([event(T0 + 1, client="late")]))
    with world.store.snapshot() as snapshot:
        first = [each.client for each in snapshot.key(NAME, T0).callers]
        thread.start()
        thread.join(timeout=0.3)
        assert [each.client for each in snapshot.key(NAME, T0).callers] == first == ["acme"]
        assert snapshot.telemetry(T0, fine_window_ms=1, lookback_ms=1).partitions[0].next_offset == 1
    thread.join(timeout=30)
    with world.store.snapshot() as snapshot:
        assert {each.client for each in snapshot.key(NAME, T0).callers} == {"acme", "late"}


def test_of_many_who_take_the_same_step_at_once_one_succeeds(world: World) -> None:
    registered(world.store)
    stores = [world.another() for _ in range(4)]
    won: list[str] = []
    barrier = threading.Barrier(8)

    def take(number: int) -> None:
        barrier.wait(timeout=10)
        try:
            with stores[number % 4].snapshot(write=True) as snapshot:
                snapshot.record(decision())
                snapshot.transition(
                    NAME, expected="overlap", to="retired", by=f"p{number}", reason=None, now_ms=T0 + number
                )
        except Exception as error:  # noqa: BLE001 - the losers' reasons are looked at below
            lost.append(type(error).__name__)
        else:
            won.append(f"p{number}")

    lost: list[str] = []
    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(timeout=60)
    assert (len(won), lost) == (1, ["Conflict"] * 7)
    with world.store.snapshot() as snapshot:
        assert snapshot.state(NAME, T0 + 99).by == won[0]
        assert len(snapshot.audit_entries(kind="decision")) == 1
    assert not world.store.verify_audit()


def _write_everything(snapshot: Snapshot, *, then: Callable[[], object] = lambda: None) -> None:
    snapshot.record(decision())
    snapshot.audit("note", rollover=NAME, body={"text": "by hand"}, at_ms=T0)
    snapshot.start_rollover(rollover("second"), by="ana", now_ms=T0)
    snapshot.transition(NAME, expected="overlap", to="retired", by="ana", reason="GO", now_ms=T0)
    snapshot.acknowledge_never_used(NAME, by="ana", reason="never shipped", now_ms=T0)
    snapshot.put_incident(incident())
    assert snapshot.enqueue(message())
    snapshot.put_memo("slack/thread", {"ts": "1.2"}, now_ms=T0)
    then()


def _all_of(store: Store) -> list[object]:
    with store.snapshot() as snapshot:
        return [
            store.registry(),
            snapshot.states(T0),
            snapshot.evaluations(),
            snapshot.audit_entries(),
            snapshot.memos(""),
            snapshot.key(NAME, T0),
            store.incidents(),
            store.outbox_size(),
        ]
