"""A caller's rhythm on one version, folded day by day: longest gap, sightings, hours of the week.

Days come in order of time and are exact at their ends; within a day we know half hours only. Where that leaves room,
the answer errs to the patient side: gaps are rounded up, sightings down, so nobody clears too early. How even a rhythm
is has no patient side: there each use counts as in the middle of its half hour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge
from math import sqrt
from struct import Struct

from monitor.core.activity import Activity, Day
from monitor.core.instants import DAY_MS, HOUR_MS
from monitor.core.windows import SLOT_MS

SIGHTING_MS = 12 * HOUR_MS
"""A sighting begins at least this long after the previous one began (contract: DESIGN §6)."""

_WEEK_DAYS = 7
_EPOCH_WEEKDAY = 3
"""1 January 1970 was a Thursday; Monday is 0."""


@dataclass(slots=True)
class Sightings:
    """Sightings, counted from the first on: each use as late in its half hour as it can have been, or in its middle.

    Counted late there are never more of them than there were.
    """

    late: bool
    count: int = 0
    begun_ms: int | None = None
    """When the latest one began."""
    gap_sum: float = 0.0
    gap_square_sum: float = 0.0

    def copy(self) -> Sightings:
        """Return an independent copy."""
        return Sightings(self.late, self.count, self.begun_ms, self.gap_sum, self.gap_square_sum)

    def add(self, day: Day) -> None:
        """Take in the next day with a served use."""
        begun = self.begun_ms
        earliest = 0 if begun is None else begun + SIGHTING_MS
        while earliest <= day.last_ms:
            at_ms = self._first_use(day, earliest)
            if at_ms is None:
                return
            if begun is not None:
                gap = float(at_ms - begun)
                self.gap_sum += gap
                self.gap_square_sum += gap * gap
            self.count += 1
            self.begun_ms = begun = at_ms
            earliest = at_ms + SIGHTING_MS

    def _first_use(self, day: Day, earliest_ms: int) -> int | None:
        """Return when the first use at or after a moment was, in this reading; only a day's ends are exact."""
        number, first_ms, last_ms, _, slots = day
        start = number * DAY_MS
        slot = (earliest_ms - start) // SLOT_MS if earliest_ms > start else 0
        later = slots >> slot
        while later:
            step = (later & -later).bit_length() - 1
            slot += step
            begin = start + slot * SLOT_MS
            if begin <= first_ms < begin + SLOT_MS and first_ms >= earliest_ms:
                return first_ms
            if begin <= last_ms < begin + SLOT_MS:
                at_ms = last_ms
            elif self.late:
                # within the moment's own half hour none is certain to come after it
                at_ms = begin + SLOT_MS - 1 if begin >= earliest_ms else begin
            else:
                at_ms = begin + SLOT_MS // 2
            if at_ms >= earliest_ms:
                return at_ms
            later >>= step + 1
            slot += 1
        return None

    @property
    def mean_gap_ms(self) -> float | None:
        """Return the mean gap, or `None` before the second sighting."""
        return self.gap_sum / (self.count - 1) if self.count > 1 else None

    @property
    def variation(self) -> float | None:
        """Return the coefficient of variation of the gaps; `None` without a gap, 0 with one.

        By the sample deviation (Bessel): of the two usual estimates the one that calls fewer callers regular.
        """
        gaps = self.count - 1
        if gaps <= 1:
            return 0.0 if gaps == 1 else None
        mean = self.gap_sum / gaps
        variance = max(0.0, (self.gap_square_sum - gaps * mean * mean) / (gaps - 1))
        return sqrt(variance) / mean


@dataclass(slots=True)
class Rhythm:
    """What the days so far say. `add` the next day; `copy` before adding one that may still change."""

    first_ms: int | None = None
    last_ms: int | None = None
    longest_gap_ms: int = 0
    active_slots: int = 0
    week: list[int] = field(default_factory=lambda: [0] * _WEEK_DAYS)
    """Per day of the week (Monday first), the half hours in which it was ever served."""
    at_latest: Sightings = field(default_factory=lambda: Sightings(late=True))
    in_the_middle: Sightings = field(default_factory=lambda: Sightings(late=False))

    def copy(self) -> Rhythm:
        """Return an independent copy."""
        return Rhythm(
            self.first_ms,
            self.last_ms,
            self.longest_gap_ms,
            self.active_slots,
            self.week.copy(),
            self.at_latest.copy(),
            self.in_the_middle.copy(),
        )

    def add(self, day: Day) -> None:
        """Take in the next day; days must come in order."""
        number, first_ms, last_ms, _, slots = day
        if self.last_ms is None:
            self.first_ms = first_ms
        elif first_ms - self.last_ms > self.longest_gap_ms:
            self.longest_gap_ms = first_ms - self.last_ms
        self.last_ms = last_ms
        used = slots.bit_count()
        span_ms = last_ms - first_ms
        # nearly always it is known at once that nothing within the day is longer: not all empty half hours together
        if span_ms > self.longest_gap_ms and span_ms + (4 - used) * SLOT_MS > self.longest_gap_ms:
            self.longest_gap_ms = max(self.longest_gap_ms, longest_gap_within(day))
        self.active_slots += used or 1
        self.week[(number + _EPOCH_WEEKDAY) % _WEEK_DAYS] |= slots
        if slots:
            self.at_latest.add(day)
            self.in_the_middle.add(day)

    @property
    def sightings(self) -> int:
        """Return how many sightings there were at least."""
        return self.at_latest.count

    @property
    def variation(self) -> float | None:
        """Return the coefficient of variation of the gaps between sightings; `None` where it cannot be told."""
        return self.in_the_middle.variation


Marks = tuple[tuple[int, int], ...]
"""Per activity, (days, uses) before a day: the same as long as nothing arrived late for one of them."""

_PACKED = Struct("<B 3q 4q 7q 2q2d 2q2d")
FOLD_FORMAT = 2
"""Raise it with any change of what a fold says: what an older release packed is then folded anew."""
_NEVER = -1


@dataclass(slots=True)
class Folded:
    """The settled part of a rhythm: days before `until_day`, as long as `marks` still hold. Never changed."""

    until_day: int
    marks: Marks
    rhythm: Rhythm

    @classmethod
    def nothing(cls, activities: int = 1) -> Folded:
        """Return the fold of no day of that many activities."""
        return cls(0, ((0, 0),) * activities, Rhythm())

    def holds(self, activities: Sequence[Activity]) -> bool:
        """Return whether nothing arrived late for one of the folded days."""
        return self.marks == _marks(activities, self.until_day)

    def until(self, day: int, activities: Sequence[Activity]) -> Folded:
        """Return the fold of these activities' days before `day`, going on from this one, which must hold."""
        rhythm = self.rhythm.copy()
        for each in days_of(activities, self.until_day):
            if each.day >= day:
                break
            rhythm.add(each)
        return Folded(day, _marks(activities, day), rhythm)

    def packed(self) -> bytes:
        """Return the fold of one activity as bytes, for a store to keep."""
        ((days, uses),) = self.marks
        rhythm = self.rhythm
        sightings = [
            number
            for each in (rhythm.at_latest, rhythm.in_the_middle)
            for number in (each.count, _or_never(each.begun_ms), each.gap_sum, each.gap_square_sum)
        ]
        return _PACKED.pack(
            FOLD_FORMAT,
            self.until_day,
            days,
            uses,
            _or_never(rhythm.first_ms),
            _or_never(rhythm.last_ms),
            rhythm.longest_gap_ms,
            rhythm.active_slots,
            *rhythm.week,
            *sightings,
        )

    @classmethod
    def unpacked(cls, packed: bytes) -> Folded | None:
        """Return what was packed; `None` where another release packed it, or something else is wrong with it."""
        if len(packed) != _PACKED.size or packed[0] != FOLD_FORMAT:
            return None
        _, until_day, days, uses, first, last, gap, active, *rest = _PACKED.unpack(packed)
        week, late, early = rest[:_WEEK_DAYS], rest[_WEEK_DAYS : _WEEK_DAYS + 4], rest[_WEEK_DAYS + 4 :]
        rhythm = Rhythm(
            _unless_never(first),
            _unless_never(last),
            gap,
            active,
            week,
            Sightings(True, late[0], _unless_never(late[1]), late[2], late[3]),
            Sightings(False, early[0], _unless_never(early[1]), early[2], early[3]),
        )
        return cls(until_day, ((days, uses),), rhythm)


def days_of(activities: Sequence[Activity], from_day: int) -> Iterator[Day]:
    """Yield the days from that one on of several activities as if they were one, in order of time."""
    if len(activities) == 1:
        yield from activities[0].since(from_day)
        return
    last: Day | None = None
    for day in merge(*[activity.since(from_day) for activity in activities]):
        if last is None or last.day != day.day:
            if last is not None:
                yield last
            last = day
        else:
            last = Day(
                day.day,
                min(last.first_ms, day.first_ms),
                max(last.last_ms, day.last_ms),
                last.uses + day.uses,
                last.slots | day.slots,
            )
    if last is not None:
        yield last


def longest_gap_within(day: Day) -> int:
    """Return the longest gap between two uses of a day, rounded up by an hour at most."""
    start = day.day * DAY_MS
    used = day.slots | 1 << (day.first_ms - start) // SLOT_MS | 1 << (day.last_ms - start) // SLOT_MS
    empty = max(map(len, f"{used >> lowest(used):b}".split("1")))
    return min(day.last_ms - day.first_ms, (empty + 2) * SLOT_MS)


def lowest(bits: int) -> int:
    """Return the number of the lowest bit that is set."""
    return (bits & -bits).bit_length() - 1


def _marks(activities: Sequence[Activity], day: int) -> Marks:
    return tuple([activity.before(day) for activity in activities])


def _or_never(moment_ms: int | None) -> int:
    return _NEVER if moment_ms is None else moment_ms


def _unless_never(moment_ms: int) -> int | None:
    return None if moment_ms == _NEVER else moment_ms
