"""Live updates: one look at the store for all, a nudge when something changed, nothing when nobody listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from monitor.api.page.live import Ticker, digest
from monitor.errors import StoreAway


class Versions:
    """What the store says of itself, look by look; an exception is raised."""

    def __init__(self, *answers: str | Exception) -> None:  # noqa: D107 - the class says it
        self.answers = list(answers)
        self.looks = 0

    def __call__(self) -> str:
        self.looks += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def told(stream: AsyncGenerator[str], count: int) -> list[str]:
    return [await asyncio.wait_for(anext(stream), 5) for _ in range(count)]


def test_everyone_is_told_of_a_change_and_the_store_is_asked_once_for_all() -> None:
    versions = Versions("a", "a", "b")

    async def story() -> list[list[str]]:
        ticker = Ticker(versions, every_seconds=0.01)
        streams = [ticker.stream() for _ in range(20)]
        return await asyncio.gather(*(told(each, 2) for each in streams))

    for heard in asyncio.run(story()):
        assert heard == [": connected\n\n", "data: b\n\n"]
    assert versions.looks <= 5


def test_a_store_that_is_away_is_no_change_and_no_end() -> None:
    versions = Versions("a", StoreAway("gone"), StoreAway("gone"), "b")

    async def story() -> list[str]:
        return await told(Ticker(versions, every_seconds=0.01).stream(), 2)

    assert asyncio.run(story())[-1] == "data: b\n\n"


def test_whoever_is_connected_hears_now_and_then_that_it_is_still_there() -> None:
    async def story() -> list[str]:
        return await told(Ticker(Versions("a"), every_seconds=0.001).stream(), 2)

    assert asyncio.run(story())[-1] == ": still here\n\n"


def test_nobody_listening_costs_nothing() -> None:
    versions = Versions("a", "b", "c")

    async def story() -> None:
        ticker = Ticker(versions, every_seconds=0.01)
        stream = ticker.stream()
        await told(stream, 1)
        await stream.aclose()
        assert ticker._task is not None
        await asyncio.wait_for(ticker._task, 5)

    asyncio.run(story())


def test_a_digest_differs_when_a_part_does() -> None:
    assert digest(1, None) == digest(1, None)
    assert digest(1, None) != digest(1, 0)
