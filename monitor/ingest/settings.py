"""What the ingest worker may be told: intervals, limits, and the two clocks it reads."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """Intervals and limits of one worker; the defaults are those of the documentation.

    flush_records and flush_rows bound one transaction, and with it the memory: flush_records of one partition,
    flush_rows (what would be written) of all together; stall_after_seconds is the watchdog's
    patience with a partition that has lag and makes no progress.
    """

    flush_interval_seconds: float = 5.0
    flush_records: int = 100_000
    flush_rows: int = 40_000
    probe_interval_seconds: float = 10.0
    registry_interval_seconds: float = 2.0
    stopped_recheck_seconds: float = 2.0
    stall_after_seconds: float = 60.0
    poll_seconds: float = 0.25
    max_reject_ratio: float = 0.5
    reject_window: int = 1_000
    max_record_bytes: int = 65_536
    max_clock_skew_ms: int = 300_000

    @property
    def rejects_allowed(self) -> tuple[int, float]:
        """Return of how many elements which share may be rejected before a line stops."""
        return self.reject_window, self.max_reject_ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The two clocks: `now_ms` for what is written down, `monotonic` (seconds) for how long something took."""

    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    monotonic: Callable[[], float] = time.monotonic


SYSTEM_CLOCK = Clock()


class Backoff:
    """Waits that double from `first` to `most` seconds until `reset`.

    >>> pause = Backoff(first=0.2, most=1.0)
    >>> [pause.next() for _ in range(4)]
    [0.2, 0.4, 0.8, 1.0]
    """

    def __init__(self, *, first: float = 0.2, most: float = 3.0) -> None:
        """Start at the first wait."""
        self._first = first
        self._most = most
        self._seconds = first

    def next(self) -> float:
        """Return how long to wait now; the wait after it is twice as long."""
        seconds = self._seconds
        self._seconds = min(2 * seconds, self._most)
        return seconds

    def reset(self) -> None:
        """Start from the first wait again: it worked."""
        self._seconds = self._first
