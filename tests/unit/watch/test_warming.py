"""A detector that took up a part of its history begins anew while more arrives, and never once it is ready."""

from __future__ import annotations

from monitor.core.evidence import PartitionStatus
from monitor.core.registry import Registry
from monitor.watch.detection import Detected
from monitor.watch.warming import Warming

NOW = 1_780_000_000_000


class World:
    """A store that has read so far, and detectors that are ready from a number of records on."""

    def __init__(self) -> None:  # noqa: D107 - the class says it
        self.read = 0
        self.made: list[int] = []
        self.warming = Warming(self._make, self)

    def partition_states(self) -> list[PartitionStatus]:
        """Return how far has been read."""
        return [
            PartitionStatus(
                topic="gw",
                partition=0,
                next_offset=self.read,
                end_offset=None,
                probed_at_ms=None,
                complete_through_ms=None,
            )
        ]

    def _make(self) -> _Detector:
        self.made.append(self.read)
        return _Detector(self.read)

    def look(self, seconds: int) -> str | None:
        """Look so many seconds after the start."""
        return self.warming.look(Registry(), NOW + seconds * 1_000).not_ready


class _Detector:
    def __init__(self, history: int) -> None:
        self.history = history

    def look(self, registry: Registry, now_ms: int) -> Detected:
        return Detected(not_ready=None if self.history >= 100 else "history is missing")


def test_it_begins_anew_as_long_as_more_has_come() -> None:
    world = World()
    assert world.look(0)
    world.read = 50
    assert world.look(3), "not at each look"
    assert world.look(6)
    assert world.look(60), "nothing has come since"
    assert world.made == [0, 50]
    world.read = 100
    assert world.look(61) is None
    assert world.made == [0, 50, 100]


def test_it_is_left_alone_once_it_is_ready() -> None:
    world = World()
    world.read = 100
    for seconds in range(0, 7_200, 600):
        world.read += 1
        assert world.look(seconds) is None
    assert world.made == [101]


def test_it_becomes_ever_more_patient() -> None:
    world = World()
    for seconds in range(0, 3_600, 3):
        world.read = min(world.read + 1, 99)
        world.look(seconds)
    assert 3 <= len(world.made) <= 8
