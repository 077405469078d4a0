"""Thresholds from a budget of false episodes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calibration import Peak, PeakBook, Thresholds, calibrate, episode_maxima, kth_peak

NOTHING = Thresholds(rollover=0.0, rest=0.0, expected=5.0)
scores = st.lists(st.floats(0, 1, allow_nan=False), max_size=60)


@given(scores, st.integers(0, 20))
def test_the_threshold_lets_no_more_peaks_through_than_allowed(found: list[float], allowed: int) -> None:
    threshold = kth_peak(found, allowed)
    assert sum(s >= threshold for s in found) <= max(allowed, 0) or threshold == 0.0


@given(scores)
def test_a_larger_budget_never_raises_the_threshold(found: list[float]) -> None:
    assert all(kth_peak(found, k + 1) <= kth_peak(found, k) for k in range(10))


def peaks(n: int, *, in_rollover: bool) -> list[Peak]:
    return [Peak(key=f"{in_rollover}{i}", hour=i, score=i / n, in_rollover=in_rollover) for i in range(n)]


def test_rollovers_get_seven_tenths_of_the_budget() -> None:
    found = [*peaks(100, in_rollover=True), *peaks(100, in_rollover=False)]
    chosen = calibrate(found, key_days=2000.0, budget=5.0, floor=NOTHING)
    assert sum(p.score >= chosen.rollover for p in found if p.in_rollover) == 7
    assert sum(p.score >= chosen.rest for p in found if not p.in_rollover) == 3


def test_true_faults_that_nobody_labelled_do_not_deafen_it() -> None:
    found = peaks(100, in_rollover=True)
    without = calibrate(found, key_days=1000.0, budget=5.0, floor=NOTHING)
    expecting = calibrate(found, key_days=1000.0, budget=5.0, floor=NOTHING, faults=10.0)
    assert expecting.rollover < without.rollover


def test_a_quiet_history_does_not_go_below_the_floor_nor_a_loud_one_above_the_cap() -> None:
    floor, cap = Thresholds(rollover=0.4, rest=0.5, expected=5), Thresholds(rollover=0.8, rest=0.9, expected=5)
    quiet = calibrate([], key_days=10, budget=5, floor=floor, cap=cap)
    loud = calibrate(
        [Peak(key="k", hour=h * 10, score=0.99, in_rollover=True) for h in range(99)],
        key_days=10,
        budget=5,
        floor=floor,
        cap=cap,
    )
    assert (quiet.rollover, quiet.rest) == (0.4, 0.5)
    assert loud.rollover == 0.8


def test_hours_of_one_trouble_count_as_one_episode() -> None:
    same = [Peak(key="k", hour=h, score=h / 10, in_rollover=True) for h in range(5)]
    assert [p.score for p in episode_maxima(same)] == [0.4]


@pytest.mark.parametrize(("minute", "kept"), [(29 * 1440, 0), (27 * 1440, 1)])
def test_peaks_older_than_four_weeks_are_forgotten(minute: int, kept: int) -> None:
    book = PeakBook()
    book.add("k", 0, 0.5, in_rollover=False)
    book.prune(minute)
    assert len(book.peaks()) == kept
