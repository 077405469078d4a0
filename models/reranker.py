"""The re-ranker: boosted trees, grown on simulated rollovers, that tell a failed rollover from a caller's own trouble.

It needs no labels in production and no fit there: its trees ship as plain arrays. The forest stays the detector of the
odd and the fallback.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from models.artifact import ArtifactError, ArtifactReason, load, save
from models.calibration import (
    ROLLOVER_SHARE,
    HealthyPeaks,
    Peak,
    Thresholds,
    episode_maxima,
    kth_peak,
    relative_noise,
)
from models.episodes import FeatureShare
from models.features import FOREST_COLUMNS, NAMES
from models.scorers import Scores, checked
from models.trees import Matrix, TreeTable, stack

KIND = "re-ranker"
_DEAF = 0.85
"""No threshold outside of rollovers is raised above this, however noisy the history was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPoint:
    """Thresholds that realised so many false episodes per 1,000 key-days on simulated fleets."""

    false_episodes: float
    rollover: float
    rest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseTrees:
    """Weighs causes by boosted trees (`causes.StructureModel`): as many for each cause, one cause after the other."""

    names: tuple[str, ...]
    table: TreeTable
    bases: tuple[float, ...]

    def weigh(self, features: tuple[float, ...]) -> dict[str, float]:
        """Return log odds by cause."""
        leaves = self.table.leaves(np.array([features], dtype=np.float64))
        odds = np.array(self.bases) + leaves.reshape(len(self.names), -1).sum(axis=1)
        return dict(zip(self.names, odds.tolist(), strict=True))


class Reranker:
    """Scores rows of `features.NAMES` with the probability of a failed rollover, as simulated. Always ready."""

    name = "re-ranker"
    ready = True

    def __init__(
        self,
        *,
        table: TreeTable,
        base: float,
        budgets: Sequence[BudgetPoint],
        reference: Matrix,
        causes: CauseTrees | None = None,
        healthy: HealthyPeaks | None = None,
    ) -> None:
        """Take trees in log odds, the base log odds, the budget curve, healthy simulated rows, and trees of causes.

        `healthy` is not for the re-ranker: it calibrates the forest where that stands alone.
        """
        self.causes = causes
        self.healthy = healthy
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

    def adapted(self, peaks: Sequence[Peak], *, key_days: float, budget: float, faults: float = 0.0) -> Thresholds:
        """Return thresholds for a budget on a fleet with this history: lower than simulated ones' where it is quieter.

        Args:
            peaks: the history's peaks, by this re-ranker's scores; none at the start.
            key_days: exposure of that history.
            budget: false episodes allowed per 1,000 key-days.
            faults: true faults to be expected among the peaks of rollovers, as nobody labels the history.
        """
        lowest = self.budgets[-1]
        thinned = episode_maxima(peaks)
        episodes = sum(p.in_rollover and p.score >= lowest.rollover for p in thinned)
        simulated = ROLLOVER_SHARE * lowest.false_episodes * key_days / 1000.0
        rollover = self.thresholds(budget / relative_noise(episodes - faults, simulated)).rollover
        allowed = (1 - ROLLOVER_SHARE) * budget * key_days / 1000.0
        rest = kth_peak((p.score for p in thinned if not p.in_rollover), allowed)
        lowest_rest = self.thresholds(budget).rest
        return Thresholds(rollover=rollover, rest=min(max(rest, lowest_rest), _DEAF), expected=budget)

    def explain(self, row: Sequence[float], top: int = 5) -> tuple[FeatureShare, ...]:
        """Name the features that carried a score: their part in its log odds along the trees' paths, largest first."""
        parts = self.table.contributions(np.asarray(row, dtype=np.float64), len(NAMES))
        order = np.argsort(-parts)[:top]
        return tuple(
            FeatureShare(name=NAMES[i], value=float(row[i]), contribution=float(parts[i]))
            for i in order
            if parts[i] > 0
        )


def from_histogram_boosting(model: Any) -> list[tuple[TreeTable, float]]:  # noqa: ANN401 - scikit-learn ships no types
    """Turn a fitted `HistGradientBoostingClassifier` into (table, base log odds): one if binary, else one a class.

    Its nodes have no public name; a test holds the table against `predict_proba`, so a change of theirs is seen.
    """
    bases = np.ravel(model._baseline_prediction)  # noqa: SLF001 - see above
    out = []
    for k, base in enumerate(bases):
        trees = []
        for predictors in model._predictors:  # noqa: SLF001 - see above
            n = predictors[k].nodes
            leaf = n["is_leaf"].astype(bool)
            left = np.where(leaf, -1, n["left"].astype(np.int64))
            right = np.where(leaf, -1, n["right"].astype(np.int64))
            value, count = n["value"].astype(np.float64), n["count"].astype(np.float64)
            for i in range(len(n) - 1, -1, -1):  # children come after their parent
                if not leaf[i]:
                    lo, hi = left[i], right[i]
                    value[i] = (value[lo] * count[lo] + value[hi] * count[hi]) / max(1.0, count[lo] + count[hi])
            trees.append((n["feature_idx"], n["num_threshold"].astype(np.float64), left, right, value))
        out.append((stack(trees), float(base)))
    return out


def _packed(table: TreeTable, prefix: str) -> dict[str, Any]:
    return {
        f"{prefix}feature": table.feature,
        f"{prefix}threshold": table.threshold.astype(np.float32),
        f"{prefix}left": table.left.astype(np.int16),
        f"{prefix}right": table.right.astype(np.int16),
        f"{prefix}value": table.value.astype(np.float32),
    }


def _unpacked(arrays: Mapping[str, Any], prefix: str, depth: int) -> TreeTable:
    return TreeTable(
        feature=arrays[f"{prefix}feature"].astype(np.int16),
        threshold=arrays[f"{prefix}threshold"].astype(np.float64),
        left=arrays[f"{prefix}left"].astype(np.int32),
        right=arrays[f"{prefix}right"].astype(np.int32),
        value=arrays[f"{prefix}value"].astype(np.float64),
        depth=depth,
    )


def save_reranker(path: Path, model: Reranker, *, notes: dict[str, object]) -> str:
    """Write the re-ranker; `notes` says how it was trained. Returns the digest."""
    arrays = {
        **_packed(model.table, ""),
        "budgets": np.array([[b.false_episodes, b.rollover, b.rest] for b in model.budgets]),
        "reference": model.reference.astype(np.float32),
    }
    header: dict[str, object] = {
        "features": list(NAMES),
        "base": model.base,
        "depth": model.table.depth,
        "causes": [],
        "notes": notes,
    }
    if model.healthy is not None:
        arrays["healthy"] = model.healthy.rows[:, FOREST_COLUMNS].astype(np.float32)
        arrays["healthy_in_rollover"] = model.healthy.in_rollover.astype(np.int16)
        header["healthy_key_days"] = model.healthy.key_days
    if model.causes is not None:
        header["causes"] = [list(each) for each in zip(model.causes.names, model.causes.bases, strict=True)]
        header["causes_depth"] = model.causes.table.depth
        arrays.update(_packed(model.causes.table, "cause_"))
    return save(path, kind=KIND, header=header, arrays=arrays)


def load_reranker(path: Path) -> Reranker:
    """Read a re-ranker. Raises `ArtifactError` for a foreign, changed or outdated file."""
    header, arrays = load(path, kind=KIND)
    if header.get("features") != list(NAMES):
        raise ArtifactError(
            ArtifactReason.OUTDATED, f"model file {path.name} was trained on other features: train again"
        )
    depth, base, causes = header.get("depth"), header.get("base"), header.get("causes")
    if not isinstance(depth, int) or not isinstance(base, float) or not isinstance(causes, list):
        raise _of_another_shape(path)
    budgets = [
        BudgetPoint(false_episodes=float(f), rollover=float(a), rest=float(b))
        for f, a, b in np.asarray(arrays["budgets"], dtype=np.float64).tolist()
    ]
    return Reranker(
        table=_unpacked(arrays, "", depth),
        base=base,
        budgets=budgets,
        reference=arrays["reference"].astype(np.float64),
        causes=_causes(arrays, causes, header.get("causes_depth"), path) if causes else None,
        healthy=_healthy(arrays, header.get("healthy_key_days")),
    )


def _of_another_shape(path: Path) -> ArtifactError:
    return ArtifactError(ArtifactReason.FOREIGN, f"model file {path.name} has a header of another shape: refused")


def _causes(arrays: Mapping[str, Any], listed: list[Any], depth: object, path: Path) -> CauseTrees:
    if not isinstance(depth, int) or "cause_feature" not in arrays:
        raise _of_another_shape(path)
    return CauseTrees(
        names=tuple(str(name) for name, _ in listed),
        bases=tuple(float(base) for _, base in listed),
        table=_unpacked(arrays, "cause_", depth),
    )


def _healthy(arrays: Mapping[str, Any], key_days: object) -> HealthyPeaks | None:
    if not isinstance(key_days, float):
        return None
    rows = np.zeros((len(arrays["healthy"]), len(NAMES)))
    rows[:, FOREST_COLUMNS] = arrays["healthy"]
    return HealthyPeaks(rows=rows, in_rollover=arrays["healthy_in_rollover"].astype(bool), key_days=key_days)


@lru_cache(maxsize=1)
def default_reranker() -> Reranker:
    """Return the re-ranker that ships with the package."""
    with resources.as_file(resources.files("models") / "data" / "reranker.npz") as path:
        return load_reranker(path)
