"""`rollwatch demo`: a simulated fleet through the daemon as it runs in production, on a broker in memory and SQLite."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

import structlog

from monitor.adapters.memory_source import MemoryBroker, MemorySource
from monitor.app import Daemon
from monitor.config import Settings, load_settings
from monitor.control import tokens
from monitor.control.judge import Judge
from monitor.core.instants import DAY_MS, HOUR_MS
from monitor.daemon.ingest import build_worker
from monitor.daemon.store_keeper import StoreKeeper
from monitor.daemon.workers import STALLED_EXIT, ThreadedWorker, Workers
from monitor.demo.clock import FastClock
from monitor.demo.fleet import FLEET, HISTORY_DAYS, events
from monitor.demo.keys_file import keys_yaml
from monitor.demo.stepping import Stepping
from monitor.errors import RollwatchError
from monitor.ingest import IngestSettings
from monitor.ports import EvidenceStore, Scope, Store
from monitor.watch.detection import Detection

log = structlog.get_logger()

TOPIC = "demo.gateways"
STORY_DAYS = 24
_WEEK_MS, _FIRST_MONDAY_MS = 7 * DAY_MS, 4 * DAY_MS
_FEED_SECONDS = 0.1
_KEEP_RECORDS = 10_000
_LEAD_SECONDS, _LEAD_HOURS = 2.0, 12.0
"""So far the clock runs ahead of the last look: less than the demo's policies call late."""
_PACE = IngestSettings(
    flush_interval_seconds=0.4,
    probe_interval_seconds=0.4,
    registry_interval_seconds=0.5,
    poll_seconds=0.1,
    max_clock_skew_ms=HOUR_MS,
)
Event = tuple[int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What a visitor may choose. `hours_a_second` is the speed of the clock; port 0 takes a free one."""

    folder: Path
    port: int
    hours_a_second: float = 2.0
    seed: int = 7


class DemoDaemon(Daemon):
    """The daemon, reading from a broker in memory; everything else is production's."""

    def __init__(self, settings: Settings, *, clock: FastClock, broker: MemoryBroker) -> None:
        """Prepare."""
        super().__init__(settings, clock=clock.as_clock())
        self.broker = broker
        self.looked = clock.looked
        self.store: Store | None = None
        self.begin_to_watch: Callable[[], None] = lambda: None

    def _ingest(self, store: Store) -> Workers | None:
        self.store = store
        worker = build_worker(
            self.settings,
            store=store,
            observer=self.metrics,
            name="demo",
            clock=self.clock,
            source=MemorySource(self.broker, topics=[TOPIC]),
            pace=_PACE,
        )
        return ThreadedWorker(worker, on_stall=lambda _fault: self.request_stop(STALLED_EXIT))

    def detection(self, store: Store) -> Detection:
        """Return production's, in small steps."""
        return Stepping(super().detection, store, told=self.looked)

    def _follow(self, store: Store, judge: Judge, keeper: StoreKeeper) -> None:
        """Wait with the watch loop until the history is in: the detector takes it up once, and whole."""
        self.begin_to_watch = partial(super()._follow, store, judge, keeper)


class Demo:
    """The whole of it. `start` returns when there is something to see; `stop` leaves nothing behind but the folder."""

    def __init__(self, options: DemoOptions, *, stopping: threading.Event) -> None:
        """Prepare; nothing is started. `stopping` ends every wait."""
        now_ms = time.time_ns() // 1_000_000
        # On a Monday, so that the story's weekends are weekends.
        self.start_ms = now_ms - (now_ms - _FIRST_MONDAY_MS) % _WEEK_MS
        self._options = options
        self._stopping = stopping
        self._keys_file = options.folder / "keys.yaml"
        self._write_keys(with_rollovers=False)
        self.clock = FastClock(
            at_ms=self.start_ms,
            speed=options.hours_a_second * 3_600,
            slow_from_ms=self.start_ms + STORY_DAYS * DAY_MS,
            lead_ms=int(max(_LEAD_HOURS, _LEAD_SECONDS * options.hours_a_second) * HOUR_MS),
        )
        self._broker = MemoryBroker()
        self._broker.create_topic(TOPIC)
        self._daemon = DemoDaemon(_settings(options, self._keys_file), clock=self.clock, broker=self._broker)
        self._feeder = threading.Thread(target=self._feed, name="demo-fleet", daemon=True)

    @property
    def url(self) -> str:
        """Return where the page is. Only after `start`."""
        return f"{self._daemon.server.url}/" if self._daemon.server is not None else ""

    def start(self, progress: Callable[[float], None]) -> str | None:
        """Take in the history, let the clock run; return a token that may act, `None` when it was stopped.

        `progress` is told the share of the history that is in.
        """
        self._daemon.start()
        end = self._write_history()
        if not self._wait(lambda: self._applied() >= end, lambda: progress(self._applied() / end)):
            return None
        progress(1.0)
        store = self._store()
        token = tokens.create(store, "demo", scope=Scope.ADMIN, now_ms=self.clock.now_ms())
        self._write_keys(with_rollovers=True)
        self.clock.start()
        self._feeder.start()
        self._daemon.begin_to_watch()
        return token if self._wait(lambda: _known(store) >= len(FLEET)) else None

    def stop(self) -> None:
        """End everything."""
        self._stopping.set()
        if self._feeder.is_alive():
            self._feeder.join(1.0)
        self._daemon.stop()

    @property
    def stopped_itself(self) -> bool:
        """Return whether the daemon asked for its own end."""
        return self._daemon.stopping.is_set()

    def _store(self) -> Store:
        if self._daemon.store is None:
            raise RuntimeError("the daemon has not started")
        return self._daemon.store

    def _write_keys(self, *, with_rollovers: bool) -> None:
        speed = self._options.hours_a_second
        text = keys_yaml(self.start_ms, with_rollovers=with_rollovers, hours_a_second=speed)
        self._keys_file.write_text(text, "utf-8")

    def _write_history(self) -> int:
        history = events(self.start_ms, self.start_ms - HISTORY_DAYS * DAY_MS, self.start_ms, seed=self._options.seed)
        end = 0
        for _, hour in groupby(history, key=lambda event: event[0] // HOUR_MS):
            if self._stopping.is_set():
                break
            end = self._append(list(hour))
        return end

    def _append(self, chunk: list[Event]) -> int:
        """Write events as a shipper does: in batches, which arrive with their last event."""
        return self._broker.append(TOPIC, [value for _, value in chunk], arrival_ms=chunk[-1][0])

    def _feed(self) -> None:
        """Write what has happened since the last time, and let go of what has long been read."""
        upcoming = events(self.start_ms, self.start_ms, 2**53, seed=self._options.seed)
        following = next(upcoming)
        while not self._stopping.wait(_FEED_SECONDS):
            now_ms = self.clock.now_ms()
            chunk: list[Event] = []
            while following[0] <= now_ms:
                chunk.append(following)
                following = next(upcoming)
            if chunk:
                end = self._append(chunk)
                self._broker.delete_records(TOPIC, min(self._applied(), end) - _KEEP_RECORDS)

    def _applied(self) -> int:
        try:
            return sum(each.next_offset or 0 for each in self._store().partition_states())
        except RollwatchError:
            return 0  # the schema is being made

    def _wait(self, done: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None) -> bool:
        while not self._stopping.is_set() and not self._daemon.stopping.is_set():
            if done():
                return True
            meanwhile()
            self._stopping.wait(0.05)
        return False


def _known(store: EvidenceStore) -> int:
    """Return how many rollovers there are to look at; their first verdicts follow within seconds."""
    try:
        with store.snapshot() as snapshot:
            return len(snapshot.registry().rollovers)
    except RollwatchError:
        return 0


def _settings(options: DemoOptions, keys_file: Path) -> Settings:
    """Return the demo's own configuration; the visitor's environment has no part in it."""
    return load_settings(
        environ={
            "ROLLWATCH_DATA_DIR": str(options.folder),
            "ROLLWATCH_KEYS_FILE": str(keys_file),
            "ROLLWATCH_KAFKA__BOOTSTRAP_SERVERS": "memory:0",
            "ROLLWATCH_KAFKA__TOPICS": TOPIC,
            "ROLLWATCH_API__PORT": str(options.port),
            "ROLLWATCH_WATCH__INTERVAL": "1",
            # In simulated seconds: half a minute of ours.
            "ROLLWATCH_WATCH__STALE_AFTER": str(30 * 3_600 * max(options.hours_a_second, 0.1)),
            "ROLLWATCH_LOG__LEVEL": "warning",
        }
    )
