"""Whatever is killed, frozen, restarted or dealt out anew: every record is counted once, cell by cell.

`make faults` kills 200 times; the usual run 25.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from monitor.demo.parts.kafka import KafkaBroker
from monitor.demo.parts.postgres import PostgresServer
from tests.e2e.daemon import Daemon
from tests.e2e.fleet import Site, Traffic, fleet

KILLS = int(os.environ.get("ROLLWATCH_TEST_KILLS", "25"))


@pytest.fixture
def site(
    tmp_path: Path, kafka_broker: KafkaBroker, kafka_topic: Callable[..., str], postgres_url: str
) -> Iterator[Site]:
    """Three partitions, an empty database, no worker yet."""
    made = Site(tmp_path, kafka_broker, postgres_url, kafka_topic(partitions=3))
    yield made
    made.close()


def test_killed_at_random_moments_again_and_again(site: Site, kafka_broker: KafkaBroker) -> None:
    dice = random.Random(7)
    traffic = Traffic(kafka_broker, site.topic)
    with traffic.flowing():
        site.until(lambda: bool(traffic.written), "traffic")
        workers = [site.worker(), site.worker()]
        for _ in range(KILLS):
            victim = dice.randrange(len(workers))
            workers[victim].kill()
            workers[victim] = site.worker(wait=False)
            time.sleep(dice.uniform(0.3, 3.5))  # the random moment is the point
    site.assert_exact(traffic.written)
    claims = site.query("SELECT count(DISTINCT (partition, epoch)) FROM v_ledger")[0][0]
    assert int(str(claims)) > KILLS / 2, "most of the killed had been at work"


def test_a_frozen_worker_that_wakes_after_its_partitions_were_taken_over(site: Site, kafka_broker: KafkaBroker) -> None:
    traffic = Traffic(kafka_broker, site.topic)
    zombie = site.worker()
    assert zombie.child is not None
    with traffic.flowing():
        for _ in range(2):
            site.more(1, "progress")
            zombie.child.send(signal.SIGSTOP)
            heir = site.worker(wait=False)
            site.more(200, "the heir to take over")
            zombie.child.send(signal.SIGCONT)
            site.more(200, "both to go on")
            assert heir.terminate() == 0
    assert zombie.child.alive(), "a fenced worker claims again, it does not exit"
    site.assert_exact(traffic.written)


def test_postgresql_crashes_and_comes_back(
    site: Site, kafka_broker: KafkaBroker, postgres_server: PostgresServer
) -> None:
    traffic = Traffic(kafka_broker, site.topic)
    worker = site.worker()
    with traffic.flowing():
        for _ in range(3):
            site.more(100, "progress")
            postgres_server.restart("immediate")
        postgres_server.stop("immediate")
        site.until(lambda: worker.get("/readyz")[0] == 503, "readyz to say it")
        assert worker.get("/healthz")[0] == 200
        postgres_server.start()
        began = time.monotonic()
        site.until(lambda: worker.get("/readyz")[0] == 200, "readiness")
        assert time.monotonic() - began < 10
    site.assert_exact(traffic.written)


def test_the_broker_is_killed_and_comes_back(site: Site, kafka_broker: KafkaBroker) -> None:
    dice, written = random.Random(3), []
    worker = site.worker()
    for _ in range(2):
        values = fleet(500, dice)
        kafka_broker.produce(site.topic, values)
        written += values
        kafka_broker.kill()
        site.until(lambda: worker.get("/readyz")[0] == 503, "readyz to say it")
        assert worker.get("/healthz")[0] == 200
        kafka_broker.start()
    values = fleet(500, dice)
    kafka_broker.produce(site.topic, values)
    site.assert_exact(written + values)


def test_workers_join_and_leave_without_losing_or_doubling(site: Site, kafka_broker: KafkaBroker) -> None:
    traffic = Traffic(kafka_broker, site.topic)
    with traffic.flowing():
        workers: list[Daemon] = [site.worker()]
        for _ in range(2):
            workers.append(site.worker())
            site.more(100, "progress")
        while len(workers) > 1:
            began = time.monotonic()
            assert workers.pop(0).terminate() == 0
            assert time.monotonic() - began < 5, "SIGTERM ends within 5 s"
            site.more(100, "progress")
    site.assert_exact(traffic.written)


def test_several_processes_of_one_daemon_share_the_partitions(site: Site, kafka_broker: KafkaBroker) -> None:
    values = fleet(1_500, random.Random(5))
    kafka_broker.produce(site.topic, values)
    worker = site.worker("--workers", "2", wait=False)
    site.assert_exact(values)
    assert worker.terminate() == 0
