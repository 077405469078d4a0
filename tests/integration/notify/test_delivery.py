"""Through real slack-sdk to a Slack that fails: nothing lost, order kept, nobody held up by another's trouble."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.adapters.memory_store import MemoryStore
from monitor.adapters.slack.courier import SlackCourier
from monitor.adapters.slack.render import Renderer
from monitor.adapters.sql import open_store, upgrade
from monitor.core.decision import Json
from monitor.core.instants import HOUR_MS, MINUTE_MS
from monitor.demo.parts.postgres import PostgresServer
from monitor.notify.sender import Courier, Sender, SenderSettings
from tests.alert_factories import CHANNEL, enqueue, queued
from tests.contract.store.factories import T0
from tests.slack_server import AMBIGUOUS, Fault, SlackServer

WORKERS = 8


class Post:
    """A sender, its couriers, and a clock that runs on whenever nothing is due."""

    def __init__(self, store: Any, couriers: Mapping[str, Courier]) -> None:  # noqa: D107 - the class says it
        self.now_ms = T0
        self.store = store
        self.sender = Sender(
            store=store,
            couriers=couriers,
            now_ms=lambda: self.now_ms,
            settings=SenderSettings(workers=WORKERS),
            dice=random.Random(7),
        )

    def work(self, *, for_ms: int) -> None:
        """Send for so long, or until nothing waits."""
        end_ms = self.now_ms + for_ms
        while self.now_ms <= end_ms and self.store.outbox_size():
            if not self.sender.tick():
                self.now_ms += 1_000
            self.sender.settle()


def slack_courier(slack: SlackServer) -> SlackCourier:
    return SlackCourier(token="xoxb-test", renderer=Renderer(), base_url=slack.base_url, timeout_seconds=1)


def thirty_percent(method: str, call: int) -> Fault | None:
    """Go wrong in every way, three times in ten; rarely by silence, which takes the client's whole second."""
    dice = random.Random(call)
    if call % 200 == 17:
        return Fault.TOOK_AND_SLOW
    return dice.choice([each for each in Fault if each is not Fault.TOOK_AND_SLOW]) if dice.random() < 0.3 else None


def test_of_a_thousand_alerts_with_thirty_percent_faults_each_arrives_in_order_and_only_ambiguous_ones_twice() -> None:
    store = MemoryStore()
    rollovers = [f"rollover-{each}" for each in range(20)]
    for number in range(1_000):
        rollover = rollovers[number % len(rollovers)]
        enqueue(store, queued(f"{rollover}/{number:04d}", rollover=rollover))
    with SlackServer(thirty_percent) as slack:
        Post(store, {"slack": slack_courier(slack)}).work(for_ms=24 * HOUR_MS)
        faults = slack.faults()
    assert len(faults) > 300
    assert set(faults) == set(Fault)
    assert store.outbox_size() == 0
    told = Counter(each.dedup_key for each in slack.posted)
    assert len(told) == 1_000
    ambiguous = sum(each in AMBIGUOUS for each in faults)
    assert sum(told.values()) - 1_000 <= ambiguous
    assert len(store.notifications(limit=2_000)) == 1_000
    for rollover in rollovers:
        ours = [each.dedup_key or "" for each in slack.posted if f":{rollover}/" in (each.dedup_key or "")]
        assert ours == sorted(ours), "a repeated message comes right after itself"


def test_a_slack_that_is_down_for_an_hour_loses_nothing_and_is_not_asked_all_the_time() -> None:
    store = MemoryStore()
    enqueue(store, *[queued(f"e-{each}", rollover=f"r-{each % 3}") for each in range(9)])
    with SlackServer() as slack:
        post = Post(store, {"slack": slack_courier(slack)})
        slack.down = True
        post.work(for_ms=HOUR_MS)
        assert store.outbox_size() == 9
        assert len(slack.calls) < 3 * 40, "the waits double up to five minutes"
        slack.down = False
        began_ms = post.now_ms
        post.work(for_ms=HOUR_MS)
    assert store.outbox_size() == 0
    assert len(slack.posted) == 9
    assert post.now_ms - began_ms <= 6 * MINUTE_MS, "it goes on within the longest wait"


def test_it_waits_as_long_as_slack_asks_and_no_longer() -> None:
    store = MemoryStore()
    enqueue(store, queued("e-1"))
    with SlackServer(lambda _method, call: Fault.RATE_LIMITED if call == 0 else None, retry_after=120) as slack:
        post = Post(store, {"slack": slack_courier(slack)})
        post.work(for_ms=HOUR_MS)
    assert 120_000 <= post.now_ms - T0 <= 123_000
    assert [each.fault for each in slack.calls] == [Fault.RATE_LIMITED, None]


def test_an_answer_that_does_not_say_where_the_message_stands_is_a_delivery_all_the_same() -> None:
    class Bridge(SlackServer):
        def answer(self, method: str, given: dict[str, Any]) -> dict[str, Any]:
            super().answer(method, given)
            return {"ok": True}

    store = MemoryStore()
    again = queued("e-2")
    enqueue(store, queued("e-1"), replace(again, body={**again.body, "handle": queued("e-1").body["handle"]}))
    with Bridge() as slack:
        Post(store, {"slack": slack_courier(slack)}).work(for_ms=HOUR_MS)
    assert [each.dedup_key for each in slack.posted] == ["slack:e-1", "slack:e-2"]


class Hanging:
    """A receiver that answers nobody until it is let."""

    def __init__(self) -> None:  # noqa: D107 - the class says it
        self.let = threading.Event()

    def deliver(
        self, body: Mapping[str, Json], *, key: str, places: Mapping[str, Mapping[str, Json]]
    ) -> Mapping[str, Json]:
        self.let.wait(30)
        return {}


def test_a_receiver_that_hangs_holds_up_nobody_else() -> None:
    store, hanging = MemoryStore(), Hanging()
    for number in range(50):
        enqueue(store, queued(f"e-{number}", rollover=f"r-{number}", sender="webhook"))
    enqueue(store, *[queued(f"e-{each}", rollover=f"r-{each}") for each in range(20)])
    with SlackServer() as slack:
        post = Post(store, {"webhook": hanging, "slack": slack_courier(slack)})
        arrived = threading.Event()
        slack.script = lambda _method, call: arrived.set() if call == 19 else None
        stop = threading.Event()
        thread = threading.Thread(target=post.sender.run, args=(stop,), daemon=True)
        thread.start()
        try:
            assert arrived.wait(20)
        finally:
            stop.set()
            hanging.let.set()
            thread.join(5)
            post.sender.settle()


def test_a_rollover_whose_message_keeps_failing_does_not_hold_up_another() -> None:
    store = MemoryStore()
    enqueue(store, queued("bad-1", rollover="bad"), queued("bad-2", rollover="bad"), queued("good-1", rollover="good"))

    with SlackServer() as slack:
        courier = slack_courier(slack)

        class Picky:
            def deliver(self, body: Any, *, key: str, places: Any) -> Any:
                slack.down = "bad-1" in key
                return courier.deliver(body, key=key, places=places)

        post = Post(store, {"slack": Picky()})
        post.sender = Sender(
            store=store,
            couriers={"slack": Picky()},
            now_ms=lambda: post.now_ms,
            settings=SenderSettings(workers=1),
            dice=random.Random(7),
        )
        for _ in range(10):
            post.sender.tick()
            post.sender.settle()
    assert [each.dedup_key for each in slack.posted] == ["slack:good-1"]
    assert store.outbox_size() == 2


def test_a_message_that_was_sent_but_not_written_down_is_sent_again_once_the_lease_ends() -> None:
    store = MemoryStore()
    enqueue(store, queued("e-1"))
    with SlackServer() as slack:
        post = Post(store, {"slack": slack_courier(slack)})
        lost = store.take_messages(limit=1, lease_ms=60_000, now_ms=post.now_ms)  # by a process that died after it
        slack_courier(slack).deliver(lost[0].message.body, key=lost[0].message.dedup_key, places={})
        post.work(for_ms=HOUR_MS)
    assert post.now_ms - T0 >= 60_000
    assert [each.dedup_key for each in slack.posted] == ["slack:e-1", "slack:e-1"]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_three_daemons_on_one_store_send_what_one_would(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'rollwatch.db'}"
    if kind == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        url = server.create_database()
    upgrade(url)
    stores = [open_store(url) for _ in range(3)]
    enqueue(stores[0], *[queued(f"e-{each:03d}", rollover=f"r-{each % 5}") for each in range(60)])
    stop = threading.Event()
    with SlackServer() as slack:
        senders = [
            Sender(
                store=each,
                couriers={"slack": slack_courier(slack)},
                now_ms=lambda: T0,
                settings=SenderSettings(idle_seconds=0.05),
            )
            for each in stores
        ]
        threads = [threading.Thread(target=each.run, args=(stop,), daemon=True) for each in senders]
        for thread in threads:
            thread.start()
        watch = threading.Event()
        for _ in range(600):
            if stores[0].outbox_size() == 0 or watch.wait(0.05):
                break
        stop.set()
        for thread, sender in zip(threads, senders, strict=True):
            thread.join(5)
            sender.settle()
    for store in stores:
        store.close()
    assert sorted(str(each.dedup_key) for each in slack.posted) == [f"slack:e-{each:03d}" for each in range(60)]
    assert all(each.channel == CHANNEL for each in slack.posted)
