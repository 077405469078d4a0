"""The demo's detector takes small steps between two looks that are hours of its clock apart."""

from __future__ import annotations

from typing import Any, cast

from monitor.core.instants import HOUR_MS, MINUTE_MS
from monitor.core.registry import Registry
from monitor.core.windows import CallerGatewayKey, Span
from monitor.demo.stepping import Stepping
from monitor.ports import Store
from monitor.watch.detection import Detected

PLACE = CallerGatewayKey("cred", "acme", "prod", "edge-1", "eu")


class OneCaller:
    """A store that knows one caller at one gateway."""

    def __init__(self) -> None:  # noqa: D107 - the class says it
        self.span = Span(first_ms=0, last_ms=0, count=1)

    def caller_gateway_spans(self, *, since_ms: int) -> list[tuple[CallerGatewayKey, Span]]:
        return [(PLACE, self.span)]


class Noting:
    """A detection that notes when it looked, and what it saw of the caller."""

    def __init__(self, store: Any) -> None:  # noqa: D107 - the class says it
        self.store = store
        self.seen: list[tuple[int, int]] = []

    def look(self, registry: Registry, now_ms: int) -> Detected:
        counts = [span.count for _, span in self.store.caller_gateway_spans(since_ms=0)]
        self.seen.append((now_ms, counts[0]))
        return Detected(not_ready=f"at {now_ms}")


def looked(*looks: tuple[int, int]) -> tuple[list[tuple[int, int]], Detected]:
    """Look at these times, at each of which so many uses were counted."""
    store = OneCaller()
    made: list[Noting] = []

    def make(given: Store) -> Noting:
        made.append(Noting(given))
        return made[-1]

    stepping = Stepping(make, cast("Store", store))
    found = Detected()
    for at_ms, count in looks:
        store.span = Span(first_ms=0, last_ms=at_ms, count=count)
        found = stepping.look(Registry(), at_ms)
    return made[0].seen, found


def test_two_hours_are_looked_at_every_five_minutes() -> None:
    seen, found = looked((HOUR_MS, 1), (3 * HOUR_MS, 25))
    times = [at_ms for at_ms, _ in seen]
    assert times == [HOUR_MS, *range(HOUR_MS + 5 * MINUTE_MS, 3 * HOUR_MS + 1, 5 * MINUTE_MS)]
    assert found.not_ready == f"at {3 * HOUR_MS}"


def test_uses_between_two_looks_are_spread_and_none_is_lost() -> None:
    seen, _ = looked((HOUR_MS, 1), (3 * HOUR_MS, 25))
    counts = [count for _, count in seen]
    assert counts == sorted(counts)
    assert counts[12] == 13
    assert counts[-1] == 25


def test_at_a_slow_clock_a_look_is_a_look() -> None:
    seen, _ = looked((HOUR_MS, 1), (HOUR_MS + MINUTE_MS, 2), (HOUR_MS + 2 * MINUTE_MS, 3))
    assert [count for _, count in seen] == [1, 2, 3]
