"""The detector of the odd on a plain metric: surprise and record against the series' own past, one row at a time.

The same two numbers carry `scorers.magnitude` on key versions. Here the surprise is the tail probability of a value's
distance from its running median, beyond a fitted exponential tail (SPOT, Siffer et al. 2017, with one parameter), and
the record is how far a value lies outside everything seen. A score counts only where it exceeds those of the rows just
before: one alarm for one trouble, as an episode is one alert.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

_MEDIAN_ROWS = 400
_LEAST_ROWS = 10
_TAIL_ROWS = 6000
_TAIL_FROM = 100
_TAIL_EVERY = 25
_TAIL_SHARE = 0.05
_TAIL_FLOOR = 0.02
_QUIET_ROWS = 120
_RECORD_SCALE = 200.0
_HALF_AT = 3.0
"""The evidence, in powers of ten, that scores one half."""
_HEADER = ["timestamp", "value"]


class RunningMedian:
    """The median of the newest rows, in order of arrival."""

    def __init__(self, rows: int) -> None:
        """Keep so many rows."""
        self._rows = rows
        self._sorted: list[float] = []
        self._order: deque[float] = deque()

    def __len__(self) -> int:
        """Return how many rows are kept."""
        return len(self._sorted)

    def add(self, value: float) -> None:
        """Take in a row; the oldest leaves."""
        insort(self._sorted, value)
        self._order.append(value)
        if len(self._order) > self._rows:
            del self._sorted[bisect_left(self._sorted, self._order.popleft())]

    def median(self) -> float:
        """Return the median. Raises `IndexError` without rows."""
        n = len(self._sorted)
        return 0.5 * (self._sorted[(n - 1) // 2] + self._sorted[n // 2])


class Tail:
    """How improbable a size is, in powers of ten, by the sizes before it: empirical inside, exponential beyond."""

    def __init__(self) -> None:
        """Start without a past: everything is usual until there is one."""
        self._past: deque[float] = deque(maxlen=_TAIL_ROWS)
        self._seen = 0
        self._ordered: NDArray[np.float64] | None = None
        self._edge = 0.0
        self._mean_excess = 1.0

    def surprise(self, size: float) -> float:
        """Return -log10 P(size or more), then learn the size."""
        if self._seen >= _TAIL_FROM and (self._seen - _TAIL_FROM) % _TAIL_EVERY == 0:
            self._fit()
        odd = 0.0 if self._ordered is None else self._judge(size, self._ordered)
        self._past.append(size)
        self._seen += 1
        return odd

    def _fit(self) -> None:
        self._ordered = np.sort(np.fromiter(self._past, dtype=np.float64))
        self._edge = float(np.quantile(self._ordered, 1.0 - _TAIL_SHARE))
        beyond = self._ordered[self._ordered > self._edge] - self._edge
        mean = float(beyond.mean()) if len(beyond) else 0.0
        self._mean_excess = max(mean, 1e-9 + _TAIL_FLOOR * self._edge)

    def _judge(self, size: float, ordered: NDArray[np.float64]) -> float:
        if size > self._edge:
            return -math.log10(_TAIL_SHARE) + (size - self._edge) / self._mean_excess / math.log(10.0)
        below = float(np.searchsorted(ordered, size)) / len(ordered)
        return -math.log10(max(1.0 - below, _TAIL_SHARE))


class MetricScorer:
    """Scores a series in [0, 1], higher is odder. A row's score depends on that row and those before it only."""

    def __init__(self) -> None:
        """Start cold: the first rows score 0."""
        self._median = RunningMedian(_MEDIAN_ROWS)
        self._tail = Tail()
        self._low = math.inf
        self._high = -math.inf
        self._row = 0
        self._recent: deque[tuple[int, float]] = deque()

    def score(self, value: float) -> float:
        """Score the next row; one that is no finite number scores 0 and teaches nothing."""
        self._row += 1
        if not math.isfinite(value):
            return 0.0
        size = abs(value - self._median.median()) if len(self._median) >= _LEAST_ROWS else 0.0
        evidence = 0.5 * (self._tail.surprise(size) + self._record(value))
        self._median.add(value)
        return self._first_of_its_kind(evidence / (_HALF_AT + evidence))

    def _record(self, value: float) -> float:
        low, high = self._low, self._high
        self._low, self._high = min(low, value), max(high, value)
        if self._row <= _LEAST_ROWS or not math.isfinite(low):
            return 0.0
        beyond = max(value - high, low - value, 0.0)
        return math.log1p(_RECORD_SCALE * beyond / (high - low + 1e-9))

    def _first_of_its_kind(self, score: float) -> float:
        recent = self._recent
        while recent and recent[0][0] < self._row - _QUIET_ROWS:
            recent.popleft()
        told = score if not recent or score > recent[0][1] else 0.0
        while recent and recent[-1][1] <= score:
            recent.pop()
        recent.append((self._row, score))
        return told


def score_lines(lines: Iterable[str], write: Callable[[str], object]) -> int:
    """Read CSV `timestamp,value`, write `timestamp,value,anomaly_score` row by row; return the number of rows.

    Timestamps are opaque; the first two columns are passed on as they are. Raises `ValueError` for another header or a
    row without two columns.
    """
    rows = csv.reader(lines)
    header = next(rows, None)
    if header is None or [name.strip().lstrip("\ufeff") for name in header[:2]] != _HEADER:
        raise ValueError("expected a header timestamp,value")
    out = csv.writer(_Writer(write), lineterminator="\n")
    out.writerow([*_HEADER, "anomaly_score"])
    scorer = MetricScorer()
    count = 0
    for row in rows:
        if not row:
            continue
        if len(row) < len(_HEADER):
            raise ValueError(f"row {count + 1}: expected timestamp,value")
        out.writerow([row[0], row[1], f"{scorer.score(_number(row[1])):.6f}"])
        count += 1
    return count


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


class _Writer:
    """What `csv.writer` wants: an object with `write`."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self.write = write
