"""Lines -> arrivals -> counters: what a record is, when it arrives, and where it is counted.

A record arrives at its `arrived_at`, else at max(clock, its time), so it is never ahead; but one whose time is more
than 24 h ahead of both its neighbours is `bad_time`, and a record without a readable time arrives at the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Protocol

from msgspec import UNSET

from monitor.core.events import AuthEvent, Rejected, RejectReason
from monitor.core.instants import DAY_MS, MINUTE_MS
from monitor.core.mapping.reading import Unreadable, read
from monitor.core.mapping.times import EARLIEST_MS, LATEST_MS, number_ms, rfc3339_ms
from monitor.ports.detection import MinuteUse
from monitor.replay.canonical_lines import CanonicalLine, quick_ms, read_line
from monitor.replay.history import History
from monitor.replay.shapes import Shape, Shapes

_MOST_QUICK = 200_000
_MOST_COUNT = 2**31
_ARRIVED_AT = b"arrived_at"


class RecordMapping(Protocol):
    """A compiled mapping, as `monitor.core.mapping.compile_mapping` gives it."""

    @property
    def is_canonical(self) -> bool:
        """Return whether records are canonical events already."""
        ...

    def map_value(self, value: bytes | None, arrival_ms: int | None) -> list[AuthEvent | Rejected]:
        """Return an event or a reject for each element; an arrival of `None` is not judged."""
        ...


class Intake:
    """Takes lines in, in order; asks `advance` to let the time pass before it takes in what arrives later.

    `advance(arrival)` decides all that was due before `arrival` and returns the next moment at which something is due,
    or `None` where the replay ends before that arrival.
    """

    def __init__(
        self,
        *,
        mapping: RecordMapping,
        history: History,
        shapes: Shapes,
        max_record_bytes: int,
        advance: Callable[[int], int | None],
        for_detector: bool,
    ) -> None:
        """Start before the first record."""
        self._mapping = mapping
        self._canonical = mapping.is_canonical
        self._history = history
        self._shapes = shapes
        self._max_bytes = max_record_bytes
        self._advance = advance
        self._for_detector = for_detector
        self._quick: dict[tuple[object, ...], Shape] = {}
        self._uses: dict[tuple[int, int], list[int]] = {}
        self._used_shapes: dict[int, Shape] = {}
        self._held: list[RejectReason] = []
        self.clock_ms: int | None = None
        self._due_ms = -1
        self.records = 0

    def feed(self, lines: Sequence[bytes], following: Sequence[bytes]) -> bool:
        """Take in consecutive lines; `following` are those after them. Return whether the replay goes on."""
        for index, value in enumerate(lines):
            line = read_line(value) if self._canonical and len(value) <= self._max_bytes else None
            if line is None or not self._take_quick(line):
                ahead = chain(islice(lines, index + 1, None), following)
                if not self._take(value, line, ahead):
                    return False
        self.records += len(lines)
        return self._due_ms is not None

    def _take_quick(self, line: CanonicalLine) -> bool:
        """Count a plain line that looks like one before; return whether that was possible."""
        ts_ms, clock_ms = quick_ms(line.ts), self.clock_ms
        if ts_ms is None or clock_ms is None:
            return False
        arrived = line.arrived_at
        if arrived is UNSET:
            arrival_ms = max(clock_ms, ts_ms)
            if arrival_ms - clock_ms > DAY_MS:
                return False
        else:
            read_at = quick_ms(arrived)
            if read_at is None or ts_ms > read_at:
                return False
            arrival_ms = read_at
        shape = self._quick.get(_look_of(line))
        count = 1 if line.count is UNSET else line.count
        if shape is None or not 1 <= count < _MOST_COUNT or ts_ms < EARLIEST_MS or arrival_ms > LATEST_MS:
            return False
        if arrival_ms > self._due_ms:
            return False
        if arrival_ms > clock_ms:
            self.clock_ms = arrival_ms
        self._count(shape, ts_ms, arrival_ms, count)
        return True

    def _take(self, value: bytes, line: CanonicalLine | None, ahead: Iterator[bytes]) -> bool:
        """Take in any line by the full mapping; return whether the replay goes on."""
        found, arrived_ms = self._events(value)
        time_ms = max((each.ts_ms for each in found if isinstance(each, AuthEvent)), default=None)
        clock_ms = self.clock_ms
        if arrived_ms is not None:
            arrival_ms = arrived_ms
            if time_ms is not None and time_ms > arrival_ms:
                found, _ = self._events(value, arrival_ms)
        elif time_ms is None:
            if clock_ms is None:
                self._held += [each for each in found if isinstance(each, RejectReason)]
                return True
            arrival_ms = clock_ms
        elif (clock_ms is None or time_ms > clock_ms + DAY_MS) and (
            (next_ms := self._next_time(ahead)) is not None and time_ms > next_ms + DAY_MS
        ):
            base_ms = next_ms if clock_ms is None else clock_ms
            found = [
                RejectReason.BAD_TIME if isinstance(each, AuthEvent) and each.ts_ms > base_ms + DAY_MS else each
                for each in found
            ]
            arrival_ms = max((each.ts_ms for each in found if isinstance(each, AuthEvent)), default=base_ms)
            arrival_ms = max(arrival_ms, base_ms)
        else:
            arrival_ms = time_ms if clock_ms is None else max(clock_ms, time_ms)
        return self._arrive(found, arrival_ms, line)

    def _arrive(self, found: Sequence[AuthEvent | RejectReason], arrival_ms: int, line: CanonicalLine | None) -> bool:
        if arrival_ms > self._due_ms:
            due = self._advance(arrival_ms)
            if due is None:
                return False
            self._due_ms = due
        self.clock_ms = arrival_ms if self.clock_ms is None else max(self.clock_ms, arrival_ms)
        for reason in self._held:
            self._history.reject(reason, arrival_ms)
        self._held.clear()
        for each in found:
            if isinstance(each, AuthEvent):
                shape = self._shapes.find(each)
                self._history.began(each.ts_ms)
                self._count(shape, each.ts_ms, arrival_ms, each.count, suspect=each.ts_suspect)
                if line is not None and not each.ts_suspect:
                    if len(self._quick) >= _MOST_QUICK:
                        self._quick.clear()
                    self._quick[_look_of(line)] = shape
            else:
                self._history.reject(each, arrival_ms)
        return True

    def _count(self, shape: Shape, ts_ms: int, arrival_ms: int, count: int, *, suspect: bool = False) -> None:
        shape.gateway.hear(ts_ms)
        if shape.sampled:
            self._history.sample(shape.event.gateway, ts_ms)
        caller = shape.caller
        if caller is not None:
            if not caller.touched:
                caller.touched = True
                caller.owner.append(caller)
            if shape.accepted:
                caller.use(ts_ms, arrival_ms, count, served=shape.served)
                if suspect:
                    caller.distrust(arrival_ms)
            elif shape.owner is not None:
                caller.reject(ts_ms, count, version=shape.version)
            if shape.day is not None:
                shape.day.add(ts_ms, count, accepted=shape.accepted)
                for baseline in shape.baselines:
                    baseline.add(ts_ms, count, accepted=shape.accepted)
        if self._for_detector and shape.owner is not None:
            self._used_shapes[id(shape)] = shape
            self._uses.setdefault((ts_ms // MINUTE_MS * MINUTE_MS, id(shape)), [0])[0] += count

    def take_uses(self) -> list[MinuteUse]:
        """Return what has been counted for the detector since the last call, minute by minute, in order of arrival."""
        uses = [
            use
            for (minute_ms, shape), (requests,) in self._uses.items()
            if (use := self._used_shapes[shape].minute_use(minute_ms, requests)) is not None
        ]
        self._uses.clear()
        self._used_shapes.clear()
        return uses

    def _events(self, value: bytes, arrival_ms: int | None = None) -> tuple[list[AuthEvent | RejectReason], int | None]:
        """Return what a record holds, and its own `arrived_at`."""
        found = [
            each.reason if isinstance(each, Rejected) else each for each in self._mapping.map_value(value, arrival_ms)
        ]
        return found, _arrived_at(value, self._max_bytes) if _ARRIVED_AT in value else None

    def _next_time(self, ahead: Iterator[bytes]) -> int | None:
        """Return when the next record with a readable time says that it was."""
        for value in ahead:
            found, arrived_ms = self._events(value)
            if arrived_ms is not None:
                return arrived_ms
            times = [each.ts_ms for each in found if isinstance(each, AuthEvent)]
            if times:
                return max(times)
        return None


def _look_of(line: CanonicalLine) -> tuple[object, ...]:
    """Return what two lines must have in common to be counted in the same place."""
    return (
        line.outcome,
        line.reason,
        line.status,
        line.credential,
        line.client,
        line.source,
        line.gateway,
        line.region,
        line.route,
    )


def _arrived_at(value: bytes, max_bytes: int) -> int | None:
    """Return the latest `arrived_at` beside the record's elements."""
    elements = read(value, max_bytes=max_bytes)
    if isinstance(elements, Unreadable):
        return None
    arrivals = (_arrived_ms(each.get(_ARRIVED_AT.decode())) for each in elements if isinstance(each, dict))
    return max((each for each in arrivals if each is not None), default=None)


def _arrived_ms(raw: object) -> int | None:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return None
    ms = rfc3339_ms(raw) if isinstance(raw, str) else number_ms(raw)
    return ms if ms is not None and EARLIEST_MS <= ms <= LATEST_MS else None
