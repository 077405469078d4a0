"""How long a look takes while every key version fails at once, and a training: `python benchmarks/ticks.py [--keys N …]`.

The worst minute there is: usually a handful of key versions fail, and only those cost anything.
"""

from __future__ import annotations

import argparse
import statistics
import time
from datetime import UTC, datetime, timedelta

from models.detector import Detector
from models.observations import OK, KeyFacts, RolloverFacts, UsageRow, VersionFacts
from models.reranker import default_reranker

START = datetime(2026, 5, 4, tzinfo=UTC)
HISTORY = timedelta(days=2)
CLIENTS = ("acme", "globex", "initech")
GATEWAYS = (("edge-1", "eu"), ("edge-2", "eu"), ("edge-3", "us"))


def facts(key: str) -> KeyFacts:
    """Return a key whose rollover began an hour before the looks that are timed."""
    rollover = RolloverFacts(
        rollover=key, from_version=1, to_version=2, started_at=START + HISTORY - timedelta(hours=1), retired_at=None
    )
    return KeyFacts(key=key, versions=(VersionFacts(version=1), VersionFacts(version=2)), rollovers=(rollover,))


def rows(keys: list[str], at: datetime, *, version: int = 1, refused: bool = False) -> list[UsageRow]:
    """Return a minute in which every client of every key asks at two gateways; one of them may refuse the version."""
    second = int(at.timestamp()) // 60 * 60
    found = []
    for i, key in enumerate(keys):
        for j, client in enumerate(CLIENTS):
            for gateway, region in (GATEWAYS[(i + j) % 3], GATEWAYS[(i + j + 1) % 3]):
                bad = refused and gateway == "edge-1"
                outcome, reason = ("failure", "unknown_credential") if bad else ("success", OK)
                found.append(
                    UsageRow(second, key, version, client, "prod", gateway, region, f"/r{j}", outcome, reason, 1)
                )
    return found


def measure(keys: int, looks: int) -> None:
    """Print a line."""
    names = [f"key-{i}" for i in range(keys)]
    detector = Detector(reranker=default_reranker())
    detector.register([facts(name) for name in names])
    for hour in range(int(HISTORY / timedelta(hours=1))):
        at = START + timedelta(hours=hour)
        detector.warm(rows(names, at), at + timedelta(minutes=1))
    began = time.process_time()
    detector.train(START + HISTORY)
    trained = time.process_time() - began
    seconds, told = [], 0
    for minute in range(looks):
        at = START + HISTORY + timedelta(minutes=minute)
        batch = rows(names, at, version=2, refused=True)
        began = time.process_time()
        told += len(detector.observe(batch, at + timedelta(minutes=1)))
        seconds.append(time.process_time() - began)
    print(
        f"{keys} key versions fail: a look {statistics.median(seconds):.2f} s (longest {max(seconds):.2f}), "
        f"a training {trained:.2f} s of processor time; {told} alerts",
        flush=True,
    )


def main() -> None:
    """Measure each size in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--looks", type=int, default=8)
    chosen = parser.parse_args()
    for keys in chosen.keys:
        measure(keys, chosen.looks)


if __name__ == "__main__":
    main()
