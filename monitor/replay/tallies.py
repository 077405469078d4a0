"""What a replay counts, one small counter a thing: callers, gateways, credentials. All in memory, all mergeable late."""  # noqa: E501

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable

from monitor.core.activity import Activity, Day
from monitor.core.evidence import CallerRecord, GatewayLiveness, RequestCounts
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS
from monitor.core.windows import SLOT_MS, CallerFacts, later

_NEVER = -1
_MOST_MINUTES = 4_000
"""Of a day's 1,440: what is older is forgotten at the latest then."""


class CallerTally:
    """One caller of one credential in one region. `record` is current after `settle`."""

    __slots__ = ("_day", "_first", "_last", "_slots", "_uses", "facts", "owner", "record", "touched")

    def __init__(self, credential: str, client: str | None, source: str | None, region: str | None) -> None:
        """Start with no use."""
        self.facts = CallerFacts()
        self.record = CallerRecord(
            credential=credential, client=client, source=source, region=region, facts=self.facts, activity=Activity()
        )
        self.owner: list[CallerTally] = []
        self.touched = False
        self._day = _NEVER
        self._first = self._last = self._uses = self._slots = 0

    def use(self, ts_ms: int, arrival_ms: int, count: int, *, served: bool) -> None:
        """Add accepted requests."""
        facts = self.facts
        facts.accepted += count
        if facts.first_accepted_ms is None or ts_ms < facts.first_accepted_ms:
            facts.first_accepted_ms = ts_ms
        if facts.last_accepted_ms is None or ts_ms > facts.last_accepted_ms:
            facts.last_accepted_ms = ts_ms
        if facts.last_arrival_ms is None or arrival_ms > facts.last_arrival_ms:
            facts.last_arrival_ms = arrival_ms
        day, within = divmod(ts_ms, DAY_MS)
        if day != self._day:
            self.settle()
            self._day = day
            self._first = self._last = ts_ms
        elif ts_ms > self._last:
            self._last = ts_ms
        elif ts_ms < self._first:
            self._first = ts_ms
        self._uses += count
        if served:
            facts.served += count
            if facts.first_served_ms is None or ts_ms < facts.first_served_ms:
                facts.first_served_ms = ts_ms
            if facts.last_served_ms is None or ts_ms > facts.last_served_ms:
                facts.last_served_ms = ts_ms
            self._slots |= 1 << within // SLOT_MS

    def reject(self, ts_ms: int, count: int, *, version: bool) -> None:
        """Add rejected requests; `version` says that they were rejected because of the key's version."""
        self.facts.merge(
            CallerFacts(
                rejected=count,
                version_rejected=count if version else 0,
                first_rejected_ms=ts_ms,
                last_rejected_ms=ts_ms,
                last_version_rejected_ms=ts_ms if version else None,
            )
        )

    def distrust(self, arrival_ms: int) -> None:
        """Note an accepted request whose time could not be trusted."""
        self.facts.last_suspect_ms = later(self.facts.last_suspect_ms, arrival_ms)

    def settle(self) -> None:
        """Put what was gathered for the latest day into the record."""
        if self._day != _NEVER:
            self.record.activity.add(Day(self._day, self._first, self._last, self._uses, self._slots))
            self._day = _NEVER
            self._uses = self._slots = 0


class GatewayTally:
    """One gateway's liveness: first and last record, and the silences between, whatever the order of arrival."""

    __slots__ = ("_least_ms", "_silences", "first_ms", "gateway", "last_ms", "region")

    def __init__(self, gateway: str, region: str | None, ts_ms: int, *, least_ms: int) -> None:
        """Begin with the first record; silences below `least_ms` are not kept."""
        self.gateway = gateway
        self._least_ms = least_ms
        self.region = region
        self.first_ms = self.last_ms = ts_ms
        self._silences: list[tuple[int, int]] = []

    def hear(self, ts_ms: int) -> None:
        """Add a record."""
        last = self.last_ms
        if ts_ms >= last:
            if ts_ms - last >= self._least_ms:
                self._silences.append((last, ts_ms))
            self.last_ms = ts_ms
        elif ts_ms < self.first_ms:
            if self.first_ms - ts_ms >= self._least_ms:
                self._silences.insert(0, (ts_ms, self.first_ms))
            self.first_ms = ts_ms
        else:
            self._break_silence(ts_ms)

    def _break_silence(self, ts_ms: int) -> None:
        at = bisect_left(self._silences, (ts_ms, ts_ms)) - 1
        if at < 0:
            return
        begin, end = self._silences[at]
        if begin < ts_ms < end:
            parts = ((begin, ts_ms), (ts_ms, end))
            self._silences[at : at + 1] = [each for each in parts if each[1] - each[0] >= self._least_ms]

    def liveness(self, fine_since_ms: int) -> GatewayLiveness:
        """Return it; silences below an hour that end before `fine_since_ms` are forgotten."""
        silences = self._silences
        kept = bisect_right(silences, fine_since_ms, key=_end)
        if kept:
            old = [each for each in silences[:kept] if each[1] - each[0] >= HOUR_MS]
            if len(old) != kept:
                silences[:kept] = old
        return GatewayLiveness(
            gateway=self.gateway,
            region=self.region,
            first_ms=self.first_ms,
            last_ms=self.last_ms,
            silences=tuple(silences),
        )


def _end(silence: tuple[int, int]) -> int:
    return silence[1]


class DayTally:
    """Requests of one credential in the 24 hours before a moment that only moves forward, to the minute."""

    __slots__ = ("_accepted", "_minutes", "_rejected", "_sum")

    def __init__(self) -> None:
        """Start empty."""
        self._minutes: array[int] = array("q")
        self._accepted: dict[int, int] = {}
        self._rejected: dict[int, int] = {}
        self._sum = [0, 0]

    def add(self, ts_ms: int, count: int, *, accepted: bool) -> None:
        """Add requests."""
        minute = ts_ms // MINUTE_MS
        if minute not in self._accepted:
            if not self._minutes or minute > self._minutes[-1]:
                self._minutes.append(minute)
                if len(self._minutes) > _MOST_MINUTES:
                    self._forget(minute - DAY_MS // MINUTE_MS)
            else:
                insort(self._minutes, minute)
            self._accepted[minute] = self._rejected[minute] = 0
        if accepted:
            self._accepted[minute] += count
            self._sum[0] += count
        else:
            self._rejected[minute] += count
            self._sum[1] += count

    def counts(self, now_ms: int) -> RequestCounts:
        """Return the counts, and forget what is older."""
        self._forget((now_ms - DAY_MS) // MINUTE_MS)
        return RequestCounts(accepted=self._sum[0], rejected=self._sum[1])

    def _forget(self, before_minute: int) -> None:
        gone = bisect_left(self._minutes, before_minute)
        for minute in self._minutes[:gone]:
            self._sum[0] -= self._accepted.pop(minute)
            self._sum[1] -= self._rejected.pop(minute)
        del self._minutes[:gone]


class SpanTally:
    """Requests of one credential in one fixed stretch of time."""

    __slots__ = ("_accepted", "_rejected", "from_ms", "to_ms")

    def __init__(self, from_ms: int, to_ms: int) -> None:
        """Start empty; the stretch is [from, to)."""
        self.from_ms = from_ms
        self.to_ms = to_ms
        self._accepted = self._rejected = 0

    def add(self, ts_ms: int, count: int, *, accepted: bool) -> None:
        """Add requests, if they fall into the stretch."""
        if self.from_ms <= ts_ms < self.to_ms:
            if accepted:
                self._accepted += count
            else:
                self._rejected += count

    def counts(self) -> RequestCounts:
        """Return the counts."""
        return RequestCounts(accepted=self._accepted, rejected=self._rejected)


def in_order(tallies: Iterable[CallerTally]) -> list[CallerTally]:
    """Return callers in the one order in which they are always given."""
    return sorted(tallies, key=caller_order)


def caller_order(tally: CallerTally) -> tuple[str, ...]:
    """Return what callers are sorted by; absent names come first."""
    record = tally.record
    parts = (record.client, record.source, record.region)
    return (record.credential, *(text for each in parts for text in (("", "") if each is None else ("s", each))))
