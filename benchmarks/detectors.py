"""Compare detectors on simulated fleets in one run: `python benchmarks/detectors.py [--fleets 4] [--seeds report]`.

Usual tools see failures and requests per key version in five-minute windows. Those with a threshold get it from the
first four days, for the same budget of false episodes as ours. None but ours names causes: their causes count as wrong.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import timedelta

import numpy as np
from sklearn.ensemble import IsolationForest

from models.calibration import Thresholds
from models.detector import Detector
from models.evaluate import EpisodeRecord, FleetResult, records, report, score_fleet
from models.reranker import default_reranker
from models.synth import Fleet, seeds, simulate
from models.synth.watched import labels, run

LISTS = {"tuning": seeds.TUNING, "report": seeds.REPORT, "further": seeds.FURTHER}
BUDGET = 5.0
WARM_DAYS = 4
QUIET_WINDOWS = 12
Windows = dict[tuple[str, int], np.ndarray]
Score = Callable[[np.ndarray], np.ndarray]


def windows(fleet: Fleet) -> Windows:
    """Return (windows, [failures, requests]) of each key version, five minutes each."""
    n = fleet.days * 288
    found: Windows = defaultdict(lambda: np.zeros((n, 2)))
    for now, rows in fleet.minutes():
        at = min(n - 1, int((now - fleet.start).total_seconds() - 1) // 300)
        for row in rows:
            cell = found[row.key, row.version][at]
            cell[1] += row.requests
            cell[0] += row.requests * (row.outcome == "failure")
    return found


def rolling(x: np.ndarray, size: int) -> np.ndarray:
    """Sum the newest `size` windows."""
    total = np.cumsum(np.vstack([np.zeros((1, 2)), x]), axis=0)
    return total[1:] - total[np.maximum(0, np.arange(len(x)) + 1 - size)]


def share(x: np.ndarray) -> np.ndarray:
    """Share of failures; 0 without requests."""
    return x[:, 0] / np.maximum(1, x[:, 1])


def fixed(x: np.ndarray) -> np.ndarray:
    """Above 1 where 20 % of an hour's requests fail, three at least."""
    hour = rolling(x, 12)
    return np.where((hour[:, 0] >= 3) & (x[:, 0] > 0), share(hour) / 0.2, 0.0)


def burn(x: np.ndarray) -> np.ndarray:
    """Above 1 where an objective of 99 % burns 14.4 times too fast, over an hour and over five minutes."""
    return np.minimum(share(rolling(x, 12)), share(x)) / 0.01 / 14.4


def z_score(x: np.ndarray) -> np.ndarray:
    """Failures of an hour against the same hour of the days before."""
    hour = rolling(x, 12)[:, 0]
    out = np.zeros(len(x))
    for at in range(288, len(x)):
        past = hour[at % 288 : at - 287 : 288]
        out[at] = (hour[at] - past.mean()) / (past.std() + 0.5) if x[at, 0] else 0.0
    return out


def raw_forest(found: Windows) -> Score:
    """Grow an isolation forest on raw counts of the first days."""

    def row(x: np.ndarray) -> np.ndarray:
        return np.column_stack([x, rolling(x, 12), share(rolling(x, 12))])

    history = np.concatenate([row(x)[: WARM_DAYS * 288][x[: WARM_DAYS * 288, 1] > 0] for x in found.values()])
    forest = IsolationForest(n_estimators=200, random_state=0).fit(history)
    return lambda x: np.where(x[:, 0] > 0, -forest.score_samples(row(x)), 0.0)


def episodes(fleet: Fleet, found: Windows, score: Score, threshold: float | None) -> list[EpisodeRecord]:
    """Turn scores into episodes; without a threshold it comes from the first days."""
    scores = {at: score(x) for at, x in found.items()}
    if threshold is None:
        key_days = WARM_DAYS * len(fleet.plans)
        peaks = sorted(
            (s[: WARM_DAYS * 288].reshape(-1, 72).max(axis=1) for s in scores.values()), key=lambda p: -p.max()
        )
        allowed = max(1, int(BUDGET * key_days / 1000))
        threshold = float(np.sort(np.concatenate(peaks))[-allowed - 1]) + 1e-9
    told = []
    for (key, _), s in scores.items():
        last = -QUIET_WINDOWS - 1
        for at in np.flatnonzero(s >= threshold).tolist():
            if at - last > QUIET_WINDOWS:
                opened = fleet.start + timedelta(seconds=300 * (at + 1))
                told.append(EpisodeRecord(key=key, opened_at=opened, cause="unknown"))
            last = at
    return told


def forest_alone(fleet: Fleet, *, one_threshold: bool) -> list[EpisodeRecord]:
    """Our features and isolation forest, label-free."""
    detector = Detector(reranker=None, healthy=default_reranker().healthy)
    if not one_threshold:
        return records(run(fleet, detector))
    detector.register(fleet.facts)
    told = []
    for now, rows in fleet.minutes():
        told.extend(detector.observe(rows, now))
        if now.hour == 0 and now.minute == 0:
            detector.train(now)
            t = detector.thresholds
            if t is not None:
                same = max(t.rollover, t.rest)
                detector.thresholds = Thresholds(rollover=same, rest=same, expected=t.expected)
    return records(told)


def usual(fleet: Fleet) -> dict[str, list[EpisodeRecord]]:
    """Watch a fleet with what others use, and with the forest under one threshold."""
    found = windows(fleet)
    return {
        "fixed thresholds (20 % failing)": episodes(fleet, found, fixed, 1.0),
        "burn rate 14.4": episodes(fleet, found, burn, 1.0),
        "z-score per hour": episodes(fleet, found, z_score, None),
        "IsolationForest on raw counts": episodes(fleet, found, raw_forest(found), None),
        "forest on our features, one threshold": forest_alone(fleet, one_threshold=True),
    }


def table(fleets: Iterable[Fleet], *, ours: bool) -> dict[str, list[FleetResult]]:
    """Watch each fleet with each detector, or with those that may run in production."""
    results: dict[str, list[FleetResult]] = defaultdict(list)
    for fleet in fleets:
        truth = labels(fleet)
        told = {} if ours else usual(fleet)
        told["forest on our features, two budgets"] = forest_alone(fleet, one_threshold=False)
        told["re-ranker"] = records(run(fleet, Detector(reranker=default_reranker())))
        for name, alerts in told.items():
            results[name].append(score_fleet(alerts, truth, fleet.key_days))
    return results


def main() -> None:
    """Print one table a level."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", choices=sorted(LISTS), default="report")
    parser.add_argument("--fleets", type=int, default=4, help="fleets a level")
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--busiest", type=float, default=5.0, help="requests a minute of the busiest key, at the most")
    parser.add_argument("--ours", action="store_true", help="leave out what others use")
    chosen = parser.parse_args()
    listed = LISTS[chosen.seeds]
    for level in ("realistic", "hard"):
        print(f"\n{level}: {chosen.fleets} fleets of {chosen.keys} keys, {chosen.days} days\n")
        print("| detector | score | recall | cause right | false per 1,000 key-days |")
        print("|---|---|---|---|---|")
        fleets = (
            simulate(s, keys=chosen.keys, days=chosen.days, level=level, busiest=chosen.busiest)
            for s in listed[: chosen.fleets]
        )
        for name, results in table(fleets, ours=chosen.ours).items():
            r = report(results)
            print(
                f"| {name} | {r.score.mean:.0f} [{r.score.low:.0f}, {r.score.high:.0f}] | {r.recall.mean:.2f} "
                f"| {r.cause_right.mean:.2f} | {r.false_episodes_per_1000_key_days.mean:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
