"""The daemon, joined from its parts: the only place that knows all of them.

Read it from top to bottom and you have read the path of an event. It is long because it is one straight list: what is
started, in this order, and ended in the reverse one.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import structlog

from monitor.adapters.metrics import Metrics
from monitor.adapters.sql import open_store, upgrade
from monitor.cli import installed_version
from monitor.collector import collect_less
from monitor.config import Settings, load_settings
from monitor.config.addresses import is_loopback
from monitor.core.instants import SECOND_MS
from monitor.daemon.health import Health
from monitor.daemon.ingest import build_worker
from monitor.daemon.keys_file import KeysFile
from monitor.daemon.server import Server
from monitor.daemon.store_keeper import StoreKeeper
from monitor.daemon.workers import (
    STALLED_EXIT,
    PipeObserver,
    ThreadedWorker,
    WorkerProcesses,
    Workers,
    report_until_done,
)
from monitor.errors import ConfigError
from monitor.ingest import SYSTEM_CLOCK, Clock
from monitor.logs import configure_logs
from monitor.ports import ModelRun, Store

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from monitor.control.judge import Judge
    from monitor.watch.detection import Detection
    from monitor.watch.loop import Watch

# What only deciding and serving need is imported where those begin: a process that ingests starts in half the time and
# holds half the memory without a web framework, a scheduler and scikit-learn.
# ruff: noqa: PLC0415

log = structlog.get_logger()

_LONGEST_END_SECONDS = 4.5


class Role(StrEnum):
    """What one process does; `all` is everything."""

    ALL = "all"
    INGEST = "ingest"
    WATCH = "watch"
    API = "api"


class Daemon:
    """`rollwatch run`. `start` returns when everything is under way; `stop` ends it in the reverse order.

    Kafka and the database may be away at any time, at the start too: it stays up, says so, and goes on.
    """

    def __init__(self, settings: Settings, *, role: Role = Role.ALL, clock: Clock = SYSTEM_CLOCK) -> None:
        """Prepare; nothing is started. Raises `ConfigError` for what can never work."""
        self.settings = settings
        self.role = role
        self.clock = clock
        self.metrics = Metrics(installed_version())
        self.stopping = threading.Event()
        self.exit_code = 0
        self._ends = ExitStack()
        self.server: Server | None = None
        self._workers: Workers | None = None
        self._watch: Watch | None = None
        self._keeper: StoreKeeper | None = None

    def start(self) -> None:
        """Start every part. Raises `ConfigError`; then what had been started is ended again."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        settings, clock, metrics = self.settings, self.clock, self.metrics
        url = settings.store_url()
        _make_folder(settings)
        collect_less()

        # The store: lazy, shared by all threads; its keeper migrates it as soon as it answers.
        store = open_store(url)
        self._ends.callback(store.close)
        keeper = self._keeper = StoreKeeper(store=store, upgrade=lambda: upgrade(url))
        judge = None if self.role is Role.INGEST else _judge(settings)

        # HTTP first: the port is ours or nothing starts, and health is answered while the rest comes up.
        self.server = self._serve_health(store) if judge is None else self._serve(store, judge)
        self._ends.callback(self.server.stop)
        self.server.start()

        keeper.start()
        self._ends.callback(keeper.stop)

        # The registry file, in every role: whoever is asked must know what is in force.
        if settings.keys_file is not None:
            keys_file = KeysFile(path=settings.keys_file, store=store, clock=clock, metrics=metrics)
            self._ends.callback(keys_file.stop)
            _when_migrated(keeper, self.stopping, keys_file.start)

        # Records -> counts.
        if self.role in (Role.ALL, Role.INGEST):
            self._workers = self._ingest(store)
            if self._workers is not None:
                self._ends.callback(self._workers.stop)
                _when_migrated(keeper, self.stopping, self._workers.start)

        # Counts -> decisions -> alerts -> messages.
        if judge is not None and self.role in (Role.ALL, Role.WATCH):
            self._follow(store, judge, keeper)
        log.info("started", role=self.role.value, url=self.server.url)

    def _serve_health(self, store: Store) -> Server:
        settings = self.settings
        health = Health(
            metrics=self.metrics,
            not_ready=self.not_ready,
            store=store,
            needs_token=settings.api.require_token or not is_loopback(settings.api.host),
            prefix=settings.api.prefix,
            timeout_seconds=settings.api.decision_timeout,
        )
        return self._server_of(health)

    def _serve(self, store: Store, judge: Judge) -> Server:
        from monitor.api.app import create_api
        from monitor.api.deps import Deps
        from monitor.daemon.notifying import notify_settings
        from monitor.notify.notifier import Notifier

        settings = self.settings
        deps = Deps(
            store=store,
            judge=judge,
            notifier=Notifier(notify_settings(settings)),
            rotation=settings.rotation.rule(),
            metrics=self.metrics,
            clock=self.clock,
            not_ready=self.not_ready,
            loopback=is_loopback(settings.api.host),
            require_token=settings.api.require_token,
            prefix=settings.api.prefix,
            decision_timeout_seconds=settings.api.decision_timeout,
            version=installed_version(),
        )
        return self._server_of(create_api(deps))

    def _server_of(self, app: ASGIApp) -> Server:
        api = self.settings.api
        return Server(app, host=api.host, port=api.port, forwarded_allow_ips=api.forwarded_allow_ips)

    def _ingest(self, store: Store) -> Workers | None:
        settings = self.settings
        if not settings.kafka.servers() or not settings.kafka.topics:
            log.warning(
                "nothing_to_ingest", advice="set ROLLWATCH_KAFKA__BOOTSTRAP_SERVERS and ROLLWATCH_KAFKA__TOPICS"
            )
            return None
        # Also where other processes do the work: a preset that cannot be read must end the start, not a child.
        worker = build_worker(settings, store=store, observer=self.metrics, name=_name(0), clock=self.clock)
        if settings.ingest.workers == 1:
            return ThreadedWorker(worker, on_stall=lambda _fault: self.request_stop(STALLED_EXIT))
        return WorkerProcesses(count=settings.ingest.workers, target=ingest_process, observer=self.metrics)

    def _follow(self, store: Store, judge: Judge, keeper: StoreKeeper) -> None:
        from monitor.daemon.notifying import couriers, notify_settings, slack_listener
        from monitor.notify.notifier import Notifier
        from monitor.notify.sender import Sender
        from monitor.schedule import Schedule
        from monitor.watch.loop import Watch

        settings, clock = self.settings, self.clock
        notifier = Notifier(notify_settings(settings))
        self._watch = Watch(
            store=store,
            judge=judge,
            detection=self.detection(store),
            notifier=notifier,
            metrics=self.metrics,
            clock=clock,
        )
        schedule = Schedule(
            watch=self._watch,
            store=store,
            settings=settings.watch,
            retention=settings.retention,
            clock=clock,
            usable=lambda: keeper.usable,
        )
        self._ends.callback(schedule.stop)
        schedule.start()
        chosen = couriers(settings, now_ms=clock.now_ms)
        if chosen:
            sender = Sender(store=store, couriers=chosen, now_ms=clock.now_ms)
            thread = threading.Thread(target=sender.run, args=(self.stopping,), name="rollwatch-sender", daemon=True)
            self._ends.callback(lambda: thread.join(1.0) if thread.is_alive() else None)
            _when_migrated(keeper, self.stopping, thread.start)
        listener = slack_listener(settings, store=store, notifier=notifier, now_ms=clock.now_ms)
        if listener is not None:
            self._ends.callback(listener.stop)
            _when_migrated(keeper, self.stopping, listener.start)

    def detection(self, store: Store) -> Detection:
        """Return what the watch loop finds failures with."""
        return _detection(self.settings, store)

    def not_ready(self) -> Sequence[str]:
        """Return what keeps this process from doing its job, in sentences; at once, from what is known."""
        reasons: list[str] = []
        if self.stopping.is_set():
            reasons.append("it is stopping")
        store_fault = self._keeper.fault if self._keeper is not None else "it is starting"
        if store_fault is not None:
            reasons.append(store_fault)
        if self._workers is not None:
            for status in self._workers.statuses():
                reasons += [each for each in status.why_not_ready if each not in reasons]
        watch = self._watch
        if watch is not None and store_fault is None:
            if watch.fault is not None:
                reasons.append(f"the watch loop waits: {watch.fault}")
            elif watch.leads and watch.last_look_ms is not None:
                age_seconds = (self.clock.now_ms() - watch.last_look_ms) / SECOND_MS
                if age_seconds > self.settings.watch.stale_after:
                    reasons.append(f"the watch loop last looked {age_seconds:.0f} s ago")
        return reasons

    def request_stop(self, exit_code: int = 0) -> None:
        """Ask for the end; from any thread or a signal handler."""
        self.exit_code = self.exit_code or exit_code
        self.stopping.set()

    def stop(self) -> None:
        """End every part, last started first."""
        self.stopping.set()
        self._ends.close()
        log.info("stopped", exit_code=self.exit_code)


def run(settings: Settings, role: Role) -> int:
    """Run the daemon until SIGTERM or SIGINT; return its exit code."""
    configure_logs(level=settings.log.level.value, format_=settings.log.format, secrets=settings.secrets())
    daemon = Daemon(settings, role=role)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: daemon.request_stop())
    daemon.start()
    daemon.stopping.wait()
    # Whatever hangs (a look at a database that is dying), the promised end comes: all that is true is in the store.
    last_resort = threading.Timer(_LONGEST_END_SECONDS, lambda: os._exit(daemon.exit_code))
    last_resort.daemon = True
    last_resort.start()
    daemon.stop()
    return daemon.exit_code


def ingest_process(index: int, pipe: Connection) -> None:
    """Be one of several workers: the target of a process of its own, which inherits the environment."""
    settings = load_settings()
    configure_logs(level=settings.log.level.value, format_=settings.log.format, secrets=settings.secrets())
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and tells us
    structlog.contextvars.bind_contextvars(worker=index)
    store = open_store(settings.store_url())
    worker = build_worker(settings, store=store, observer=PipeObserver(pipe), name=_name(index), clock=SYSTEM_CLOCK)
    code = report_until_done(worker, pipe, stop)
    store.close()
    os._exit(code)  # kafka-python's threads must not hold up an end that has nothing left to do


def _judge(settings: Settings) -> Judge:
    from monitor.control.judge import Judge

    return Judge(
        policy=settings.default_policy(),
        stale_after_ms=int(settings.watch.stale_after * SECOND_MS),
        two_person=settings.two_person,
    )


def _detection(settings: Settings, store: Store) -> Detection:
    from monitor.watch.detection import NoDetection
    from monitor.watch.warming import Warming

    if not settings.watch.detector:
        return NoDetection()

    def make() -> Detection:
        # In the watch loop's thread: scikit-learn and pandas take longer to import than all the rest to start.
        from monitor.adapters.detector import RolloverDetector
        from monitor.watch.detector_feed import StoreDetection, refused_on_purpose

        budget = settings.default_policy().false_episodes_per_1000_key_days
        return StoreDetection(
            RolloverDetector(false_episodes_per_1000_key_days=budget),
            store,
            trained=lambda record, now_ms: store.put_model_run(
                ModelRun(trained_at_ms=now_ms, kind="detector", body=record)
            ),
            refused=partial(refused_on_purpose, store),
        )

    return Warming(make, store)


def _when_migrated(keeper: StoreKeeper, stopping: threading.Event, start: Callable[[], None]) -> None:
    """Start a part once the schema is there: before, all that it could do is complain."""

    def wait() -> None:
        while not stopping.is_set():
            if keeper.wait_migrated(0.5):
                start()
                return

    threading.Thread(target=wait, name="rollwatch-waits", daemon=True).start()


def _make_folder(settings: Settings) -> None:
    if settings.store.url is not None:
        return
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot make the data folder {settings.data_dir}: {error.strerror}; set ROLLWATCH_DATA_DIR"
        ) from error


def _name(index: int) -> str:
    return f"{socket.gethostname()}/{os.getpid()}/{index}"
