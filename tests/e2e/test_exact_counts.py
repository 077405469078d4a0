"""From a topic to counts, seen from outside: what the views hold is what an independent recount says, cell by cell."""

from __future__ import annotations

import json
import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.demo.parts.kafka import KafkaBroker
from tests.e2e.daemon import Daemon
from tests.e2e.fleet import KEYS, REGISTERED, fleet
from tests.e2e.recount import Cell, recount

POISON = {
    b"": "not_json",
    b"not json": "not_json",
    b'{"ts": NaN}': "not_json",
    b"\xff\xfe": "not_utf8",
    b'"text"': "not_an_object",
    b'{"outcome":"success","gateway":"g"}': "missing_field",
    b'{"ts":true,"outcome":"success","gateway":"g"}': "wrong_type",
    b'{"ts":1780000000000,"outcome":"maybe","gateway":"g"}': "bad_value",
    b'{"ts":"2026-05-01T00:00:00","outcome":"success","gateway":"g"}': "bad_time",
    b'{"ts":1,"outcome":"success","gateway":"g"}': "bad_time",
    b'{"ts":1780000000000,"ts":1780000000000,"outcome":"success","gateway":"g"}': "duplicate_field",
    b'{"ts":1780000000000,"outcome":"success","gateway":"g","client":"a\\u0000b"}': "bad_text",
    b'{"ts":1780000000000,"outcome":"success","gateway":"g","client":"\\ud800"}': "bad_text",
    b'{"ts":1780000000000,"outcome":"success","gateway":"g","x":' + b"[" * 70 + b"]" * 70 + b"}": "not_json",
    b'{"ts":1780000000000,"outcome":"success","gateway":"' + b"g" * 70_000 + b'"}': "oversize",
}


def cells(connection: sqlite3.Connection) -> Counter[Cell]:
    """Return `v_usage` by hour."""
    found: Counter[Cell] = Counter()
    query = (
        "SELECT CAST(strftime('%s', bucket) AS INTEGER) / 3600 * 3600, credential, gateway, region, outcome, reason,"
        " requests FROM v_usage"
    )
    for *cell, requests in connection.execute(query):
        found[tuple(cell)] += requests
    return found


@pytest.fixture
def daemon(tmp_path: Path, kafka_broker: KafkaBroker, kafka_topic: Callable[..., str]) -> tuple[Daemon, str]:
    """A daemon on SQLite that reads a topic of its own."""
    topic = kafka_topic(partitions=3)
    keys = tmp_path / "keys.yaml"
    keys.write_text(KEYS)
    running = Daemon(
        tmp_path,
        STORE__URL=f"sqlite:///{tmp_path / 'store.sqlite'}",
        KAFKA__BOOTSTRAP_SERVERS=kafka_broker.bootstrap,
        KAFKA__TOPICS=topic,
        KAFKA__GROUP_ID=topic,
        KEYS_FILE=str(keys),
        INGEST__FLUSH_INTERVAL="0.5",
        INGEST__MAX_REJECT_RATIO="0.9",
    )
    return running, topic


def test_every_cell_and_every_reject_is_there_exactly_once(
    daemon: tuple[Daemon, str], kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    running, topic = daemon
    good = fleet(6_000, random.Random(1))
    dice = random.Random(2)
    mixed = list(good)
    for poison in POISON:
        for place in (0, dice.randrange(len(mixed)), len(mixed)):
            mixed.insert(place, poison)
    batch = json.dumps([json.loads(value) for value in good[:3]]).encode()
    kafka_broker.produce(topic, [*mixed, batch])
    elements = len(mixed) + 3
    with running:
        running.wait(lambda: running.metric("rollwatch_ingest_records_total") >= elements, "all elements", seconds=60)
        assert running.get("/readyz")[0] == 200
        assert running.terminate() == 0
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        assert cells(connection) == recount([*good, batch], registered=REGISTERED)
        rejects = Counter(reason for (reason,) in connection.execute("SELECT reason FROM v_rejects"))
        assert rejects == Counter({reason: 3 * count for reason, count in Counter(POISON.values()).items()})
        totals = connection.execute(
            "SELECT sum(records), sum(aggregated + unmapped + rejected), sum(rejected) FROM v_ledger"
        ).fetchone()
        assert totals == (elements, elements, 3 * len(POISON))
        dump = "\n".join(connection.iterdump())
        assert "hidden" not in dump, "a query string got past the mapping"
        ledger = connection.execute(
            'SELECT topic, "partition", from_offset, to_offset FROM v_ledger ORDER BY 1, 2, 3'
        ).fetchall()
        for (_, partition, _, until), (_, next_partition, start, _) in zip(ledger, ledger[1:], strict=False):
            assert partition != next_partition or until == start, "the ledger has a hole or an overlap"


def test_a_daemon_killed_again_and_again_counts_everything_once(
    daemon: tuple[Daemon, str], kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    running, topic = daemon
    produced: list[bytes] = []
    for round_number in range(4):
        values = fleet(1_500, random.Random(round_number))
        kafka_broker.produce(topic, values)
        produced += values
        running.start()
        if round_number < 3:
            running.wait(lambda: running.metric("rollwatch_ingest_records_total") > 0, "the first flush")
            running.kill()
    expected = recount(produced, registered=REGISTERED)
    store = tmp_path / "store.sqlite"

    def all_there() -> bool:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
            return sum(cells(connection).values()) >= sum(expected.values())

    running.wait(all_there, "every record")
    assert running.terminate() == 0
    with sqlite3.connect(store) as connection:
        assert cells(connection) == expected
