"""What a decision costs: `make bench`, or `python benchmarks/decisions.py --rollovers 1000 --callers 100`.

A store with that many open rollovers, each with that many callers on the old and the new version, days of history and
a hundred million events behind them. Timed on the paths that are used: `GET …/decision` (read, decide, write its row
of the ledger), the watch loop's look at everything, and the pages. Absolutes drift with the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog
from fastapi.testclient import TestClient
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from monitor.adapters.metrics import Metrics
from monitor.adapters.sql import SqlStore, open_store, upgrade
from monitor.adapters.sql.caller_rows import packed
from monitor.api.app import create_api
from monitor.api.decisions import decide_and_write
from monitor.api.deps import Deps
from monitor.collector import collect_less, resting, spare_what_stays
from monitor.control.judge import Judge
from monitor.core.activity import Activity, Day
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS
from monitor.core.policy import Policy
from monitor.core.registry import Gateway, Key, KeyVersion, Registry, Rollover
from monitor.core.windows import (
    SLOT_MS,
    Aggregate,
    CallerDayKey,
    CallerFacts,
    CallerKey,
    DayUse,
    GatewayMinuteKey,
    Span,
    UsageKey,
)
from monitor.demo.parts.postgres import PostgresServer
from monitor.ingest import Clock
from monitor.notify.notifier import Notifier
from monitor.notify.settings import NotifySettings
from monitor.ports import Applied, Partition, Probe, Retention
from monitor.watch.detection import NoDetection
from monitor.watch.loop import Watch

NOW = 1_780_000_000_000 - 1_780_000_000_000 % DAY_MS + 15 * HOUR_MS
START = NOW - 30 * DAY_MS
HOT_DAYS = 3
PARTITION = Partition("gateways", 0)
GATEWAYS = ("edge-1", "edge-2")
EVENTS = 100_000_000


@dataclass
class World:
    """One store, its clock, and who watches it."""

    store: SqlStore
    rollovers: int
    callers: int
    days: int
    offset: int = 0
    now_ms: int = NOW

    def __post_init__(self) -> None:
        """Claim the partition."""
        self.claim = self.store.claim(PARTITION, worker="benchmark", now_ms=NOW)
        self.store.begin(self.claim, offset=0, identity="one", now_ms=NOW)
        self.judge = Judge(policy=Policy(lookback_ms=(self.days - 1) * DAY_MS), stale_after_ms=3 * MINUTE_MS)
        self.deps = Deps(store=self.store, judge=self.judge, clock=self.clock)

    @property
    def clock(self) -> Clock:
        return Clock(now_ms=lambda: self.now_ms)

    @property
    def uses_a_day(self) -> int:
        return max(EVENTS // (self.rollovers * self.callers * self.days), 2)

    def watch(self) -> Watch:
        return Watch(
            store=self.store,
            judge=self.judge,
            detection=NoDetection(),
            notifier=Notifier(NotifySettings(senders=("webhook",))),
            metrics=Metrics(),
            clock=self.clock,
        )

    def apply(self, aggregate: Aggregate) -> None:
        self.offset += 1
        applied = Applied(
            partition=PARTITION,
            epoch=self.claim.epoch,
            from_offset=self.offset - 1,
            to_offset=self.offset,
            records=1,
            aggregate=aggregate,
            applied_at_ms=self.now_ms,
        )
        aggregate.aggregated = 1
        self.store.apply(applied)
        self.store.probed(
            [Probe(partition=PARTITION, end_offset=self.offset, probed_at_ms=self.now_ms)], {"gateways": 1}
        )

    def fill(self) -> None:
        keys = [
            Key(
                key=f"key-{n:04d}",
                versions=(
                    KeyVersion(version=1, credentials=(f"old-{n:04d}",)),
                    KeyVersion(version=2, credentials=(f"new-{n:04d}",)),
                ),
            )
            for n in range(self.rollovers)
        ]
        rollovers = [
            Rollover(id=f"move-{n:04d}", key=f"key-{n:04d}", from_version=1, to_version=2, started_at_ms=START)
            for n in range(self.rollovers)
        ]
        gateways = tuple(Gateway(gateway=each, region="eu") for each in GATEWAYS)
        registry = Registry(keys=tuple(keys), rollovers=tuple(rollovers), gateways=gateways)
        self.store.import_registry(registry, source="benchmark", by="benchmark", now_ms=NOW - 60 * DAY_MS)
        minutes = Aggregate()
        for gateway in GATEWAYS:
            for minute in range((NOW - self.days * DAY_MS) // MINUTE_MS, NOW // MINUTE_MS + 1):
                at_ms = minute * MINUTE_MS
                minutes.gateways[GatewayMinuteKey(gateway, "eu", at_ms)] = Span(
                    first_ms=at_ms, last_ms=at_ms + 59_000, count=9
                )
        self.apply(minutes)
        for first in range(0, self.rollovers, 50):
            self.apply(self._traffic(range(first, min(first + 50, self.rollovers))))
        self._pasts()

    def _traffic(self, numbers: range) -> Aggregate:
        """Nearly all have moved half-way; one caller in a thousand still uses the old version."""
        total = Aggregate()
        each_day = self.uses_a_day
        moved = START + 2 * DAY_MS
        for n in numbers:
            for c in range(self.callers):
                stays = (n * self.callers + c) % 1_000 == 7
                for name, first, last in (
                    ("old", NOW - self.days * DAY_MS, NOW - HOUR_MS if stays else moved),
                    ("new", moved, NOW - MINUTE_MS),
                ):
                    uses = each_day * ((last - first) // DAY_MS)
                    who = CallerKey(f"{name}-{n:04d}", f"client-{c}", "prod", "eu")
                    total.callers[who] = CallerFacts(
                        accepted=uses,
                        served=uses,
                        first_accepted_ms=first,
                        last_accepted_ms=last,
                        first_served_ms=first,
                        last_served_ms=last,
                        last_arrival_ms=last,
                    )
                    for day in range(NOW // DAY_MS - HOT_DAYS + 1, last // DAY_MS + 1):
                        total.days[CallerDayKey(*who, day)] = _use(day, first, last, each_day)
            for hour in range((NOW - DAY_MS) // HOUR_MS, NOW // HOUR_MS):
                cell = UsageKey(hour * HOUR_MS, 3600, f"new-{n:04d}", "edge-1", "eu", "success", "ok")
                total.usage[cell] = each_day * self.callers // 24
            for hour in range((START - 7 * DAY_MS) // HOUR_MS, START // HOUR_MS):
                cell = UsageKey(hour * HOUR_MS, 3600, f"old-{n:04d}", "edge-1", "eu", "success", "ok")
                total.usage[cell] = each_day * self.callers // 24
        return total

    def _pasts(self) -> None:
        """Folded days, as upkeep leaves them."""
        each_day = self.uses_a_day
        alike: dict[tuple[int, int], bytes] = {}  # few callers differ in when they came and went
        with self.store._db.writing() as connection:
            rows = connection.execute(text("SELECT id, first_accepted_ms, last_accepted_ms FROM callers")).all()
            made = []
            for number, first, last in rows:
                if (first, last) not in alike:
                    until = min(last // DAY_MS, NOW // DAY_MS - HOT_DAYS)
                    days = [Day(day, *_cells(day, first, last, each_day)) for day in range(first // DAY_MS, until + 1)]
                    alike[first, last] = packed(Activity.of(days))
                made.append({"id": number, "days": alike[first, last]})
            connection.execute(text("INSERT INTO caller_history (caller_id, days) VALUES (:id, :days)"), made)
        self.store.prune(Retention(), now_ms=self.now_ms)
        if not self.store._db.is_sqlite:
            with self.store._db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE"))

    def minute(self, share: float) -> None:
        """Let a minute pass, in which that share of the callers uses the new version."""
        self.now_ms += MINUTE_MS
        total = Aggregate()
        dice = random.Random(self.now_ms)
        for gateway in GATEWAYS:
            key = GatewayMinuteKey(gateway, "eu", self.now_ms - self.now_ms % MINUTE_MS)
            total.gateways[key] = Span(first_ms=self.now_ms, last_ms=self.now_ms, count=9)
        for n in range(self.rollovers):
            for c in range(self.callers):
                if dice.random() < share:
                    who = CallerKey(f"new-{n:04d}", f"client-{c}", "prod", "eu")
                    at = self.now_ms - 1_000
                    total.callers[who] = CallerFacts(
                        accepted=1, served=1, first_accepted_ms=at, last_accepted_ms=at, first_served_ms=at,
                        last_served_ms=at, last_arrival_ms=at,
                    )  # fmt: skip
                    total.days[CallerDayKey(*who, at // DAY_MS)] = DayUse(
                        first_ms=at, last_ms=at, uses=1, slots=1 << at % DAY_MS // SLOT_MS
                    )
        self.apply(total)


def _cells(day: int, first: int, last: int, uses: int) -> tuple[int, int, int, int]:
    start, end = max(day * DAY_MS, first), min((day + 1) * DAY_MS - 1, last)
    first_slot, last_slot = ((at - day * DAY_MS) // SLOT_MS for at in (start, end))
    slots = 1 << first_slot | 1 << last_slot
    for number in range(uses - 2):
        slots |= 1 << first_slot + (day * 7 + number * 11) % (last_slot - first_slot + 1)
    return start, end, uses, slots


def _use(day: int, first: int, last: int, uses: int) -> DayUse:
    start, end, uses, slots = _cells(day, first, last, uses)
    return DayUse(first_ms=start, last_ms=end, uses=uses, slots=slots)


def times_ms(work: Callable[[int], object], count: int) -> list[float]:
    """Return how long each call took, in order of size."""
    found = []
    for number in range(count):
        began = time.perf_counter()
        work(number)
        found.append((time.perf_counter() - began) * 1_000)
    return sorted(found)


def spread(found: list[float]) -> str:
    """Show the median and the 99th percentile."""
    return f"{statistics.median(found):,.0f} / {found[min(int(len(found) * 0.99), len(found) - 1)]:,.0f} ms"


def measure(world: World, asked: int) -> Iterator[tuple[str, str, str]]:
    """Yield the rows of the table."""
    collect_less()  # as the daemon does
    dice = random.Random(1)
    names = [f"move-{dice.randrange(world.rollovers):04d}" for _ in range(asked)]
    stranger = open_store(str(world.store._db.engine.url.render_as_string(hide_password=False)))
    fresh = Deps(store=stranger, judge=world.judge, clock=world.clock)
    cold = times_ms(lambda n: decide_and_write(fresh, names[n], None), 1)
    yield "the first decision of a process", f"{cold[0]:,.0f} ms", "≤ 50 ms"
    asks = times_ms(lambda n: decide_and_write(fresh, names[n], None), asked)
    yield "a decision, asked of a process that only answers (p50/p99)", spread(asks), "p99 ≤ 50 ms"
    stranger.close()
    watch = world.watch()
    with resting():  # as the daemon's schedule does
        (took,) = times_ms(lambda _: watch.look(), 1)
    spare_what_stays()
    if watch.fault:
        raise SystemExit(watch.fault)
    yield f"a process's first look at {world.rollovers:,} rollovers", f"{took / 1_000:.1f} s", "≤ 5 s"
    for title, share in (("nothing new", 0.0), ("a tenth of the callers seen", 0.1), ("all callers seen", 1.0)):
        looks = []
        for _ in range(3):
            world.minute(share)
            looks += times_ms(lambda _: watch.look(), 1)
        yield f"each next look, {title}", f"{statistics.median(looks) / 1_000:.1f} s", "≤ 5 s"
    asks = times_ms(lambda n: decide_and_write(world.deps, names[n], None), asked)
    yield "a decision, asked of the process that watches", spread(asks), "p99 ≤ 50 ms"
    client = TestClient(create_api(world.deps))
    for title, path in (("overview page", "/"), ("a rollover's page", "/rollovers/{}")):
        answers = [client.get(path.format(names[0])) for _ in range(2)]
        assert answers[-1].status_code == 200, (path, answers[-1].text[:200])
        yield title, spread(times_ms(lambda n, path=path: client.get(path.format(names[n])), 30)), ""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield "memory, largest so far (with the making of the data)", f"{peak:,.0f} MB", ""


def main() -> None:
    """Print a table for each database."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rollovers", type=int, default=1_000)
    options.add_argument("--callers", type=int, default=100, help="of each rollover")
    options.add_argument("--days", type=int, default=120, help="of history")
    options.add_argument("--asked", type=int, default=300, help="decisions to time")
    options.add_argument("--stores", default="sqlite,postgresql")
    given = options.parse_args()
    console = Console()
    for kind in given.stores.split(","):
        with contextlib.ExitStack() as ends:
            folder = ends.enter_context(tempfile.TemporaryDirectory())
            url = f"sqlite:///{folder}/bench.db"
            if kind != "sqlite":
                url = ends.enter_context(PostgresServer()).create_database()
            upgrade(url)
            store = open_store(url)
            ends.callback(store.close)
            world = World(store, given.rollovers, given.callers, given.days)
            console.print(f"filling {kind}", style="dim")
            world.fill()
            title = f"{kind}: {given.rollovers:,} rollovers, {given.rollovers * given.callers:,} callers"
            table = Table("what", "measured", "wanted", title=title)
            for row in measure(world, given.asked):
                table.add_row(*row)
            console.print(table)


if __name__ == "__main__":
    main()
