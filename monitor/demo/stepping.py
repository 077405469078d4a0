"""Lets the detector look as often as in production: its clock takes small steps through what a fast one leaps over.

A daemon looks once a minute or more often; the demo's looks are hours of simulated time apart, and a detector that sees
the last five minutes of each hour would miss what a real one sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from monitor.core.alerts import Alert
from monitor.core.instants import DAY_MS, MINUTE_MS
from monitor.core.registry import Registry
from monitor.core.windows import CallerGatewayKey, Span
from monitor.ports import Incident, Store
from monitor.watch.detection import Detected, Detection

_STEP_MS = 5 * MINUTE_MS
_MOST_STEPS = 400
_LATE_MS = 14 * DAY_MS


class _UpTo:
    """A store as it was at `until_ms`, as far as it can be told: uses between two looks are spread evenly.

    It holds how often a caller was accepted, not when; all else is bounded by the times that are asked for.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._before: dict[CallerGatewayKey, Span] = {}
        self._after: dict[CallerGatewayKey, Span] = {}
        self._from_ms = 0
        self.until_ms = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def begin(self, from_ms: int, until_ms: int) -> None:
        """Read what two looks lie between."""
        self._before = self._after
        self._after = {**self._before, **dict(self._store.caller_gateway_spans(since_ms=from_ms - _LATE_MS))}
        self._from_ms, self.until_ms = from_ms, until_ms

    def caller_gateway_spans(self, *, since_ms: int) -> Sequence[tuple[CallerGatewayKey, Span]]:
        """See `ReadStore`."""
        if not self._before:
            return self._store.caller_gateway_spans(since_ms=since_ms)
        spans = ((key, self._at(key, span)) for key, span in self._after.items())
        return [(key, span) for key, span in spans if span is not None and span.last_ms >= since_ms]

    def _at(self, key: CallerGatewayKey, after: Span) -> Span | None:
        if after.last_ms <= self.until_ms:
            return after
        before = self._before.get(key)
        known, from_ms = (before.count, self._from_ms) if before is not None else (0, after.first_ms)
        share = (self.until_ms - from_ms) / max(after.last_ms - from_ms, 1)
        count = known + int((after.count - known) * min(max(share, 0.0), 1.0))
        if count <= known:
            return before
        return Span(first_ms=after.first_ms, last_ms=self.until_ms, count=count)


class Stepping:
    """A `Detection` that looks at every five minutes between two looks, and tells it all at once."""

    def __init__(
        self, make: Callable[[Store], Detection], store: Store, *, told: Callable[[int], None] = lambda _at_ms: None
    ) -> None:
        """`make` returns the detection of production on the store it is given; `told` hears of each look."""
        self._told = told
        self._store = _UpTo(store)
        self._inner = make(cast("Store", self._store))
        self._looked_ms: int | None = None

    def look(self, registry: Registry, now_ms: int) -> Detected:
        """See `Detection`."""
        last_ms = now_ms if self._looked_ms is None else self._looked_ms
        first_ms = max(last_ms + _STEP_MS, now_ms - _MOST_STEPS * _STEP_MS)
        self._store.begin(last_ms, now_ms)
        found = Detected()
        alerts: list[Alert] = []
        incidents: dict[str, Incident] = {}
        for at_ms in [*range(first_ms, now_ms, _STEP_MS), now_ms]:
            self._store.until_ms = at_ms
            found = self._inner.look(registry, at_ms)
            alerts += found.alerts
            incidents.update({each.id: each for each in found.incidents})
        self._looked_ms = now_ms
        self._told(now_ms)
        return Detected(alerts=alerts, incidents=list(incidents.values()), not_ready=found.not_ready)
