"""Ingest, measured: `python benchmarks/ingest.py [--events 1000000] [--rounds 3] [--quick]` (`make bench`).

A real Kafka, lz4, 400-byte canonical events, 8 partitions. Each way of reading them runs in a process of its own and
counts the same topic; reported is the processor time of that process, without its start, as the median of rounds in
which each way had its turn. Ours goes through the worker into a store, callers and ledger included; the others only
count in memory. Ratios hold, absolutes drift.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from monitor.demo.parts.kafka import KafkaBroker
from monitor.demo.parts.postgres import PostgresServer

HERE = Path(__file__).parent
PARTITIONS = 8
EVENT_BYTES = 400
QUIX = "quixstreams==3.28.1"
OURS, OURS_ON_POSTGRES = "rollwatch, SQLite", "rollwatch, PostgreSQL"
USUAL, QUIX_STREAMS = "for message in consumer", "Quix Streams"
FLEET, ALIKE = "1M keys as in a fleet", "1M keys, all alike"
TOPICS = [("1k", 1_000, None), ("1m-fleet", 1_000_000, 1.1), ("1m-alike", 1_000_000, None)]
RUNS = [
    (OURS, "ours", "1k", "sqlite"),
    (OURS_ON_POSTGRES, "ours", "1k", "postgresql"),
    ("rollwatch, SQLite, confluent", "ours-confluent", "1k", "sqlite"),
    (USUAL, "usual", "1k", ""),
    (f"{OURS_ON_POSTGRES}, {FLEET}", "ours", "1m-fleet", "postgresql"),
    (f"{OURS_ON_POSTGRES}, {ALIKE}", "ours", "1m-alike", "postgresql"),
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


def start_up_seconds(bootstrap: str, topic: str) -> float:
    """Return how long `rollwatch run --role ingest` takes from its start to its first claimed partition.

    On a new SQLite file, tables made first; most of what Kafka's group protocol takes is included.
    """
    code = "import sys; from monitor.cli import main; sys.argv = ['rollwatch', 'run', '--role', 'ingest']; main()"
    with tempfile.TemporaryDirectory() as folder:
        given = {"DATA_DIR": folder, "KAFKA__BOOTSTRAP_SERVERS": bootstrap, "KAFKA__TOPICS": topic, "API__PORT": "0"}
        env = os.environ | {f"ROLLWATCH_{name}": value for name, value in given.items()}
        began = time.monotonic()
        with subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.PIPE, text=True) as daemon:
            assert daemon.stderr is not None
            for line in daemon.stderr:
                if '"claimed"' in line:
                    break
            seconds = time.monotonic() - began
            daemon.terminate()
            daemon.stderr.read()
    return seconds


def rounds_of(
    count: int, rounds: int, broker: KafkaBroker, postgres: PostgresServer, quix: str | None
) -> dict[str, dict[str, float]]:
    """Let each way count its topic once a round; return the median of each number by way."""
    runs = [*RUNS, *([(QUIX_STREAMS, "quix", "1k", "")] if quix else [])]
    results: dict[str, list[dict[str, float]]] = {title: [] for title, *_ in runs}
    for _ in range(rounds):
        for title, way, topic, store in runs:
            url = [postgres.create_database()] if store == "postgresql" else []
            python = quix if way == "quix" and quix else sys.executable
            results[title].append(measured(python, way, broker.bootstrap, topic, str(count), *url))
    return {
        title: {name: median(each[name] for each in found) for name in found[0]} for title, found in results.items()
    }


def main() -> None:
    """Measure and print the tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument("--strangers", type=int, default=10_000_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--quick", action="store_true", help="a tenth of everything, one round, without Quix Streams")
    given = options.parse_args()
    count, strangers = (given.events // 10, given.strangers // 10) if given.quick else (given.events, given.strangers)
    rounds = 1 if given.quick else given.rounds
    console = Console()
    with tempfile.TemporaryDirectory() as folder, KafkaBroker() as broker, PostgresServer() as postgres:
        for topic, keys, skew in TOPICS:
            console.print(f"writing {count:,} events of {keys:,} keys", style="dim")
            fill(broker, topic, count, keys, skew)
        quix = None if given.quick else quix_python(Path(folder) / "quix")
        results = rounds_of(count, rounds, broker, postgres, quix)
        seconds = median(start_up_seconds(broker.bootstrap, "1k") for _ in range(rounds))
    console.print(_speeds(results, count, rounds))
    memory = measured(sys.executable, "strangers", str(strangers))
    console.print(_limits(results, seconds, strangers, memory["grown_mb"]))


def _speeds(results: dict[str, dict[str, float]], count: int, rounds: int) -> Table:
    title = f"Kafka to counts, {count:,} events, median of {rounds}"
    table = Table("way", "events/s a core", "µs an event", "RSS MB", title=title)
    for way, result in results.items():
        cpu = result["cpu_seconds"]
        table.add_row(way, f"{count / cpu:,.0f}", f"{cpu / count * 1e6:.1f}", f"{result['rss_mb']:.0f}")
    return table


def _limits(results: dict[str, dict[str, float]], seconds: float, strangers: int, grown_mb: float) -> Table:
    ours = results[OURS]["cpu_seconds"]
    table = Table("what", "measured", "wanted", title="Ratios and limits")
    table.add_row("usual script / ours", f"{results[USUAL]['cpu_seconds'] / ours:.2f} x", "1.8 x")
    if QUIX_STREAMS in results:
        table.add_row("Quix Streams / ours", f"{results[QUIX_STREAMS]['cpu_seconds'] / ours:.1f} x", "5 x")
    on_postgres = results[OURS_ON_POSTGRES]["cpu_seconds"]
    for keys in (FLEET, ALIKE):
        grown = results[f"{OURS_ON_POSTGRES}, {keys}"]["cpu_seconds"] / on_postgres
        table.add_row(f"{keys} / 1k keys", f"{grown:.1f} x", "at most 3 x")
    table.add_row("memory of the ingest process", f"{results[OURS]['rss_mb']:.0f} MB", "at most 150 MB")
    table.add_row(f"{strangers:,} random credentials", f"+{grown_mb:.0f} MB", "at most 50 MB")
    table.add_row("start to the first claimed partition", f"{seconds:.1f} s", "at most 2 s")
    return table


if __name__ == "__main__":
    main()
