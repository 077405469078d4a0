"""Ways to a false GO that begin before the core does, on real parts: a rollover that is GO, and what happens then."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from monitor.adapters.sql import open_store
from monitor.control.judge import Judge
from monitor.core.decision import Decision, Verdict
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from monitor.core.policy import Policy
from monitor.demo.parts.kafka import KafkaBroker
from tests.e2e.fleet import Site

POLICY = Policy(
    quiet_window_ms=6 * HOUR_MS,
    lookback_ms=3 * DAY_MS,
    settle_ms=2 * HOUR_MS,
    min_overlap_ms=2 * HOUR_MS,
    max_ingest_age_ms=13 * SECOND_MS,
)
KEYS = """
keys:
  - key: billing-api
    versions:
      - {{version: 1, credentials: [cred-a1]}}
      - {{version: 2, credentials: [cred-a2]}}
rollovers:
  - {{id: billing, key: billing-api, from: 1, to: 2, started_at: {started_at}}}
gateways:
  - {{gateway: edge-1, region: eu}}
"""


@pytest.fixture
def site(
    tmp_path: Path, kafka_broker: KafkaBroker, kafka_topic: Callable[..., str], postgres_url: str
) -> Iterator[Site]:
    """One partition, and a rollover that began two and a half days ago."""
    made = Site(tmp_path, kafka_broker, postgres_url, kafka_topic(partitions=1))
    began = datetime.fromtimestamp(time.time() - 60 * 3_600, UTC)
    made.keys.write_text(KEYS.format(started_at=began.isoformat(timespec="seconds")))
    yield made
    made.close()


def use(ago_ms: int, credential: str) -> bytes:
    """Return one success of acme's, so long ago."""
    made = {"ts": int(time.time() * 1000) - ago_ms, "outcome": "success", "credential": credential}
    return json.dumps({**made, "client": "acme", "source": "eu", "gateway": "edge-1", "region": "eu"}).encode()


def moved() -> list[bytes]:
    """Return five days of acme, which moved two days ago; its gateway is heard every five minutes."""
    old = [use(ago, "cred-a1") for ago in range(5 * DAY_MS, 2 * DAY_MS, -HOUR_MS)]
    new = [use(ago, "cred-a2") for ago in range(2 * DAY_MS, -1, -5 * MINUTE_MS)]
    return [*old, *new]


def decided(site: Site) -> Decision:
    """Decide now, by what the database holds; the detector has nothing to say."""
    judge = Judge(policy=POLICY, stale_after_ms=HOUR_MS)
    with closing(open_store(site.url)) as store, store.snapshot() as snapshot:
        now_ms = int(time.time() * 1000)
        return judge.decide_all(snapshot, ["billing"], now_ms=now_ms, detector=(None,)).decisions["billing"]


def until_go(site: Site) -> None:
    """Wait until everything that was written is counted and probed: then the answer is GO."""
    site.until(lambda: decided(site).verdict is Verdict.GO, "GO")


def blockers(decision: Decision, clause: str) -> str:
    return " | ".join(each.summary for each in decision.blockers if each.clause == clause)


@pytest.mark.parametrize("kind", ["kafka-python", "confluent"])
def test_4_a_hanging_transaction_hides_records(site: Site, kafka_broker: KafkaBroker, kind: str) -> None:
    site.settings["KAFKA__CLIENT"] = kind
    site.worker()
    kafka_broker.produce(site.topic, moved(), partition=0)
    until_go(site)
    with kafka_broker.producer(transactional_id=f"{site.topic}-writer") as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(site.topic, use(0, "cred-a1"), partition=0).get(30)
        kafka_broker.produce(site.topic, [use(0, "cred-a2")], partition=0)
        site.until(lambda: decided(site).verdict is not Verdict.GO, "the gate to feel what cannot be read")
        assert decided(site).verdict is Verdict.UNKNOWN
        assert blockers(decided(site), "C2")
        producer.commit_transaction()
        site.until(lambda: "acme" in str(decided(site).blockers), "the use that was hidden")
    assert decided(site).verdict is Verdict.NO_GO


def test_17_a_database_restored_from_a_backup_reads_again_what_came_since(
    site: Site, kafka_broker: KafkaBroker, postgres_url: str
) -> None:
    worker = site.worker()
    kafka_broker.produce(site.topic, moved(), partition=0)
    until_go(site)
    worker.kill()
    backup(postgres_url)
    worker = site.worker()
    kafka_broker.produce(site.topic, [use(0, "cred-a1"), *[use(0, "cred-a2")] * 10], partition=0)
    site.until(lambda: decided(site).verdict is Verdict.NO_GO, "the use of the old version")
    elements = site.elements()
    worker.kill()
    restore(postgres_url)
    site.until(lambda: decided(site).verdict is not Verdict.GO, "what was restored to go stale")
    site.worker()
    site.until(lambda: site.elements() == elements, "what came since the backup")
    assert decided(site).verdict is Verdict.NO_GO
    site.assert_tiled()


def test_17_what_kafka_no_longer_has_after_a_restore_is_a_gap(
    site: Site, kafka_broker: KafkaBroker, postgres_url: str
) -> None:
    worker = site.worker()
    history = moved()
    kafka_broker.produce(site.topic, history, partition=0)
    until_go(site)
    worker.kill()
    backup(postgres_url)
    kafka_broker.produce(site.topic, [use(0, "cred-a1"), *moved()], partition=0)
    kafka_broker.delete_records(site.topic, {0: len(history) + 1})
    restore(postgres_url)
    site.worker(wait=False)
    site.until(lambda: site.elements() > len(history), "what is left")
    assert decided(site).verdict is not Verdict.GO
    assert "retention removed" in blockers(decided(site), "C4")


def backup(url: str) -> None:
    name = url.rsplit("/", 1)[1]
    _run(url, f'CREATE DATABASE "{name}_backup" TEMPLATE "{name}"')


def restore(url: str) -> None:
    name = url.rsplit("/", 1)[1]
    _run(url, f'DROP DATABASE "{name}" WITH (FORCE)')
    _run(url, f'ALTER DATABASE "{name}_backup" RENAME TO "{name}"')


def _run(url: str, statement: str) -> None:
    server = url.replace("+psycopg", "").rsplit("/", 1)[0] + "/postgres"
    with psycopg.connect(server, autocommit=True, connect_timeout=5) as connection:
        connection.execute(statement.encode())
