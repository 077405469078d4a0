"""What a replay counts, one small counter a thing: callers, gateways, credentials; late events find their place."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable

from monitor.core.activity import Activity, Day
from monitor.core.evidence import CallerRecord, GatewayLiveness, RequestCounts
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS
from monitor.core.windows import SLOT_MS, CallerFacts, earlier, later

_NEVER = -1
_MOST_MINUTES = 4_000
"""Of a day's 1,440: what is older is forgotten at the latest then."""


class CallerTally:
    """One caller of one credential in one region. `record` is current after `settle`.

    touched: something came since the last look; arrived: its first served use became known, or earlier than known.
    """

    __slots__ = (
        "_arrival",
        "_day",
        "_first",
        "_last",
        "_served",
        "_served_first",
        "_served_last",
        "_slots",
        "_uses",
        "arrived",
        "facts",
        "owner",
        "record",
        "touched",
    )

    def __init__(self, credential: str, client: str | None, source: str | None, region: str | None) -> None:
        """Start with no use."""
        self.facts = CallerFacts()
        self.record = CallerRecord(
            credential=credential, client=client, source=source, region=region, facts=self.facts, activity=Activity()
        )
        self.owner: list[CallerTally] = []
        self.touched = self.arrived = False
        self._day = _NEVER
        self._first = self._last = self._uses = self._slots = self._arrival = 0
        self._served = self._served_first = self._served_last = 0

    def use(self, ts_ms: int, arrival_ms: int, count: int, *, served: bool) -> None:
        """Add accepted requests: gathered by day, and put where they belong by `settle`."""
        day = ts_ms // DAY_MS
        if day != self._day:
            self.settle()
            self._day = day
            self._first = self._last = ts_ms
        elif ts_ms > self._last:
            self._last = ts_ms
        elif ts_ms < self._first:
            self._first = ts_ms
        self._uses += count
        if arrival_ms > self._arrival:  # noqa: PLR1730 - a call costs more than all else here
            self._arrival = arrival_ms
        if served:
            self._slots |= 1 << (ts_ms - day * DAY_MS) // SLOT_MS
            if not self._served:
                self._served_first = self._served_last = ts_ms
            elif ts_ms > self._served_last:
                self._served_last = ts_ms
            elif ts_ms < self._served_first:
                self._served_first = ts_ms
            self._served += count

    def reject(self, ts_ms: int, count: int, *, version: bool) -> None:
        """Add rejected requests; `version` says that they were rejected because of the key's version."""
        facts = self.facts
        facts.rejected += count
        facts.first_rejected_ms = earlier(facts.first_rejected_ms, ts_ms)
        facts.last_rejected_ms = later(facts.last_rejected_ms, ts_ms)
        if version:
            facts.version_rejected += count
            facts.last_version_rejected_ms = later(facts.last_version_rejected_ms, ts_ms)

    def distrust(self, arrival_ms: int) -> None:
        """Note an accepted request whose time could not be trusted."""
        self.facts.last_suspect_ms = later(self.facts.last_suspect_ms, arrival_ms)

    def settle(self) -> None:
        """Put what was gathered for the latest day into the record."""
        if self._day == _NEVER:
            return
        facts = self.facts
        facts.accepted += self._uses
        facts.first_accepted_ms = earlier(facts.first_accepted_ms, self._first)
        facts.last_accepted_ms = later(facts.last_accepted_ms, self._last)
        facts.last_arrival_ms = later(facts.last_arrival_ms, self._arrival)
        if self._served:
            if facts.first_served_ms is None or self._served_first < facts.first_served_ms:
                self.arrived = True
            facts.served += self._served
            facts.first_served_ms = earlier(facts.first_served_ms, self._served_first)
            facts.last_served_ms = later(facts.last_served_ms, self._served_last)
        self.record.activity.add(Day(self._day, self._first, self._last, self._uses, self._slots))
        self._day = _NEVER
        self._uses = self._slots = self._served = 0


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

    __slots__ = ("_accepted", "_counts", "_minute", "_minutes", "_rejected", "_sum")

    def __init__(self) -> None:
        """Start empty."""
        self._minutes: array[int] = array("q")
        self._counts: dict[int, tuple[int, int]] = {}
        self._sum = [0, 0]
        self._minute = _NEVER
        self._accepted = self._rejected = 0

    def add(self, ts_ms: int, count: int, *, accepted: bool) -> None:
        """Add requests."""
        minute = ts_ms // MINUTE_MS
        if minute != self._minute:
            self._settle()
            self._minute = minute
        if accepted:
            self._accepted += count
        else:
            self._rejected += count

    def counts(self, now_ms: int) -> RequestCounts:
        """Return the counts, and forget what is older."""
        self._settle()
        self._forget((now_ms - DAY_MS) // MINUTE_MS)
        return RequestCounts(accepted=self._sum[0], rejected=self._sum[1])

    def _settle(self) -> None:
        minute = self._minute
        if minute == _NEVER:
            return
        accepted, rejected = self._accepted, self._rejected
        self._sum[0] += accepted
        self._sum[1] += rejected
        known = self._counts.get(minute)
        if known is not None:
            self._counts[minute] = (known[0] + accepted, known[1] + rejected)
        else:
            self._counts[minute] = (accepted, rejected)
            if not self._minutes or minute > self._minutes[-1]:
                self._minutes.append(minute)
                if len(self._minutes) > _MOST_MINUTES:
                    self._forget(minute - DAY_MS // MINUTE_MS)
            else:
                insort(self._minutes, minute)
        self._minute = _NEVER
        self._accepted = self._rejected = 0

    def _forget(self, before_minute: int) -> None:
        gone = bisect_left(self._minutes, before_minute)
        for minute in self._minutes[:gone]:
            accepted, rejected = self._counts.pop(minute)
            self._sum[0] -= accepted
            self._sum[1] -= rejected
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
