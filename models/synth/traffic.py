"""Healthy traffic: callers with a rhythm, a place and routes, and their move from one version to the next."""

# ruff: noqa: PLR2004 - the dice are the simulator, and all its events share one call shape
from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from models.synth.events import DAY_SECONDS, OK_CODE, Events, Floats, block
from models.synth.world import ADDRESSES, ENVIRONMENTS, PODS, World

_MINUTES = 1440


@dataclass(slots=True, kw_only=True)
class Caller:
    """One principal at one source, or one of its pods.

    Those of one `group` fail and move together. `environment` is what it truly runs in, `source` what gateways write
    down. `gateways` and `routes` are weights over the fleet's gateways and the key's routes.

    One that `falls_back` asks again with the old version, at once, whenever the new one is refused.
    `switch_at` (seconds from the start) is infinite for a caller that never leaves its version; `ramp` seconds its pods
    take; `first_seen` is later than 0 for one that was onboarded.
    """

    index: int
    group: int
    client: str
    environment: str
    source: str | None
    rate: float
    gateways: Floats
    routes: Floats
    batch_period: float
    retries: int
    retry_delay: float
    falls_back: bool
    switch_at: float = np.inf
    ramp: float = 0.0
    earlier_switch_at: float = -np.inf
    first_seen: float = 0.0


@dataclass(slots=True, kw_only=True)
class KeyPlan:
    """One key's life: callers, versions and at most one rollover. Times in seconds from the fleet's start."""

    index: int
    name: str
    callers: list[Caller]
    routes: int
    noise: Floats
    old: int
    new: int
    dead: int
    started_at: float
    retired_at: float
    expires_at: float | None = None
    earlier_started_at: float | None = None
    earlier_retired_at: float | None = None
    fallback: dict[int, float] = field(default_factory=dict)

    @property
    def rolls(self) -> bool:
        """Whether this key has a rollover inside the simulated time."""
        return bool(np.isfinite(self.started_at))

    def group(self, caller: Caller) -> list[int]:
        """Return the indices of a caller and its sibling pods."""
        return [c.index for c in self.callers if c.group == caller.group]


def draw_caller(
    rng: np.random.Generator, world: World, *, index: int, key_rate: float, share: float, routes: int
) -> Caller:
    """Draw one caller of a key that sees `key_rate` requests a minute in all."""
    n_gateways = world.regions * world.gateways_per_region
    weights = np.zeros(n_gateways)
    n_regions = (
        1 if world.regions == 1 or rng.random() > world.multi_region_share else int(rng.integers(2, world.regions + 1))
    )
    for region in rng.choice(world.regions, n_regions, replace=False):
        first = int(region) * world.gateways_per_region
        weights[first : first + world.gateways_per_region] = rng.dirichlet(np.full(world.gateways_per_region, 3.0))
    used = rng.permutation(routes)[: int(rng.integers(1, routes + 1))]
    route_weights = np.zeros(routes)
    route_weights[used] = rng.dirichlet(np.full(len(used), 0.8))
    batch = rng.random() < world.batch_share
    environment = str(rng.choice(["prod", "batch", "edge", "canary", "10.2.0.0/16"]))
    return Caller(
        index=index,
        group=index,
        client=f"client-{rng.integers(0, world.clients):06d}",
        environment=environment,
        source=_source(rng, world, environment),
        rate=key_rate * share,
        gateways=weights / weights.sum(),
        routes=route_weights,
        batch_period=float(rng.choice([900, 3600, 3600, 21600, DAY_SECONDS])) if batch else 0.0,
        retries=int(rng.integers(1, 5)) if rng.random() < world.retry_share else 0,
        retry_delay=float(np.exp(rng.uniform(np.log(1.0), np.log(120.0)))),
        falls_back=bool(rng.random() < world.fallback_share),
    )


def _source(rng: np.random.Generator, world: World, environment: str) -> str | None:
    if world.dialect.sources in {ADDRESSES, PODS}:
        return f"10.{rng.integers(0, 64)}.{rng.integers(0, 8)}.{rng.integers(1, 255)}"
    return environment if world.dialect.sources == ENVIRONMENTS else None


def _in_pods(rng: np.random.Generator, world: World, callers: list[Caller], first: int) -> list[Caller]:
    """Split callers into pods, each at an address of its own, where the fleet's gateways see pods."""
    pods: list[Caller] = []
    for group, caller in enumerate(callers):
        n = int(rng.integers(1, 5)) if world.dialect.sources == PODS and caller.batch_period == 0 else 1
        for _ in range(n):
            source = caller.source if n == 1 else _source(rng, world, caller.environment)
            pods.append(replace(caller, index=first + len(pods), group=group, rate=caller.rate / n, source=source))
    return pods


def request_times(rng: np.random.Generator, world: World, caller: Caller, days: int, phase: float) -> Floats:
    """Draw a caller's request times in seconds: a daily and weekly Poisson process, or a batch job's bursts."""
    horizon = days * DAY_SECONDS
    if caller.batch_period > 0:
        starts = np.arange(rng.uniform(0, caller.batch_period), horizon, caller.batch_period)
        size = max(1.0, min(60.0, caller.rate * caller.batch_period / 60.0))
        counts = rng.poisson(size, len(starts))
        times = np.repeat(starts + rng.normal(0, 20, len(starts)), counts) + rng.exponential(60.0, int(counts.sum()))
    else:
        minute = np.arange(days * _MINUTES)
        day = 1.0 - world.night_depth * 0.5 * (1.0 + np.cos(2 * np.pi * (minute / _MINUTES - phase)))
        week = np.where((minute // _MINUTES) % 7 >= 5, world.weekend_depth, 1.0)
        counts = rng.poisson(caller.rate * day * week)
        times = np.repeat(minute * 60.0, counts) + rng.uniform(0, 60.0, int(counts.sum()))
    times = times[(times >= caller.first_seen) & (times < horizon)]
    return np.sort(times)


def places(rng: np.random.Generator, caller: Caller, times: Floats, version: int) -> Events:
    """Give each request a gateway and a route; all accepted."""
    n = len(times)
    gateway = rng.choice(len(caller.gateways), n, p=caller.gateways).astype(np.int32)
    route = rng.choice(len(caller.routes), n, p=caller.routes).astype(np.int32)
    return block(times, caller=caller.index, gateway=gateway, route=route, version=version, reason=OK_CODE)


def plan_switches(rng: np.random.Generator, world: World, plan: KeyPlan) -> None:
    """Draw when each caller moves to the new version; all have moved shortly before the old one is retired."""
    moves: dict[int, float] = {}
    slowly = rng.random() < world.slow_share
    for caller in plan.callers:
        if caller.group in moves:  # a pod follows its siblings within minutes
            caller.switch_at = moves[caller.group] + float(rng.exponential(60.0 * world.pod_ramp_minutes))
            continue
        quick = rng.random() < 0.25
        median = 0.15 if quick else world.switch_median_hours
        delay = 3600.0 * median * float(np.exp(rng.normal(0, world.switch_sigma)))
        latest = plan.retired_at - plan.started_at
        if slowly or delay > latest * 0.95:
            delay = latest * float(rng.uniform(0.0 if slowly else 0.2, 0.95))
        caller.switch_at = max(plan.started_at + delay, caller.first_seen)
        moves[caller.group] = caller.switch_at
        if rng.random() < world.left_behind_share:
            caller.switch_at = np.inf
        caller.ramp = 60.0 * world.pod_ramp_minutes * float(np.exp(rng.normal(0, 1.0))) if rng.random() < 0.6 else 0.0


def assign_versions(rng: np.random.Generator, plan: KeyPlan, caller: Caller, events: Events) -> None:
    """Set each request's version, pods moving one by one over the ramp (in place)."""
    events.version[:] = plan.old
    if plan.earlier_started_at is not None:
        events.version[events.at < caller.earlier_switch_at] = plan.old - 1
    if not plan.rolls or not np.isfinite(caller.switch_at):
        return
    if caller.ramp <= 0:
        events.version[events.at >= caller.switch_at] = plan.new
        return
    moved = np.clip((events.at - caller.switch_at) / caller.ramp, 0.0, 1.0)
    events.version[rng.random(len(events)) < moved] = plan.new


def draw_key(
    rng: np.random.Generator, world: World, *, index: int, first_caller: int, days: int, busiest: float
) -> KeyPlan:
    """Draw one key and its callers; `first_caller` is the index of its first caller in the fleet."""
    key_rate = float(np.clip(world.median_rate * np.exp(rng.normal(0, world.rate_sigma)), 0.0035, busiest))
    n_callers = 1 + int(rng.geometric(1.0 / world.callers_mean))
    shares = rng.dirichlet(np.full(n_callers, 0.7))
    routes = int(rng.integers(1, 9))
    callers = [
        draw_caller(rng, world, index=first_caller + i, key_rate=key_rate, share=float(s), routes=routes)
        for i, s in enumerate(shares)
    ]
    for caller in callers[1:]:
        if rng.random() < 0.25:  # the same principal from another place: the sibling that is easily forgotten
            caller.client = callers[0].client
    if rng.random() < world.shared_client_share:
        for caller in callers:
            caller.client = callers[0].client
    callers = _in_pods(rng, world, callers, first_caller)
    old = int(rng.integers(2, 7))
    rolls = rng.random() < world.rollover_share
    started = float(rng.uniform(1.5, days - 0.5)) * DAY_SECONDS if rolls else np.inf
    overlap = world.overlap_days * float(np.exp(rng.normal(0, 0.5))) * DAY_SECONDS
    if rolls and rng.random() < world.under_way_share:  # begun before the history, or on its first day, and still open
        started = float(rng.uniform(-10.0, 1.5)) * DAY_SECONDS
        overlap = max(overlap, float(rng.uniform(1.5, days + 3.0)) * DAY_SECONDS - started)
    noise = np.array([world.noise[r] for r in sorted(world.noise)]) * np.exp(rng.normal(0, 1.0, len(world.noise)))
    plan = KeyPlan(
        index=index,
        name=f"key-{index:04d}",
        callers=callers,
        routes=routes,
        noise=noise,
        old=old,
        new=old + 1,
        dead=old - 1,
        started_at=started,
        retired_at=started + overlap if rolls else np.inf,
    )
    if rolls and started > 2.5 * DAY_SECONDS and rng.random() < world.earlier_rollover_share:
        _earlier_rollover(rng, plan)
    if rolls:
        plan_switches(rng, world, plan)
        if rng.random() < 0.5:
            plan.expires_at = plan.retired_at + float(rng.uniform(0, 10)) * DAY_SECONDS
    return plan


def _earlier_rollover(rng: np.random.Generator, plan: KeyPlan) -> None:
    """Give the key a healthy rollover, old - 1 to old, that began before this one (and may overlap with it)."""
    began = float(rng.uniform(0.4 * DAY_SECONDS, plan.started_at - 0.5 * DAY_SECONDS))
    plan.earlier_started_at = began
    plan.earlier_retired_at = began + float(rng.uniform(0.3, 1.2)) * (plan.started_at - began)
    for caller in plan.callers:
        span = plan.earlier_retired_at - began
        caller.earlier_switch_at = began + span * float(rng.beta(1.0, 3.0)) * 0.95


def old_instead(rng: np.random.Generator, plan: KeyPlan, events: Events, refused: NDArray[np.intp]) -> Events:
    """Return each refused request of the new version again, with the old one and accepted, while that is alive."""
    mine = refused[(events.version[refused] == plan.new) & (events.at[refused] < plan.retired_at)]
    again = events.take(mine)
    again.at[:] = again.at + rng.uniform(0.05, 3.0, len(again))
    again.version[:] = plan.old
    again.reason[:] = OK_CODE
    return again
