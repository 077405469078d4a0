"""One way of counting a topic, in a process of its own: `python contenders.py WAY BOOTSTRAP TOPIC EVENTS`.

Prints one line of JSON: processor seconds of this process from the first claim or record on, and its largest memory. The file
must run where only Quix Streams is installed, so each way imports what it needs.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from pathlib import Path


def cpu_seconds() -> float:
    """Return the processor time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def rss_mb() -> float:
    """Return the largest memory so far; not `ru_maxrss`, in which that of the process that started us lives on."""
    line = next(each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def say(began: float) -> None:
    """Print the result."""
    print(json.dumps({"cpu_seconds": cpu_seconds() - began, "rss_mb": rss_mb()}))


def ours(bootstrap: str, topic: str, count: int, client: str, url: str | None) -> None:
    """Run the worker until everything is applied; on a SQLite file where no other store is given."""
    from monitor.adapters.sql import SqlStore, upgrade
    from monitor.config import load_settings
    from monitor.core.registry import Key, KeyVersion, Registry, Rollover
    from monitor.daemon.ingest import build_worker
    from monitor.ingest import SYSTEM_CLOCK, Unobserved
    from monitor.ports import Claim, Partition

    class Timed(SqlStore):
        began = 0.0

        def claim(self, partition: Partition, *, worker: str, now_ms: int) -> Claim:
            self.began = self.began or cpu_seconds()
            return super().claim(partition, worker=worker, now_ms=now_ms)

    class Progress(Unobserved):
        """Stops the worker when all is applied; the clock starts with the first claim, when all is loaded."""

        done = 0

        def records(self, topic: str, count: int) -> None:  # noqa: ARG002 - the port
            self.done += count
            if self.done >= wanted:
                stop.set()

    wanted, stop, progress = count, threading.Event(), Progress()
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(
            environ={
                "ROLLWATCH_DATA_DIR": folder,
                "ROLLWATCH_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
                "ROLLWATCH_KAFKA__TOPICS": topic,
                "ROLLWATCH_KAFKA__GROUP_ID": uuid.uuid4().hex,
                "ROLLWATCH_KAFKA__CLIENT": client,
                **({"ROLLWATCH_STORE__URL": url} if url else {}),
            }
        )
        upgrade(settings.store_url())
        store = Timed(settings.store_url())
        versions = tuple(KeyVersion(version=n, credentials=(f"cred-{n:07d}",)) for n in range(1, 201))
        rollover = Rollover(id="r", key="k", from_version=1, to_version=2, started_at_ms=0)
        registry = Registry(keys=(Key(key="k", versions=versions),), rollovers=(rollover,))
        store.import_registry(registry, source="benchmark", by="benchmark", now_ms=SYSTEM_CLOCK.now_ms())
        worker = build_worker(settings, store=store, observer=progress, name="benchmark", clock=SYSTEM_CLOCK)
        worker.run(stop)
        say(store.began)
        counted = sum(row.records for row in store.ledger())
        assert counted == count, f"{counted} of {count} were counted"
        store.close()


def usual(bootstrap: str, topic: str, count: int) -> None:
    """Run the script that everybody writes first."""
    from kafka import KafkaConsumer

    consumer = KafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=uuid.uuid4().hex, auto_offset_reset="earliest"
    )
    counts: Counter[tuple[object, ...]] = Counter()
    began = 0.0
    for number, message in enumerate(consumer, start=1):
        began = began or cpu_seconds()
        event = json.loads(message.value)
        counts[event["ts"] // 60_000, event["credential"], event["gateway"], event["outcome"], event["reason"]] += 1
        if number == count:
            break
    say(began)
    consumer.close(autocommit=False)


def quix(bootstrap: str, topic: str, count: int) -> None:
    """Run the same windowed count on Quix Streams."""
    from quixstreams import Application

    with tempfile.TemporaryDirectory() as folder:
        app = Application(
            broker_address=bootstrap,
            consumer_group=uuid.uuid4().hex,
            auto_offset_reset="earliest",
            state_dir=folder,
            use_changelog_topics=False,
            loglevel="WARNING",
        )
        read = app.dataframe(app.topic(topic, value_deserializer="json"))
        read.tumbling_window(60_000).count().current()
        began = cpu_seconds()
        app.run(count=count, timeout=60)
        say(began)


def strangers(count: int) -> None:
    """Feed random failing credentials through the aggregation into a store; tell how the memory grew."""
    from monitor.adapters.sql import open_store, upgrade
    from monitor.core.aggregation import Aggregator
    from monitor.core.mapping import compile_mapping
    from monitor.ports import Applied, Partition

    batch, now_ms = 50_000, time.time_ns() // 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'store.sqlite'}"
        upgrade(url)
        store = open_store(url)
        claim = store.claim(Partition("strangers", 0), worker="benchmark", now_ms=now_ms)
        store.begin(claim, offset=0, identity="benchmark", now_ms=now_ms)
        aggregator = Aggregator(compile_mapping("canonical", pepper=b"benchmark"))
        form = b'{"ts":%d,"outcome":"failure","reason":"unknown_credential","credential":"%032x","gateway":"edge-1"}'
        before = 0.0
        for start in range(0, count, batch):
            end = min(start + batch, count)
            values = [form % (now_ms, uuid.uuid4().int) for _ in range(start, end)]
            aggregator.add(values, [now_ms] * len(values), range(start, end))
            aggregate, rejects, elements = aggregator.take()
            store.apply(
                Applied(
                    partition=claim.partition,
                    epoch=claim.epoch,
                    from_offset=start,
                    to_offset=end,
                    records=elements,
                    aggregate=aggregate,
                    rejects=rejects,
                    applied_at_ms=now_ms,
                )
            )
            before = before or rss_mb()
        print(json.dumps({"grown_mb": rss_mb() - before, "rss_mb": rss_mb()}))
        store.close()


def main() -> None:
    """Run the way that is asked for."""
    way, *rest = sys.argv[1:]
    match way:
        case "ours" | "ours-confluent":
            client = "confluent" if way == "ours-confluent" else "kafka-python"
            ours(rest[0], rest[1], int(rest[2]), client, rest[3] if rest[3:] else None)
        case "usual":
            usual(rest[0], rest[1], int(rest[2]))
        case "quix":
            quix(rest[0], rest[1], int(rest[2]))
        case "strangers":
            strangers(int(rest[0]))


if __name__ == "__main__":
    main()
