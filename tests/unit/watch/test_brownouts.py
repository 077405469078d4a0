"""A brownout under way is measured at every look, by the limits that it was begun with."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.core.events import Outcome, Reason
from monitor.core.instants import MINUTE_MS, rfc3339
from tests.contract.store.factories import OLD, event
from tests.unit.api.world import ROLLOVER
from tests.unit.watch.test_loop import World

BEGIN = f"/v1/rollovers/{ROLLOVER}/brownout"


def refuse(world: World, **who: str) -> None:
    """Let a caller be refused on the old version, a minute ago."""
    world.api.time.now_ms += 2 * MINUTE_MS
    refused: dict[str, Any] = {"credential": OLD, "outcome": Outcome.FAILURE, "reason": Reason.REVOKED}
    world.api.feed.flush([event(world.api.time.now_ms - MINUTE_MS, **refused, **who)])


def told(world: World) -> list[dict[str, Any]]:
    """Return the brownout's alerts, oldest first."""
    alerts = [row.body["alert"] for row in world.rows("alert")]
    return [each for each in reversed(alerts) if each["cause"] == "brownout"]


@pytest.mark.parametrize(
    ("why", "limits", "who", "says"),
    [
        ("a straggler that was to be reached", {}, {"client": "globex", "source": "batch"}, None),
        ("nobody may be refused", {"accept": 0}, {"client": "globex", "source": "batch"}, "at most 0"),
        ("somebody who had moved", {"accept": 9}, {}, "acme/prod"),
    ],
)
def test_the_loop_calls_somebody_when_a_window_must_end_and_only_then(
    why: str, limits: dict[str, int], who: dict[str, str], says: str | None
) -> None:
    world = World(moved=False)
    world.look()
    assert world.api.ask("POST", BEGIN, json=limits).status_code == 200
    world.look(minutes=1)
    assert told(world) == [], "nobody was refused yet"
    refuse(world, **who)
    world.look()
    world.look(minutes=1)
    assert [each["severity"] for each in told(world)] == ([] if says is None else ["critical"]), why
    assert world.api.ask("POST", f"/v1/rollovers/{ROLLOVER}/enable").status_code == 200
    world.look(minutes=1)
    if says is not None:
        alert, end = told(world)
        assert says in alert["text"]
        assert (end["kind"], end["episode"]) == ("resolved", alert["episode"])


def test_a_window_that_outlasts_its_time_is_told_of_once_and_the_next_one_begins_anew() -> None:
    world = World(moved=False)
    until = rfc3339(world.api.time.now_ms + 5 * MINUTE_MS)
    assert world.api.ask("POST", BEGIN, json={"until": until}).status_code == 200
    for _ in range(8):
        world.look(minutes=1)
    (alert,) = told(world)
    assert until in alert["text"]
    assert world.api.ask("GET", f"{BEGIN}/measured").json()["abort"] is not None
    world.api.ask("POST", f"/v1/rollovers/{ROLLOVER}/enable")
    world.look(minutes=1)
    assert world.api.ask("POST", BEGIN).status_code == 200
    world.look(minutes=1)
    assert world.api.ask("GET", f"{BEGIN}/measured").json()["until"] is None, "an earlier window's limits are its own"
    assert [each["kind"] for each in told(world)] == ["failed_rollover", "resolved"]


def test_a_window_cannot_end_before_it_begins() -> None:
    world = World(moved=False)
    past = rfc3339(world.api.time.now_ms)
    assert world.api.ask("POST", BEGIN, json={"until": past}).status_code == 422
    assert world.api.ask("POST", BEGIN, json={"accept": -1}).status_code == 422
