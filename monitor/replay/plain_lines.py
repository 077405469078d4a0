"""Plain canonical lines in bulk: decoded and proved whole by `monitor.core.wire`, and looked up by loops in C.

What is doubtful (an escape, an unknown field, a wrong type, an unusual time) is left to the mapping, so both ways give
the same events; a test holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from msgspec import UNSET

from monitor.core.events import AuthEvent
from monitor.core.wire import Form, WireReader
from monitor.replay.places import Kind, Place
from monitor.replay.tallies import GatewayTally

_MOST_LOOKS = 300_000
_CALLER = ("credential", "client", "source", "region")
_GATEWAY = ("gateway", "region")
_KIND = ("outcome", "reason", "status", "sample_rate")


class Looks:
    """How lines of one form look, and where such lines are counted. Absent fields look like themselves."""

    def __init__(self, names: frozenset[str]) -> None:
        """Know nothing yet; `names` are the form's fields."""
        self.caller_of = _getter(_CALLER, names)
        self.gateway_of = _getter(_GATEWAY, names)
        self.kind_of = _getter(_KIND, names)
        self.callers: dict[Any, Place] = {}
        self.gateways: dict[Any, GatewayTally] = {}
        self.kinds: dict[Any, Kind] = {}
        self.bare_kinds: dict[Any, Kind] = {}
        self.has_count = "count" in names
        self.has_arrival = "arrived_at" in names
        self.has_route = "route" in names

    def learn(self, line: object, event: AuthEvent, place: Place, gateway: GatewayTally, kind: Kind) -> None:
        """Remember where a line was counted."""
        if len(self.callers) >= _MOST_LOOKS:
            self.callers.clear()
        self.callers[self.caller_of(line)] = place
        self.gateways[self.gateway_of(line)] = gateway
        (self.kinds if event.credential is not None else self.bare_kinds)[self.kind_of(line)] = kind


class PlainLines:
    """One chunk of lines: for each its decoded line and time, `None` where it is doubtful."""

    __slots__ = ("lines", "looks", "times_ms")

    def __init__(self, looks: Looks, lines: Sequence[Any], times_ms: Sequence[int | None]) -> None:
        """Hold them."""
        self.looks = looks
        self.lines = lines
        self.times_ms = times_ms


class PlainReader:
    """Reads chunks. Learns the producer's shape from what it sees."""

    def __init__(self, *, max_record_bytes: int) -> None:
        """Start with no shape."""
        self._wire = WireReader()
        self._max_bytes = max_record_bytes
        self._looks: dict[frozenset[str], Looks] = {}

    def read(self, values: Sequence[bytes]) -> PlainLines | None:
        """Return the chunk, or `None` where every line is doubtful."""
        whole = max(map(len, values)) <= self._max_bytes
        chunk = self._wire.read(values) if whole else None
        if chunk is not None:
            return PlainLines(self._looks_of(chunk.form), chunk.events, chunk.times_ms)
        places = [each for each in self._wire.plain(values) if len(values[each]) <= self._max_bytes]
        chunk = self._wire.read([values[each] for each in places]) if places else None
        if chunk is None:
            return None
        lines: list[Any] = [None] * len(values)
        times: list[int | None] = [None] * len(values)
        for place, line, time_ms in zip(places, chunk.events, chunk.times_ms, strict=True):
            lines[place], times[place] = line, time_ms
        return PlainLines(self._looks_of(chunk.form), lines, times)

    def _looks_of(self, form: Form) -> Looks:
        names = form.names
        looks = self._looks.get(names)
        if looks is None:
            looks = self._looks[names] = Looks(names)
        return looks


def _getter(wanted: Sequence[str], names: frozenset[str]) -> Callable[[Any], Any]:
    there = [name for name in wanted if name in names]
    return attrgetter(*there) if there else lambda _: ()


def count_of(line: Any) -> int:  # noqa: ANN401 - a struct that was made for the producer's shape
    """Return a line's weight; 0 where the mapping has to judge it."""
    count = line.count
    if count is UNSET or count is None:
        return 1
    return count if isinstance(count, int) else 0
