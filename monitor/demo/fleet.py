"""A small fleet, simulated: clients of four keys behind four gateways, moving to new key versions in their own ways.

The story (days after `start_ms`): `billing-api` moves within five days and comes to GO. `search-api` is held back by
`acme / nightly-batch`, which nobody has told. `payments-api` fails in one region for three days, because the new
version did not reach a gateway there. `reports-api` waits for a job that runs once a month, until it has run on the new
version. Everything is a function of the seed and the time since the start, so any stretch of time can be asked for, in
any order, and gives the same events.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS

HISTORY_DAYS = 110
_WORKDAY_PEAK = 14
GATEWAYS = (("edge-eu-1", "eu"), ("edge-eu-2", "eu"), ("edge-us-1", "us"), ("edge-us-2", "us"))
_MONTH_DAYS = 30


class Fault(NamedTuple):
    """The new version is unknown at a gateway for a while (days after the start)."""

    gateway: str
    from_day: float
    until_day: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One client at one source. `moves_on_day` after the start of its key's rollover; never, if it is `None`.

    `per_day` requests on a working day, spread as people work; with `every_days` one run of `per_day` requests then, of
    which one is on `next_run_day`.
    """

    client: str
    source: str
    region: str
    per_day: float
    moves_on_day: float | None
    every_days: int | None = None
    next_run_day: int = 0
    run_hour: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoKey:
    """A key of the fleet and its rollover."""

    key: str
    team: str
    old: int
    callers: tuple[Caller, ...]
    starts_on_day: float = 0.0
    faults: tuple[Fault, ...] = field(default_factory=tuple)

    @property
    def new(self) -> int:
        """Return the version that is rolled out."""
        return self.old + 1

    def credential(self, version: int) -> str:
        """Return what gateways log of that version."""
        return f"cred-{self.key}-v{version}"


FLEET = (
    DemoKey(
        key="billing-api",
        team="payments",
        old=1,
        callers=(
            Caller(client="storefront", source="eu-web", region="eu", per_day=110, moves_on_day=0.4),
            Caller(client="storefront", source="us-web", region="us", per_day=120, moves_on_day=1.1),
            Caller(client="invoicer", source="eu-jobs", region="eu", per_day=48, moves_on_day=2.0),
            Caller(client="mobile-app", source="us-mobile", region="us", per_day=90, moves_on_day=2.6),
            Caller(client="partner-globex", source="us-partner", region="us", per_day=24, moves_on_day=4.2),
        ),
    ),
    DemoKey(
        key="search-api",
        team="discovery",
        old=3,
        callers=(
            Caller(client="storefront", source="eu-web", region="eu", per_day=120, moves_on_day=0.8),
            Caller(client="recommender", source="us-jobs", region="us", per_day=70, moves_on_day=1.6),
            Caller(client="acme", source="nightly-batch", region="eu", per_day=12, moves_on_day=None, every_days=1),
        ),
    ),
    DemoKey(
        key="payments-api",
        team="payments",
        old=7,
        callers=(
            Caller(client="checkout", source="eu-web", region="eu", per_day=140, moves_on_day=1.0),
            Caller(client="checkout", source="us-web", region="us", per_day=300, moves_on_day=1.3),
            Caller(client="fraud-check", source="us-jobs", region="us", per_day=160, moves_on_day=2.1),
            Caller(client="ledger", source="eu-jobs", region="eu", per_day=40, moves_on_day=3.0),
        ),
        starts_on_day=1.0,
        faults=(Fault(gateway="edge-us-2", from_day=2.2, until_day=5.2),),
    ),
    DemoKey(
        key="reports-api",
        team="analytics",
        old=2,
        callers=(
            Caller(client="dashboard", source="eu-web", region="eu", per_day=60, moves_on_day=0.7),
            Caller(
                client="month-end",
                source="eu-jobs",
                region="eu",
                per_day=30,
                moves_on_day=20.0,
                every_days=_MONTH_DAYS,
                next_run_day=21,
            ),
        ),
    ),
)


def events(start_ms: int, from_ms: int, to_ms: int, *, seed: int = 7) -> Iterator[tuple[int, bytes]]:
    """Yield (event time, canonical event) of [from, to) in order of time; `start_ms` is day 0 of the story."""
    hour_ms = from_ms - from_ms % HOUR_MS
    while hour_ms < to_ms:
        made = sorted(
            event
            for key in FLEET
            for caller in key.callers
            for event in _hour(key, caller, start_ms, hour_ms, seed)
            if from_ms <= event[0] < to_ms
        )
        yield from made
        hour_ms += HOUR_MS


def _hour(key: DemoKey, caller: Caller, start_ms: int, hour_ms: int, seed: int) -> Iterator[tuple[int, bytes]]:
    hours = (hour_ms - start_ms) // HOUR_MS
    dice = random.Random(f"{seed}/{key.key}/{caller.client}/{caller.source}/{hours}")  # noqa: S311 - a simulation
    for _ in range(_requests(caller, start_ms, hour_ms, dice)):
        ts_ms = hour_ms + (dice.randrange(10 * MINUTE_MS) if caller.every_days else dice.randrange(HOUR_MS))
        day = (ts_ms - start_ms) / DAY_MS - key.starts_on_day
        gateway = dice.choice([each for each in GATEWAYS if each[1] == caller.region])
        moved = caller.moves_on_day is not None and day >= caller.moves_on_day
        yield from _request(key, caller, gateway, ts_ms, day, moved=moved)


def _request(
    key: DemoKey, caller: Caller, gateway: tuple[str, str], ts_ms: int, day: float, *, moved: bool
) -> Iterator[tuple[int, bytes]]:
    """Yield one request; where the new version is rejected, the client falls back on the old one a second later."""
    version = key.new if moved else key.old
    broken = moved and any(each.gateway == gateway[0] and each.from_day <= day < each.until_day for each in key.faults)
    yield ts_ms, _event(key, caller, gateway, ts_ms, version, failed=broken)
    if broken:
        yield ts_ms + 1_000, _event(key, caller, gateway, ts_ms + 1_000, key.old, failed=False)


def _event(key: DemoKey, caller: Caller, gateway: tuple[str, str], ts_ms: int, version: int, *, failed: bool) -> bytes:
    return orjson.dumps(
        {
            "ts": ts_ms,
            "outcome": "failure" if failed else "success",
            "reason": "unknown_credential" if failed else "ok",
            "credential": key.credential(version),
            "client": caller.client,
            "source": caller.source,
            "gateway": gateway[0],
            "region": gateway[1],
            "route": f"/{key.key.removesuffix('-api')}",
            "method": "GET",
            "status": 401 if failed else 200,
        }
    )


def _requests(caller: Caller, start_ms: int, hour_ms: int, dice: random.Random) -> int:
    """Return the number of requests in an hour: Poisson around the hour's share of the day, or a run."""
    day, hour = hour_ms // DAY_MS, hour_ms % DAY_MS // HOUR_MS
    if caller.every_days is not None:
        runs = (day - start_ms // DAY_MS - caller.next_run_day) % caller.every_days == 0
        return int(caller.per_day) if runs and hour == caller.run_hour else 0
    weekend = day % 7 in (2, 3)  # the epoch began on a Thursday
    share = (1 + 0.8 * math.cos((hour - _WORKDAY_PEAK) / 24 * 2 * math.pi)) / 24 * (0.6 if weekend else 1.0)
    return _poisson(caller.per_day * share, dice)


def _poisson(mean: float, dice: random.Random) -> int:
    limit, product, count = math.exp(-mean), dice.random(), 0
    while product > limit:
        product *= dice.random()
        count += 1
    return count
