"""Trees of two generations in one file: the mean of both, whatever features the earlier one knew."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from models.artifact import ArtifactError
from models.features import NAMES
from models.reranker import default_reranker, earlier_trees
from models.trees import mean_of, stack

LEAF = -1


def stump(feature: int, low: float, high: float) -> object:
    """Return a tree that says `low` up to 0.5 of a feature, `high` beyond."""
    tree = (
        np.array([feature, 0, 0]),
        np.array([0.5, 0.0, 0.0]),
        np.array([1, LEAF, LEAF]),
        np.array([2, LEAF, LEAF]),
        np.array([0.0, low, high]),
    )
    return stack([tree])


def test_the_mean_of_two_tables_is_the_mean_of_what_they_say() -> None:
    lone = stack([(np.array([0]), np.array([0.0]), np.array([LEAF]), np.array([LEAF]), np.array([4.0]))])
    table, base = mean_of((stump(1, -2.0, 6.0), 1.0), (lone, 3.0))  # type: ignore[arg-type]
    rows = np.array([[0.0, 0.0], [0.0, 1.0]])
    assert table.total(rows).tolist() == [1.0, 5.0]
    assert base == 2.0


def test_half_of_the_trees_that_ship_are_the_earlier_ones() -> None:
    with resources.as_file(resources.files("models") / "data" / "earlier.npz") as path:
        earlier, _ = earlier_trees(path)
    kept = default_reranker().table
    half = len(earlier.feature)
    rows = np.random.default_rng(3).normal(0.5, 1.0, (50, len(NAMES)))
    assert len(kept.feature) == 2 * half
    old = kept._leaves(rows)[:, half:].sum(axis=1)
    assert np.allclose(old, earlier.total(rows) / 2, atol=1e-4)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "earlier.npz"
    path.write_bytes(b"not a model")
    with pytest.raises(ArtifactError):
        earlier_trees(path)
