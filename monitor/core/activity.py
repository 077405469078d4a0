"""A caller's history of use, one row a day: enough for gaps, sightings and rhythm, in any order of arrival.

Rows are `monitor.core.windows.DayUse`; a caller of a version is the union over its credentials and regions.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from monitor.core.instants import DAY_MS


class Day(NamedTuple):
    """One UTC day of a caller: see `DayUse`."""

    day: int
    first_ms: int
    last_ms: int
    uses: int
    slots: int


_WIDTH = len(Day._fields)
_USES = Day._fields.index("uses")
_LAST = Day._fields.index("last_ms")
_AMONG_THE_LAST = 4


@dataclass(slots=True)
class Activity:
    """Days of use in order of time, packed: 40 bytes a day."""

    _cells: array[int] = field(default_factory=lambda: array("q"))

    @classmethod
    def of(cls, days: Iterable[Day]) -> Activity:
        """Return the activity of these days, given in any order; the same day twice is merged."""
        made = cls()
        for day in sorted(days):
            made.add(day)
        return made

    def __len__(self) -> int:
        """Return the number of days."""
        return len(self._cells) // _WIDTH

    def __bool__(self) -> bool:
        """Return whether there was any use."""
        return bool(self._cells)

    def __iter__(self) -> Iterator[Day]:
        """Yield the days in order of time."""
        return _days(self._cells)

    def __getitem__(self, index: int) -> Day:
        """Return one day; negative indices count from the end."""
        at = (index if index >= 0 else len(self) + index) * _WIDTH
        if not 0 <= at < len(self._cells):
            raise IndexError(index)
        return Day(*self._cells[at : at + _WIDTH])

    def add(self, new: Day) -> None:
        """Merge one day into its place; cheap at the end, where nearly all belong."""
        cells = self._cells
        index = len(self) if not cells or cells[-_WIDTH] < new.day else self._index(new.day)
        at = index * _WIDTH
        if at < len(cells) and cells[at] == new.day:
            cells[at + 1] = min(cells[at + 1], new.first_ms)
            cells[at + 2] = max(cells[at + 2], new.last_ms)
            cells[at + 3] += new.uses
            cells[at + 4] |= new.slots
        else:
            cells[at:at] = array("q", new)

    def union(self, other: Activity) -> Activity:
        """Return both together."""
        return Activity.of([*self, *other])

    def since(self, day: int) -> Iterator[Day]:
        """Yield the days from that one on."""
        return _days(self._cells[self._index(day) * _WIDTH :])

    def before(self, day: int) -> tuple[int, int]:
        """Return (days, uses) before that day: unchanged as long as nothing arrives late for one of them."""
        index = self._index(day)
        return index, sum(self._cells[_USES : index * _WIDTH : _WIDTH])

    def after(self, day: int) -> tuple[int, int]:
        """Return (days, uses) from that day on."""
        index = self._index(day)
        return len(self) - index, sum(self._cells[index * _WIDTH + _USES :: _WIDTH])

    def uses_since(self, moment_ms: int) -> int:
        """Return the uses since a moment; its own day counts whole if its last use is not before the moment."""
        day = moment_ms // DAY_MS
        at = self._index(day) * _WIDTH
        cells = self._cells
        uses = sum(cells[at + _USES :: _WIDTH])
        if at < len(cells) and cells[at] == day and cells[at + _LAST] < moment_ms:
            uses -= cells[at + _USES]
        return uses

    def _index(self, day: int) -> int:
        """Return the place of the first day that is not before that one: nearly always among the last."""
        cells = self._cells
        end = len(cells)
        for _ in range(_AMONG_THE_LAST):
            if not end or cells[end - _WIDTH] < day:
                return end // _WIDTH
            end -= _WIDTH
        return bisect_left(cells[:end:_WIDTH], day)


def _days(cells: array[int]) -> Iterator[Day]:
    return map(Day._make, zip(*[iter(cells)] * _WIDTH, strict=True))
