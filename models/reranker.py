"""The re-ranker: boosted trees, grown on simulated rollovers, that tell a failed rollover from a caller's own trouble.

It needs no labels in production and no fit there: its trees ship as plain arrays. The forest stays the detector of the
odd and the fallback.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from models.artifact import ArtifactError, ArtifactReason, load, save
from models.calibration import Thresholds
from models.episodes import FeatureShare
from models.features import NAMES
from models.scorers import Scores, checked
from models.trees import Matrix, TreeTable, stack

KIND = "re-ranker"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPoint:
    """Thresholds that realised so many false episodes per 1,000 key-days on simulated fleets."""

    false_episodes: float
    rollover: float
    rest: float


class Reranker:
    """Scores rows of `features.NAMES` with the probability of a failed rollover, as simulated. Always ready."""

    name = "re-ranker"
    ready = True

    def __init__(self, *, table: TreeTable, base: float, budgets: Sequence[BudgetPoint], reference: Matrix) -> None:
        """Take trees in log odds, the base log odds, the budget curve, and healthy simulated rows."""
        self.table = table
        self.base = base
        self.budgets = tuple(sorted(budgets, key=lambda b: b.false_episodes))
        self.reference = reference

    def fit(self, history: Matrix) -> None:
        """Learn nothing: the trees were grown on simulated rollovers."""

    def score(self, rows: Matrix) -> Scores:
        """Return the probability for each row: (n, features) -> (n,)."""
        raw = self.base + self.table.total(checked(rows))
        return np.asarray(1.0 / (1.0 + np.exp(-raw)), dtype=np.float64)

    def thresholds(self, budget: float) -> Thresholds:
        """Interpolate the thresholds for a budget of false episodes per 1,000 key-days (log scale)."""
        points = self.budgets
        x = [math.log(max(p.false_episodes, 1e-3)) for p in points]
        at = math.log(max(budget, 1e-3))
        rollover = float(np.interp(at, x, [p.rollover for p in points]))
        rest = float(np.interp(at, x, [p.rest for p in points]))
        return Thresholds(rollover=rollover, rest=rest, expected=budget)

    def explain(self, row: Sequence[float], top: int = 5) -> tuple[FeatureShare, ...]:
        """Name the features that carried a score: their part in its log odds along the trees' paths, largest first."""
        parts = self.table.contributions(np.asarray(row, dtype=np.float64), len(NAMES))
        order = np.argsort(-parts)[:top]
        return tuple(
            FeatureShare(name=NAMES[i], value=float(row[i]), contribution=float(parts[i]))
            for i in order
            if parts[i] > 0
        )


def from_histogram_boosting(model: Any) -> tuple[TreeTable, float]:  # noqa: ANN401 - scikit-learn ships no types
    """Turn a fitted binary `HistGradientBoostingClassifier` into (table, base log odds).

    Its nodes have no public name; a test holds the table against `predict_proba`, so a change of theirs is seen.
    """
    trees = []
    for (predictor,) in model._predictors:  # noqa: SLF001 - see above
        n = predictor.nodes
        leaf = n["is_leaf"].astype(bool)
        left = np.where(leaf, -1, n["left"].astype(np.int64))
        right = np.where(leaf, -1, n["right"].astype(np.int64))
        value, count = n["value"].astype(np.float64), n["count"].astype(np.float64)
        for i in range(len(n) - 1, -1, -1):  # children come after their parent
            if not leaf[i]:
                lo, hi = left[i], right[i]
                value[i] = (value[lo] * count[lo] + value[hi] * count[hi]) / max(1.0, count[lo] + count[hi])
        trees.append((n["feature_idx"], n["num_threshold"].astype(np.float64), left, right, value))
    return stack(trees), float(np.ravel(model._baseline_prediction)[0])  # noqa: SLF001 - see above


def save_reranker(path: Path, model: Reranker, *, notes: dict[str, object]) -> str:
    """Write the re-ranker; `notes` says how it was trained. Returns the digest."""
    t = model.table
    arrays = {
        "feature": t.feature,
        "threshold": t.threshold.astype(np.float32),
        "left": t.left.astype(np.int16),
        "right": t.right.astype(np.int16),
        "value": t.value.astype(np.float32),
        "budgets": np.array([[b.false_episodes, b.rollover, b.rest] for b in model.budgets]),
        "reference": model.reference.astype(np.float32),
    }
    header = {"features": list(NAMES), "base": model.base, "depth": t.depth, "notes": notes}
    return save(path, kind=KIND, header=header, arrays=arrays)  # type: ignore[arg-type]


def load_reranker(path: Path) -> Reranker:
    """Read a re-ranker. Raises `ArtifactError` for a foreign, changed or outdated file."""
    header, arrays = load(path, kind=KIND)
    if header.get("features") != list(NAMES):
        raise ArtifactError(
            ArtifactReason.OUTDATED, f"model file {path.name} was trained on other features: train again"
        )
    depth, base = header["depth"], header["base"]
    if not isinstance(depth, int) or not isinstance(base, float):
        raise ArtifactError(ArtifactReason.FOREIGN, f"model file {path.name} has a header of another shape: refused")
    table = TreeTable(
        feature=arrays["feature"].astype(np.int16),
        threshold=arrays["threshold"].astype(np.float64),
        left=arrays["left"].astype(np.int32),
        right=arrays["right"].astype(np.int32),
        value=arrays["value"].astype(np.float64),
        depth=depth,
    )
    budgets = [
        BudgetPoint(false_episodes=float(f), rollover=float(a), rest=float(b)) for f, a, b in arrays["budgets"].tolist()
    ]
    return Reranker(table=table, base=base, budgets=budgets, reference=arrays["reference"].astype(np.float64))


@lru_cache(maxsize=1)
def default_reranker() -> Reranker:
    """Return the re-ranker that ships with the package."""
    with resources.as_file(resources.files("models") / "data" / "reranker.npz") as path:
        return load_reranker(path)
