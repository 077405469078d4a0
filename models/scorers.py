"""Detectors of the odd behind one contract: fit on history, a score of fixed sense, the threshold outside.

A score lies in [0, 1] and a higher one is odder, for every scorer. None answers "normal" while it is cold: it raises.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from models.features import FOREST_COLUMNS, INDEX, NAMES
from models.trees import Matrix, TreeTable, average_path, from_isolation_forest

Scores = NDArray[np.float64]
_TREES = 200
_SAMPLES = 256
_MIN_ROWS = 32
_MAX_FIT_ROWS = 20_000
_JITTER = 1e-3


class NotReadyError(RuntimeError):
    """A score was asked of a detector that has not seen enough history. Retrying helps once it was fitted."""


class Scorer(Protocol):
    """Scores rows of `features.NAMES`.

    Promises: `score` maps (n, features) to (n,) in [0, 1], higher is odder, and changes nothing; `fit` replaces what
    was learnt by the given history, from which the caller has left out what was flagged. Does not promise: a threshold,
    or that scores of two scorers compare.
    """

    name: str

    @property
    def ready(self) -> bool:
        """Whether `score` may be called."""
        ...

    def fit(self, history: Matrix) -> None:
        """Learn from (rows, features) of incident-free history; too few rows leave it not ready."""
        ...

    def score(self, rows: Matrix) -> Scores:
        """Score rows. Raises `NotReadyError` while cold and `ValueError` for a matrix of another shape."""
        ...


def checked(rows: Matrix) -> Matrix:
    """Return the rows as finite doubles. Raises `ValueError` for another number of columns."""
    matrix = np.asarray(rows, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] != len(NAMES):  # noqa: PLR2004 - a matrix
        raise ValueError(f"expected (rows, {len(NAMES)}) features, got {matrix.shape}")
    return np.nan_to_num(matrix, nan=0.0, posinf=1e6, neginf=-1e6)


def magnitude(rows: Matrix) -> Scores:
    """Return how much fails beyond the usual, in [0, 1): the forest saturates, surprise and record do not."""
    surprise = rows[:, INDEX["surprise_reason"]] + 0.5 * rows[:, INDEX["surprise_1h"]] + rows[:, INDEX["lead_surprise"]]
    return 1.0 - np.exp(-(surprise + np.clip(rows[:, INDEX["record"]], 0.0, None)) / 4.0)


class SurpriseBaseline:
    """The plain calibrated baseline: where a row's magnitude ranks among the history's.

    No model, so it can stand in while the forest is cold; it says so by its name.
    """

    name = "baseline"

    def __init__(self) -> None:
        """Start cold."""
        self._history: Scores | None = None

    @property
    def ready(self) -> bool:
        """Whether a history was given."""
        return self._history is not None

    def fit(self, history: Matrix) -> None:
        """Remember the ordered magnitudes of the history."""
        rows = checked(history)
        if len(rows) >= _MIN_ROWS:
            self._history = np.sort(magnitude(rows))

    def score(self, rows: Matrix) -> Scores:
        """Return the mean of the magnitude and its rank, so that it orders beyond the history's maximum too."""
        matrix = checked(rows)
        if self._history is None:
            raise NotReadyError("the baseline has no history yet")
        own = magnitude(matrix)
        rank = np.searchsorted(self._history, own, side="right") / len(self._history)
        return np.asarray(0.5 * own + 0.5 * rank, dtype=np.float64)


class ForestScorer:
    """scikit-learn's IsolationForest on the one-sided features, beside the magnitude that it cannot see.

    A column that is constant in the history would be blind (no tree splits on it), so each gets a little jitter.
    """

    name = "forest"

    def __init__(self, *, seed: int = 0, trees: int = _TREES) -> None:
        """Start cold; `seed` fixes jitter and trees."""
        self._seed = seed
        self._n_trees = trees
        self._table: TreeTable | None = None
        self._unit = 1.0
        self.blind: tuple[str, ...] = ()
        """Columns that were constant in the history: seen by the jitter alone."""

    @property
    def ready(self) -> bool:
        """Whether trees were grown."""
        return self._table is not None

    def fit(self, history: Matrix) -> None:
        """Grow the trees on (rows, features); the same rows and seed give the same trees."""
        rows = checked(history)[:, FOREST_COLUMNS]
        if len(rows) < _MIN_ROWS:
            return
        rng = np.random.default_rng(self._seed)
        if len(rows) > _MAX_FIT_ROWS:
            rows = rows[rng.choice(len(rows), _MAX_FIT_ROWS, replace=False)]
        constant = np.ptp(rows, axis=0) == 0
        self.blind = tuple(NAMES[FOREST_COLUMNS[i]] for i in np.flatnonzero(constant))
        rows = rows + rng.normal(0.0, _JITTER, rows.shape)
        samples = min(_SAMPLES, len(rows))
        forest = IsolationForest(n_estimators=self._n_trees, max_samples=samples, random_state=self._seed).fit(rows)
        self._table = from_isolation_forest(forest)
        self._unit = float(self._n_trees * average_path(np.array([float(samples)]))[0])

    def isolation(self, rows: Matrix) -> Scores:
        """Return the forest's own score, 2^(-E[path] / c(n)) of Liu et al., without the magnitude."""
        matrix = checked(rows)
        if self._table is None:
            raise NotReadyError("the forest has not been fitted yet")
        return np.asarray(2.0 ** (-self._table.total(matrix[:, FOREST_COLUMNS]) / self._unit), dtype=np.float64)

    def score(self, rows: Matrix) -> Scores:
        """Return the mean of isolation and magnitude."""
        return np.asarray(0.5 * self.isolation(rows) + 0.5 * magnitude(checked(rows)), dtype=np.float64)
