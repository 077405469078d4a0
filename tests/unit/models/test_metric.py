"""`score-metric`: streaming, opaque timestamps, rows in order, the first two columns unchanged."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.metric import MetricScorer, RunningMedian, score_lines

VALUES = [math.sin(i / 20) + random.Random(i).random() / 5 for i in range(900)]


def scored(values: list[float]) -> list[float]:
    scorer = MetricScorer()
    return [scorer.score(v) for v in values]


def lines(text: str) -> list[str]:
    out: list[str] = []
    score_lines(text.splitlines(keepends=True), out.append)
    return "".join(out).splitlines()


@pytest.mark.parametrize("cut", [1, 99, 101, 450, 899])
def test_a_score_depends_on_no_later_row(cut: int) -> None:
    changed = VALUES[:cut] + [1e9] * (len(VALUES) - cut)
    assert scored(changed)[:cut] == scored(VALUES)[:cut]


def test_a_spike_scores_highest_and_only_once() -> None:
    scores = scored([*VALUES, 40.0, 40.0, 40.0, *VALUES[:50]])
    assert scores.index(max(scores)) == len(VALUES)
    assert scores[len(VALUES) + 1 : len(VALUES) + 3] == [0.0, 0.0]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=300))
def test_any_series_scores_between_nothing_and_one(values: list[float]) -> None:
    assert all(0.0 <= s <= 1.0 for s in scored(values))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.integers(1, 9))
def test_the_running_median_is_the_median_of_the_newest_rows(values: list[float], rows: int) -> None:
    median = RunningMedian(rows)
    for value in values:
        median.add(value)
    newest = sorted(values[-rows:])
    assert median.median() == pytest.approx((newest[(len(newest) - 1) // 2] + newest[len(newest) // 2]) / 2)


def test_a_constant_series_scores_nothing() -> None:
    assert set(scored([7.0] * 500)) == {0.0}


def test_rows_keep_their_order_their_number_and_their_first_two_columns() -> None:
    text = "timestamp,value\n2015-02-26 21:42:53,104\nyesterday,1e3\n2015-02-26 21:42:53,104\n,\n"
    rows = lines(text)
    assert rows[0] == "timestamp,value,anomaly_score"
    assert [row.rsplit(",", 1)[0] for row in rows[1:]] == text.splitlines()[1:]


@pytest.mark.parametrize("text", ["", "value,timestamp\n1,2\n", "timestamp,value\n1\n"])
def test_what_is_no_metric_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        lines(text)
