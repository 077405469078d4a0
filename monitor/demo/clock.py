"""The demo's clock: it stands while history is taken in, then runs faster than ours, and slows down after the story."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from monitor.core.instants import SECOND_MS
from monitor.ingest import Clock


class FastClock:
    """Stands at `at_ms` until `start`; then `speed` simulated seconds a second, `slow_speed` from `slow_from_ms` on.

    It slows down so that a demo left on a wall for a week stays small and still moves.
    """

    def __init__(
        self,
        *,
        at_ms: int,
        speed: float,
        slow_from_ms: int,
        slow_speed: float = 60.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set the clock; it stands. `monotonic` is ours, in seconds."""
        self._monotonic = monotonic
        self._at_ms = at_ms
        self._speed = speed
        self._slow_after_seconds = max(slow_from_ms - at_ms, 0) / SECOND_MS / speed
        self._slow_speed = min(slow_speed, speed)
        self._began: float | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Let it run."""
        with self._lock:
            self._began = self._monotonic()

    def now_ms(self) -> int:
        """Return the simulated time."""
        with self._lock:
            began = self._began
        if began is None:
            return self._at_ms
        passed = self._monotonic() - began
        fast = min(passed, self._slow_after_seconds)
        simulated = fast * self._speed + (passed - fast) * self._slow_speed
        return self._at_ms + int(simulated * SECOND_MS)

    def as_clock(self) -> Clock:
        """Return it as the daemon's clock; how long things take is still measured in our own seconds."""
        return Clock(now_ms=self.now_ms)
