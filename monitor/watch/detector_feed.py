"""Feeds the detector from the store, a look a minute: from aggregates, never an event at a time.

Failures come in detail from `failure_cells`; successes of callers of active rollovers from the growth of
`caller_gateway_spans`; the volume of all other credentials from `usage_cells`. What a cell has grown by since the last
look is new, so late events are taken in once, when they come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Final, Protocol

from monitor.core.decision import Json
from monitor.core.events import Outcome, Reason
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS
from monitor.core.registry import Registry
from monitor.core.rollover import Lifecycle
from monitor.core.windows import CallerGatewayKey, FailureKey, Span, UsageKey
from monitor.ports import EvidenceStore
from monitor.ports.detection import FailureDetector, MinuteUse
from monitor.ports.outbox import Incident
from monitor.watch.detection import Detected

_LATE_MS: Final = 15 * MINUTE_MS
"""Details of the last minutes are read again at each look: what arrives later than this joins the rates only."""
_HISTORY_MS: Final = 14 * DAY_MS
_NEVER: Final = (0, 0)
_ON_PURPOSE: Final = frozenset({Lifecycle.BROWNOUT, Lifecycle.DISABLED})
_CHUNK_MS: Final = 6 * HOUR_MS


VersionName = tuple[str, int]
"""(key, version)."""
Refused = Mapping[VersionName, int]
"""Versions that people have the gateways refuse, each with the moment (epoch ms) since when."""


def refused_on_purpose(store: EvidenceStore, now_ms: int) -> Refused:
    """Return the old versions in a brownout, or disabled, now: whoever is refused there was meant to be."""
    with store.snapshot() as snapshot:
        states = snapshot.states(now_ms).values()
    return {
        (each.rollover.key, each.rollover.from_version): each.since_ms for each in states if each.state in _ON_PURPOSE
    }


class DetectorStore(Protocol):
    """The part of `ReadStore` that the detector needs."""

    def usage_cells(
        self, *, from_ms: int, to_ms: int, credentials: Sequence[str] | None = None
    ) -> Sequence[tuple[UsageKey, int]]:
        """See `ReadStore`."""
        ...

    def failure_cells(
        self, *, from_ms: int, to_ms: int, credentials: Sequence[str] | None = None
    ) -> Sequence[tuple[FailureKey, int]]:
        """See `ReadStore`."""
        ...

    def caller_gateway_spans(self, *, since_ms: int) -> Sequence[tuple[CallerGatewayKey, Span]]:
        """See `ReadStore`."""
        ...

    def incidents(self, *, key: str | None = None, open_only: bool = False, limit: int = 100) -> Sequence[Incident]:
        """See `ReadStore`."""
        ...


class StoreDetection:
    """`Detection` on a store: warms from history at its first look, then takes in what grew; trains once a day.

    Belongs to one thread. `trained` is told the record of each training (`model_runs`). `refused` names the versions
    that are refused on purpose at a moment: their failures are left out, since other eyes are on those.
    """

    def __init__(
        self,
        detector: FailureDetector,
        store: DetectorStore,
        *,
        trained: Callable[[Mapping[str, Json], int], None] = lambda _record, _now_ms: None,
        refused: Callable[[int], Refused] = lambda _now_ms: {},
        history_ms: int = _HISTORY_MS,
    ) -> None:
        """Prepare; nothing is read before the first look."""
        self._detector = detector
        self._store = store
        self._trained = trained
        self._refused = refused
        self._in_force: Refused = {}
        self._over: dict[VersionName, tuple[int, int]] = {}
        self._history_ms = history_ms
        self._registry: Registry | None = None
        self._looked_ms: int | None = None
        self._trained_day: int | None = None
        self._failures: dict[FailureKey, int] = {}
        self._usage: dict[UsageKey, int] = {}
        self._spans: dict[CallerGatewayKey, int] = {}

    def look(self, registry: Registry, now_ms: int) -> Detected:
        """Take in what is new in the store since the last look; train where that is due. Raises faults of the store."""
        if registry is not self._registry:
            self._detector.register(registry)
            self._registry = registry
        self._plan(now_ms)
        if self._looked_ms is None:
            self._warm(registry, now_ms)
            alerts: Sequence[object] = ()
            found = Detected(not_ready=self._detector.not_ready(now_ms))
        else:
            told = self._detector.observe(self._new(registry, now_ms), now_ms)
            alerts = told
            found = Detected(
                alerts=told,
                incidents=self._detector.changed_incidents(),
                not_ready=self._detector.not_ready(now_ms),
            )
        self._looked_ms = now_ms
        day = now_ms // DAY_MS
        if day != self._trained_day and not alerts:
            self._trained_day = day
            self._trained(self._detector.train(now_ms), now_ms)
        return found

    def _plan(self, now_ms: int) -> None:
        """Note what is refused on purpose, and what was until now: failures of that time may arrive a little later."""
        refused = self._refused(now_ms)
        over = {name: span for name, span in self._over.items() if span[1] > now_ms - _LATE_MS}
        over |= {name: (since_ms, now_ms) for name, since_ms in self._in_force.items() if name not in refused}
        self._in_force, self._over = refused, over

    def _unplanned(self, registry: Registry, cells: Iterable[tuple[FailureKey, int]]) -> Iterable[MinuteUse]:
        """Yield the failures that nobody meant to happen."""
        for use in _failure_uses(registry, cells):
            name = (use.key, use.version)
            since_ms, until_ms = self._over.get(name, _NEVER)
            if name in self._in_force:
                since_ms, until_ms = self._in_force[name], use.minute_ms
            if not since_ms - MINUTE_MS < use.minute_ms <= until_ms:
                yield use

    def _warm(self, registry: Registry, now_ms: int) -> None:
        """Take up stored history, hour by hour, and the incidents that were open."""
        start = (now_ms - self._history_ms) // HOUR_MS * HOUR_MS
        spans = self._store.caller_gateway_spans(since_ms=start)
        first_uses = _by_hour(_span_uses(registry, ((key, span, span.count) for key, span in spans)))
        self._spans = {key: span.count for key, span in spans}
        detailed = {key.credential for key, _ in spans}
        chunk = start
        while chunk < now_ms:
            end = min(chunk + _CHUNK_MS, now_ms)
            failures = self._store.failure_cells(from_ms=chunk, to_ms=end)
            usage = self._store.usage_cells(from_ms=chunk, to_ms=end)
            hours = _by_hour(
                chain(
                    self._unplanned(registry, failures),
                    _volume_uses(
                        registry,
                        (
                            (key, n)
                            for key, n in usage
                            if key.credential not in detailed or key.reason != Reason.OK.value
                        ),
                    ),
                )
            )
            for hour in sorted(set(hours) | {h for h in first_uses if chunk <= h < end}):
                uses = hours.get(hour, []) + first_uses.get(hour, [])
                self._detector.warm(uses, min(now_ms, hour + HOUR_MS))
            if end > now_ms - _LATE_MS - HOUR_MS:
                self._failures.update(failures)
                self._usage.update(usage)
            chunk = end
        self._detector.restore(
            [each for each in self._store.incidents(open_only=True, limit=10_000) if each.closed_at_ms is None], now_ms
        )

    def _new(self, registry: Registry, now_ms: int) -> list[MinuteUse]:
        since = min(self._looked_ms or now_ms, now_ms) - _LATE_MS
        fresh_failures = []
        failures: dict[FailureKey, int] = {}
        for failure, n in self._store.failure_cells(from_ms=since // MINUTE_MS * MINUTE_MS, to_ms=now_ms + MINUTE_MS):
            failures[failure] = n
            grown = n - self._failures.get(failure, 0)
            if grown > 0:
                fresh_failures.append((failure, grown))
        self._failures = failures
        fresh_spans = []
        for place, span in self._store.caller_gateway_spans(since_ms=since):
            grown = span.count - self._spans.get(place, 0)
            if grown > 0:
                fresh_spans.append((place, span, grown))
            self._spans[place] = span.count
        detailed = registry.fine_credentials
        fresh_usage = []
        usage: dict[UsageKey, int] = {}
        for cell, n in self._store.usage_cells(from_ms=since // HOUR_MS * HOUR_MS, to_ms=now_ms + MINUTE_MS):
            usage[cell] = n
            grown = n - self._usage.get(cell, 0)
            if grown > 0 and (cell.credential not in detailed or cell.reason != Reason.OK.value):
                fresh_usage.append((cell, grown))
        self._usage = usage
        return list(
            chain(
                self._unplanned(registry, fresh_failures),
                _span_uses(registry, fresh_spans),
                _volume_uses(registry, fresh_usage, newest_ms=now_ms - 1),
            )
        )


def _failure_uses(registry: Registry, cells: Iterable[tuple[FailureKey, int]]) -> Iterable[MinuteUse]:
    of = registry.version_of
    for at, requests in cells:
        found = of.get(at.credential)
        if found is not None:
            yield MinuteUse(
                at.minute_ms,
                *found,
                at.client,
                at.source,
                at.gateway,
                at.region,
                at.route,
                Outcome.FAILURE.value,
                str(at.reason),
                requests,
            )


def _span_uses(registry: Registry, spans: Iterable[tuple[CallerGatewayKey, Span, int]]) -> Iterable[MinuteUse]:
    """Yield the growth of accepted use, at the minute of its latest one; what came before is not told apart."""
    of = registry.version_of
    for at, span, grown in spans:
        found = of.get(at.credential)
        if found is not None:
            yield MinuteUse(
                span.last_ms // MINUTE_MS * MINUTE_MS,
                *found,
                at.client,
                at.source,
                at.gateway,
                at.region,
                None,
                Outcome.SUCCESS.value,
                Reason.OK.value,
                grown,
            )


def _volume_uses(
    registry: Registry, cells: Iterable[tuple[UsageKey, int]], *, newest_ms: int | None = None
) -> Iterable[MinuteUse]:
    """Yield accepted volume without callers; what grew in an hourly bucket is placed at `newest_ms`."""
    of = registry.version_of
    for at, requests in cells:
        found = of.get(at.credential or "")
        if found is None or at.outcome != Outcome.SUCCESS.value:
            continue
        minute = at.bucket_ms
        if newest_ms is not None and at.bucket_seconds > MINUTE_MS // 1000:
            minute = min(newest_ms, at.bucket_ms + at.bucket_seconds * 1000 - 1) // MINUTE_MS * MINUTE_MS
        yield MinuteUse(minute, *found, None, None, at.gateway, at.region, None, at.outcome, str(at.reason), requests)


def _by_hour(uses: Iterable[MinuteUse]) -> dict[int, list[MinuteUse]]:
    hours: dict[int, list[MinuteUse]] = {}
    for use in uses:
        hours.setdefault(use.minute_ms // HOUR_MS * HOUR_MS, []).append(use)
    return hours
