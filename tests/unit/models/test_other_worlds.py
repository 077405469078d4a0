"""The simulators beside our own, and the histories that are made of them for training."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from models.synth.other_worlds import History, history_of
from models.synth.training import OTHERS
from models.synth.watched import HEALTHY, labelled_rows, labels

DAYS = 3
SEED = 5

Draw = Callable[..., Any]

drawn = pytest.mark.parametrize(
    "world", [make for make, _ in OTHERS.values()], ids=[f"the {name} world" for name in OTHERS]
)
levels = pytest.mark.parametrize("hard", [False, True], ids=["realistic", "hard"])


def draw(world: Draw, *, hard: bool = False, failing: float = 1.0) -> Any:
    return world(SEED, keys=6, days=DAYS, hard=hard, failing=failing)


def within(world: Any) -> list[dict[str, Any]]:
    return [event for at, event in world.events() if at < DAYS * 86400]


@drawn
@levels
def test_a_seed_gives_the_same_events_registry_and_labels(world: Draw, hard: bool) -> None:
    one, two = draw(world, hard=hard), draw(world, hard=hard)
    assert list(one.events()) == list(two.events())
    assert one.registry() == two.registry()
    assert one.labels() == two.labels()


@drawn
def test_a_seed_gives_the_same_events_in_every_process(world: Draw) -> None:
    code = (
        "import hashlib\n"
        f"from {world.__module__} import World\n"
        f"events = list(World({SEED}, keys=3, days={DAYS}, hard=False).events())\n"
        "print(len(events), hashlib.sha256(repr(events).encode()).hexdigest())\n"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": salt, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for salt in ("1", "2", "3")
    }
    assert len(told) == 1


@drawn
@levels
def test_every_credential_of_an_event_is_in_the_registry(world: Draw, hard: bool) -> None:
    made = draw(world, hard=hard)
    known = {c for key in made.registry()["keys"] for version in key["versions"] for c in version["credentials"]}
    assert {event["credential"] for _, event in made.events()} <= known


@drawn
@levels
def test_a_label_spans_the_requests_that_its_fault_refused(world: Draw, hard: bool) -> None:
    made = draw(world, hard=hard)
    events = within(made)
    lives = {life.key: life for life in made.keys}
    told = made.labels()
    assert told
    issued = {
        (key["key"], version["version"]): version["credentials"]
        for key in made.registry()["keys"]
        for version in key["versions"]
    }
    for label in told:
        life = lives[label["key"]]
        first, last = (datetime.fromisoformat(label[at]) for at in ("first_at", "last_at"))
        assert (first - made.start).total_seconds() == pytest.approx(min(life.hits), abs=0.001)
        assert (label["version"], label["cause"]) == (life.fault.version, life.cause)
        refused = [
            e["ts"] / 1000
            for e in events
            if e["credential"] in issued[life.key, label["version"]] and e["outcome"] == "failure"
        ]
        in_span = [at for at in refused if first.timestamp() - 0.002 <= at <= last.timestamp() + 0.002]
        assert len(in_span) >= sum(at < DAYS * 86400 for at in life.hits)


@drawn
@pytest.mark.parametrize(("failing", "some"), [(0.0, False), (1.0, True)], ids=["none may fail", "all may fail"])
def test_the_share_of_failing_rollovers_is_an_argument(world: Draw, failing: float, some: bool) -> None:
    assert bool(history_of(draw(world, failing=failing)).faults) is some


@drawn
@levels
def test_a_history_keeps_every_event_in_order_of_time(world: Draw, hard: bool) -> None:
    history = history_of(draw(world, hard=hard))
    minutes = list(history.minutes())
    assert sum(row.requests for _, rows in minutes for row in rows) == len(within(draw(world, hard=hard)))
    assert [int((end - history.start).total_seconds()) for end, _ in minutes] == list(range(60, DAYS * 86400 + 60, 60))
    assert all(row.bucket == int(end.timestamp()) - 60 for end, rows in minutes for row in rows)
    assert history.key_days == 6 * DAYS


@drawn
def test_a_history_says_of_keys_and_faults_what_the_world_says(world: Draw) -> None:
    made = draw(world)
    history = history_of(made)
    registry = made.registry()
    assert [facts.key for facts in history.facts] == [entry["key"] for entry in registry["keys"]]
    rolled = {r.rollover: r.started_at for facts in history.facts for r in facts.rollovers}
    assert rolled == {row["id"]: datetime.fromisoformat(row["started_at"]) for row in registry["rollovers"]}
    told = {(f.key, f.version, f.cause) for f in labels(history)}
    assert told == {(label["key"], label["version"], label["cause"]) for label in made.labels()}
    assert all(f.failures >= 3 and f.first_at <= f.last_at < DAYS * 86400 for f in history.faults)


@drawn
def test_rows_of_a_history_carry_its_faults(world: Draw) -> None:
    history: History = history_of(draw(world))
    rows, notes = labelled_rows(history)
    assert len(rows) == len(notes) > 0
    marked = {int(fault) for fault in notes[:, 3] if fault > HEALTHY}
    assert marked
    assert marked <= set(range(len(history.faults)))
