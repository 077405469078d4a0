"""A caller's history of use, one row a day: enough for gaps, sightings and rhythm, in any order of arrival.

Rows are `monitor.core.windows.DayUse`; a caller of a version is the union over its credentials and regions.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple


class Day(NamedTuple):
    """One UTC day of a caller: see `DayUse`."""

    day: int
    first_ms: int
    last_ms: int
    uses: int
    slots: int


_WIDTH = len(Day._fields)
_USES = Day._fields.index("uses")


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
        cells = self._cells
        for at in range(0, len(cells), _WIDTH):
            yield Day(*cells[at : at + _WIDTH])

    def __getitem__(self, index: int) -> Day:
        """Return one day; negative indices count from the end."""
        at = (index if index >= 0 else len(self) + index) * _WIDTH
        if not 0 <= at < len(self._cells):
            raise IndexError(index)
        return Day(*self._cells[at : at + _WIDTH])

    def add(self, new: Day) -> None:
        """Merge one day into its place; cheap at the end, where nearly all belong."""
        cells = self._cells
        index = (
            len(self)
            if not cells or cells[-_WIDTH] < new.day
            else bisect_left(range(len(self)), new.day, key=self._day)
        )
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
        for index in range(bisect_left(range(len(self)), day, key=self._day), len(self)):
            yield self[index]

    def before(self, day: int) -> tuple[int, int]:
        """Return (days, uses) before that day: unchanged as long as nothing arrives late for one of them."""
        index = bisect_left(range(len(self)), day, key=self._day)
        return index, sum(self._cells[_USES : index * _WIDTH : _WIDTH])

    def _day(self, index: int) -> int:
        return self._cells[index * _WIDTH]
