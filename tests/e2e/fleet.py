"""What the fault tests share: a topic that is written to all the time, workers that can be hurt, and the counts."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg

from monitor.demo.parts.kafka import KafkaBroker
from tests.e2e.daemon import Daemon
from tests.e2e.recount import Cell, recount

KEYS = """
keys:
  - key: billing-api
    versions:
      - {version: 1, credentials: [cred-a1], created_at: 2025-11-01T00:00:00Z}
      - {version: 2, credentials: [cred-a2], created_at: 2026-05-01T00:00:00Z}
rollovers:
  - {id: billing, key: billing-api, from: 1, to: 2, started_at: 2026-05-01T00:00:00Z}
"""
REGISTERED = {"cred-a1", "cred-a2"}


def fleet(count: int, dice: random.Random) -> list[bytes]:
    """Return events of a small fleet within the last hours, a third of them rejected for some reason."""
    now_ms = int(time.time() * 1000)
    values = []
    for _ in range(count):
        failed = dice.random() < 0.3
        event: dict[str, object] = {
            "ts": now_ms - dice.randrange(6 * 3_600_000),
            "outcome": "failure" if failed else "success",
            "reason": dice.choice(["expired", "unknown_credential"]) if failed else dice.choice(["ok", "rate_limited"]),
            "credential": dice.choice(["cred-a1", "cred-a2", "cred-other"]),
            "client": dice.choice(["acme", "globex"]),
            "source": dice.choice(["eu", "us"]),
            "gateway": dice.choice(["edge-1", "edge-2"]),
            "region": dice.choice(["eu", "us"]),
            "route": "/orders?api_key=hidden",
        }
        if dice.random() < 0.05:
            event["count"] = dice.randrange(1, 50)
        values.append(json.dumps(event).encode())
    return values


class Traffic:
    """Writes to a topic, now and then, until it is told to stop; remembers what the broker has acknowledged."""

    def __init__(self, broker: KafkaBroker, topic: str, *, seed: int = 1, every_seconds: float = 0.1) -> None:
        """Prepare."""
        self.written: list[bytes] = []
        self._broker = broker
        self._topic = topic
        self._dice = random.Random(seed)
        self._every = every_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        with self._broker.producer(compression_type="lz4", linger_ms=5) as producer:
            while not self._stop.wait(self._every):
                values = fleet(40, self._dice)
                sent = [producer.send(self._topic, value) for value in values]
                producer.flush()
                for future in sent:
                    future.get(60)
                self.written += values

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Write as long as the context lasts; afterwards all of it is in the topic."""
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join(90)
            assert not self._thread.is_alive(), "the producer did not come to its end"


class Site:
    """A database, a topic, and workers on them."""

    def __init__(self, folder: Path, broker: KafkaBroker, url: str, topic: str, **settings: str) -> None:
        """Prepare; nothing is started."""
        self.folder, self.broker, self.url, self.topic = folder, broker, url, topic
        self.keys = folder / "keys.yaml"
        self.keys.write_text(KEYS)
        self.settings = settings
        self._ends = ExitStack()
        self._members = 0

    def worker(self, *arguments: str, wait: bool = True) -> Daemon:
        """Start `rollwatch run --role ingest`."""
        self._members += 1
        folder = self.folder / f"worker-{self._members}"
        folder.mkdir()
        settings = {
            "STORE__URL": self.url,
            "KAFKA__BOOTSTRAP_SERVERS": self.broker.bootstrap,
            "KAFKA__TOPICS": self.topic,
            "KAFKA__GROUP_ID": self.topic,
            "KAFKA__SESSION_TIMEOUT": "2",
            "KEYS_FILE": str(self.keys),
            "INGEST__FLUSH_INTERVAL": "0.3",
            **self.settings,
        }
        daemon = Daemon(folder, "--role", "ingest", *arguments, **settings)
        daemon.start()
        self._ends.callback(lambda: daemon.child and daemon.kill())
        if wait:
            daemon.wait(lambda: daemon.get("/readyz")[0] == 200, "readiness", seconds=90)
        return daemon

    def close(self) -> None:
        """Kill what still runs."""
        self._ends.close()

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Return rows."""
        with psycopg.connect(self.url.replace("+psycopg", ""), connect_timeout=5) as connection:
            return list(connection.execute(sql.encode()))

    def cells(self) -> Counter[Cell]:
        """Return `v_usage` by hour."""
        found: Counter[Cell] = Counter()
        rows = self.query(
            "SELECT (extract(epoch FROM bucket)::bigint / 3600 * 3600), credential, gateway, region, outcome, reason,"
            " requests FROM v_usage"
        )
        for *cell, requests in rows:
            found[tuple(cell)] += int(str(requests))  # type: ignore[index] # a row of the view
        return found

    def elements(self) -> int:
        """Return how many elements the ledger has; 0 while there is no database."""
        try:
            rows = self.query("SELECT coalesce(sum(records), 0) FROM v_ledger")
        except psycopg.Error:
            return 0
        return int(str(rows[0][0]))

    def until(self, condition: Callable[[], bool], what: str, *, seconds: float = 90) -> None:
        """Wait for something to become true."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
            time.sleep(0.05)

    def more(self, count: int, what: str) -> None:
        """Wait until so many more elements are counted."""
        before = self.elements()
        self.until(lambda: self.elements() >= before + count, what)

    def assert_exact(self, written: list[bytes]) -> None:
        """Wait until everything is counted, and compare cell by cell; then look at the ledger."""
        self.until(lambda: self.elements() >= len(written), f"{len(written)} elements")
        assert self.elements() == len(written)
        assert self.cells() == recount(written, registered=REGISTERED)
        self.assert_tiled()

    def assert_tiled(self) -> None:
        """The ledger has no hole, no overlap, and adds up (invariants I1 and I2)."""
        rows = self.query(
            "SELECT topic, partition, from_offset, to_offset, records, aggregated + unmapped + rejected FROM v_ledger"
            " ORDER BY topic, partition, from_offset"
        )
        for topic, partition, start, _, records, parts in rows:
            before = [row[3] for row in rows if row[:2] == (topic, partition) and row[2] < start]  # type: ignore[operator]
            assert records == parts
            assert start == (max(before) if before else 0), f"{topic}:{partition} has a hole or an overlap at {start}"  # type: ignore[type-var]
