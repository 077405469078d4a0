"""What flushes add up to, in place: the time series, callers and their days, liveness, rejects.

Callers' facts and activities are handed out alive (`CallerRecord` holds the very objects that the next flush changes):
a gate looks at tens of thousands of them an hour, and a copy each would cost more than the look. Whoever needs them to
stand still keeps the snapshot open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from monitor.adapters.memory_store.liveness import GatewayRuns
from monitor.core.activity import Activity, Day
from monitor.core.events import Outcome, Reason, Reject
from monitor.core.evidence import CallerRecord, HourCount, RequestCounts
from monitor.core.instants import DAY_MS, HOUR_MS
from monitor.core.windows import Aggregate, CallerFacts, CallerGatewayKey, FailureKey, Span, UsageKey

_K = TypeVar("_K")
_Caller = tuple[str, str | None, str | None, str | None]
_BASELINE_MS = 7 * DAY_MS


class CredentialUse:
    """Requests of one credential by hour."""

    def __init__(self) -> None:
        """Start unused."""
        self._accepted: dict[int, int] = {}
        self._rejected: dict[int, int] = {}
        self._before: dict[int, RequestCounts] = {}

    def add(self, bucket_ms: int, requests: int, *, accepted: bool) -> None:
        """Add to the hour of a bucket."""
        hour = bucket_ms - bucket_ms % HOUR_MS
        hours = self._accepted if accepted else self._rejected
        hours[hour] = hours.get(hour, 0) + requests
        for start in [each for each in self._before if each > hour]:
            del self._before[start]

    def between(self, from_ms: int, to_ms: int) -> RequestCounts:
        """Return the requests of the hours that begin in [from, to)."""
        first = from_ms + -from_ms % HOUR_MS
        accepted = rejected = 0
        for hour in range(first, to_ms, HOUR_MS):
            accepted += self._accepted.get(hour, 0)
            rejected += self._rejected.get(hour, 0)
        return RequestCounts(accepted=accepted, rejected=rejected)

    def last_day(self, now_ms: int) -> RequestCounts:
        """Return the requests of the hours from 24 h ago on, the one that has just begun included."""
        return self.between(now_ms - DAY_MS - now_ms % HOUR_MS, now_ms + 1)

    def week_before(self, start_ms: int) -> RequestCounts:
        """Return the requests of the seven days before; kept, because the past seldom changes."""
        start = start_ms - start_ms % HOUR_MS
        if start not in self._before:
            self._before[start] = self.between(start - _BASELINE_MS, start)
        return self._before[start]


class Counts:
    """All sums. `series` false leaves out the time series and failures in detail (a replay has no use for them)."""

    def __init__(self, *, series: bool) -> None:
        """Start empty."""
        self._series = series
        self.usage: dict[UsageKey, int] = {}
        self.failures: dict[FailureKey, int] = {}
        self.caller_gateways: dict[CallerGatewayKey, Span] = {}
        self.gateways: dict[tuple[str, str | None], GatewayRuns] = {}
        self.sampled: dict[tuple[str, str | None, int], Span] = {}
        self.reject_hours: dict[tuple[int, str], Span] = {}
        self._callers: dict[_Caller, CallerRecord] = {}
        self._of_credential: dict[str, list[CallerRecord]] = {}
        self._accepted: set[str] = set()
        self._use: dict[str, CredentialUse] = {}
        self.callers_revision = 0
        """Rises when there is a new caller, or a credential's first success."""

    def add(self, aggregate: Aggregate) -> None:
        """Merge a flush; in any order, with the same result."""
        self._add_usage(aggregate.usage)
        for caller, facts in aggregate.callers.items():
            self._caller(caller).facts.merge(facts)
            if facts.accepted and caller.credential not in self._accepted:
                self._accepted.add(caller.credential)
                self.callers_revision += 1
        for day, use in aggregate.days.items():
            self._caller(day[:4]).activity.add(Day(day.day, use.first_ms, use.last_ms, use.uses, use.slots))
        merge_spans(self.caller_gateways, aggregate.caller_gateways)
        merge_spans(self.sampled, aggregate.sampled)
        for minute, span in aggregate.gateways.items():
            gateway = (minute.gateway, minute.region)
            if gateway not in self.gateways:
                self.gateways[gateway] = GatewayRuns(*gateway)
            self.gateways[gateway].add(span)
        if self._series:
            for failure, count in aggregate.failures.items():
                self.failures[failure] = self.failures.get(failure, 0) + count

    def _add_usage(self, cells: Mapping[UsageKey, int]) -> None:
        for cell, requests in cells.items():
            if self._series:
                self.usage[cell] = self.usage.get(cell, 0) + requests
            if cell.credential is None:
                continue
            accepted = cell.outcome == Outcome.SUCCESS
            if accepted or cell.reason != Reason.RATE_LIMITED:
                use = self._use.get(cell.credential)
                if use is None:
                    use = self._use[cell.credential] = CredentialUse()
                use.add(cell.bucket_ms, requests, accepted=accepted)

    def _caller(self, key: _Caller) -> CallerRecord:
        record = self._callers.get(key)
        if record is None:
            credential, client, source, region = key
            record = self._callers[(credential, client, source, region)] = CallerRecord(
                credential=credential,
                client=client,
                source=source,
                region=region,
                facts=CallerFacts(),
                activity=Activity(),
            )
            self._of_credential.setdefault(credential, []).append(record)
            self.callers_revision += 1
        return record

    def reject(self, rejects: Iterable[Reject]) -> None:
        """Count rejects by hour of arrival and reason."""
        for each in rejects:
            hour = each.arrival_ms - each.arrival_ms % HOUR_MS
            span = Span(first_ms=each.arrival_ms, last_ms=each.arrival_ms, count=1)
            merge_spans(self.reject_hours, {(hour, each.reason.value): span})

    # --- looks

    def callers_of(self, credentials: Iterable[str]) -> Iterator[CallerRecord]:
        """Yield the callers of these credentials, in the order in which they were first seen."""
        for credential in credentials:
            yield from self._of_credential.get(credential, ())

    def unregistered(self, registered: Mapping[str, object]) -> Iterator[CallerRecord]:
        """Yield the callers of credentials that had a success and are not registered."""
        return self.callers_of(
            each for each in self._of_credential if each in self._accepted and each not in registered
        )

    def last_day(self, credentials: Iterable[str], now_ms: int) -> dict[str, RequestCounts]:
        """Return the requests of the 24 hours before now, for credentials that were ever used."""
        return {each: self._use[each].last_day(now_ms) for each in credentials if each in self._use}

    def week_before(self, credentials: Iterable[str], start_ms: int) -> dict[str, RequestCounts]:
        """Return the requests of the seven days before, for credentials that were ever used."""
        return {each: self._use[each].week_before(start_ms) for each in credentials if each in self._use}

    def reject_counts(self, since_ms: int) -> tuple[HourCount, ...]:
        """Return rejects by hour and reason, those that arrived since."""
        return tuple(
            HourCount(hour_ms=hour, last_ms=span.last_ms, count=span.count, detail=reason)
            for (hour, reason), span in sorted(self.reject_hours.items())
            if span.last_ms >= since_ms
        )

    def sampled_counts(self, since_ms: int) -> tuple[HourCount, ...]:
        """Return sampled records by hour and gateway, those with a time since."""
        return tuple(
            HourCount(hour_ms=hour, last_ms=span.last_ms, count=span.count, detail=gateway_name(gateway, region))
            for (gateway, region, hour), span in sorted(self.sampled.items(), key=lambda each: _sortable(each[0]))
            if span.last_ms >= since_ms
        )

    def ordered_gateways(self) -> Sequence[GatewayRuns]:
        """Return the gateways by name."""
        return [self.gateways[each] for each in sorted(self.gateways, key=_sortable)]


def merge_spans(into: dict[_K, Span], new: Mapping[_K, Span]) -> None:
    """Widen and add spans, copying those that are new."""
    for key, span in new.items():
        known = into.get(key)
        if known is None:
            into[key] = Span(first_ms=span.first_ms, last_ms=span.last_ms, count=span.count)
        else:
            known.merge(span)


def gateway_name(gateway: str, region: str | None) -> str:
    """Return `gateway` or `gateway/region`."""
    return gateway if region is None else f"{gateway}/{region}"


def _sortable(key: Iterable[str | int | None]) -> tuple[tuple[bool, str | int], ...]:
    return tuple((each is not None, each or "") for each in key)
