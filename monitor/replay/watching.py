"""The detector in a replay: a look a minute, a training a day, on the replay's clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from monitor.core.alerts import Alert
from monitor.core.evidence import OpenIncident
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, format_duration
from monitor.core.registry import Registry
from monitor.ports.detection import FailureDetector, MinuteUse

WARM_BY_MINUTE_MS = 7 * DAY_MS
"""History is learnt hour by hour, and minute by minute so long before alerts are told: what the detector remembers of
single minutes fades within days."""

LEAST_HISTORY_MS = DAY_MS
"""What C8 needs before silence means anything (contract: 24 h at least, 72 h at most)."""


class Watching:
    """Feeds a detector; without one it says so, and nothing is ever found."""

    def __init__(self, detector: FailureDetector | None, registry: Registry, *, told_from_ms: int) -> None:
        """Prepare; before `told_from_ms` everything is history."""
        self._detector = detector
        self._told_from_ms = told_from_ms
        self._trained_day: int | None = None
        if detector is not None:
            detector.register(registry)

    @property
    def on(self) -> bool:
        """Return whether there is a detector."""
        return self._detector is not None

    def next_tick(self, now_ms: int) -> int:
        """Return the first moment after `now` at which to look."""
        step = MINUTE_MS if now_ms >= self._told_from_ms - WARM_BY_MINUTE_MS else HOUR_MS
        return (now_ms // step + 1) * step

    def look(self, uses: Sequence[MinuteUse], now_ms: int) -> Sequence[Alert]:
        """Take in what arrived since the last look; return what is told."""
        detector = self._detector
        if detector is None:
            return ()
        alerts: Sequence[Alert] = ()
        if now_ms < self._told_from_ms:
            detector.warm(uses, now_ms)
        else:
            alerts = detector.observe(uses, now_ms)
        day = now_ms // DAY_MS
        if self._trained_day is None:
            self._trained_day = day
        elif day != self._trained_day and now_ms >= self._told_from_ms - DAY_MS:
            self._trained_day = day
            detector.train(now_ms)
        return alerts

    def not_ready(self, now_ms: int, history_start_ms: int | None) -> str | None:
        """Return why the detector's silence means nothing, or `None` when it does mean something.

        Without a detector the gate's own plain comparison stands in; it needs as much history.
        """
        if self._detector is not None:
            return self._detector.not_ready(now_ms)
        if history_start_ms is not None and now_ms - history_start_ms >= LEAST_HISTORY_MS:
            return None
        return f"less than {format_duration(LEAST_HISTORY_MS)} of history"

    def incidents(self) -> Iterable[tuple[str, OpenIncident]]:
        """Return the open incidents with their keys."""
        return () if self._detector is None else self._detector.open_incidents()
