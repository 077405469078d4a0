"""Thresholds from a budget: so many false episodes per 1,000 key-days, shared out between rollovers and the rest."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROLLOVER_SHARE = 0.7
"""Of the budget. Rollovers are a tenth of the key-days and hold nearly all the faults (FACTS section 8)."""
HISTORY_DAYS = 28
"""Of a fleet's own history that calibrates."""
USUAL_NOISE = 0.4
"""What is believed of a fleet before anything is known of it, as a share of simulated fleets' false episodes: those are
harsher than most."""
_BELIEF_EPISODES = 2.0
"""Episodes that this belief is worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """A score at or above its regime's threshold opens an episode; `expected` false episodes per 1,000 key-days."""

    rollover: float
    rest: float
    expected: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The highest score of one key within one hour of fault-free history."""

    key: str
    hour: int
    score: float
    in_rollover: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthyPeaks:
    """Rows at the oddest moments of simulated fleets in which nothing failed, so many key-days in all.

    What a fleet's own history lacks before its first rollovers: without them a threshold is a guess. `rows` are of
    `features.NAMES`, `in_rollover` says in which regime each lies.
    """

    rows: NDArray[np.float64]
    in_rollover: NDArray[np.bool_]
    key_days: float

    def peaks(self, scores: NDArray[np.float64]) -> list[Peak]:
        """Return the rows as peaks, an episode each, by the scores of whatever detector is to be calibrated."""
        pairs = zip(scores.tolist(), self.in_rollover.tolist(), strict=True)
        return [Peak(key=str(i), hour=0, score=s, in_rollover=r) for i, (s, r) in enumerate(pairs)]


class PeakBook:
    """Collects the hourly peaks of a history, bounded to the newest `days`."""

    __slots__ = ("_days", "_peaks")

    def __init__(self, *, days: int = HISTORY_DAYS) -> None:
        """Keep peaks of the newest `days`."""
        self._peaks: dict[tuple[str, int], Peak] = {}
        self._days = days

    def add(self, key: str, minute: int, score: float, *, in_rollover: bool) -> None:
        """Take in one score."""
        at = (key, minute // 60)
        old = self._peaks.get(at)
        if old is None or score > old.score:
            self._peaks[at] = Peak(key=key, hour=at[1], score=score, in_rollover=in_rollover)

    def prune(self, minute: int) -> None:
        """Forget what is older than the span."""
        first = minute // 60 - 24 * self._days
        self._peaks = {at: peak for at, peak in self._peaks.items() if at[1] >= first}

    def peaks(self) -> list[Peak]:
        """Return the peaks, in no particular order."""
        return list(self._peaks.values())


def kth_peak(scores: Iterable[float], allowed: float) -> float:
    """Return the threshold that lets `allowed` of these episode peaks through: just above the next lower one.

    With fewer peaks than allowed, 0: nothing in the history asks for a threshold.
    """
    ordered = sorted(scores, reverse=True)
    k = math.floor(allowed)
    if k >= len(ordered):
        return 0.0
    return math.nextafter(ordered[k], math.inf)


def episode_maxima(peaks: Iterable[Peak], *, apart_hours: int = 6) -> list[Peak]:
    """Thin hourly peaks to one an episode: of a key's peaks less than `apart_hours` apart, the highest."""
    best: list[Peak] = []
    for peak in sorted(peaks, key=lambda p: (p.key, p.hour)):
        last = best[-1] if best else None
        if last is not None and last.key == peak.key and peak.hour - last.hour < apart_hours:
            if peak.score > last.score:
                best[-1] = peak
            continue
        best.append(peak)
    return best


def relative_noise(episodes: float, simulated: float) -> float:
    """Estimate how noisy a fleet is, 1 being a simulated one: a Gamma-Poisson mean with `USUAL_NOISE` as its prior.

    Args:
        episodes: episodes of the fleet's own history that reach a low threshold, those of true faults taken away.
        simulated: as many as simulated fleets have there in the same exposure.
    """
    return (max(0.0, episodes) + _BELIEF_EPISODES) / (simulated + _BELIEF_EPISODES / USUAL_NOISE)


def calibrate(
    peaks: Iterable[Peak],
    *,
    key_days: float,
    budget: float,
    floor: Thresholds,
    faults: float = 0.0,
) -> Thresholds:
    """Choose the two thresholds for a budget of false episodes per 1,000 key-days.

    Args:
        peaks: hourly peaks of history believed fault-free.
        key_days: exposure of that history.
        budget: false episodes allowed per 1,000 key-days.
        floor: thresholds never gone below, however quiet the history was.
        faults: true faults to be expected among the peaks of rollovers, as nobody labels the history.
    """
    thinned = episode_maxima(peaks)
    allowed = budget * key_days / 1000.0
    rollover = kth_peak((p.score for p in thinned if p.in_rollover), ROLLOVER_SHARE * allowed + faults)
    rest = kth_peak((p.score for p in thinned if not p.in_rollover), (1 - ROLLOVER_SHARE) * allowed)
    return Thresholds(rollover=max(rollover, floor.rollover), rest=max(rest, floor.rest), expected=budget)
