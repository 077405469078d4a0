"""Ingest, measured: `python benchmarks/ingest.py [--events 1000000] [--quick]` (`make bench`).

A real Kafka, lz4, 400-byte canonical events, 8 partitions. Each way of reading them runs in a process of its own and
counts the same topic; reported is the processor time of that process, without its start. Ours goes through the
worker into a store, callers and ledger included; the others only count in memory. Ratios hold, absolutes drift.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from rich.console import Console
from rich.table import Table

from monitor.demo.parts.kafka import KafkaBroker
from monitor.demo.parts.postgres import PostgresServer

HERE = Path(__file__).parent
PARTITIONS = 8
EVENT_BYTES = 400
QUIX = "quixstreams==3.28.1"
OURS = "rollwatch, SQLite"
TOPICS = [("1k", 1_000, None), ("1m-fleet", 1_000_000, 1.1), ("1m-alike", 1_000_000, None)]
RUNS = [
    (OURS, "ours", "1k", "sqlite"),
    ("rollwatch, PostgreSQL", "ours", "1k", "postgresql"),
    ("rollwatch, SQLite, confluent", "ours-confluent", "1k", "sqlite"),
    ("for message in consumer", "usual", "1k", ""),
    ("rollwatch, PostgreSQL, 1M keys as in a fleet", "ours", "1m-fleet", "postgresql"),
    ("rollwatch, PostgreSQL, 1M keys, all alike", "ours", "1m-alike", "postgresql"),
]


def events(count: int, keys: int, *, skew: float | None = None, seed: int = 1) -> Iterator[bytes]:
    """Yield canonical events as a gateway fleet writes them, two in a hundred failing.

    Every key is used alike, or as in a real fleet: a few by far the most (Zipf's law with that exponent).
    """
    dice = random.Random(seed)
    start_ms = time.time_ns() // 1_000_000 - 600_000
    if skew is None:
        chosen = [dice.randrange(keys) for _ in range(count)]
    else:
        weights = list(accumulate((rank + 1) ** -skew for rank in range(keys)))
        chosen = dice.choices(range(keys), cum_weights=weights, k=count)
    for number, key in enumerate(chosen):
        failed = number % 50 == 0
        event = {
            "ts": start_ms + number * 600_000 // count,
            "id": f"{dice.getrandbits(128):032x}",
            "outcome": "failure" if failed else "success",
            "reason": "expired" if failed else "ok",
            "credential": f"cred-{key:07d}",
            "client": f"client-{key // 2:07d}",
            "source": "eu-batch-worker",
            "gateway": f"edge-{key % 8}",
            "region": "eu-west-1",
            "method": "GET",
            "status": 401 if failed else 200,
            "route": "/v1/orders/",
        }
        text = json.dumps(event, separators=(",", ":"))
        yield text.replace("/v1/orders/", "/v1/orders/" + "x" * (EVENT_BYTES - len(text))).encode()


def fill(broker: KafkaBroker, topic: str, count: int, keys: int, skew: float | None = None) -> None:
    """Write the events, dealt out over the partitions."""
    broker.create_topic(topic, PARTITIONS)
    with broker.producer(compression_type="lz4", linger_ms=50, batch_size=262_144) as producer:
        for number, value in enumerate(events(count, keys, skew=skew)):
            producer.send(topic, value=value, partition=number % PARTITIONS)
        producer.flush()


def measured(python: str, name: str, *arguments: str) -> dict[str, float]:
    """Run one contender and return what it says of itself."""
    done = subprocess.run(
        [python, str(HERE / "contenders.py"), name, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stdout}\n{done.stderr}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def quix_python(folder: Path) -> str | None:
    """Return a Python that has Quix Streams, in an environment of its own; `None` where it cannot be had."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    done = subprocess.run([python, "-m", "pip", "install", "-q", QUIX], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"Quix Streams cannot be had here: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return python


def start_up_seconds() -> tuple[float, str]:
    """Return how long a daemon takes from its start to its first answer, and what heavy libraries it has loaded."""
    code = (
        "import monitor.app, monitor.daemon.ingest, monitor.cli.run, sys;"
        "print(','.join(m for m in ('pandas', 'sklearn', 'scipy') if m in sys.modules) or 'none')"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return time.monotonic() - began, done.stdout.strip()


def main() -> None:
    """Measure and print the tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument("--strangers", type=int, default=10_000_000)
    options.add_argument("--quick", action="store_true", help="a tenth of everything, without Quix Streams")
    given = options.parse_args()
    count, strangers = (given.events // 10, given.strangers // 10) if given.quick else (given.events, given.strangers)
    console = Console()
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder, KafkaBroker() as broker, PostgresServer() as postgres:
        for topic, keys, skew in TOPICS:
            console.print(f"writing {count:,} events of {keys:,} keys", style="dim")
            fill(broker, topic, count, keys, skew)
        quix = None if given.quick else quix_python(Path(folder) / "quix")
        table = Table("way", "events/s a core", "µs an event", "RSS MB", title=f"Kafka to counts, {count:,} events")
        for title, way, topic, store in [*RUNS, *([("Quix Streams", "quix", "1k", "")] if quix else [])]:
            url = [postgres.create_database()] if store == "postgresql" else []
            python = quix if way == "quix" and quix else sys.executable
            result = results[title] = measured(python, way, broker.bootstrap, topic, str(count), *url)
            cpu = result["cpu_seconds"]
            table.add_row(title, f"{count / cpu:,.0f}", f"{cpu / count * 1e6:.1f}", f"{result['rss_mb']:.0f}")
        console.print(table)
    ours = results[OURS]["cpu_seconds"]
    seconds, heavy = start_up_seconds()
    memory = measured(sys.executable, "strangers", str(strangers))
    ratios = Table("what", "measured", "wanted", title="Ratios and limits")
    ratios.add_row("usual script / ours", f"{results['for message in consumer']['cpu_seconds'] / ours:.1f} x", "1.8 x")
    if "Quix Streams" in results:
        ratios.add_row("Quix Streams / ours", f"{results['Quix Streams']['cpu_seconds'] / ours:.1f} x", "5 x")
    on_postgres = results["rollwatch, PostgreSQL"]["cpu_seconds"]
    for name, title in (("as in a fleet", "1M keys as in a fleet"), ("all alike", "1M keys, all alike")):
        grown = results[f"rollwatch, PostgreSQL, {title}"]["cpu_seconds"] / on_postgres
        ratios.add_row(f"1M keys / 1k keys, {name}", f"{grown:.1f} x", "at most 3 x")
    ratios.add_row("ingest process", f"{results[OURS]['rss_mb']:.0f} MB", "at most 150 MB")
    ratios.add_row(f"{strangers:,} random credentials", f"+{memory['grown_mb']:.0f} MB", "at most 50 MB")
    ratios.add_row("imports of a daemon", f"{seconds:.1f} s (pandas, sklearn, scipy: {heavy})", "at most 2 s, none")
    console.print(ratios)


if __name__ == "__main__":
    main()
