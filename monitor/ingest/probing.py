"""Asks the source, beside the reading thread, where its partitions end; so a slow broker never delays a flush."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from monitor.errors import SourceAway
from monitor.ingest.settings import Clock
from monitor.ports import Bounds, Partition, RecordSource

_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """One look at the source. `asked_at_ms` is the moment before it was asked: all written by then is below the ends.

    `away` says why there was no answer; then the rest is empty.
    """

    asked_at_ms: int
    expected: Mapping[str, int | None]
    bounds: Mapping[Partition, Bounds]
    away: str | None = None


class Prober:
    """A thread that looks every `interval_seconds`, and every second while the source is away."""

    def __init__(self, source: RecordSource, *, interval_seconds: float, clock: Clock) -> None:
        """Prepare the thread; `start` begins."""
        self._source = source
        self._interval = interval_seconds
        self._clock = clock
        self._wanted: frozenset[Partition] = frozenset()
        self._latest: Survey | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="rollwatch-prober", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def want(self, partitions: frozenset[Partition]) -> None:
        """Set which partitions to ask for; a change is answered at once."""
        if partitions != self._wanted:
            self._wanted = partitions
            self._wake.set()

    def take(self) -> Survey | None:
        """Return the newest survey, once."""
        with self._lock:
            latest, self._latest = self._latest, None
        return latest

    def stop(self) -> None:
        """End after the question that is being asked; waits for it no longer than half a second."""
        self._ended = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(0.5)

    def _run(self) -> None:
        while not self._ended:
            survey = self._look()
            with self._lock:
                self._latest = survey
            self._wake.wait(self._interval if survey.away is None else _RETRY_SECONDS)
            self._wake.clear()

    def _look(self) -> Survey:
        asked_at_ms = self._clock.now_ms()
        try:
            expected = self._source.partitions()
            bounds = self._source.bounds(self._wanted)
        except SourceAway as away:
            return Survey(asked_at_ms=asked_at_ms, expected={}, bounds={}, away=str(away))
        return Survey(asked_at_ms=asked_at_ms, expected=expected, bounds=bounds)
