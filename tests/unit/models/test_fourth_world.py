"""The fourth simulator: its events are what gateways may log, and every cause occurs (more: `test_other_worlds`)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from models.synth.fourth_troubles import CAUSES
from models.synth.fourth_world import World
from monitor.core.events import AuthEvent
from monitor.core.mapping import compile_mapping
from monitor.core.registry_file import parse_registry

SMALL: dict[str, Any] = {"keys": 24, "days": 4.0}


@pytest.fixture(scope="module", params=[False, True], ids=["realistic", "hard"])
def world(request: pytest.FixtureRequest) -> World:
    return World(3, **SMALL, hard=request.param, failing=0.6)


def test_events_are_canonical_and_of_registered_versions_and_gateways(world: World) -> None:
    registry = world.registry()
    issued = {one for key in registry["keys"] for version in key["versions"] for one in version["credentials"]}
    assert parse_registry(json.dumps(registry), name="keys.yaml")
    mapping = compile_mapping("canonical", pepper=b"pepper")
    nodes = {(node["gateway"], node.get("region")) for node in registry["gateways"]}
    epoch = world.start.timestamp()
    for at, event in world.events():
        assert 0 <= at < world.days * 86400
        assert event["ts"] == pytest.approx((epoch + at) * 1000, abs=1)
        assert event["credential"] in issued
        assert (event["gateway"], event.get("region")) in nodes
        (read,) = mapping.map_value(json.dumps(event).encode(), event["ts"])
        assert isinstance(read, AuthEvent)
        assert (read.reason, read.outcome) == (event["reason"], event["outcome"])


def test_every_cause_occurs_and_leaves_some_rollovers_in_peace() -> None:
    worlds = [World(seed, **SMALL, hard=False, failing=0.6) for seed in (5, 6)]
    assert {label["cause"] for world in worlds for label in world.labels()} == set(CAUSES)
    assert all(len(world.labels()) < len(world.registry()["rollovers"]) < SMALL["keys"] for world in worlds)


def test_without_failing_rollovers_there_are_failures_but_no_labels() -> None:
    world = World(7, **SMALL, hard=True, failing=0.0)
    assert any(event["outcome"] == "failure" for _, event in world.events())
    assert world.labels() == []
