"""A topic that changes behind our back: whatever may have been lost is a gap that the gate sees, and is said."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from monitor.demo.parts.kafka import KafkaBroker
from tests.e2e.daemon import rollwatch
from tests.e2e.fleet import REGISTERED, Site, fleet
from tests.e2e.recount import recount


@pytest.fixture
def site(
    tmp_path: Path, kafka_broker: KafkaBroker, kafka_topic: Callable[..., str], postgres_url: str
) -> Iterator[Site]:
    """One partition."""
    made = Site(tmp_path, kafka_broker, postgres_url, kafka_topic(partitions=1))
    yield made
    made.close()


def gaps(site: Site) -> list[str]:
    return [str(row[0]) for row in site.query("SELECT reason FROM gaps ORDER BY recorded_at_ms")]


def written(site: Site, broker: KafkaBroker, count: int, seed: int) -> list[bytes]:
    values = fleet(count, random.Random(seed))
    broker.produce(site.topic, values, partition=0)
    return values


def test_a_topic_that_is_deleted_and_recreated_leaves_a_gap_and_is_read_from_its_beginning(
    site: Site, kafka_broker: KafkaBroker
) -> None:
    worker = site.worker()
    before = written(site, kafka_broker, 300, 1)
    site.until(lambda: site.elements() == 300, "the first topic")
    kafka_broker.delete_topic(site.topic)
    kafka_broker.create_topic(site.topic, 1)
    after = written(site, kafka_broker, 500, 2)
    site.until(lambda: site.elements() == 800, "the second topic")
    assert site.cells() == recount(before + after, registered=REGISTERED)
    assert len(gaps(site)) == 1
    assert "recreated" in gaps(site)[0]
    assert worker.child is not None
    assert "rollwatch backfill" in worker.child.log_tail(characters=100_000), "it says what can be done"


def test_records_that_retention_removed_before_they_were_read_are_a_gap(site: Site, kafka_broker: KafkaBroker) -> None:
    worker = site.worker()
    before = written(site, kafka_broker, 200, 1)
    site.until(lambda: site.elements() == 200, "what was there")
    worker.kill()
    written(site, kafka_broker, 100, 2)
    kafka_broker.delete_records(site.topic, {0: 300})
    after = written(site, kafka_broker, 50, 3)
    site.worker(wait=False)
    site.until(lambda: site.elements() == 250, "what is left")
    assert site.cells() == recount(before + after, registered=REGISTERED)
    assert gaps(site) == ["retention removed offsets 200 to 299 before they were read"]


def test_new_partitions_are_read_from_their_beginning(site: Site, kafka_broker: KafkaBroker) -> None:
    site.worker()
    first = written(site, kafka_broker, 100, 1)
    site.until(lambda: site.elements() == 100, "the first partition")
    kafka_broker.add_partitions(site.topic, 3)
    second = fleet(100, random.Random(2))
    kafka_broker.produce(site.topic, second, partition=2)
    site.assert_exact(first + second)
    assert gaps(site) == []


def test_a_line_of_rejects_stands_still_until_it_is_resumed(site: Site, kafka_broker: KafkaBroker) -> None:
    worker = site.worker()
    kafka_broker.produce(site.topic, [b"not json"] * 600, partition=0)
    site.until(lambda: worker.get("/readyz")[0] == 503, "the line to stop")
    assert worker.get("/healthz")[0] == 200
    good = written(site, kafka_broker, 100, 1)
    resumed = rollwatch(worker.env, "ingest", "resume", f"{site.topic}:0", "--reason", "a bad deployment, corrected")
    assert resumed.returncode == 0, resumed.stderr
    site.until(lambda: site.elements() == 700, "all of it")
    site.until(lambda: worker.get("/readyz")[0] == 200, "readiness")
    assert site.cells() == recount(good, registered=REGISTERED)
    assert Counter(str(row[0]) for row in site.query("SELECT reason FROM v_rejects")) == {"not_json": 600}


def test_it_waits_for_a_topic_that_is_not_there_yet(site: Site, kafka_broker: KafkaBroker) -> None:
    name, site.topic = site.topic, f"{site.topic}-later"
    worker = site.worker(wait=False)
    worker.wait(lambda: "does not exist" in worker.get("/readyz")[1], "readyz to say it")
    kafka_broker.create_topic(site.topic, 1)
    values = written(site, kafka_broker, 50, 1)
    site.assert_exact(values)
    assert name != site.topic
