# ruff: noqa: D103 - a script of one page
"""What the status page costs: `python benchmarks/pages.py`. Prints the tables of docs/reference/performance-pages.md.

A real server (`rollwatch run --role api`) on a store with a thousand rollovers, each with its callers, days of history
and a verdict; one of them with five hundred stragglers. Asked over HTTP, each page as nobody asked for it before. Then
twenty open pages follow the server's events as the page's script does, while the watch loop's word changes as often as
it does in production. Processor time of a page is the server's and, where there is one, the database server's; of live updates the server's,
beyond what it takes while no page is open.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import logging
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import decisions
import psutil
import structlog
from rich.console import Console
from rich.table import Table

from monitor.adapters.sql import open_store, upgrade
from monitor.control.memos import WATCH_MEMO
from monitor.core.instants import DAY_MS, HOUR_MS
from monitor.core.windows import Aggregate, CallerDayKey, CallerFacts, CallerKey, DayUse
from monitor.demo.parts.postgres import PostgresServer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tests.e2e.daemon import Daemon  # noqa: E402 - a daemon as a user starts it

PAGES = (
    ("overview", "/"),
    ("overview, page 11", "/?page=11"),
    ("overview, filtered", "/?q=key-00"),
    ("a rollover", "/rollovers/move-0500"),
    ("a rollover, 500 stragglers", "/rollovers/move-0000"),
    ("keys", "/keys"),
    ("a key", "/keys/key-0500"),
    ("telemetry", "/telemetry"),
)
STATIC = ("style.css", "live.js", "icon.svg")
STRAGGLERS = 500
MOST_MS, MOST_BYTES, MOST_SHARE = 200.0, 150_000, 1.0
WATCH_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """A page: bytes, and for one request milliseconds from asking to the last byte and of processor time."""

    name: str
    size: int
    median_ms: float
    worst_ms: float
    cpu_ms: float


class Cost:
    """Processor time of some processes and their children, in seconds."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._roots = [psutil.Process(pid) for pid in pids]

    def now(self) -> float:
        total = 0.0
        for root in self._roots:
            for each in (root, *root.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    times = each.cpu_times()
                    total += times.user + times.system
        return total


def filled(url: str, given: argparse.Namespace) -> None:
    """Make the store of `benchmarks/decisions.py` as of today, with stragglers, and look at it once."""
    upgrade(url)
    store = open_store(url)
    now_ms = int(time.time() * 1000)
    decisions.NOW, decisions.START = now_ms, now_ms - 30 * DAY_MS
    world = decisions.World(store, given.rollovers, given.callers, given.days, now_ms=now_ms)
    world.fill()
    world.apply(_stragglers(now_ms))
    watch = world.watch()
    watch.look()
    if watch.fault:
        raise SystemExit(watch.fault)
    store.close()


def _stragglers(now_ms: int) -> Aggregate:
    total = Aggregate()
    first, last = now_ms - 60 * DAY_MS, now_ms - 2 * HOUR_MS
    for n in range(STRAGGLERS):
        who = CallerKey("old-0000", f"a-client-with-a-rather-long-name-{n:04d}", "nightly-batch-of-another-team", "eu")
        total.callers[who] = CallerFacts(
            accepted=120, served=120, first_accepted_ms=first, last_accepted_ms=last, first_served_ms=first,
            last_served_ms=last, last_arrival_ms=last,
        )  # fmt: skip
        for day in range(first // DAY_MS, last // DAY_MS + 1):
            at_ms = min(max(day * DAY_MS + n * 60_000, first), last)
            total.days[CallerDayKey(*who, day)] = DayUse(first_ms=at_ms, last_ms=at_ms, uses=2, slots=1)
    return total


def timed(port: int, cost: Cost, asked: int) -> Iterator[Timed]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(path: str) -> int:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != http.client.OK:
            raise SystemExit(f"{path}: {answer.status} {body[:300]!r}")
        return len(body)

    for name, path in PAGES:
        mark = "&" if "?" in path else "?"
        size = ask(f"{path}{mark}first")
        took, began_cpu = [], cost.now()
        for number in range(asked):
            began = time.perf_counter()
            ask(f"{path}{mark}n={number}")  # another address each time: never a page that was already made
            took.append((time.perf_counter() - began) * 1000)
        cpu_ms = (cost.now() - began_cpu) / asked * 1000
        yield Timed(name=name, size=size, median_ms=statistics.median(took), worst_ms=max(took), cpu_ms=cpu_ms)
    size = sum(ask(f"/static/{each}") for each in STATIC)
    yield Timed(name="style, script, icon (once)", size=size, median_ms=0.0, worst_ms=0.0, cpu_ms=0.0)
    connection.close()


class OpenPage:
    """A page that somebody has open: hears the server's events, and fetches itself at each."""

    def __init__(self, port: int, path: str) -> None:
        self._port, self._path = port, path
        self.fetched = 0
        self._stream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._stream.request("GET", "/live")
        self._lines = self._stream.getresponse()
        self._ending = False
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # the stream was closed under our hands
            while not self._ending and (line := self._lines.readline()):
                if line.startswith(b"data:"):
                    # A connection of its own: the server lets go of an idle one after seconds.
                    page = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
                    page.request("GET", self._path)
                    page.getresponse().read()
                    page.close()
                    self.fetched += 1

    def close(self) -> None:
        self._ending = True
        if self._stream.sock is not None:
            self._stream.sock.close()


def live_share(url: str, port: int, cost: Cost, paths: Sequence[str], seconds: float) -> tuple[float, float]:
    """Return what these open pages cost in percent of a core, and how often each fetched itself in a minute."""
    store = open_store(url)
    idle_began = cost.now(), time.monotonic()
    time.sleep(min(seconds, 20.0))
    idle = (cost.now() - idle_began[0]) / (time.monotonic() - idle_began[1])
    opened = [OpenPage(port, path) for path in paths]
    time.sleep(3.0)
    began = cost.now(), time.monotonic()
    while (passed := time.monotonic() - began[1]) < seconds:
        with store.snapshot(write=True) as snapshot:
            at_ms = int(time.time() * 1000)
            snapshot.put_memo(WATCH_MEMO, {"at_ms": at_ms, "detector": None}, now_ms=at_ms)
        time.sleep(min(WATCH_SECONDS, seconds - passed))
    passed = time.monotonic() - began[1]
    share = (cost.now() - began[0]) / passed - idle
    for each in opened:
        each.close()
    store.close()
    return share * 100, sum(each.fetched for each in opened) / len(opened) / passed * 60


def measure(kind: str, given: argparse.Namespace, console: Console) -> bool:
    """Print the tables of one database; return whether all are within their bars."""
    fine = True
    with contextlib.ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        url, database = f"sqlite:///{folder}/bench.db", None
        if kind != "sqlite":
            database = ends.enter_context(PostgresServer())
            url = database.create_database()
        console.print(f"filling {kind}", style="dim")
        filled(url, given)
        daemon = Daemon(folder, "--role", "api", STORE__URL=url, WATCH__STALE_AFTER="86400", LOG__LEVEL="warning")
        with daemon:
            assert daemon.child is not None
            server = Cost([daemon.child.pid])
            cost = Cost([daemon.child.pid, *([database.pid] if database else [])])
            title = f"{kind}: {given.rollovers:,} rollovers of {given.callers} callers"
            table = Table("page", "KB", "ms, median", "ms, worst", "processor ms", title=title)
            for each in timed(daemon.port, cost, given.asked):
                fine &= each.size <= MOST_BYTES and each.median_ms <= MOST_MS
                if each.median_ms:
                    row = (f"{each.median_ms:.0f}", f"{each.worst_ms:.0f}", f"{each.cpu_ms:.0f}")
                    table.add_row(each.name, f"{each.size / 1000:.0f}", *row)
                else:
                    table.add_row(each.name, f"{each.size / 1000:.0f}", "", "", "")
            console.print(table)
            open_pages = Table("20 open pages", "% of a core", "fetches a minute each", title=f"{kind}: live updates")
            for name, paths in (
                ("all on the overview", ["/"] * 20),
                ("on twenty rollovers", [f"/rollovers/move-{n:04d}" for n in range(1, 21)]),
            ):
                share, fetched = live_share(url, daemon.port, server, paths, given.seconds)
                fine &= share <= MOST_SHARE
                open_pages.add_row(name, f"{share:.2f}", f"{fetched:.1f}")
            console.print(open_pages)
    return fine


def main() -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rollovers", type=int, default=1_000)
    options.add_argument("--callers", type=int, default=20, help="of each rollover")
    options.add_argument("--days", type=int, default=110, help="of history")
    options.add_argument("--asked", type=int, default=20, help="requests of each page")
    options.add_argument("--seconds", type=float, default=120.0, help="that the open pages are followed")
    options.add_argument("--stores", default="sqlite,postgresql")
    given = options.parse_args()
    console = Console()
    fine = [measure(kind, given, console) for kind in given.stores.split(",")]
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
