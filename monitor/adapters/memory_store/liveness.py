"""Which stretches of time a gateway was heard in: runs of records less than a minute apart.

A run is all that is kept, so a busy gateway costs a few numbers however long it talks. Runs come out the same in
whatever order their parts arrive: they are the connected pieces of the records at a distance below a minute.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort

from monitor.core.evidence import GatewayLiveness
from monitor.core.instants import HOUR_MS, MINUTE_MS
from monitor.core.windows import Span


class GatewayRuns:
    """One gateway's runs in order of time, and the silences between them."""

    def __init__(self, gateway: str, region: str | None) -> None:
        """Start unheard."""
        self.gateway = gateway
        self.region = region
        self.records = 0
        self._starts = array("q")
        self._ends = array("q")
        self._long: list[tuple[int, int]] = []
        """Silences of an hour or more."""

    @property
    def first_ms(self) -> int:
        """Return the first record's time."""
        return self._starts[0]

    @property
    def last_ms(self) -> int:
        """Return the last record's time."""
        return self._ends[-1]

    def add(self, span: Span) -> None:
        """Take in records of one minute, whose inner distances are below a minute."""
        self.records += span.count
        starts, ends = self._starts, self._ends
        if ends and starts[-1] <= span.first_ms < ends[-1] + MINUTE_MS:
            ends[-1] = max(ends[-1], span.last_ms)
        else:
            self._insert(span.first_ms, span.last_ms)

    def _insert(self, first_ms: int, last_ms: int) -> None:
        starts, ends = self._starts, self._ends
        low = bisect_right(ends, first_ms - MINUTE_MS)
        high = bisect_left(starts, last_ms + MINUTE_MS)
        joined = low < high
        start = min(first_ms, starts[low]) if joined else first_ms
        end = max(last_ms, ends[high - 1]) if joined else last_ms
        for index in range(max(low, 1), min(high + 1, len(starts))):
            self._forget(ends[index - 1], starts[index])
        starts[low:high] = array("q", [start])
        ends[low:high] = array("q", [end])
        if low > 0:
            self._remember(ends[low - 1], start)
        if low + 1 < len(starts):
            self._remember(end, starts[low + 1])

    def _remember(self, from_ms: int, to_ms: int) -> None:
        if to_ms - from_ms >= HOUR_MS:
            insort(self._long, (from_ms, to_ms))

    def _forget(self, from_ms: int, to_ms: int) -> None:
        if to_ms - from_ms >= HOUR_MS:
            del self._long[bisect_left(self._long, (from_ms, to_ms))]

    def look(self, *, fine_since_ms: int, since_ms: int) -> GatewayLiveness:
        """Return the silences: of a minute or more ending after `fine_since_ms`, of an hour or more before that."""
        starts, ends = self._starts, self._ends
        fine = max(bisect_left(starts, fine_since_ms), 1)
        silences = [each for each in self._long if since_ms <= each[1] < fine_since_ms]
        silences += zip(ends[fine - 1 :], starts[fine:], strict=False)
        return GatewayLiveness(
            gateway=self.gateway,
            region=self.region,
            first_ms=self.first_ms,
            last_ms=self.last_ms,
            silences=tuple(silences),
        )

    def forget_short(self, before_ms: int) -> int:
        """Join runs that ended before and have less than an hour between them; return how many went."""
        starts, ends = array("q"), array("q")
        for start, end in zip(self._starts, self._ends, strict=True):
            if ends and end < before_ms and start - ends[-1] < HOUR_MS:
                ends[-1] = end
            else:
                starts.append(start)
                ends.append(end)
        gone = len(self._starts) - len(starts)
        self._starts, self._ends = starts, ends
        return gone
