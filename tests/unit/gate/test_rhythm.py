"""A fold of the past: wherever it was cut, whoever kept it, it says what all days together say."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.activity import Activity, Day
from monitor.core.instants import DAY_MS, MINUTE_MS
from monitor.core.rhythm import FOLD_FORMAT, SIGHTING_MS, Folded, Rhythm, days_of
from monitor.core.windows import SLOT_MS

FIRST_DAY = 20_000


def a_past(seed: int, days: int) -> Activity:
    """Return the days of a caller that comes now and then, or all the time; not each of its uses is served."""
    dice = Random(seed)
    day, served = FIRST_DAY, dice.choice([0.1, 0.9, 1.0])
    rests = dice.choice([[1], [1, 1, 2], [1, 7], [30]])
    made = []
    for _ in range(days):
        at = sorted({dice.randrange(DAY_MS) for _ in range(dice.choice([1, 2, 7, 200]))})
        slots = sum({1 << each // SLOT_MS for each in at if dice.random() < served})
        made.append(Day(day, day * DAY_MS + at[0], day * DAY_MS + at[-1], len(at), slots))
        day += dice.choice(rests)
    return Activity.of(made)


def from_scratch(*pasts: Activity) -> Folded:
    return Folded.nothing(len(pasts)).until(1 << 40, pasts)


def sightings(times: list[int]) -> int:
    """Count them by exact times: one begins at least twelve hours after the one before began."""
    begun = times[0]
    count = 1
    for at_ms in times:
        if at_ms >= begun + SIGHTING_MS:
            begun, count = at_ms, count + 1
    return count


def rhythm_of(times: list[int]) -> Rhythm:
    days = [Day(at // DAY_MS, at, at, 1, 1 << at % DAY_MS // SLOT_MS) for at in times]
    return from_scratch(Activity.of(days)).rhythm


PASTS = st.builds(a_past, st.integers(0, 1 << 32), st.integers(1, 40))


@settings(max_examples=150, deadline=None)
@given(past=PASTS, cut=st.integers(0, 60))
def test_a_fold_goes_on_from_what_a_store_kept(past: Activity, cut: int) -> None:
    kept = Folded.nothing().until(FIRST_DAY + cut, [past]).packed()
    known = Folded.unpacked(kept)
    assert known is not None
    assert known.holds([past])
    assert known.until(1 << 40, [past]) == from_scratch(past)


@settings(max_examples=100, deadline=None)
@given(one=PASTS, other=PASTS, cut=st.integers(0, 60))
def test_several_pasts_are_folded_as_if_they_were_one(one: Activity, other: Activity, cut: int) -> None:
    together = one.union(other)
    assert list(days_of([one, other], FIRST_DAY + cut)) == list(together.since(FIRST_DAY + cut))
    assert from_scratch(one, other).rhythm == from_scratch(together).rhythm


@settings(max_examples=60, deadline=None)
@given(past=PASTS, late=st.integers(0, 39))
def test_a_fold_does_not_hold_once_something_arrived_late(past: Activity, late: int) -> None:
    known = from_scratch(past)
    at_ms = (FIRST_DAY + late) * DAY_MS + 5
    past.add(Day(FIRST_DAY + late, at_ms, at_ms, 1, 1))
    assert not known.holds([past])


TIMES = st.lists(st.integers(FIRST_DAY * DAY_MS, (FIRST_DAY + 20) * DAY_MS), min_size=1, max_size=60).map(sorted)


@settings(max_examples=200, deadline=None)
@given(times=TIMES)
def test_sightings_are_never_more_and_gaps_never_shorter_than_they_were(times: list[int]) -> None:
    found = rhythm_of(times)
    assert found.sightings <= sightings(times)
    assert found.longest_gap_ms >= max((b - a for a, b in pairwise(times)), default=0)


@pytest.mark.parametrize("minutes", [60, 120, 180, 480, 1_440, 2_160, 10_080])
def test_what_comes_by_the_clock_is_even_though_half_hours_hide_its_minutes(minutes: int) -> None:
    dice = Random(minutes)
    times = [
        FIRST_DAY * DAY_MS + (n * minutes + dice.randrange(20)) * MINUTE_MS for n in range(1, 10_000 // minutes + 6)
    ]
    variation = rhythm_of(times).variation
    assert variation is not None
    assert variation < 0.2


def test_what_comes_by_chance_every_day_or_two_is_not_even() -> None:
    dice = Random(5)
    times = [FIRST_DAY * DAY_MS]
    for _ in range(30):
        times.append(times[-1] + int(dice.expovariate(1 / (1.5 * DAY_MS))))
    variation = rhythm_of(times).variation
    assert variation is not None
    assert variation > 0.2


def test_what_another_release_packed_is_not_believed() -> None:
    kept = from_scratch(a_past(1, 5)).packed()
    assert Folded.unpacked(bytes([FOLD_FORMAT + 1]) + kept[1:]) is None
    assert Folded.unpacked(kept[:-1]) is None
    assert Folded.unpacked(b"") is None


def test_the_number_of_the_format_is_raised_when_folds_say_something_else() -> None:
    """If this fails, raise `FOLD_FORMAT` with the sum: stores then fold anew what they keep."""
    kept = b"".join(from_scratch(a_past(seed, 30)).packed() for seed in range(20))
    assert (FOLD_FORMAT, sha256(kept).hexdigest()[:16]) == (2, "09345b9c3fde0a96")
