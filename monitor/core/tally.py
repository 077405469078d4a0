"""Adds groups of like events to an `Aggregate`: what a group is to the series, to its caller, to its gateway."""

from __future__ import annotations

from typing import TypeVar

from monitor.core.cells import Cell
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS
from monitor.core.windows import (
    SLOT_MS,
    Aggregate,
    CallerDayKey,
    CallerFacts,
    CallerGatewayKey,
    CallerKey,
    DayUse,
    FailureKey,
    GatewayMinuteKey,
    Span,
    UsageKey,
)

_Key = TypeVar("_Key")
_MOST_DETAILS = 2_000
"""Failures in detail a flush: what comes with ever new routes after that is counted without a route."""
_SECONDS_FINE, _SECONDS_COARSE = 60, 3_600


class Tally:
    """Grows one aggregate. A group lies within one minute, or within one half hour where its cell is not fine."""

    def __init__(self) -> None:
        """Start empty."""
        self.aggregate = Aggregate()

    def add(self, cell: Cell, records: int, first_ms: int, last_ms: int, arrival_ms: int) -> None:
        """Add a group: so many records, its first and last event time, its latest arrival."""
        aggregate = self.aggregate
        requests = records * cell.weight
        seconds = _SECONDS_FINE if cell.fine else _SECONDS_COARSE
        usage = UsageKey(
            first_ms - first_ms % (seconds * 1_000),
            seconds,
            cell.credential,
            cell.gateway,
            cell.region,
            cell.outcome,
            cell.reason,
        )
        aggregate.usage[usage] = aggregate.usage.get(usage, 0) + requests
        if cell.caller is None:
            aggregate.unmapped += records
        else:
            aggregate.aggregated += records
            self._add_caller(cell, cell.caller, requests, first_ms, last_ms, arrival_ms)
        if cell.sampled:
            _widen(
                aggregate.sampled,
                (cell.gateway, cell.region, first_ms - first_ms % HOUR_MS),
                first_ms,
                last_ms,
                records,
            )

    def _add_caller(  # noqa: PLR0917 - a group, as in `add`
        self, cell: Cell, caller: CallerKey, requests: int, first_ms: int, last_ms: int, arrival_ms: int
    ) -> None:
        new = _facts_of(cell, requests, first_ms, last_ms, arrival_ms)
        facts = self.aggregate.callers.setdefault(caller, new)
        if facts is not new:
            facts.merge(new)
        if not cell.accepted:
            return
        slots = 1 << first_ms % DAY_MS // SLOT_MS if cell.served else 0
        day_key = CallerDayKey(*caller, first_ms // DAY_MS)
        day = self.aggregate.days.get(day_key)
        if day is None:
            self.aggregate.days[day_key] = DayUse(first_ms, last_ms, requests, slots)
        else:
            day.first_ms = min(day.first_ms, first_ms)
            day.last_ms = max(day.last_ms, last_ms)
            day.uses += requests
            day.slots |= slots
        if cell.fine:
            at = CallerGatewayKey(caller.credential, caller.client, caller.source, cell.gateway, cell.region)
            _widen(self.aggregate.caller_gateways, at, first_ms, last_ms, requests)

    def hear(self, gateway: tuple[str, str | None], records: int, first_ms: int, last_ms: int) -> None:
        """Add records of one minute of a gateway (name, region) to its liveness."""
        key = GatewayMinuteKey(*gateway, first_ms - first_ms % MINUTE_MS)
        _widen(self.aggregate.gateways, key, first_ms, last_ms, records)

    def detail(self, cell: Cell, ts_ms: int, route: str | None, method: str | None) -> None:
        """Add one record of a registered credential's failures in detail."""
        caller = cell.caller
        if caller is None:
            return
        failures = self.aggregate.failures
        if len(failures) >= _MOST_DETAILS:
            route = method = None
        key = FailureKey(
            ts_ms - ts_ms % MINUTE_MS,
            caller.credential,
            caller.client,
            caller.source,
            cell.gateway,
            cell.region,
            route,
            method,
            cell.reason,
        )
        failures[key] = failures.get(key, 0) + cell.weight


def _facts_of(cell: Cell, requests: int, first_ms: int, last_ms: int, arrival_ms: int) -> CallerFacts:
    if not cell.accepted:
        return CallerFacts(
            rejected=requests,
            version_rejected=requests if cell.version_rejected else 0,
            first_rejected_ms=first_ms,
            last_rejected_ms=last_ms,
            last_version_rejected_ms=last_ms if cell.version_rejected else None,
        )
    return CallerFacts(
        accepted=requests,
        served=requests if cell.served else 0,
        first_accepted_ms=first_ms,
        last_accepted_ms=last_ms,
        first_served_ms=first_ms if cell.served else None,
        last_served_ms=last_ms if cell.served else None,
        last_arrival_ms=arrival_ms,
        last_suspect_ms=arrival_ms if cell.suspect else None,
    )


def _widen(spans: dict[_Key, Span], key: _Key, first_ms: int, last_ms: int, count: int) -> None:
    span = spans.get(key)
    if span is None:
        spans[key] = Span(first_ms, last_ms, count)
    else:
        span.first_ms = min(span.first_ms, first_ms)
        span.last_ms = max(span.last_ms, last_ms)
        span.count += count
