"""Trees as plain arrays say what scikit-learn's say, so that a change of its insides is seen here."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest

from models.reranker import from_histogram_boosting
from models.trees import average_path, from_isolation_forest, side_by_side

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(600, 5)).astype(np.float32).astype(np.float64)
"""As features are kept: single precision, which the tables compare in."""


def test_a_binary_boosting_table_gives_the_librarys_log_odds() -> None:
    model = HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(ROWS, ROWS[:, 0] * ROWS[:, 1] > 0)
    ((table, base),) = from_histogram_boosting(model)
    assert base + table.total(ROWS) == pytest.approx(model.decision_function(ROWS), abs=1e-4)


def test_a_boosting_table_of_many_classes_gives_the_librarys_scores() -> None:
    truth = np.digitize(ROWS[:, 0], [-0.5, 0.5])
    model = HistGradientBoostingClassifier(max_iter=10, random_state=0).fit(ROWS, truth)
    tables = from_histogram_boosting(model)
    ours = np.column_stack([base + table.total(ROWS) for table, base in tables])
    assert ours == pytest.approx(model.decision_function(ROWS), abs=1e-4)
    together = side_by_side([table for table, _ in tables]).leaves(ROWS).reshape(len(ROWS), len(tables), -1)
    assert together.sum(axis=2) == pytest.approx(np.column_stack([table.total(ROWS) for table, _ in tables]))


def test_an_isolation_table_gives_the_librarys_scores() -> None:
    forest = IsolationForest(n_estimators=50, random_state=0).fit(ROWS)
    table = from_isolation_forest(forest)
    unit = 50 * average_path(np.array([256.0]))[0]
    assert 2.0 ** (-table.total(ROWS) / unit) == pytest.approx(-forest.score_samples(ROWS), abs=1e-6)


def test_contributions_add_up_to_the_total_less_the_roots() -> None:
    model = HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(ROWS, ROWS[:, 0] > 0)
    ((table, _),) = from_histogram_boosting(model)
    parts = table.contributions(ROWS[0], 5)
    assert parts.sum() == pytest.approx(table.total(ROWS[:1])[0] - table.value[:, 0].sum(), abs=1e-6)
    assert int(np.argmax(np.abs(parts))) == 0
