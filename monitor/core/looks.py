"""Numbers for looks of records: a look is all that decides where an event is counted, but for its time.

A fleet writes millions of records of a few thousand looks. So the cell of each is found once, and remembered for as
long as the registry stays the same, by all partitions of a topic together: one table that fits a processor's cache.
"""

from __future__ import annotations

from array import array
from typing import Any

from monitor.core.cells import Cell, Places, ValueMapping
from monitor.core.events import AuthEvent
from monitor.core.instants import MINUTE_MS
from monitor.core.windows import SLOT_MS
from monitor.core.wire import Chunk, Form

_MOST = 8_192
_COARSE_MINUTES = SLOT_MS // MINUTE_MS


class Looks:
    """The looks of records seen so far, each with its number and its cell (`None`: not an event).

    refused, detailed: numbers of those that are no events, and of those whose route matters. gateway_of, minutes_of: by
    number, the place in `gateways` and the width of the stretch of time that is counted as one.
    """

    def __init__(self, places: Places, *, most: int = _MOST) -> None:
        """Start with none. most: how many are remembered; it bounds the memory under random credentials."""
        self._most = most
        self.cells: list[Cell | None] = []
        self.refused: set[int] = set()
        self.detailed: set[int] = set()
        self.gateways: dict[tuple[str, str | None], int] = {}
        self.gateway_of: array[int] = array("q")
        self.minutes_of: array[int] = array("q")
        self._places = places
        self._of_form: dict[Form, dict[tuple[Any, ...], int]] = {}
        self._of_mapped: dict[tuple[object, ...], int] = {}

    @property
    def full(self) -> bool:
        """Return whether it is time to start with new ones."""
        return len(self.cells) >= self._most

    def of_chunk(self, chunk: Chunk) -> list[int]:
        """Return the number of each of these records."""
        form = chunk.form
        known = self._of_form.setdefault(form, {})
        keys = list(map(form.key_of, chunk.events))
        numbers = list(map(known.get, keys))
        if None in numbers:
            for at, key in enumerate(keys):
                if numbers[at] is None:
                    if key not in known:
                        known[key] = self._add(self._places.of_fields(form.fields_of(key)))
                    numbers[at] = known[key]
        return numbers  # type: ignore[return-value] # none is missing any more

    def of_event(self, event: AuthEvent) -> int:
        """Return the number of a mapped event."""
        look = (
            event.credential,
            event.client,
            event.source,
            event.gateway,
            event.region,
            event.outcome,
            event.reason,
            event.count,
            event.sample_rate < 1,
            event.ts_suspect,
        )
        number = self._of_mapped.get(look)
        if number is None:
            number = self._of_mapped[look] = self._add(self._places.of_event(event))
        return number

    def route_of(self, route: str | None, method: str | None) -> tuple[str | None, str | None]:
        """Return a record's route and method put right."""
        return self._places.route_of(route, method)

    def _add(self, cell: Cell | None) -> int:
        number, gateway, minutes = len(self.cells), 0, _COARSE_MINUTES
        if cell is None:
            self.refused.add(number)
        else:
            gateway = self.gateways.setdefault((cell.gateway, cell.region), len(self.gateways))
            if cell.fine:
                minutes = 1
            if cell.detailed:
                self.detailed.add(number)
        self.cells.append(cell)
        self.gateway_of.append(gateway)
        self.minutes_of.append(minutes)
        return number


class SharedLooks:
    """Hands out the looks that the aggregators of one topic and thread have in common."""

    def __init__(self, mapping: ValueMapping, *, most: int = _MOST) -> None:
        """Prepare for records of this mapping. most: as in `Looks`."""
        self._mapping = mapping
        self._most = most
        self._registered: frozenset[str] | None = None
        self._fine: frozenset[str] | None = None
        self._looks: Looks | None = None

    def now(self, registered: frozenset[str], fine: frozenset[str]) -> Looks:
        """Return the present looks; new ones after a change of the registry, and when those are full."""
        known = self._looks
        if known is None or known.full or registered is not self._registered or fine is not self._fine:
            known = self._looks = Looks(Places(self._mapping, registered, fine), most=self._most)
            self._registered, self._fine = registered, fine
        return known
