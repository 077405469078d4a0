"""Ingest workers: one in a thread of this process, or several processes of one group that report to it by a pipe.

A worker that stalls ends its process (`STALLED_EXIT`): alone, that is the daemon itself, for its supervisor to start
anew; one of several is started anew from here.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

import structlog

from monitor.core.events import RejectReason
from monitor.errors import Stalled
from monitor.ingest import IngestObserver, Worker, WorkerStatus
from monitor.ports import Partition

log = structlog.get_logger()

STALLED_EXIT = 70
"""`EX_SOFTWARE` of sysexits.h."""
_REPORT_SECONDS = 0.5
_LEAVE_SECONDS = 3.5
_MOST_WAIT_SECONDS = 10.0


class Workers(Protocol):
    """What the daemon does with its workers, wherever they run."""

    def start(self) -> None:
        """Begin to work."""
        ...

    def stop(self) -> None:
        """Flush, leave the group; done within four seconds."""
        ...

    def statuses(self) -> Sequence[WorkerStatus]:
        """Return how each stands."""
        ...


class ThreadedWorker:
    """One worker in a thread of this process."""

    def __init__(self, worker: Worker, *, on_stall: Callable[[Stalled], None]) -> None:
        """Prepare; `on_stall` is called when a partition no longer moves."""
        self._worker = worker
        self._on_stall = on_stall
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rollwatch-ingest", daemon=True)

    def start(self) -> None:
        """See `Workers`."""
        self._thread.start()

    def stop(self) -> None:
        """See `Workers`."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_LEAVE_SECONDS)

    def statuses(self) -> Sequence[WorkerStatus]:
        """See `Workers`."""
        return (self._worker.status,)

    def _run(self) -> None:
        try:
            self._worker.run(self._stop)
        except Stalled as fault:
            log.critical("stalled", reason=str(fault))
            self._on_stall(fault)


class PipeObserver:
    """An observer in a worker's process: sends what it is told to the parent."""

    def __init__(self, pipe: Connection) -> None:
        """Keep the pipe."""
        self._pipe = pipe
        self._lock = threading.Lock()

    def send(self, name: str, *arguments: Any) -> None:  # noqa: ANN401 - whatever the method takes
        """Send one call; a parent that is gone ends us soon, so it is no fault here."""
        with self._lock:
            try:
                self._pipe.send((name, arguments))
            except OSError:
                return

    def records(self, topic: str, count: int) -> None:
        """See `IngestObserver`."""
        self.send("records", topic, count)

    def rejects(self, reason: RejectReason, count: int) -> None:
        """See `IngestObserver`."""
        self.send("rejects", reason, count)

    def flushed(self, partition: Partition, *, seconds: float, at_ms: int) -> None:
        """See `IngestObserver`."""
        self.send("flushed", partition, seconds, at_ms)

    def lag(self, partition: Partition, records: int | None) -> None:
        """See `IngestObserver`."""
        self.send("lag", partition, records)

    def fenced(self, partition: Partition) -> None:
        """See `IngestObserver`."""
        self.send("fenced", partition)

    def gap(self, partition: Partition) -> None:
        """See `IngestObserver`."""
        self.send("gap", partition)


def report_until_done(worker: Worker, pipe: Connection, stop: threading.Event) -> int:
    """Run a worker in its own process, reporting its status; return the exit code.

    The pipe's end is the parent's: then nobody counts on us any more, and unapplied work is another's to read again.
    """
    reporter = PipeObserver(pipe)

    def listen() -> None:
        try:
            pipe.recv()  # nothing is ever sent: this returns when the parent is gone
        except (EOFError, OSError):
            os._exit(0)

    def report() -> None:
        while not stop.wait(_REPORT_SECONDS):
            reporter.send("status", worker.status)

    for target in (listen, report):
        threading.Thread(target=target, daemon=True).start()
    try:
        worker.run(stop)
    except Stalled as fault:
        log.critical("stalled", reason=str(fault))
        return STALLED_EXIT
    return 0


class WorkerProcesses:
    """Several workers, each a process of its own; one that ends is started again, ever more patiently."""

    def __init__(self, *, count: int, target: Callable[[int, Connection], None], observer: IngestObserver) -> None:
        """`target(index, pipe)` is run in each process; it must be importable."""
        self._count = count
        self._target = target
        self._observer = observer
        self._context = multiprocessing.get_context("spawn")
        self._stop = threading.Event()
        self._statuses: dict[int, WorkerStatus] = {}
        self._processes: dict[int, BaseProcess] = {}
        self._threads = [
            threading.Thread(target=self._keep, args=(index,), name=f"rollwatch-ingest-{index}", daemon=True)
            for index in range(count)
        ]

    def start(self) -> None:
        """See `Workers`."""
        for each in self._threads:
            each.start()

    def stop(self) -> None:
        """See `Workers`."""
        self._stop.set()
        for process in list(self._processes.values()):
            process.terminate()
        for process in list(self._processes.values()):
            process.join(_LEAVE_SECONDS)
            if process.is_alive():
                process.kill()

    def statuses(self) -> Sequence[WorkerStatus]:
        """See `Workers`."""
        return [self._statuses.get(index, WorkerStatus()) for index in range(self._count)]

    def _keep(self, index: int) -> None:
        """Start the process, listen to it, start it again when it ends."""
        wait = 0.5
        while not self._stop.is_set():
            ours, theirs = self._context.Pipe()
            process = self._context.Process(
                target=self._target, args=(index, theirs), name=f"rollwatch-ingest-{index}", daemon=True
            )
            process.start()
            theirs.close()
            self._processes[index] = process
            partitions = self._listen(index, ours)
            process.join(1.0)
            for partition in partitions:
                self._observer.lag(partition, None)
            self._statuses[index] = WorkerStatus(fault=f"worker {index} is being started again")
            if not self._stop.is_set():
                log.warning("worker_ended", worker=index, exit_code=process.exitcode, again_in_seconds=wait)
            self._stop.wait(wait)
            wait = min(2 * wait, _MOST_WAIT_SECONDS)

    def _listen(self, index: int, pipe: Connection) -> set[Partition]:
        """Hand on what the process observes until its end; return the partitions that it showed a lag of."""
        shown: set[Partition] = set()
        while True:
            try:
                name, arguments = pipe.recv()
            except (EOFError, OSError):
                return shown
            match name:
                case "status":
                    self._statuses[index] = arguments[0]
                case "flushed":
                    self._observer.flushed(arguments[0], seconds=arguments[1], at_ms=arguments[2])
                case "lag":
                    partition, records = arguments
                    (shown.discard if records is None else shown.add)(partition)
                    self._observer.lag(partition, records)
                case _:
                    getattr(self._observer, name)(*arguments)
