"""The third simulator's cast: the fleet's own constants, its gateways, its callers and keys, and when keys roll."""

# ruff: noqa: PLR2004, S311 - the dice are the simulator
from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

MIN, HOUR, DAY = 60.0, 3600.0, 86400.0
ROUTES = (
    "/v1/orders",
    "/v1/invoices",
    "/v1/customers",
    "/v1/search",
    "/v1/refunds",
    "/v1/reports",
    "/v1/stock",
    "/v1/hooks",
)
CAUSES = (
    "propagation_delay",
    "stale_gateway",
    "early_revocation",
    "premature_expiry",
    "scope_loss",
    "wrong_secret",
    "wrong_environment",
    "retry_storm",
)
_HOURS_FROM_UTC = {"eu-west": 1.0, "us-east": -5.0, "ap-south": 5.5, "sa-east": -3.0, "us-west": -8.0}
_TRADES = ("acme", "globex", "shop", "ledger", "mobile", "partner", "crm", "etl", "pos", "web")


@dataclass(slots=True, kw_only=True)
class Gateway:
    """A node, and how it talks: the one word it has for a refused key, and whether it names the client then."""

    name: str
    region: str
    word: str | None
    one_word_for_routes: bool
    hides_client: bool


@dataclass(slots=True, kw_only=True)
class Window:
    """Something that goes wrong for a caller or at a node between two times, for a share of requests."""

    begin: float
    end: float
    share: float
    reason: str
    route: int | None = None


@dataclass(slots=True, kw_only=True)
class Fault:
    """A failed rollover: which version is refused, when, with what share, and for whom (None: for all)."""

    cause: str
    version: int
    begin: float
    end: float
    share: float
    reason: str
    weak: bool
    heals: dict[int, float] | None = None
    """The broken nodes and when each is whole again."""
    routes: set[int] | None = None
    callers: set[int] | None = None
    gap: float = 0.0
    """Mean seconds between requests of a retry storm."""


@dataclass(slots=True, kw_only=True)
class Caller:
    """One client at one source: its rhythm, where it asks, and when its pods switch to the new version."""

    index: int
    client: str
    source: str
    rate: float
    """Requests a second, on average."""
    period: float
    """Seconds between batch runs; 0 for a stream of requests."""
    phase: float
    hours_from_utc: float
    gateways: list[float]
    """Cumulated shares of the fleet's gateways."""
    routes: list[float]
    """Cumulated shares of the routes."""
    pods: int
    joined: float = -1.0
    switch: float = math.inf
    pod_switch: list[float] = field(default_factory=list)
    torn_until: float = -1.0
    """Until then, either version is asked with."""
    first_fails: int = 0
    first_reason: str = ""
    retry: str = "no"
    bursty: bool = False
    windows: list[Window] = field(default_factory=list)

    def place(self, dice: random.Random) -> tuple[int, int]:
        """Draw a gateway and a route."""
        return self.gateway(dice), min(int(np.searchsorted(self.routes, dice.random())), len(ROUTES) - 1)

    def gateway(self, dice: random.Random) -> int:
        """Draw a gateway."""
        return min(int(np.searchsorted(self.gateways, dice.random())), len(self.gateways) - 1)


@dataclass(slots=True, kw_only=True)
class Refusals:
    """A stream of refused requests that is nobody's failed rollover: `count` in all, or a day for a zombie."""

    kind: str
    begin: float
    length: float
    count: float
    caller: Caller
    reason: str
    said: tuple[str, str] | None = None
    """The client and source that a typed-in key comes from."""
    version: int = 0
    """The dead version that a zombie asks with."""
    names: int = 0
    """How many names a stuffing goes by."""


@dataclass(slots=True, kw_only=True)
class Key:
    """One key's life within the history; `version` is the one in use when it starts, `ended` that one's end."""

    key: str
    index: int
    version: int
    callers: list[Caller]
    weekend: float
    night: float
    created: float
    started: float = math.inf
    ended: float = math.inf
    expires: float | None = None
    older: bool = False
    """A dead version below `version` is known."""
    listed: bool = False
    """The registry lists its clients."""
    fault: Fault | None = None
    cause: str | None = None
    hits: list[float] = field(default_factory=list)
    surges: list[tuple[float, float, float]] = field(default_factory=list)
    refusals: list[Refusals] = field(default_factory=list)


class Cast:
    """Who takes part in one fleet. All planning throws the same dice in one order: a seed means that order."""

    def __init__(self, seed: int, *, keys: int, days: float, hard: bool) -> None:
        """Draw the fleet's constants, gateways and client names."""
        self.seed, self.days, self.hard, self.end = seed, days, hard, days * DAY
        dice = self.dice = random.Random(f"third:{seed}:{int(hard)}")
        self.median = math.exp(dice.uniform(math.log(210), math.log(420)))  # requests a day of the median key
        self.sigma = dice.uniform(1.05, 1.4)
        self.trouble = dice.uniform(0.7, 1.3) * (2.0 if hard else 1.0)
        self.weak = dice.uniform(0.40, 0.60) if hard else dice.uniform(0.12, 0.25)
        self.noise = [dice.uniform(1e-4, 6e-4), dice.uniform(5e-5, 3e-4), dice.uniform(2e-5, 1.2e-4)]
        self.cause_weights = [dice.uniform(0.6, 1.4) for _ in CAUSES]
        self.retry_share = dice.uniform(0.10, 0.25)
        regions = dice.sample(list(_HOURS_FROM_UTC), dice.randint(2, 4))
        self.gateways: list[Gateway] = []
        self.nodes: dict[str, list[int]] = {}
        blur, mute = (dice.uniform(0.4, 0.65), dice.uniform(0.2, 0.4)) if hard else (dice.uniform(0.0, 0.2), 0.0)
        for region in regions:
            for i in range(dice.randint(2, 4)):
                words = ["unknown_credential", "unknown_credential", "other"]
                word = dice.choice(words) if dice.random() < blur else None
                self.nodes.setdefault(region, []).append(len(self.gateways))
                self.gateways.append(
                    Gateway(
                        name=f"gw-{region}-{i + 1}",
                        region=region,
                        word=word,
                        one_word_for_routes=word == "other" and dice.random() < 0.5,
                        hides_client=dice.random() < mute,
                    )
                )
        self.region_weight = {region: dice.uniform(0.4, 1.6) for region in regions}
        self.clients = [f"{dice.choice(_TRADES)}-{i}" for i in range(max(8, int(keys * 0.7)))]
        self.windows: dict[int, list[Window]] = {}

    def caller(
        self, index: int, rate: float, sources: list[tuple[str, str]], used: set[tuple[str, str]], *, batch: bool
    ) -> Caller:
        """Draw a caller at one of the (source, region) pairs, a new one where that can be had."""
        dice = self.dice
        for _ in range(30):
            client, (source, region) = dice.choice(self.clients), dice.choice(sources)
            if (client, source) not in used:
                break
        used.add((client, source))
        gateways = self._nearness(region)
        routes = [1 / (j + 1) ** 1.1 if dice.random() < 0.75 else 0.0 for j in range(len(ROUTES))]
        dice.shuffle(routes)
        routes = routes if sum(routes) > 0 else [1.0] * len(ROUTES)
        made = Caller(
            index=index,
            client=client,
            source=source,
            rate=rate,
            period=dice.choice([900.0, HOUR, HOUR, 6 * HOUR, DAY]) if batch else 0.0,
            phase=dice.random(),
            hours_from_utc=_HOURS_FROM_UTC[region],
            gateways=np.cumsum(np.array(gateways) / sum(gateways)).tolist(),
            routes=np.cumsum(np.array(routes) / sum(routes)).tolist(),
            pods=dice.choice([1, 1, 2, 2, 3, 4, 6, 10]),
        )
        u = dice.random()
        made.retry = "same" if u < self.retry_share else "fallback" if u < self.retry_share + 0.1 else "no"
        made.bursty = not batch and dice.random() < 0.2
        return made

    def _nearness(self, region: str) -> list[float]:
        """Draw how much a caller of a region asks each gateway: its own ones, one of them, or some far away."""
        dice, home = self.dice, self.nodes[region]
        sticky = dice.choice(home) if dice.random() < 0.15 else None
        away = dice.choice([0.0, 0.0, 0.0, 0.08, 0.2])
        weights = [0.0] * len(self.gateways)
        for g, gateway in enumerate(self.gateways):
            if gateway.region != region:
                weights[g] = away / (len(self.gateways) - len(home))
            elif sticky is None:
                weights[g] = (1 - away) * 1.0 / len(home)
            else:
                weights[g] = (1 - away) * float(g == sticky)
        return weights

    def home(self, caller: Caller) -> str:
        """Return the region that a caller asks most."""
        return self.gateways[int(shares(caller.gateways).argmax())].region

    def key(self, index: int) -> Key:
        """Draw a key and its callers, not yet its rollover."""
        dice = self.dice
        volume = min(6000.0, max(8.0, self.median * math.exp(dice.gauss(0, self.sigma))))  # a day
        n = min(12, 1 + int(dice.expovariate(1 / 3.2)))
        several = dice.choice([1, 1, 2, 2, 3])
        regions = dice.choices(list(self.region_weight), list(self.region_weight.values()), k=several)
        sources = [
            (f"{dice.choice(['prod', 'prod', 'k8s', 'vm', 'edge'])}-{region}", region)
            for region in dict.fromkeys(regions)
        ]
        if dice.random() < 0.4:
            sources.append((dice.choice(["batch", "partner-net", "office", "lambda"]), regions[0]))
        share = [math.exp(dice.gauss(0, 1.0)) for _ in range(n)]
        used: set[tuple[str, str]] = set()
        callers = [
            self.caller(j, volume / DAY * s / sum(share), sources, used, batch=n > 1 and dice.random() < 0.15)
            for j, s in enumerate(share)
        ]
        made = Key(
            key=f"key-{index:03d}",
            index=index,
            version=dice.randint(1, 5),
            callers=callers,
            weekend=dice.uniform(0.25, 1.0),
            night=dice.choice([1.0, 0.7, 0.4, 0.25, 0.12]),
            created=-dice.uniform(20, 300) * DAY,
        )
        made.older = made.version > 1 and dice.random() < 0.5
        made.listed = dice.random() < 0.3
        return made

    def roll(self, key: Key) -> None:
        """Draw a key's rollover, and when each caller switches: at once, within hours, late, or after the end."""
        dice = self.dice
        span = dice.uniform(1.0, 5.0) * DAY
        first = min(3.0, self.days * 0.25) * DAY
        key.started = dice.uniform(first, max(first + HOUR, self.end - 1.5 * DAY))
        if dice.random() < 0.6:  # people roll in working hours
            day = key.started // DAY
            key.started = max(first, min(day * DAY + dice.gauss(12, 2.5) * HOUR, self.end - DAY))
        key.ended = key.started + span
        if dice.random() < 0.3:
            key.expires = key.ended + dice.choice([0.0, dice.uniform(0.1, 20) * DAY])
        for caller in key.callers:
            after = self._switch_after(span, alone=len(key.callers) == 1)
            caller.switch = key.started + (after if after > span else min(after, 0.96 * span))
            spread = 0.0 if caller.pods == 1 else dice.uniform(1, 25) * MIN
            caller.pod_switch = sorted(caller.switch + dice.random() * spread for _ in range(caller.pods))
            caller.pod_switch[0] = caller.switch
            if dice.random() < 0.03 * self.trouble:
                caller.first_fails = dice.randint(1, 3)
                caller.first_reason = dice.choice(["unknown_credential", "not_yet_active", "wrong_secret"])
            if caller.pods > 1 and dice.random() < 0.05 * self.trouble:
                caller.torn_until = caller.switch + dice.uniform(3, 40) * MIN

    def _switch_after(self, span: float, *, alone: bool) -> float:
        dice = self.dice
        u = dice.random()
        if u < 0.22:
            return dice.uniform(0.2, 12) * MIN
        if u < 0.78:
            return math.exp(dice.gauss(math.log(7 * HOUR), 1.1))
        if u < 0.97 or alone:
            return dice.uniform(0.2, 0.95) * span
        return span + dice.choice([dice.uniform(0.1, 2) * HOUR, dice.uniform(1, 12) * HOUR])  # refused until then


def shares(cumulated: list[float]) -> NDArray[np.float64]:
    """Return the shares that were cumulated."""
    return np.diff([0.0, *cumulated])


def poisson(dice: random.Random, mean: float) -> int:
    """Draw a count."""
    n, left = 0, dice.expovariate(1.0)
    while left < mean:
        n, left = n + 1, left + dice.expovariate(1.0)
    return n
