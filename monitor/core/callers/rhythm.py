"""A caller's rhythm on one version, folded day by day: longest gap, sightings, hours of the week, uses since a moment.

Days come in order of time and are exact at their ends; within a day we know half hours only. Where that leaves room,
the answer errs to the patient side: gaps are rounded up, sightings and uses down, so nobody clears too early.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt

from monitor.core.activity import Day
from monitor.core.instants import DAY_MS, HOUR_MS
from monitor.core.windows import SLOT_MS

SIGHTING_MS = 12 * HOUR_MS
"""A sighting begins at least this long after the previous one began (contract: DESIGN §6)."""

_WEEK_DAYS = 7
_EPOCH_WEEKDAY = 3
"""1 January 1970 was a Thursday; Monday is 0."""


_DISAGREEMENT = 0.05
"""A caller that never rests is counted every 12 h in one reading and every 12.5 h in the other."""


@dataclass(slots=True)
class Sightings:
    """Sightings, counted from the first on: each use as late (or as early) within its half hour as it can have been."""

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
        if self.begun_ms is None:
            self._begin(self._at(day, _lowest(day.slots), 0))
        while self.begun_ms is not None and (earliest := self.begun_ms + SIGHTING_MS) <= day.last_ms:
            slot = _slot_from(day, earliest, certain=self.late)
            if slot is None:
                return
            self._begin(self._at(day, slot, earliest))

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

    def _begin(self, at_ms: int) -> None:
        if self.begun_ms is not None:
            gap = float(at_ms - self.begun_ms)
            self.gap_sum += gap
            self.gap_square_sum += gap * gap
        self.begun_ms = at_ms
        self.count += 1

    def _at(self, day: Day, slot: int, earliest_ms: int) -> int:
        """Return when the first use in that half hour (from a moment on) happened, at the latest or the earliest."""
        start = day.day * DAY_MS
        first = day.first_ms
        if first >= earliest_ms and (first - start) // SLOT_MS == slot:
            return first
        if self.late:
            return min(day.last_ms, start + (slot + 1) * SLOT_MS - 1)
        return max(earliest_ms, start + slot * SLOT_MS)


@dataclass(slots=True)
class Rhythm:
    """What the days so far say. `add` the next day; `copy` before adding one that may still change.

    `since_ms` is the moment from which on `uses_since` counts half hours with use (the first success on the new
    version), `None` where there is none.
    """

    since_ms: int | None = None
    first_ms: int | None = None
    last_ms: int | None = None
    longest_gap_ms: int = 0
    at_latest: Sightings = field(default_factory=lambda: Sightings(late=True))
    at_earliest: Sightings = field(default_factory=lambda: Sightings(late=False))
    active_slots: int = 0
    uses_since: int = 0
    first_since_ms: int | None = None
    """When the first of `uses_since` happened, at the earliest."""
    week: list[int] = field(default_factory=lambda: [0] * _WEEK_DAYS)
    """Per day of the week (Monday first), the half hours in which it was ever served."""

    def copy(self) -> Rhythm:
        """Return an independent copy."""
        return Rhythm(
            self.since_ms,
            self.first_ms,
            self.last_ms,
            self.longest_gap_ms,
            self.at_latest.copy(),
            self.at_earliest.copy(),
            self.active_slots,
            self.uses_since,
            self.first_since_ms,
            self.week.copy(),
        )

    def add(self, day: Day) -> None:
        """Take in the next day; days must come in order."""
        if self.first_ms is None or self.last_ms is None:
            self.first_ms = day.first_ms
        else:
            self.longest_gap_ms = max(self.longest_gap_ms, day.first_ms - self.last_ms)
        self.last_ms = day.last_ms
        if day.last_ms - day.first_ms > self.longest_gap_ms:
            self.longest_gap_ms = max(self.longest_gap_ms, longest_gap_within(day))
        self.active_slots += max(1, day.slots.bit_count())
        self.week[(day.day + _EPOCH_WEEKDAY) % _WEEK_DAYS] |= day.slots
        if day.slots:
            self.at_latest.add(day)
            self.at_earliest.add(day)
        if self.since_ms is not None and day.last_ms >= self.since_ms:
            self._count_since(day, self.since_ms)

    @property
    def sightings(self) -> int:
        """Return how many sightings there were at least."""
        return min(self.at_latest.count, self.at_earliest.count)

    @property
    def variation(self) -> float | None:
        """Return the coefficient of variation of the gaps between sightings; `None` where it cannot be told.

        Half hours leave two readings, each use as late and as early as can be; where they disagree on how many
        sightings there were, the rhythm is finer than we can see, and nothing may be concluded from it.
        """
        late, early = self.at_latest.variation, self.at_earliest.variation
        most, least = self.at_earliest.count, self.at_latest.count
        if late is None or early is None or abs(most - least) > max(1.0, _DISAGREEMENT * least):
            return None
        return max(late, early)

    def _count_since(self, day: Day, since_ms: int) -> None:
        start = day.day * DAY_MS
        if day.first_ms >= since_ms:
            count, first = max(1, day.slots.bit_count()), day.first_ms
        else:
            skipped = (since_ms - start) // SLOT_MS + 1
            rest = day.slots >> skipped
            count = rest.bit_count()
            first = start + (skipped + _lowest(rest)) * SLOT_MS
        if count:
            self.uses_since += count
            if self.first_since_ms is None:
                self.first_since_ms = first


def longest_gap_within(day: Day) -> int:
    """Return the longest gap between two uses of a day, rounded up by an hour at most."""
    start = day.day * DAY_MS
    used = day.slots | 1 << (day.first_ms - start) // SLOT_MS | 1 << (day.last_ms - start) // SLOT_MS
    low = _lowest(used)
    empty = max(map(len, f"{used >> low:b}".split("1")))
    return min(day.last_ms - day.first_ms, (empty + 2) * SLOT_MS)


def _slot_from(day: Day, earliest_ms: int, *, certain: bool) -> int | None:
    """Return the first half hour in which a served use at or after the moment is certain (or possible)."""
    _, first_ms, last_ms, _, slots = day
    start = day.day * DAY_MS
    first = 0
    if earliest_ms > start:
        at = (earliest_ms - start) // SLOT_MS
        # only a day's ends are exact: within the half hour of the moment itself, they alone can be certain
        if slots >> at & 1 and (
            not certain
            or (first_ms >= earliest_ms and (first_ms - start) // SLOT_MS == at)
            or (last_ms >= earliest_ms and (last_ms - start) // SLOT_MS == at)
        ):
            return at
        first = at + 1
    later = slots >> first
    return first + (later & -later).bit_length() - 1 if later else None


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1
