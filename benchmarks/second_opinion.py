"""Let another simulator judge: fleets of one of the other worlds through `rollwatch replay`, scored as issue 5 asks.

python benchmarks/second_opinion.py --seeds 1 2 3 [--world third] [--level hard] [--mess] [--keep DIR] [--model FILE]

The trees that ship were grown on some worlds of each (`models/synth/seeds.py`: not on seeds below 100). For a judge that
they have never met: `python -m models.synth.training --without third --out FILE`, then `--world third --model FILE`.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from models.detector import Detector
from models.evaluate import FleetResult, read_alerts, read_labels, records, report, score_fleet
from models.reranker import load_reranker
from models.synth.other_worlds import OtherWorld, history_of
from models.synth.training import OTHERS
from models.synth.watched import labels, run

DAY, MIN = 86400.0, 60.0


def write(world: OtherWorld, folder: Path, *, mess: bool) -> None:
    """Write `events.jsonl`, `keys.yaml` and `labels.jsonl`; a mess delays, mixes up and repeats some events."""
    rng, rows = random.Random("mess"), []
    for at, event in world.events():
        if at < world.days * DAY:
            late = rng.expovariate(1 / (4 * MIN)) if mess and rng.random() < 0.1 else 0.0
            rows += [(at + late, event)] * (2 if mess and rng.random() < 0.01 else 1)
    rows.sort(key=lambda row: row[0])
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "events.jsonl").open("w") as out:
        out.writelines(json.dumps(event) + "\n" for _, event in rows)
    (folder / "keys.yaml").write_text(json.dumps(world.registry()))
    (folder / "labels.jsonl").write_text("".join(json.dumps(each) + "\n" for each in world.labels()))


def replay(folder: Path) -> Path:
    """Run `rollwatch replay` over a history; return where its alerts are."""
    alerts = folder / "alerts.jsonl"
    command: list[str | Path] = [Path(sys.executable).with_name("rollwatch"), "replay", folder / "events.jsonl"]
    options: list[str | Path] = [
        "--keys",
        folder / "keys.yaml",
        "--out",
        folder / "decisions.jsonl",
        "--alerts",
        alerts,
    ]
    subprocess.run([*command, *options, "--every", "24h"], check=True)
    return alerts


def judged(folder: Path, key_days: float) -> FleetResult:
    """Score the alerts of a replayed history."""
    episodes = read_alerts((folder / "alerts.jsonl").read_text().splitlines())
    return score_fleet(episodes, read_labels((folder / "labels.jsonl").read_text().splitlines()), key_days)


def judged_by(model: Path, world: OtherWorld) -> FleetResult:
    """Score another model's alerts, without a replay around it."""
    history = history_of(world)
    alerts = run(history, Detector(reranker=load_reranker(model)))
    return score_fleet(records(alerts), labels(history), history.key_days)


def main() -> None:
    """Print a line a fleet, then the whole and what each cause was taken for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--world", choices=sorted(OTHERS), default="second")
    parser.add_argument("--level", choices=("realistic", "hard"), default="realistic")
    parser.add_argument("--keys", type=int, default=100)
    parser.add_argument("--days", type=int, default=9)
    parser.add_argument("--mess", action="store_true")
    parser.add_argument("--keep", type=Path, default=None, help="keep the histories here, and use those that are there")
    parser.add_argument("--model", type=Path, default=None, help="let these trees watch, in this process")
    chosen = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        for seed in chosen.seeds:
            name = (
                f"{chosen.world}-{chosen.level}-{seed}-{chosen.keys}-{chosen.days}-{'mess' if chosen.mess else 'neat'}"
            )
            folder = (chosen.keep or Path(temporary)) / name
            make, _ = OTHERS[chosen.world]
            world = make(seed, keys=chosen.keys, days=chosen.days, hard=chosen.level == "hard")
            if chosen.model is not None:
                results.append(judged_by(chosen.model, world))
            else:
                if not (folder / "labels.jsonl").is_file():
                    write(world, folder, mess=chosen.mess)
                replay(folder)
                results.append(judged(folder, chosen.keys * chosen.days))
            told = results[-1]
            print(f"{name}: score {told.score:.0f}, {len(told.faults)} faults, {told.false_episodes} false", flush=True)
    whole = report(results)
    print(
        f"score {whole.score.mean:.0f} recall {whole.recall.mean:.2f} cause right {whole.cause_right.mean:.2f} "
        f"false {whole.false_episodes_per_1000_key_days.mean:.1f} per 1,000 key-days, {whole.faults} faults"
    )
    for row in whole.causes:
        named = ", ".join(f"{cause} {n}" for cause, n in row.named)
        print(f"  {row.cause}: {row.points:.0f} points, {row.median_windows:.1f} windows; {named}")


if __name__ == "__main__":
    main()
