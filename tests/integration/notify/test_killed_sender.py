"""kill -9 of the sender at any moment: a message may come twice, none is lost."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from monitor.adapters.slack.courier import SlackCourier
from monitor.adapters.slack.render import Renderer
from monitor.adapters.sql import open_store, upgrade
from monitor.core.instants import HOUR_MS
from monitor.demo.parts.postgres import PostgresServer
from monitor.notify.sender import Sender, SenderSettings
from tests.alert_factories import enqueue, queued
from tests.contract.store.factories import T0
from tests.slack_server import SlackServer

WORKERS = SenderSettings().workers
ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("killed_after", [1, 17])
def test_a_killed_sender_repeats_at_most_what_it_had_in_hand_and_loses_nothing(
    killed_after: int, postgres_server: PostgresServer
) -> None:
    url = postgres_server.create_database()
    upgrade(url)
    store = open_store(url)
    enqueue(store, *[queued(f"e-{each:03d}", rollover=f"r-{each % 6}") for each in range(40)])
    reached = threading.Event()
    with SlackServer(lambda _method, call: reached.set() if call == killed_after else None) as slack:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.notify.sending", url, slack.base_url], cwd=ROOT
        )
        assert reached.wait(60)
        process.kill()
        process.wait()
        before = store.outbox_size()
        assert before > 0, "it was killed in the middle"
        later = Sender(
            store=store,
            couriers={"slack": SlackCourier(token="xoxb-test", renderer=Renderer(), base_url=slack.base_url)},
            now_ms=lambda: T0 + HOUR_MS,
        )
        while store.outbox_size():
            later.tick()
            later.settle()
    store.close()
    told = Counter(each.dedup_key for each in slack.posted)
    assert len(told) == 40
    assert sum(told.values()) - 40 <= WORKERS
    for number in range(6):
        ours = [key for each in slack.posted if int((key := each.dedup_key or "")[-3:]) % 6 == number]
        assert ours == sorted(ours)
