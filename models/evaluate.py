"""Scores alerts against labelled histories: points, recall and delay by cause, confusion, false episodes, intervals."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from models.episodes import Action, Alert

WINDOW = timedelta(minutes=5)
GRACE = timedelta(minutes=60)
"""An alert this long after the last failing request still belongs to the fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledFault:
    """What truly happened: from the first to the last failing request."""

    key: str
    version: int
    cause: str
    first_at: datetime
    last_at: datetime
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeRecord:
    """One alerted episode: when it was told and the cause it settled on."""

    key: str
    opened_at: datetime
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultResult:
    """How one fault fared. `delay_windows` counts five-minute windows from 1, None where it was missed."""

    fault: LabelledFault
    delay_windows: int | None
    cause: str | None

    @property
    def points(self) -> float:
        """Return 0.7 x 2^(-(w-1)/6) + 0.3 where the cause is right; 0 where it was missed."""
        if self.delay_windows is None:
            return 0.0
        return 0.7 * math.exp2(-(self.delay_windows - 1) / 6.0) + 0.3 * float(self.cause == self.fault.cause)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetResult:
    """One history's outcome."""

    faults: tuple[FaultResult, ...]
    false_episodes: int
    key_days: float

    @property
    def score(self) -> float:
        """Return 100 x mean points less false episodes per 1,000 key-days."""
        points = float(np.mean([f.points for f in self.faults])) if self.faults else 0.0
        return 100.0 * points - 1000.0 * self.false_episodes / self.key_days


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean and its 95 % bootstrap interval over fleets."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseRow:
    """One true cause: how many, the share found, the median delay in windows, what it was taken for."""

    cause: str
    faults: int
    recall: float
    median_windows: float
    points: float
    named: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Many histories' outcome. `cause_right` is the share among the faults found."""

    score: Interval
    recall: Interval
    cause_right: Interval
    false_episodes_per_1000_key_days: Interval
    causes: tuple[CauseRow, ...]
    fleets: int
    faults: int


def records(alerts: Iterable[Alert]) -> list[EpisodeRecord]:
    """Turn alerts into one record an episode, with its last named cause."""
    opened: dict[str, EpisodeRecord] = {}
    for alert in alerts:
        if alert.action is Action.OPENED:
            opened[alert.episode] = EpisodeRecord(
                key=alert.finding.key, opened_at=alert.at, cause=str(alert.finding.cause)
            )
        elif alert.action is Action.CORRECTED and alert.episode in opened:
            old = opened[alert.episode]
            opened[alert.episode] = EpisodeRecord(key=old.key, opened_at=old.opened_at, cause=str(alert.finding.cause))
    return list(opened.values())


_FAILURE_KINDS = frozenset({"failed_rollover", "failure_spike"})


def read_alerts(lines: Iterable[str]) -> list[EpisodeRecord]:
    """Read lines of `alerts.jsonl`: one record an episode, told at its first alert, with its last cause.

    Raises `ValueError` (also for what is not JSON) and `KeyError` for lines of another shape.
    """
    opened: dict[str, EpisodeRecord] = {}
    for line in lines:
        if not line.strip():
            continue
        alert = json.loads(line)
        if alert["kind"] not in _FAILURE_KINDS:
            continue
        first = opened.get(alert["episode"])
        opened[alert["episode"]] = EpisodeRecord(
            key=alert["key"],
            opened_at=datetime.fromisoformat(alert["at"]) if first is None else first.opened_at,
            cause=str(alert["cause"]),
        )
    return list(opened.values())


def read_labels(lines: Iterable[str]) -> list[LabelledFault]:
    """Read lines of true faults: key, version, cause, first_at, last_at (RFC 3339). Raises as `read_alerts` does."""
    return [
        LabelledFault(
            key=fault["key"],
            version=int(fault["version"]),
            cause=fault["cause"],
            first_at=datetime.fromisoformat(fault["first_at"]),
            last_at=datetime.fromisoformat(fault["last_at"]),
        )
        for fault in map(json.loads, filter(str.strip, lines))
    ]


def score_fleet(episodes: Iterable[EpisodeRecord], faults: Sequence[LabelledFault], key_days: float) -> FleetResult:
    """Match episodes to faults by key and time; what matches none is false.

    Args:
        episodes: alerted episodes, any order.
        faults: the truth.
        key_days: exposure, keys x days.

    Raises:
        ValueError: for no exposure.
    """
    if key_days <= 0:
        raise ValueError("key_days must be positive: false episodes are counted per exposure")
    by_key: dict[str, list[int]] = defaultdict(list)
    for i, fault in enumerate(faults):
        by_key[fault.key].append(i)
    first: dict[int, EpisodeRecord] = {}
    false = 0
    for episode in sorted(episodes, key=lambda e: e.opened_at):
        hit = [
            i
            for i in by_key.get(episode.key, ())
            if faults[i].first_at <= episode.opened_at <= faults[i].last_at + GRACE
        ]
        if not hit:
            false += 1
        for i in hit:
            first.setdefault(i, episode)
    results = []
    for i, fault in enumerate(faults):
        found = first.get(i)
        windows = None
        if found is not None:
            windows = max(1, math.ceil((found.opened_at - fault.first_at) / WINDOW))
        results.append(FaultResult(fault=fault, delay_windows=windows, cause=found.cause if found else None))
    return FleetResult(faults=tuple(results), false_episodes=false, key_days=key_days)


def report(fleets: Sequence[FleetResult], *, seed: int = 0, draws: int = 1000) -> Report:
    """Summarise fleets with bootstrap intervals over fleets. Raises `ValueError` without any."""
    if not fleets:
        raise ValueError("no fleet to report on")
    rng = np.random.default_rng(seed)

    def interval(values: Sequence[float]) -> Interval:
        x = np.array(values, dtype=np.float64)
        means = x[rng.integers(0, len(x), (draws, len(x)))].mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        return Interval(mean=float(x.mean()), low=float(low), high=float(high))

    with_faults = [f for f in fleets if f.faults] or list(fleets)

    def found(fleet: FleetResult) -> list[FaultResult]:
        return [f for f in fleet.faults if f.delay_windows is not None]

    right = [float(np.mean([f.cause == f.fault.cause for f in found(fleet)])) for fleet in with_faults if found(fleet)]
    return Report(
        score=interval([f.score for f in with_faults]),
        recall=interval([len(found(f)) / max(1, len(f.faults)) for f in with_faults]),
        cause_right=interval(right or [0.0]),
        false_episodes_per_1000_key_days=interval([1000.0 * f.false_episodes / f.key_days for f in fleets]),
        causes=_by_cause([r for f in fleets for r in f.faults]),
        fleets=len(fleets),
        faults=sum(len(f.faults) for f in fleets),
    )


def _by_cause(results: Sequence[FaultResult]) -> tuple[CauseRow, ...]:
    groups: dict[str, list[FaultResult]] = defaultdict(list)
    for result in results:
        groups[result.fault.cause].append(result)
    rows = []
    for cause, group in sorted(groups.items()):
        windows = [r.delay_windows for r in group if r.delay_windows is not None]
        rows.append(
            CauseRow(
                cause=cause,
                faults=len(group),
                recall=len(windows) / len(group),
                median_windows=float(np.median(windows)) if windows else math.nan,
                points=100.0 * float(np.mean([r.points for r in group])),
                named=tuple(Counter(r.cause or "missed" for r in group).most_common()),
            )
        )
    return tuple(rows)
