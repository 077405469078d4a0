"""Ensembles of decision trees as plain arrays: scored without pickles, in one vectorised walk for all trees and rows.

A look scores a handful of rows once a minute: scikit-learn's call overhead (5-10 ms) would be nearly all of its cost,
and arrays can be stored and checked where pickled objects can not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
_EULER = 0.5772156649015329
_CHUNK = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeTable:
    """Trees side by side; all arrays are (trees, nodes). A leaf is its own child. Rows go left where x <= threshold."""

    feature: NDArray[np.int16]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]
    depth: int

    def total(self, rows: Matrix) -> NDArray[np.float64]:
        """Sum the reached leaves' values over the trees: (rows, features) -> (rows,)."""
        return np.concatenate(
            [self.leaves(rows[i : i + _CHUNK]).sum(axis=1) for i in range(0, max(1, len(rows)), _CHUNK)]
        )

    def leaves(self, rows: Matrix) -> NDArray[np.float64]:
        """Return the value of each tree's reached leaf: (rows, features) -> (rows, trees)."""
        trees, nodes = self.feature.shape
        x = rows.astype(np.float32)  # scikit-learn compares single precision against double thresholds
        base = np.arange(trees, dtype=np.int64)[None, :] * nodes
        at = np.zeros((len(rows), trees), dtype=np.int64)
        feature, threshold = self.feature.ravel(), self.threshold.ravel()
        left, right = self.left.ravel(), self.right.ravel()
        row = np.arange(len(rows))[:, None]
        for _ in range(self.depth):
            flat = base + at
            goes_left = x[row, feature[flat]] <= threshold[flat]
            at = np.where(goes_left, left[flat], right[flat])
        leaves: NDArray[np.float64] = self.value.ravel()[base + at]
        return leaves

    def contributions(self, row: NDArray[np.float64], features: int) -> NDArray[np.float64]:
        """Share out one row's total over the features by the change of value at each split (Saabas): -> (features,)."""
        x = row.astype(np.float32)
        parts = np.zeros(features)
        trees = np.arange(self.feature.shape[0])
        at = np.zeros(len(trees), dtype=np.int64)
        for _ in range(self.depth):
            feature = self.feature[trees, at]
            goes_left = x[feature] <= self.threshold[trees, at]
            to = np.where(goes_left, self.left[trees, at], self.right[trees, at]).astype(np.int64)
            np.add.at(parts, feature, self.value[trees, to] - self.value[trees, at])
            at = to
        return parts


def average_path(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean depth of an unsuccessful search in a binary tree of n samples (Liu, Ting, Zhou 2008, eq. 1)."""
    n = np.maximum(samples, 3.0)
    long = 2.0 * (np.log(n - 1.0) + _EULER) - 2.0 * (n - 1.0) / n
    return np.where(samples <= 1, 0.0, np.where(samples <= 2, 1.0, long))  # noqa: PLR2004 - the formula's own cases


def _depths(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
    depth = np.zeros(len(left))
    for node in range(len(left)):  # children come after their parent in scikit-learn's arrays
        if left[node] >= 0:
            depth[left[node]] = depth[right[node]] = depth[node] + 1
    return depth


def stack(
    trees: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]],
) -> TreeTable:
    """Stack (feature, threshold, left, right, value) of each tree; a child below 0 marks a leaf."""
    nodes = max(len(t[0]) for t in trees)
    shape = (len(trees), nodes)
    feature, threshold = np.zeros(shape, np.int16), np.zeros(shape)
    left = np.zeros(shape, np.int32)
    right, value = np.zeros(shape, np.int32), np.zeros(shape)
    depth = 0
    for i, (f, t, lo, hi, v) in enumerate(trees):
        n = len(f)
        own = np.arange(n)
        leaf = lo < 0
        feature[i, :n] = np.where(leaf, 0, f)
        threshold[i, :n] = np.where(leaf, 0.0, t)
        left[i, :n] = np.where(leaf, own, lo)
        right[i, :n] = np.where(leaf, own, hi)
        value[i, :n] = v
        depth = max(depth, int(_depths(np.where(leaf, -1, lo), np.where(leaf, -1, hi)).max()))
    return TreeTable(feature=feature, threshold=threshold, left=left, right=right, value=value, depth=depth)


def side_by_side(tables: Sequence[TreeTable]) -> TreeTable:
    """Put the trees of several tables into one, in their order."""
    nodes = max(table.feature.shape[1] for table in tables)

    def joined(name: str) -> NDArray[Any]:
        parts = [getattr(table, name) for table in tables]
        return np.concatenate([np.pad(part, ((0, 0), (0, nodes - part.shape[1]))) for part in parts])

    return TreeTable(
        **{name: joined(name) for name in ("feature", "threshold", "left", "right", "value")},
        depth=max(table.depth for table in tables),
    )


def from_isolation_forest(forest: Any) -> TreeTable:  # noqa: ANN401 - scikit-learn ships no types
    """Turn a fitted `IsolationForest` (max_features=1.0) into a table whose leaf values are path lengths."""
    trees = []
    for estimator in forest.estimators_:
        t = estimator.tree_
        path = _depths(t.children_left, t.children_right) + average_path(t.n_node_samples.astype(np.float64))
        trees.append((t.feature, t.threshold, t.children_left, t.children_right, path))
    return stack(trees)


def from_boosting(model: Any) -> TreeTable:  # noqa: ANN401 - scikit-learn ships no types
    """Turn a fitted binary `GradientBoostingClassifier` into a table whose leaves are scaled by the learning rate."""
    trees = []
    for estimator in model.estimators_[:, 0]:
        t = estimator.tree_
        value = t.value[:, 0, 0] * model.learning_rate
        trees.append((t.feature, t.threshold, t.children_left, t.children_right, value))
    return stack(trees)
