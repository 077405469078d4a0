"""Lines -> arrivals -> counters: what a record is, when it arrives, and where it is counted.

A record arrives at its `arrived_at`, else at max(clock, its time), so it is never ahead; but one whose time is more
than 24 h ahead of both its neighbours is `bad_time`, and a record without a readable time arrives at the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice, repeat
from typing import Any, Protocol

from msgspec import UNSET

from monitor.core.events import AuthEvent, Rejected, RejectReason
from monitor.core.instants import DAY_MS, MINUTE_MS
from monitor.core.mapping.canonical import MAX_COUNT, clean_route, text_of
from monitor.core.mapping.reading import Unreadable, read
from monitor.core.mapping.times import EARLIEST_MS, LATEST_MS, number_ms, rfc3339_ms
from monitor.ports.detection import MinuteUse
from monitor.replay.history import History
from monitor.replay.places import Kind, Place, Places, is_kept, minute_use
from monitor.replay.plain_lines import Looks, PlainReader, count_of
from monitor.replay.tallies import GatewayTally

_ARRIVED_AT = b"arrived_at"
_MOST_ROUTES = 50_000


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
        places: Places,
        max_record_bytes: int,
        advance: Callable[[int], int | None],
        for_detector: bool,
    ) -> None:
        """Start before the first record."""
        self._mapping = mapping
        self._plain = PlainReader(max_record_bytes=max_record_bytes) if mapping.is_canonical else None
        self._history = history
        self._places = places
        self._max_bytes = max_record_bytes
        self._advance = advance
        self._for_detector = for_detector
        self._uses: dict[tuple[int, Place, GatewayTally, Kind, str | None], int] = {}
        self._routes: dict[object, str | None] = {}
        self._held: list[RejectReason] = []
        self.clock_ms: int | None = None
        self._due_ms = -1
        self.records = 0

    def feed(self, lines: Sequence[bytes], following: Sequence[bytes]) -> bool:
        """Take in consecutive lines; `following` are those after them. Return whether the replay goes on."""
        plain = None if self._plain is None else self._plain.read(lines)
        self.records += len(lines)
        if plain is None:
            return all(
                self._take(value, chain(islice(lines, index + 1, None), following)) for index, value in enumerate(lines)
            )
        looks = plain.looks
        lookups = zip(
            lines,
            plain.lines,
            plain.times_ms,
            _found(looks.callers, looks.caller_of, plain.lines),
            _found(looks.gateways, looks.gateway_of, plain.lines),
            _found(looks.kinds, looks.kind_of, plain.lines),
            strict=True,
        )
        for index, (value, line, ts_ms, place, gateway, kind) in enumerate(lookups):
            if not self._take_plain(looks, line, ts_ms, place, gateway, kind):
                ahead = chain(islice(lines, index + 1, None), following)
                if not self._take(value, ahead, None if ts_ms is None else looks, line):
                    return False
        return True

    def _take_plain(  # noqa: PLR0917 - called for each event
        self,
        looks: Looks,
        line: Any,  # noqa: ANN401 - a struct that was made for the producer's shape
        ts_ms: int | None,
        place: Place | None,
        gateway: GatewayTally | None,
        kind: Kind | None,
    ) -> bool:
        """Count a plain line whose like was seen before; return whether that was possible."""
        clock_ms = self.clock_ms
        if ts_ms is None or clock_ms is None or place is None or gateway is None or ts_ms < EARLIEST_MS:
            return False
        if place.bare:
            kind = looks.bare_kinds.get(looks.kind_of(line))
        if kind is None:
            return False
        arrival_ms = ts_ms if ts_ms > clock_ms else clock_ms  # noqa: FURB136 - a call costs more than all else here
        if looks.has_arrival and line.arrived_at is not UNSET:
            arrived_ms = _arrived_ms(line.arrived_at)
            if arrived_ms is None or ts_ms > arrived_ms:
                return False
            arrival_ms = arrived_ms
        elif arrival_ms - clock_ms > DAY_MS:
            return False
        count = count_of(line) if looks.has_count else 1
        if arrival_ms > self._due_ms or not 0 < count <= MAX_COUNT or arrival_ms > LATEST_MS:
            return False
        if arrival_ms > clock_ms:
            self.clock_ms = arrival_ms
        self._count(place, gateway, kind, ts_ms, arrival_ms, count)
        if self._for_detector and place.owner is not None:
            route = self._route(line.route) if looks.has_route else None
            name = (ts_ms // MINUTE_MS * MINUTE_MS, place, gateway, kind, route)
            self._uses[name] = self._uses.get(name, 0) + count
        return True

    def _take(self, value: bytes, ahead: Iterator[bytes], looks: Looks | None = None, line: object = None) -> bool:
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
        if not self._pass(arrival_ms):
            return False
        for each in found:
            if isinstance(each, AuthEvent):
                self._add(each, arrival_ms, looks, line)
            else:
                self._history.reject(each, arrival_ms)
        return True

    def _pass(self, arrival_ms: int) -> bool:
        """Let the time pass up to an arrival; return whether the replay goes on."""
        if arrival_ms > self._due_ms:
            due = self._advance(arrival_ms)
            if due is None:
                return False
            self._due_ms = due
        self.clock_ms = arrival_ms if self.clock_ms is None else max(self.clock_ms, arrival_ms)
        for reason in self._held:
            self._history.reject(reason, arrival_ms)
        self._held.clear()
        return True

    def _add(self, event: AuthEvent, arrival_ms: int, looks: Looks | None, line: object) -> None:
        self._history.began(event.ts_ms)
        place, gateway, kind = self._places.place(event), self._places.gateway(event), self._places.kind(event)
        self._count(place, gateway, kind, event.ts_ms, arrival_ms, event.count)
        if event.ts_suspect:
            if kind.accepted and place.tally is not None:
                place.tally.distrust(arrival_ms)
        elif looks is not None and is_kept(event, place):
            looks.learn(line, event, place, gateway, kind)
        if self._for_detector and place.owner is not None:
            name = (event.ts_ms // MINUTE_MS * MINUTE_MS, place, gateway, kind, event.route)
            self._uses[name] = self._uses.get(name, 0) + event.count

    def _count(  # noqa: C901, PLR0917 - the hottest lines of a replay, in one place
        self, place: Place, gateway: GatewayTally, kind: Kind, ts_ms: int, arrival_ms: int, count: int
    ) -> None:
        gateway.hear(ts_ms)
        if kind.sampled:
            self._history.sample(gateway.gateway, ts_ms)
        tally = place.tally
        if place.owner is None:
            if not kind.accepted:
                return
            if tally is None:
                tally = place.tally = self._places.tally(place.credential, place.client, place.source, place.region)
            self._history.stray(place.credential, gateway.gateway)
        if tally is None:
            return
        if not tally.touched:
            tally.touched = True
            tally.owner.append(tally)
        if kind.accepted:
            tally.use(ts_ms, arrival_ms, count, served=kind.served)
        else:
            tally.reject(ts_ms, count, version=kind.version)
        if place.day is not None:
            place.day.add(ts_ms, count, accepted=kind.accepted)
            for baseline in place.baselines:
                if ts_ms < baseline.to_ms:
                    baseline.add(ts_ms, count, accepted=kind.accepted)

    def take_uses(self) -> list[MinuteUse]:
        """Return what has been counted for the detector since the last call, minute by minute, in order of arrival."""
        uses = [
            use
            for (minute_ms, place, gateway, kind, route), requests in self._uses.items()
            if (use := minute_use(minute_ms, place, gateway, kind, route, requests)) is not None
        ]
        self._uses.clear()
        return uses

    def _route(self, raw: object) -> str | None:
        if raw is UNSET:
            return None
        try:
            return self._routes[raw]
        except KeyError:
            if len(self._routes) >= _MOST_ROUTES:
                self._routes.clear()
            route = self._routes[raw] = clean_route(text_of(raw))
            return route

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


def _found(known: dict[Any, Any], look_of: Callable[[Any], Any], lines: Sequence[Any]) -> Iterator[Any]:
    """Return what is known of each line's look, as a loop in C where no line is missing."""
    try:
        return iter(list(map(known.get, map(look_of, lines))))
    except AttributeError:  # a doubtful line among them stands as `None`
        return (None if line is None else known.get(look_of(line)) for line in lines)
    except TypeError:  # a look that cannot be hashed: nested values where a text belongs
        return repeat(None, len(lines))


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
