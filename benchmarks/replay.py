"""What a replay costs: `make bench`, or `python benchmarks/replay.py --events 10000000 --callers 10000`.

Writes a history of canonical events to a temporary file and gives it to `rollwatch replay`, a decision an hour for each
of twenty rollovers. Processor time and memory are those of that process, with its start. Beside it, as a floor: a bare
loop that decodes the same lines and counts them by credential and outcome. Absolutes drift with the machine.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from monitor.core.instants import DAY_MS, rfc3339

START = 1_780_000_000_000 - 1_780_000_000_000 % DAY_MS
ROLLOVERS = 20
GATEWAYS = ("edge-1", "edge-2", "edge-3")
FLOOR = """
import collections, sys, msgspec
counts = collections.Counter()
decode = msgspec.json.decode
with open(sys.argv[1], "rb") as lines:
    for line in lines:
        event = decode(line)
        counts[event["credential"], event["outcome"]] += 1
assert sum(counts.values()) == int(sys.argv[2])
"""


@dataclass(frozen=True)
class Cost:
    """What a process took: processor seconds, and the most memory it held (MB)."""

    seconds: float
    megabytes: float


def write_history(path: Path, *, events: int, callers: int, before: int, after: int) -> None:
    """Write events of that many days before and after the rollovers began; callers move one after the other."""
    dice = random.Random(1)
    heads = []
    for caller in range(callers):
        n = caller % ROLLOVERS
        place = f'"client":"client-{caller}","source":"prod","gateway":"{GATEWAYS[caller % 3]}","region":"eu"'
        moves = START + dice.randrange((after - 9) * DAY_MS) if caller % 1_000 else 1 << 62
        heads.append((moves, f'"credential":"old-{n}",{place}', f'"credential":"new-{n}",{place}'))
    first, step = START - before * DAY_MS, (before + after) * DAY_MS / events
    with path.open("w", encoding="ascii", buffering=1 << 20) as file:
        for number in range(events):
            at_ms = int(first + number * step)
            moves, old, new = heads[int(dice.random() * callers)]
            head = new if at_ms >= moves else old
            ok = dice.random() > 0.002
            told = '"outcome":"success","reason":"ok"' if ok else '"outcome":"failure","reason":"rate_limited"'
            file.write(f'{{"ts":{at_ms},{told},{head},"route":"/v1/orders","method":"GET","status":200}}\n')


def keys_file() -> str:
    """Return the registry."""
    lines = ["keys:"]
    for n in range(ROLLOVERS):
        versions = "".join(f"{{version: {v}, credentials: [{c}-{n}]}}, " for v, c in ((1, "old"), (2, "new")))
        lines.append(f"  - {{key: key-{n}, versions: [{versions.rstrip(', ')}]}}")
    lines.append("rollovers:")
    began = rfc3339(START)
    lines += [f"  - {{id: move-{n}, key: key-{n}, from: 1, to: 2, started_at: {began}}}" for n in range(ROLLOVERS)]
    return "\n".join(lines) + "\n"


def run(command: list[str]) -> Cost:
    """Run a command; return what it took. Raises `SystemExit` with its words where it fails."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        said.seek(0)
        if status:
            raise SystemExit(said.read().decode()[-2_000:])
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def measure(folder: Path, events: Path, keys: Path, *, count: int, detector: int) -> Iterator[tuple[str, Cost, int]]:
    """Yield each way with what it took, and how many events it was given."""
    replay = [sys.executable, "-m", "monitor", "replay", str(events), "--keys", str(keys)]
    replay += ["--out", str(folder / "decisions.jsonl"), "--alerts", str(folder / "alerts.jsonl")]
    yield "a bare loop that decodes and counts", run([sys.executable, "-c", FLOOR, str(events), str(count)]), count
    yield "replay, a decision a day", run([*replay, "--no-detector", "--every", "1d"]), count
    yield "replay, a decision an hour", run([*replay, "--no-detector", "--every", "1h"]), count
    if detector:
        short = folder / "short.jsonl"
        write_history(short, events=detector, callers=2_000, before=4, after=10)
        replay[4] = str(short)
        yield "replay, with the detector, a look a minute", run(replay), detector


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=10_000_000)
    options.add_argument("--callers", type=int, default=10_000)
    options.add_argument("--detector", type=int, default=2_000_000, help="events of the run with it; 0 leaves it out")
    given = options.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        events, keys = folder / "events.jsonl", folder / "keys.yaml"
        console.print("writing the history", style="dim")
        write_history(events, events=given.events, callers=given.callers, before=30, after=30)
        keys.write_text(keys_file())
        table = Table("way", "events", "events/s", "µs an event", "most memory")
        for way, cost, count in measure(folder, events, keys, count=given.events, detector=given.detector):
            each = cost.seconds / count
            row = (f"{count:,}", f"{1 / each:,.0f}", f"{each * 1e6:.1f}", f"{cost.megabytes:,.0f} MB")
            table.add_row(way, *row)
        console.print(table)


if __name__ == "__main__":
    main()
