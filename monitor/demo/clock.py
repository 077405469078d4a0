"""The demo's clock: it stands while history is taken in, then runs faster than ours, and slows down after the story."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from monitor.core.instants import SECOND_MS
from monitor.ingest import Clock


class FastClock:
    """Stands at `at_ms` until `start`; then `speed` simulated seconds a second, `slow_speed` from `slow_from_ms` on.

    It slows down so that a demo left on a wall for a week stays small and still moves. With `lead_ms` it waits for
    whoever looks: it is never further ahead of the last look (`looked`) than that, so that a busy machine tells the
    same story, only later.
    """

    def __init__(
        self,
        *,
        at_ms: int,
        speed: float,
        slow_from_ms: int,
        slow_speed: float = 60.0,
        lead_ms: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set the clock; it stands. `monotonic` is ours, in seconds."""
        self._monotonic = monotonic
        self._at_ms = float(at_ms)
        self._speed = speed
        self._slow_from_ms = slow_from_ms
        self._slow_speed = min(slow_speed, speed)
        self._lead_ms = lead_ms
        self._until_ms = None if lead_ms is None else at_ms + lead_ms
        self._read: float | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Let it run."""
        with self._lock:
            self._read = self._monotonic()

    def looked(self, at_ms: int) -> None:
        """Let it run on, up to its lead before this look."""
        with self._lock:
            self._advance()
            if self._lead_ms is not None:
                self._until_ms = at_ms + self._lead_ms

    def now_ms(self) -> int:
        """Return the simulated time."""
        with self._lock:
            self._advance()
            return int(self._at_ms)

    def _advance(self) -> None:
        if self._read is None:
            return
        read = self._monotonic()
        passed, self._read = read - self._read, read
        fast = min(passed, max(self._slow_from_ms - self._at_ms, 0.0) / SECOND_MS / self._speed)
        ahead_ms = self._at_ms + (fast * self._speed + (passed - fast) * self._slow_speed) * SECOND_MS
        self._at_ms = ahead_ms if self._until_ms is None else max(self._at_ms, min(ahead_ms, self._until_ms))

    def as_clock(self) -> Clock:
        """Return it as the daemon's clock; how long things take is still measured in our own seconds."""
        return Clock(now_ms=self.now_ms)
