"""Let callers stop after their switch, and count who is told: `python benchmarks/silences.py [--seeds report]`.

A third of the callers that move fall silent within hours of it, on all versions. What is told of anybody else is false.
"""

from __future__ import annotations

import argparse
from datetime import timedelta

import numpy as np

from models.episodes import Action
from models.silence import Silences
from models.state import FleetState
from models.synth import Fleet, seeds, simulate

HOUR = 3600.0


def stop_some(fleet: Fleet, rng: np.random.Generator) -> dict[tuple[str, str], float]:
    """Remove what some callers ask after a while on the new version (in place); return who stopped when."""
    stopped: dict[tuple[str, str], float] = {}
    kept = np.ones(len(fleet.events), dtype=bool)
    for plan in fleet.plans:
        names = [(c.client, c.source) for c in plan.callers]
        for caller in plan.callers:
            alone = sum(name[0] == caller.client for name in names) == 1
            if not alone or not np.isfinite(caller.switch_at) or rng.random() > 1 / 3:
                continue
            at = caller.switch_at + caller.ramp + float(rng.exponential(2 * HOUR))
            mine = (fleet.events.caller == caller.index) & (fleet.key_of == plan.index)
            if at < min(plan.retired_at, fleet.days * 86400.0) - 12 * HOUR and (mine & (fleet.events.at < at)).any():
                kept &= ~(mine & (fleet.events.at >= at))
                stopped[plan.name, caller.client] = at
    object.__setattr__(fleet, "events", fleet.events.take(kept))
    object.__setattr__(fleet, "key_of", fleet.key_of[kept])
    return stopped


def main() -> None:
    """Print a line a fleet, then the whole."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", choices=("tuning", "report"), default="report")
    parser.add_argument("--fleets", type=int, default=3, help="fleets a level")
    chosen = parser.parse_args()
    listed = seeds.TUNING if chosen.seeds == "tuning" else seeds.REPORT
    print("| fleet | stopped | told | median hours | false per 1,000 key-days |")
    print("|---|---|---|---|---|")
    for seed in listed[: chosen.fleets]:
        for level in ("realistic", "hard"):
            fleet = simulate(seed, keys=100, days=9, level=level, busiest=1.0)
            stopped = stop_some(fleet, np.random.default_rng(seed))
            state, silences, told = FleetState(), Silences(), []
            state.register(fleet.facts)
            for now, rows in fleet.minutes():
                state.add(rows)
                minute = int(now.timestamp()) // 60 - 1
                if minute % 60 == 0:
                    state.look(minute, frozenset())
                told += [a for a in silences.look(state, minute, now) if a.action is Action.OPENED]
            hours = {
                at: (a.at - fleet.start - timedelta(seconds=stopped[at])).total_seconds() / HOUR
                for a in told
                if (at := (a.finding.key, a.finding.client or "")) in stopped
            }
            false = sum((a.finding.key, a.finding.client or "") not in stopped for a in told)
            median = f"{np.median(list(hours.values())):.1f}" if hours else "-"
            print(
                f"| {level} {seed} | {len(stopped)} | {len(hours)} | {median} | {1000 * false / fleet.key_days:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
