"""Grow the re-ranker on fleets of four simulators and choose its thresholds: `python -m models.synth.training`.

Reproducible: the same seeds and libraries give the same trees. Takes tens of minutes on one core; rows of simulated
fleets are kept in `--cache`, so that a second run only grows trees.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from models.calibration import HealthyPeaks
from models.features import NAMES
from models.reranker import (
    BudgetPoint,
    CauseTrees,
    Reranker,
    from_histogram_boosting,
    save_reranker,
)
from models.scorers import ForestScorer
from models.synth import fourth_world, second_world, seeds, third_world
from models.synth.fleet import simulate
from models.synth.other_worlds import OtherWorld, history_of
from models.synth.watched import FAULT, HEALTHY, IN_ROLLOVER, OTHER_VERSION, Notes, Watchable, labelled_rows
from models.synth.world import HARD, REALISTIC
from models.trees import Matrix, side_by_side

Vector = NDArray[np.float64]

_TRAINING_FAILING_SHARE = 0.5
"""Of rollovers: more than in the field, for more to learn from; the weights give the field's share back."""
_FIELD_FAILING_SHARE = 0.125
_EVERY, _BUSY, _CALM = 9, 20.0, 3.0
"""Every ninth fleet has keys of up to 50,000 requests a day; the others are kept smaller: their minutes cost less."""
_DENSITY = 2.5
"""Short histories hold so many times the rollovers a key-day of a fleet that rolls each key every two weeks, those that
began before them counted, and nearly all false episodes live in rollovers: budgets are meant for the latter."""
_RUN_GAP_SECONDS = 7200
_QUIET_SECONDS = 4 * 3600
_BUDGETS = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 20.0)
_GRID = tuple(float(x) for x in 1.0 / (1.0 + np.exp(-np.linspace(-3.5, 3.5, 29))))
_LONG = 60
"""Looks of one run beyond this teach nothing new."""
_REFERENCE_ROWS = 800
_OTHER_DAYS = 9
OTHERS: dict[str, tuple[Callable[..., OtherWorld], tuple[int, ...]]] = {
    "second": (second_world.World, seeds.SECOND),
    "third": (third_world.World, seeds.THIRD),
    "fourth": (fourth_world.World, seeds.FOURTH),
}
"""The other simulators: how their worlds are made, and the seeds to grow on."""
_DATA = Path(__file__).parents[1] / "data"
_EPISODE_SECONDS = 6 * 3600
_KEPT_PEAKS = 500
"""More than any budget asks of these fleets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One fleet's rows. `onset` and `causes` hold each fault's first failing second and true cause."""

    rows: Matrix
    notes: Notes
    onset: Vector
    causes: tuple[str, ...]
    key_days: float


def watch(at: Path | None, make: Callable[[], Watchable]) -> Watched:
    """Take a simulated history's rows from the cache, or make it, watch it and keep them there."""
    if at is not None and at.is_file():
        with np.load(at, allow_pickle=False) as stored:
            return Watched(
                rows=stored["rows"],
                notes=stored["notes"],
                onset=stored["onset"],
                causes=tuple(stored["causes"].tolist()),
                key_days=float(stored["key_days"]),
            )
    sys.stderr.write(f"watching {'a fleet' if at is None else at.stem}\n")
    fleet = make()
    rows, notes = labelled_rows(fleet)
    onset = np.array([f.first_at for f in fleet.faults], dtype=np.float64)
    causes = tuple(f.cause for f in fleet.faults)
    if at is not None:
        np.savez(at, rows=rows, notes=notes, onset=onset, causes=np.array(causes), key_days=np.array(fleet.key_days))
    return Watched(rows=rows, notes=notes, onset=onset, causes=causes, key_days=fleet.key_days)


def fleets(
    chosen: Iterable[int], *, keys: int, days: int, failing_share: float, cache: Path | None
) -> Iterator[Watched]:
    """Watch fleets of our own simulator, of both levels in turn."""
    for i, seed in enumerate(chosen):
        level = REALISTIC if i % 2 == 0 else HARD
        busiest = _BUSY if i % _EVERY == 0 else _CALM
        name = f"{level}-{seed}-{keys}-{days}-{failing_share}-{busiest:g}-{len(NAMES)}.npz"
        made = partial(simulate, seed, keys=keys, days=days, level=level, failing_share=failing_share, busiest=busiest)
        yield watch(None if cache is None else cache / name, made)


def other_fleets(names: Iterable[str], *, keys: int, cache: Path | None) -> Iterator[Watched]:
    """Watch fleets of the other simulators, both levels of each seed."""
    for name in names:
        world, chosen = OTHERS[name]
        for seed in chosen:
            for level in (REALISTIC, HARD):
                file = f"{name}-{level}-{seed}-{keys}-{_OTHER_DAYS}-{_TRAINING_FAILING_SHARE}-{len(NAMES)}.npz"
                made = partial(_history, world, seed, keys=keys, hard=level == HARD)
                yield watch(None if cache is None else cache / file, made)


def _history(world: Callable[..., OtherWorld], seed: int, *, keys: int, hard: bool) -> Watchable:
    return history_of(world(seed, keys=keys, days=_OTHER_DAYS, hard=hard, failing=_TRAINING_FAILING_SHARE))


def run_positions(notes: Notes) -> NDArray[np.int64]:
    """Return how many looks of the same key version and fault came before each within its run."""
    seen: dict[tuple[int, int, int], tuple[int, int]] = {}
    positions = np.zeros(len(notes), dtype=np.int64)
    for i, (second, key, version, fault, _) in enumerate(notes.tolist()):
        last, n = seen.get((key, version, fault), (-_RUN_GAP_SECONDS - 1, 0))
        n = 0 if second - last > _RUN_GAP_SECONDS else n + 1
        seen[key, version, fault] = (second, n)
        positions[i] = n
    return positions


def training_set(watched: Iterable[Watched]) -> tuple[Matrix, NDArray[np.int64], Vector]:
    """Join fleets to (rows, is a fault, weights). Early looks weigh most: that is where decisions are made."""
    rows, truth, weights = [], [], []
    prior = _FIELD_FAILING_SHARE / _TRAINING_FAILING_SHARE
    for fleet in watched:
        position = run_positions(fleet.notes)
        fault = fleet.notes[:, FAULT] >= 0
        weight = 1.0 / (1.0 + position / 4.0)
        weight[fault] *= 2.0 * prior
        keep = (fleet.notes[:, FAULT] != OTHER_VERSION) & (position < _LONG)
        rows.append(fleet.rows[keep])
        truth.append(fault[keep].astype(np.int64))
        weights.append(weight[keep])
    return np.concatenate(rows), np.concatenate(truth), np.concatenate(weights)


def grow(rows: Matrix, truth: NDArray[np.int64], weights: Vector, *, seed: int = 0) -> HistGradientBoostingClassifier:
    """Grow the boosted trees."""
    model = HistGradientBoostingClassifier(
        max_iter=150,
        learning_rate=0.1,
        max_leaf_nodes=24,
        min_samples_leaf=60,
        l2_regularization=5.0,
        max_features=0.4,
        early_stopping=False,
        random_state=seed,
    )
    return model.fit(rows, truth, sample_weight=weights)


def cause_set(watched: Iterable[Watched]) -> tuple[Matrix, NDArray[np.str_], Vector]:
    """Join fleets to (rows of faults, true causes, weights)."""
    rows, truth, weights = [], [], []
    for fleet in watched:
        position = run_positions(fleet.notes)
        fault = (fleet.notes[:, FAULT] >= 0) & (position < _LONG)
        rows.append(fleet.rows[fault])
        truth.append(np.array([fleet.causes[i] for i in fleet.notes[fault, FAULT].tolist()]))
        weights.append(1.0 / (1.0 + position[fault] / 4.0))
    return np.concatenate(rows), np.concatenate(truth), np.concatenate(weights)


def grow_causes(rows: Matrix, truth: NDArray[np.str_], weights: Vector, *, seed: int = 0) -> CauseTrees:
    """Grow the trees that weigh causes where structure must tell them apart."""
    model = HistGradientBoostingClassifier(
        max_iter=200,
        learning_rate=0.08,
        max_leaf_nodes=8,
        min_samples_leaf=40,
        l2_regularization=5.0,
        max_features=0.4,
        early_stopping=False,
        random_state=seed,
    ).fit(rows, truth, sample_weight=weights)
    parts = from_histogram_boosting(model)
    return CauseTrees(
        names=tuple(str(c) for c in model.classes_),
        table=side_by_side([table for table, _ in parts]),
        bases=tuple(base for _, base in parts),
    )


def healthy_peaks(watched: Sequence[Watched], reference: Matrix) -> HealthyPeaks:
    """Pick the oddest moments of episodes in which nothing failed, for the forest where it must do without trees."""
    forest = ForestScorer()
    forest.fit(reference)
    rows, regimes = [], []
    for fleet in watched:
        notes = fleet.notes
        scores = forest.score(fleet.rows)
        best: dict[tuple[int, int, int], int] = {}
        for i in np.flatnonzero(notes[:, FAULT] == HEALTHY).tolist():
            second, key, _, _, in_rollover = notes[i].tolist()
            episode = (key, second // _EPISODE_SECONDS, in_rollover)
            if episode not in best or scores[i] > scores[best[episode]]:
                best[episode] = i
        rows.append(fleet.rows[list(best.values())])
        regimes.append(notes[list(best.values()), IN_ROLLOVER] == 1)
    found, regime = np.concatenate(rows), np.concatenate(regimes)
    order = np.argsort(-forest.score(found))
    kept = np.concatenate([order[regime[order]][:_KEPT_PEAKS], order[~regime[order]][:_KEPT_PEAKS]])
    key_days = _DENSITY * sum(f.key_days for f in watched)
    return HealthyPeaks(rows=found[kept].astype(np.float64), in_rollover=regime[kept], key_days=key_days)


def outcome(fleet: Watched, scores: Vector, rollover: float, rest: float) -> tuple[Vector, int]:
    """Return each fault's speed points (of 1) and the number of false episodes at two thresholds."""
    notes = fleet.notes
    over = scores >= np.where(notes[:, IN_ROLLOVER] == 1, rollover, rest)
    points = np.zeros(len(fleet.onset))
    open_until: dict[tuple[int, int], float] = {}
    false = 0
    for second, key, version, fault, _ in notes[over].tolist():
        opened = second > open_until.get((key, version), -1.0)
        open_until[key, version] = second + _QUIET_SECONDS
        if not opened:
            continue
        if fault == HEALTHY:
            false += 1
        elif fault >= 0 and points[fault] == 0:
            windows = max(1.0, np.ceil((second - fleet.onset[fault]) / 300.0))
            points[fault] = 2.0 ** (-(windows - 1.0) / 6.0)
    return points, false


def choose_thresholds(fleets: Sequence[Watched], scores: Sequence[Vector]) -> list[BudgetPoint]:
    """For each budget, take the pair of thresholds that finds most, soonest, within it."""
    key_days = _DENSITY * sum(f.key_days for f in fleets)
    tried = []
    for rollover in _GRID:
        for rest in _GRID:
            if rest < rollover:
                continue
            results = [outcome(f, s, rollover, rest) for f, s in zip(fleets, scores, strict=True)]
            points = float(np.mean(np.concatenate([p for p, _ in results])))
            tried.append((1000.0 * sum(n for _, n in results) / key_days, points, rollover, rest))
    chosen = []
    for budget in _BUDGETS:
        within = [t for t in tried if t[0] <= budget] or [min(tried)]
        false, points, rollover, rest = max(within, key=lambda t: t[1])
        sys.stderr.write(f"budget {budget}: false {false:.2f} speed {points:.3f} at {rollover:.3f}/{rest:.3f}\n")
        chosen.append(BudgetPoint(false_episodes=budget, rollover=rollover, rest=rest))
    return chosen


def main(arguments: Sequence[str] | None = None) -> None:
    """Grow, choose, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=_DATA / "reranker.npz")
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument(
        "--without",
        action="append",
        choices=sorted(OTHERS),
        default=[],
        help="leave a simulator out, to be judged by it: `benchmarks/second_opinion.py --model`",
    )
    parser.add_argument("--fleets", type=int, default=len(seeds.TRAINING))
    parser.add_argument("--keys", type=int, default=100)
    parser.add_argument("--days", type=int, default=7)
    chosen = parser.parse_args(arguments)
    size = {"keys": chosen.keys, "days": chosen.days, "cache": chosen.cache}
    training = seeds.TRAINING[: chosen.fleets]
    others = [name for name in OTHERS if name not in chosen.without]
    watched = list(fleets(training, failing_share=_TRAINING_FAILING_SHARE, **size))
    watched += other_fleets(others, keys=chosen.keys, cache=chosen.cache)
    rows, truth, weights = training_set(watched)
    ((table, base),) = from_histogram_boosting(grow(rows, truth, weights))
    causes = grow_causes(*cause_set(watched))
    healthy = rows[truth == 0]
    rng = np.random.default_rng(0)
    reference = healthy[rng.choice(len(healthy), min(_REFERENCE_ROWS, len(healthy)), replace=False)]
    draft = Reranker(table=table, base=base, budgets=[], reference=reference)
    calibration = list(fleets(seeds.CALIBRATION, failing_share=_FIELD_FAILING_SHARE * 2, **size))
    budgets = choose_thresholds(calibration, [draft.score(f.rows) for f in calibration])
    peaks = healthy_peaks(calibration, reference)
    finished = Reranker(table=table, base=base, budgets=budgets, reference=reference, causes=causes, healthy=peaks)
    notes: dict[str, object] = {
        "rows": len(rows),
        "faulty_rows": int(truth.sum()),
        "training_seeds": [training[0], training[-1]],
        "calibration_seeds": [seeds.CALIBRATION[0], seeds.CALIBRATION[-1]],
        "other_simulators": {name: [OTHERS[name][1][0], OTHERS[name][1][-1]] for name in others},
        "keys": chosen.keys,
        "days": chosen.days,
        "scikit-learn": sklearn.__version__,
    }
    digest = save_reranker(chosen.out, finished, notes=notes)
    sys.stderr.write(f"{len(rows)} rows, {int(truth.sum())} of them faulty; {chosen.out} {digest[:12]}\n")


if __name__ == "__main__":
    main()
