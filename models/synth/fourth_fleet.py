"""The fleet of the fourth simulator: a company's habits, its gateways, its keys and the callers that hold them.

Every number that could tell one company from another is drawn once per fleet. A key's life is a `Script`; what goes
wrong in it is drawn in `fourth_troubles.py`, what the gateways then log in `fourth_world.py`. Times are seconds from
the start of the history.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
MINUTE = 60.0
HOUR = 3600.0
DAY = 86400.0
NEVER = math.inf

_REGIONS = ("eu-west-1", "us-east-1", "ap-south-1", "sa-east-1")
_ENVIRONMENTS = (
    ("prod", "staging", "batch", "dr"),
    ("10.20.0.0/16", "10.31.0.0/16", "172.18.4.0/22", "192.0.2.0/24"),
    ("okhttp/4.12", "python-requests/2.32", "Go-http-client/2.0", "axios/1.7"),
)
_TRADES = ("billing", "search", "orders", "ledger", "media", "geo", "risk", "stock", "mail", "crm", "tax", "users")
_PARTS = ("api", "worker", "sync", "web", "export", "mobile", "etl", "portal")
_ROUTES = ("/v1/items", "/v1/quotes", "/v1/orders", "/v1/reports", "/v1/users/{id}", "/v1/search", "/v1/refunds")
_VOLUMES = (20.0, 20_000.0)
_MOST_CALLERS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """One node. `word` is what it says for every rejection, None if it tells why; it may not name the caller then."""

    name: str
    region: int
    word: str | None
    names_client: bool
    names_source: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What all keys of one company have in common. Shares are of 1.

    `trouble` multiplies the rates of all benign events, `moods` those of each kind.
    """

    hard: bool
    regions: tuple[str, ...]
    gateways: tuple[Gateway, ...]
    clients: tuple[str, ...]
    sources: tuple[str, ...]
    logs_source: bool
    logs_route: bool
    logs_region: bool
    registers_expiry: bool
    registers_retirement: bool
    registers_dead: bool
    median_per_day: float
    spread: float
    idle: float
    median_clients: float
    batch: float
    move_hours: float
    window_days: float
    retries: float
    falls_back: float
    reverts: float
    noise: float
    trouble: float
    weak: float
    night: float
    weekend: float
    noon: float
    evenness: float
    moods: tuple[float, ...]

    def siblings(self, region: int) -> tuple[int, ...]:
        """Return the gateways of a region."""
        return tuple(at for at, gateway in enumerate(self.gateways) if gateway.region == region)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A client in one environment. It uses the old version up to `switch`, the new one after `ramp` more seconds.

    `run_hours` is the time between the runs of a batch client, 0 for a steady one. `back` is a span in which it has
    returned to the old version, `away` one in which it does not call.
    """

    client: str | None
    source: str
    per_day: float
    run_hours: float
    gateways: tuple[float, ...]
    routes: tuple[float, ...]
    noise: float = 0.0
    retries: int = 0
    falls_back: bool = False
    switch: float = NEVER
    ramp: float = 0.0
    joins: float = -NEVER
    back: tuple[float, float] = (NEVER, NEVER)
    away: tuple[float, float] = (NEVER, NEVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollover:
    """From when to when two versions are valid. `retired` may lie after the history; it may have no end."""

    start: float
    retired: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key before anything goes wrong with it. Versions: `old` - 1 is dead, `old` + 1 is what a rollover brings."""

    name: str
    old: int
    rollover: Rollover | None
    callers: tuple[Caller, ...]
    routes: tuple[str, ...]

    @property
    def new(self) -> int:
        """Return the version that a rollover moves to."""
        return self.old + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A rule that gives a `reason` to a share of the requests that fit it. None (version 0) fits everything.

    `begins` and `ends` hold one time per gateway (never, where it is not concerned). With `first`, only so many
    requests are refused, and a retry succeeds.
    """

    reason: str
    begins: tuple[float, ...]
    ends: tuple[float, ...]
    version: int = 0
    callers: frozenset[int] | None = None
    routes: frozenset[int] | None = None
    share: float = 1.0
    first: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """Requests beside a caller's rhythm, a random `gap` apart: refused for `reason`, judged like others without one.

    `blamed` are those that a fault sets off.
    """

    caller: int
    version: int
    route: int = 0
    begins: float
    ends: float
    gap: float
    reason: str | None = None
    most: int = 3000
    blamed: bool = False


@dataclass(slots=True, kw_only=True)
class Script:
    """The life of one key as it is being written: `callers` grows by strangers, `expires` holds times by version."""

    key: Key
    habits: Habits
    end: float
    callers: list[Caller]
    troubles: list[Trouble] = field(default_factory=list)
    strays: list[Stray] = field(default_factory=list)
    expires: dict[int, float] = field(default_factory=dict)
    fault: Trouble | None = None

    def always(self, at: float) -> tuple[float, ...]:
        """Return a time that holds at all gateways."""
        return (at,) * len(self.habits.gateways)

    def of_client(self, client: str | None) -> frozenset[int]:
        """Return the callers of a client."""
        return frozenset(at for at, caller in enumerate(self.callers) if caller.client == client)

    def somebody(self, rng: np.random.Generator) -> int:
        """Return one of the callers with a rhythm."""
        return int(rng.choice([at for at, caller in enumerate(self.callers) if caller.per_day > 0]))

    def stranger(self, rng: np.random.Generator, client: str | None, source: str) -> int:
        """Add a caller without a rhythm, and return its place."""
        routes = (1 / len(self.key.routes),) * len(self.key.routes)
        ways = home(rng, self.habits)
        self.callers.append(
            Caller(client=client, source=source, per_day=0.0, run_hours=0.0, gateways=ways, routes=routes)
        )
        return len(self.callers) - 1

    def some_route(self, rng: np.random.Generator) -> int:
        """Return one of the routes."""
        return int(rng.integers(len(self.key.routes)))


def draw_habits(rng: np.random.Generator, *, hard: bool) -> Habits:
    """Draw a company."""
    gateways = int(rng.choice([2, 3, 4, 5, 6, 8, 10, 12], p=[0.05, 0.1, 0.2, 0.15, 0.2, 0.15, 0.1, 0.05]))
    regions = min(int(rng.integers(1, 5)), gateways // 2)
    hidden = rng.uniform(0.35, 1.0) if hard else rng.uniform(0.0, 0.5)
    logs_source = chance(rng, 0.7 if hard else 0.9)
    named = (0.7 if hard else 0.85) if logs_source else 0.9  # a log that tells nothing of a caller helps nobody
    nodes = _gateways(rng, gateways, regions, hidden=hidden, named=named)
    names = rng.permutation([f"{trade}-{part}" for trade in _TRADES for part in _PARTS])
    return Habits(
        hard=hard,
        regions=_REGIONS[:regions],
        gateways=nodes,
        clients=tuple(str(name) for name in names[: int(rng.integers(25, 80))]),
        sources=_ENVIRONMENTS[int(rng.integers(len(_ENVIRONMENTS)))],
        logs_source=logs_source,
        logs_route=chance(rng, 0.65 if hard else 0.9),
        logs_region=chance(rng, 0.75 if hard else 0.9),
        registers_expiry=any(node.word for node in nodes) or chance(rng, 0.5),  # else nobody could tell an expiry
        registers_retirement=chance(rng, 0.85),
        registers_dead=chance(rng, 0.7),
        median_per_day=rng.uniform(220, 480) * (0.6 if hard else 1.0),
        spread=rng.uniform(1.25, 1.6),
        idle=rng.uniform(0.0, 0.12),
        median_clients=rng.uniform(2.0, 6.0),
        batch=rng.uniform(0.05, 0.3),
        move_hours=float(np.exp(rng.uniform(math.log(2), math.log(30)))),
        window_days=rng.uniform(2.5, 7.0),
        retries=rng.uniform(0.2, 0.8),
        falls_back=rng.uniform(0.0, 0.4),
        reverts=rng.uniform(0.1, 0.5),
        noise=float(np.exp(rng.uniform(math.log(1e-4), math.log(1.5e-3)))),
        trouble=rng.uniform(0.6, 1.5) * (1.6 if hard else 1.0),
        weak=0.7 if hard else 0.15,
        night=rng.uniform(0.2, 0.9),
        weekend=rng.uniform(0.25, 1.0),
        noon=rng.uniform(9, 18),
        evenness=rng.uniform(2, 20),
        moods=tuple(lognormal(rng, 1.0, 0.6) for _ in range(16)),
    )


def _gateways(
    rng: np.random.Generator, number: int, regions: int, *, hidden: float, named: float
) -> tuple[Gateway, ...]:
    """Draw the nodes, of one to three products; a product decides what a rejection tells. No region has one node."""
    products = [
        (
            str(rng.choice(["unknown_credential", "other"], p=[0.65, 0.35])) if chance(rng, hidden) else None,
            chance(rng, named),
            chance(rng, 0.9),
        )
        for _ in range(int(rng.integers(1, 4)))
    ]
    stem = str(rng.choice(["edge", "gw", "kong", "api-node"]))
    chosen = [products[int(rng.integers(len(products)))] for _ in range(number)]
    return tuple(
        Gateway(name=f"{stem}-{at + 1}", region=at % regions, word=word, names_client=client, names_source=source)
        for at, (word, client, source) in enumerate(chosen)
    )


def draw_key(rng: np.random.Generator, habits: Habits, name: str, *, days: float, failing: bool, rolls: bool) -> Key:
    """Draw a key; one that is to fail has three clients or more, so that there are others to compare with."""
    idle = not failing and chance(rng, habits.idle)
    per_day = lognormal(rng, habits.median_per_day, habits.spread)
    per_day = rng.uniform(1, 15) if idle else min(max(per_day, _VOLUMES[0] * (3 if failing else 1)), _VOLUMES[1])
    clients = max(3 if failing else 1, round(lognormal(rng, habits.median_clients, 0.8)))
    rollover = _rollover(rng, habits, days, failing=failing) if rolls else None
    routes = tuple(str(route) for route in rng.permutation(_ROUTES)[: int(rng.integers(2, 6))])
    callers = _callers(rng, habits, min(clients, len(habits.clients), _MOST_CALLERS // 2), per_day, len(routes))
    if rollover is not None:
        callers = [_moved(rng, habits, caller, rollover) for caller in callers]
    return Key(name=name, old=int(rng.integers(2, 9)), rollover=rollover, callers=tuple(callers), routes=tuple(routes))


def _rollover(rng: np.random.Generator, habits: Habits, days: float, *, failing: bool) -> Rollover:
    """Draw a window: some began before the history, nearly all end with the old version's retirement."""
    early = chance(rng, 0.03 if failing else 0.08)
    start = rng.uniform(-1.5, 0.0) if early else rng.uniform(0.1, max(0.2, days - 1.2))
    length = habits.window_days * rng.uniform(0.6, 1.4)
    retired = start + length if chance(rng, 0.92) else NEVER  # the rest is forgotten
    return Rollover(start=start * DAY, retired=retired * DAY)


def _callers(rng: np.random.Generator, habits: Habits, clients: int, per_day: float, routes: int) -> list[Caller]:
    """Draw who holds the key: each client in one to three environments, volumes by a Dirichlet."""
    chosen = rng.permutation(len(habits.clients))[:clients]
    places = []
    for client in chosen:
        others = [source for source in habits.sources[1:] if chance(rng, 0.25)]
        main = [habits.sources[0]] if chance(rng, 0.85) or not others else []
        places += [(habits.clients[client], source) for source in main + others]
    shares = rng.dirichlet(np.full(len(places), rng.uniform(0.6, 2.0)))
    return [
        Caller(
            client=client,
            source=source,
            per_day=float(max(per_day * share, 0.5)),
            run_hours=float(rng.choice([1, 4, 12, 24])) if chance(rng, habits.batch) else 0.0,
            gateways=home(rng, habits),
            routes=tuple(float(part) for part in rng.dirichlet(np.full(routes, 1.5))),
            noise=habits.noise * float(np.exp(rng.normal(0, 0.8))),
            retries=int(rng.integers(1, 4)) if chance(rng, habits.retries) else 0,
            falls_back=chance(rng, habits.falls_back),
        )
        for (client, source), share in zip(places, shares, strict=True)
    ]


def home(rng: np.random.Generator, habits: Habits) -> tuple[float, ...]:
    """Return the shares of the gateways for one caller: mostly the nodes of its own region."""
    region = int(rng.integers(len(habits.regions)))
    abroad = rng.choice([0.01, 0.05, 0.2, 0.6])
    weights = np.array([1.0 if gateway.region == region else abroad for gateway in habits.gateways])
    weights *= rng.gamma(6.0, size=len(weights))
    return tuple(float(weight) for weight in weights / weights.sum())


def _moved(rng: np.random.Generator, habits: Habits, caller: Caller, rollover: Rollover) -> Caller:
    """Return the caller with its switch: after the start, nearly always before the retirement."""
    switch = rollover.start + lognormal(rng, habits.move_hours, 1.1) * HOUR
    straggler = habits.registers_retirement and chance(rng, 0.03)
    if not straggler and switch > rollover.retired - HOUR:
        switch = rng.uniform(rollover.start, rollover.retired - HOUR)
    if straggler and rollover.retired < NEVER:
        switch = rollover.retired + rng.exponential(5) * HOUR
    return replace(caller, switch=switch, ramp=float(rng.choice([0, 2, 10, 40]) * 60))


def arrivals(rng: np.random.Generator, caller: Caller, habits: Habits, end: float) -> Times:
    """Return the times of a caller's planned requests: Gamma-Poisson by the hour, or the runs of a batch client."""
    if caller.run_hours:
        return _present(caller, _runs(rng, caller, end), end)
    hours = np.arange(math.ceil(end / HOUR))
    day = 1 + habits.night * np.cos((hours % 24 - habits.noon) / 24 * 2 * np.pi)
    week = np.where(hours // 24 % 7 >= 5, habits.weekend, 1.0)  # noqa: PLR2004 - two days off in seven
    jitter = rng.gamma(habits.evenness, 1 / habits.evenness, size=len(hours))
    counts = rng.poisson(caller.per_day / 24 * day * week * jitter)
    return _present(caller, np.repeat(hours * HOUR, counts) + rng.uniform(0, HOUR, int(counts.sum())), end)


def _runs(rng: np.random.Generator, caller: Caller, end: float) -> Times:
    every = caller.run_hours * HOUR
    starts = np.arange(rng.uniform(0, every), end, every) + rng.uniform(0, 120)
    counts = rng.poisson(caller.per_day * caller.run_hours / 24, size=len(starts))
    return np.repeat(starts, counts) + rng.exponential(rng.uniform(60, 600), int(counts.sum()))


def _present(caller: Caller, times: Times, end: float) -> Times:
    here = (times >= caller.joins) & (times < end) & ((times < caller.away[0]) | (times >= caller.away[1]))
    return times[here]


def chance(rng: np.random.Generator, share: float) -> bool:
    """Throw a die that is True in this share of the throws."""
    return bool(rng.random() < share)


def lognormal(rng: np.random.Generator, median: float, sigma: float) -> float:
    """Draw a positive number around a median."""
    return float(median * np.exp(rng.normal(0.0, sigma)))


def clients_of(callers: Sequence[Caller]) -> list[str]:
    """Return the names of the known clients, each once, in the order of the callers."""
    return list(dict.fromkeys(caller.client for caller in callers if caller.client is not None))
