"""The cast that most stories share: a registry, gateways that are heard, callers that move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, rfc3339
from monitor.simulate.rhythms import Rhythm, every, office, steady
from monitor.simulate.story import Caller, Story

ROLLOVER = "billing-1"
KEY = "billing-api"
GATEWAYS = ("edge-1", "edge-2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How a kind of story is told, and how long it is."""

    tell: Callable[[Story], None]
    about: str
    history_days: int = 110
    rollover_days: int = 40


def stage(
    story: Story,
    *,
    gateways: Sequence[str] = GATEWAYS,
    deadline_days: float | None = None,
    clients: Sequence[str] = (),
    policy: dict[str, object] | None = None,
    retired_ms: int | None = None,
    **more: object,
) -> None:
    """Set the registry and let the gateways be heard."""
    key: dict[str, object] = {
        "key": KEY,
        "versions": [
            {"version": 1, "credentials": ["old"]},
            {"version": 2, "credentials": ["new"], "created_at": rfc3339(story.start_ms - HOUR_MS)},
        ],
    }
    if clients:
        key["clients"] = list(clients)
    rollover: dict[str, object] = {
        "id": ROLLOVER,
        "key": KEY,
        "from": 1,
        "to": 2,
        "started_at": rfc3339(story.start_ms),
    }
    if deadline_days is not None:
        rollover["deadline"] = rfc3339(story.start_ms + int(deadline_days * DAY_MS))
    if policy:
        rollover["policy"] = policy
    if retired_ms is not None:
        rollover["retired_at"] = rfc3339(retired_ms)
    story.registry = {
        "keys": [key, {"key": "fleet", "versions": [{"version": 1, "credentials": ["fleet"]}]}],
        "gateways": [{"gateway": each, "region": story.region_of(each)} for each in gateways],
        "rollovers": [rollover],
        **more,
    }
    story.heartbeat(gateways)


def ordinary_rhythm(story: Story) -> Rhythm:
    """Return one of the rhythms that most callers have."""
    random = story.random
    return random.choice(
        (
            steady(random.randrange(20, 90) * MINUTE_MS),
            steady(random.randrange(3, 9) * HOUR_MS),
            office(random.randrange(15, 60) * MINUTE_MS),
            every(DAY_MS, burst=random.randrange(1, 4), burst_ms=HOUR_MS),
            every(random.choice((1, 2, 6, 12)) * HOUR_MS),
        )
    )


def movers(story: Story, count: int, *, within_days: float = 6, gateways: Sequence[str] = GATEWAYS) -> list[Caller]:
    """Add ordinary callers that move for good within some days of the start."""
    cast = []
    for index in range(count):
        caller = (f"client-{index}", story.random.choice(("eu-batch", "us-web", "jobs")))
        moves = story.start_ms + int(story.random.uniform(0.1, within_days) * DAY_MS)
        story.use(caller, ordinary_rhythm(story), moves_ms=moves, gateways=gateways)
        cast.append(caller)
    return cast
