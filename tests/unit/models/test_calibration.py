"""Thresholds from a budget of false episodes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calibration import Peak, PeakBook, Thresholds, calibrate, episode_maxima, kth_peak, relative_noise
from models.reranker import default_reranker

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


def test_a_quiet_history_does_not_go_below_the_floor() -> None:
    chosen = calibrate([], key_days=10, budget=5, floor=Thresholds(rollover=0.4, rest=0.5, expected=5))
    assert (chosen.rollover, chosen.rest) == (0.4, 0.5)


def troubles(n: int, *, in_rollover: bool = True) -> list[Peak]:
    return [Peak(key=f"k{i}", hour=i, score=0.99, in_rollover=in_rollover) for i in range(n)]


def test_a_fleet_is_believed_to_be_quieter_than_simulated_ones_until_its_history_speaks() -> None:
    model, key_days = default_reranker(), 2000.0
    nothing = model.adapted([], key_days=0.0, budget=5.0).rollover
    as_simulated = model.adapted(troubles(28), key_days=key_days, budget=5.0).rollover
    quiet = model.adapted([], key_days=key_days, budget=5.0).rollover
    loud = model.adapted(troubles(140), key_days=key_days, budget=5.0).rollover
    assert quiet < nothing < as_simulated < loud
    assert as_simulated == pytest.approx(model.thresholds(5.0).rollover, abs=0.05)


def test_faults_that_nobody_labelled_are_no_noise() -> None:
    model = default_reranker()
    chosen = [model.adapted(troubles(30), key_days=1000.0, budget=5.0, faults=n).rollover for n in (0.0, 25.0)]
    assert chosen[1] < chosen[0]


def test_no_history_outside_of_rollovers_deafens_the_rest() -> None:
    assert default_reranker().adapted(troubles(999, in_rollover=False), key_days=10.0, budget=5.0).rest < 0.9


@given(st.floats(0, 1e4), st.floats(0, 1e4), st.floats(0, 1e4))
def test_more_episodes_are_more_noise_and_more_exposure_is_less(episodes: float, more: float, simulated: float) -> None:
    assert 0 < relative_noise(episodes, simulated) <= relative_noise(episodes + more, simulated)
    assert relative_noise(episodes, simulated + more) <= relative_noise(episodes, simulated)


def test_hours_of_one_trouble_count_as_one_episode() -> None:
    same = [Peak(key="k", hour=h, score=h / 10, in_rollover=True) for h in range(5)]
    assert [p.score for p in episode_maxima(same)] == [0.4]


@pytest.mark.parametrize(("minute", "kept"), [(29 * 1440, 0), (27 * 1440, 1)])
def test_peaks_older_than_four_weeks_are_forgotten(minute: int, kept: int) -> None:
    book = PeakBook()
    book.add("k", 0, 0.5, in_rollover=False)
    book.prune(minute)
    assert len(book.peaks()) == kept
