"""Looks are made when they are due, at once when the store is back, and by nobody while it cannot be used."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.adapters.memory_store import MemoryStore
from monitor.config.sections import RetentionSection, WatchSection
from monitor.daemon.store_keeper import StoreKeeper
from monitor.errors import StoreAway
from monitor.ingest import Clock
from monitor.schedule import Schedule


class World:
    """A schedule whose clock and watch loop are the test's."""

    def __init__(self) -> None:  # noqa: D107 - the class says it
        self.now = 0.0
        self.usable = True
        self.leads = self.detector_ready = self.succeeds = True
        self.seconds = 0.0
        self.looks: list[float] = []
        self.schedule = Schedule(
            watch=self,  # type: ignore[arg-type] # it has what is asked of a watch loop
            store=MemoryStore(),
            settings=WatchSection(interval=30),
            retention=RetentionSection(),
            clock=Clock(now_ms=lambda: 0, monotonic=lambda: self.now),
            usable=lambda: self.usable,
        )

    def look(self) -> bool:
        """Be the watch loop."""
        self.looks.append(self.now)
        self.now += self.seconds
        return self.succeeds

    def run(self, seconds: int) -> list[float]:
        """Ask every three seconds for so long; return when it looked."""
        until = self.now + seconds
        while self.now < until:
            self.schedule._look_if_due()
            self.now += 3
        return self.looks


@pytest.mark.parametrize(
    ("change", "looks"),
    [
        ({}, [0, 30, 60]),
        ({"detector_ready": False}, [0, 3, 6]),
        ({"succeeds": False}, [0, 3, 6]),
        ({"leads": False}, [0, 3, 6]),
        ({"usable": False}, []),
    ],
    ids=["at its interval", "in a hurry while history arrives", "again after a fault", "to take over", "not at all"],
)
def test_a_look_is_due(change: dict[str, bool], looks: list[float]) -> None:
    world = World()
    for name, value in change.items():
        setattr(world, name, value)
    assert world.run(65)[:3] == looks


def test_a_hurry_never_takes_more_than_a_tenth_of_the_time() -> None:
    world = World()
    world.detector_ready = False
    world.seconds = 2
    first, second, *_ = world.run(60)
    assert second - first >= 20


def test_what_is_late_is_done_late_and_not_dropped() -> None:
    defaults: Any = World().schedule._scheduler._job_defaults
    assert defaults["misfire_grace_time"] is None
    assert (defaults["coalesce"], defaults["max_instances"]) == (True, 1)


class Away(MemoryStore):
    """A store that can be away."""

    gone = True

    def ping(self) -> None:
        """Answer, or not."""
        if self.gone:
            raise StoreAway("connection refused")


def test_a_store_is_usable_once_it_is_migrated_and_answers() -> None:
    store = Away()
    migrated: list[int] = []

    def upgrade() -> None:
        if store.gone:
            raise StoreAway("connection refused")
        migrated.append(1)

    keeper = StoreKeeper(store=store, upgrade=upgrade)
    keeper.look()
    assert (keeper.usable, keeper.fault) == (False, "connection refused")
    store.gone = False
    for _ in range(2):
        keeper.look()
    assert (keeper.usable, keeper.fault, migrated) == (True, None, [1])
    store.gone = True
    keeper.look()
    assert (keeper.usable, keeper.fault) == (False, "connection refused")
