"""The outbox: once per dedup key, in order, leased, retried, given up; and what else is kept for the detector."""

from __future__ import annotations

from monitor.core.instants import MINUTE_MS
from monitor.ports import Message, ModelRun, QueuedMessage, Store
from tests.contract.store.factories import T0, message
from tests.contract.store.worlds import World

LEASE = 30_000


def enqueue(store: Store, *messages: Message) -> list[bool]:
    with store.snapshot(write=True) as snapshot:
        return [snapshot.enqueue(each) for each in messages]


def take(store: Store, now_ms: int = T0, *, limit: int = 10) -> list[QueuedMessage]:
    return list(store.take_messages(limit=limit, lease_ms=LEASE, now_ms=now_ms))


def names(taken: list[QueuedMessage]) -> list[str]:
    return [each.message.dedup_key for each in taken]


def test_a_message_comes_out_as_it_went_in(store: Store) -> None:
    assert enqueue(store, message()) == [True]
    (taken,) = take(store)
    assert (taken.message, taken.attempts) == (message(), 1)


def test_a_dedup_key_goes_in_once_even_after_it_was_sent(store: Store) -> None:
    assert enqueue(store, message(), message(reason="repeat")) == [True, False]
    store.message_sent(take(store)[0].id, receipt="ts", now_ms=T0)
    assert enqueue(store, message()) == [False]
    assert store.outbox_size() == 0


def test_messages_of_one_order_key_leave_one_by_one_in_their_order(store: Store) -> None:
    enqueue(store, message("m-1"), message("m-2"), message("m-3"))
    for expected in ("m-1", "m-2", "m-3"):
        (taken,) = take(store)
        assert taken.message.dedup_key == expected
        assert not take(store), "the next one waits until this one is done"
        store.message_sent(taken.id, receipt="ts", now_ms=T0)
    assert not take(store)


def test_other_order_keys_and_channels_are_not_held_up(store: Store) -> None:
    enqueue(
        store,
        message("m-1"),
        message("m-2"),
        message("m-3", order_key="other"),
        message("m-4", channel="webhook"),
    )
    assert sorted(names(take(store))) == ["m-1", "m-3", "m-4"]


def test_a_sender_gets_its_own_channels_messages_only_and_as_many_as_it_asks_for(store: Store) -> None:
    enqueue(
        store,
        message("m-1"),
        message("m-2", channel="webhook"),
        message("m-3", order_key="other"),
        message("m-4", channel="webhook", order_key="other"),
    )
    assert names(list(store.take_messages(limit=2, lease_ms=LEASE, now_ms=T0, channel="webhook"))) == ["m-2", "m-4"]
    assert names(take(store)) == ["m-1", "m-3"]


def test_no_more_than_the_limit_are_taken(store: Store) -> None:
    enqueue(store, *(message(f"m-{n}", order_key=f"o-{n}") for n in range(5)))
    assert len(take(store, limit=2)) == 2
    assert len(take(store, limit=10)) == 3


def test_a_leased_message_is_due_again_when_its_taker_died(world: World) -> None:
    enqueue(world.store, message())
    (first,) = take(world.store)
    other = world.another()
    assert not take(other, T0 + LEASE - 1)
    (again,) = take(other, T0 + LEASE)
    assert (again.id, again.attempts) == (first.id, 2)


def test_a_failed_message_waits_for_its_retry_and_holds_back_its_followers(store: Store) -> None:
    enqueue(store, message("m-1"), message("m-2"))
    (taken,) = take(store)
    store.message_failed(taken.id, retry_at_ms=T0 + MINUTE_MS, error="429", now_ms=T0)
    assert not take(store, T0 + MINUTE_MS - 1)
    assert names(take(store, T0 + MINUTE_MS)) == ["m-1"]
    assert store.outbox_size() == 2


def test_a_message_that_was_given_up_no_longer_holds_back_its_followers(store: Store) -> None:
    enqueue(store, message("m-1"), message("m-2"))
    store.message_failed(take(store)[0].id, retry_at_ms=None, error="channel_not_found", now_ms=T0)
    assert names(take(store)) == ["m-2"]
    assert store.outbox_size() == 1
    assert enqueue(store, message("m-1")) == [False], "it is known, and dead"
    (dead,) = store.dead_messages()
    assert (dead.message, dead.attempts) == (message("m-1"), 1)
    assert dead.error


def test_a_message_is_not_taken_before_it_is_due(store: Store) -> None:
    enqueue(store, message(created_at_ms=T0))
    assert names(take(store, T0)) == ["m-1"]


def test_the_notification_log_is_written_when_it_was_sent_newest_first(store: Store) -> None:
    enqueue(store, message("m-1"), message("m-2", order_key="other", reason="resolved"))
    assert not store.notifications()
    for number, taken in enumerate(sorted(take(store), key=lambda each: each.message.dedup_key)):
        store.message_sent(taken.id, receipt=f"ts-{number}", now_ms=T0 + number)
    sent = store.notifications()
    assert [(each.dedup_key, each.reason, each.receipt, each.sent_at_ms - T0) for each in sent] == [
        ("m-2", "resolved", "ts-1", 1),
        ("m-1", "first", "ts-0", 0),
    ]
    assert (sent[0].channel, sent[0].order_key) == ("slack", "other")
    assert len(store.notifications(limit=1)) == 1


def test_saying_twice_that_it_was_sent_logs_it_once(store: Store) -> None:
    enqueue(store, message())
    (taken,) = take(store)
    store.message_sent(taken.id, receipt="ts", now_ms=T0)
    store.message_sent(taken.id, receipt="ts", now_ms=T0 + 1)
    assert len(store.notifications()) == 1


def test_the_latest_training_of_a_kind_is_kept_with_its_artifact(store: Store) -> None:
    assert store.latest_model_run("forest") is None
    for number in range(12):
        run = ModelRun(trained_at_ms=T0 + number, kind="forest", body={"n": number}, artifact=bytes([number, 0, 255]))
        store.put_model_run(run)
    store.put_model_run(ModelRun(trained_at_ms=T0 + 99, kind="other", body={"threshold": 0.5}))
    latest = store.latest_model_run("forest")
    assert latest == ModelRun(trained_at_ms=T0 + 11, kind="forest", body={"n": 11}, artifact=bytes([11, 0, 255]))
    other = store.latest_model_run("other")
    assert other is not None
    assert other.artifact is None
