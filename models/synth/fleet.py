"""A simulated fleet: keys, traffic, trouble, labels, and the views other layers take of them."""

# ruff: noqa: PLR2004, PLR0917, ARG001 - the dice are the simulator, and all its events share one call shape
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from models.observations import FAILURE, SUCCESS, KeyFacts, RolloverFacts, UsageRow, VersionFacts
from models.synth.benign import add_benign
from models.synth.events import CODE, DAY_SECONDS, OK_CODE, REASONS, SERVED_BY_GATEWAY, Bools, Events, concat
from models.synth.faults import Fault, inject
from models.synth.traffic import KeyPlan, assign_versions, draw_key, places, request_times
from models.synth.world import World, draw_world

START = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday, midnight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """One simulated history. `events` are ordered by time; `key_of` gives each its index into `plans`."""

    seed: int
    days: int
    world: World
    plans: list[KeyPlan]
    events: Events
    key_of: np.ndarray[tuple[int], np.dtype[np.int32]]
    faults: tuple[Fault, ...]
    facts: tuple[KeyFacts, ...]

    @property
    def start(self) -> datetime:
        """Return the time of second 0."""
        return START

    @property
    def key_days(self) -> float:
        """Return the exposure that false episodes are counted against."""
        return float(self.days * len(self.plans))

    def gateway(self, index: int) -> tuple[str, str]:
        """Return a gateway's name and region."""
        return f"gw-{index:02d}", f"region-{index // self.world.gateways_per_region}"

    def minutes(self) -> Iterator[tuple[datetime, list[UsageRow]]]:
        """Yield (end of the minute, its aggregated rows) for every minute, empty ones too."""
        names = [plan.name for plan in self.plans]
        callers = {c.index: (c.client, c.source) for plan in self.plans for c in plan.callers}
        callers[-1] = (None, None)  # type: ignore[assignment]
        gateways = [self.gateway(i) for i in range(self.world.regions * self.world.gateways_per_region)]
        e = self.events
        minute = (e.at // 60).astype(np.int64)
        columns = np.stack([minute, self.key_of, e.version, e.caller, e.gateway, e.route, e.reason], axis=1)
        rows, counts = np.unique(columns, axis=0, return_counts=True)
        epoch = int(START.timestamp())
        bounds = np.searchsorted(rows[:, 0], np.arange(self.days * 1440 + 1))
        listed, listed_counts = rows.tolist(), counts.tolist()
        for m in range(self.days * 1440):
            batch = []
            for i in range(bounds[m], bounds[m + 1]):
                _, key, version, caller, gateway, route, reason = listed[i]
                client, source = callers[caller]
                name, region = gateways[gateway]
                batch.append(
                    UsageRow(
                        epoch + m * 60,
                        names[key],
                        version,
                        client,
                        source,
                        name,
                        region,
                        f"/r{route}",
                        SUCCESS if reason in SERVED_BY_GATEWAY else FAILURE,
                        REASONS[reason],
                        listed_counts[i],
                    )
                )
            yield START + timedelta(minutes=m + 1), batch

    def canonical_events(self) -> Iterator[dict[str, object]]:
        """Yield the history as canonical gateway events, in order of time; a credential is `KEY.vVERSION`."""
        callers = {c.index: c for plan in self.plans for c in plan.callers}
        epoch_ms = int(START.timestamp() * 1000)
        e = self.events
        columns = (e.at, self.key_of, e.version, e.caller, e.gateway, e.route, e.reason)
        for at, key, version, caller, gateway, route, reason in zip(*(c.tolist() for c in columns), strict=True):
            name, region = self.gateway(gateway)
            who = callers.get(caller)
            yield {
                "ts": epoch_ms + int(at * 1000),
                "outcome": SUCCESS if reason in SERVED_BY_GATEWAY else FAILURE,
                "reason": REASONS[reason],
                "credential": f"{self.plans[key].name}.v{version}",
                "client": who.client if who else None,
                "source": who.source if who else None,
                "gateway": name,
                "region": region,
                "route": f"/r{route}",
            }


def simulate(
    seed: int, *, keys: int = 200, days: int = 14, level: str = "realistic", failing_share: float | None = None
) -> Fleet:
    """Simulate a fleet; the same arguments give the same fleet.

    Args:
        seed: source of all dice.
        keys: number of keys.
        days: length of the history.
        level: `realistic` or `hard`.
        failing_share: share of rollovers that fail, None for one in eight.
    """
    rng = np.random.default_rng([seed, 7 if level == "hard" else 3])
    world = draw_world(rng, level, failing_share)
    n_gateways = world.regions * world.gateways_per_region
    hidden: Bools = rng.random(n_gateways) < world.hidden_gateway_share
    plans, parts, owners, faults = [], [], [], []
    next_caller = 0
    for index in range(keys):
        plan = draw_key(rng, world, index=index, first_caller=next_caller, days=days)
        next_caller += len(plan.callers)
        events, fault = _one_key(rng, world, plan, hidden, days)
        plans.append(plan)
        parts.append(events)
        owners.append(np.full(len(events), index, dtype=np.int32))
        if fault is not None:
            faults.append(fault)
    joined = _join(parts, owners)
    _fleet_outages(rng, world, joined[0], days)
    return Fleet(
        seed=seed,
        days=days,
        world=world,
        plans=plans,
        events=joined[0],
        key_of=joined[1],
        faults=tuple(faults),
        facts=tuple(_facts(rng, plan) for plan in plans),
    )


def _one_key(
    rng: np.random.Generator, world: World, plan: KeyPlan, hidden: Bools, days: int
) -> tuple[Events, Fault | None]:
    phase = float(rng.uniform(0, 1))
    parts = []
    for caller in plan.callers:
        events = places(rng, caller, request_times(rng, world, caller, days, phase), plan.old)
        assign_versions(rng, plan, caller, events)
        parts.append(events)
    events = concat(parts)
    dice = rng.random(len(events))
    edge = 0.0
    for reason, rate in zip(sorted(world.noise), plan.noise, strict=True):
        events.reason[(dice >= edge) & (dice < edge + rate)] = CODE[reason]
        edge += float(rate)
    events = add_benign(rng, world, plan, events, days)
    fault = None
    if plan.rolls and rng.random() < world.failing_share:
        events, fault = inject(rng, world, plan, events, hidden)
        if fault is not None and fault.cause == "premature_expiry":
            plan.expires_at = fault.first_at - 1.0 if rng.random() < 0.5 else plan.expires_at
    veil = hidden[events.gateway] & ~np.isin(events.reason, list(SERVED_BY_GATEWAY))
    events.reason[veil] = CODE[world.hidden_reason]
    return events, fault


def _join(
    parts: list[Events], owners: list[np.ndarray[tuple[int], np.dtype[np.int32]]]
) -> tuple[Events, np.ndarray[tuple[int], np.dtype[np.int32]]]:
    at = np.concatenate([p.at for p in parts])
    order = np.argsort(at, kind="stable")
    joined = concat(parts)  # stable on the same times: the same order as `order`
    return joined, np.concatenate(owners)[order]


def _fleet_outages(rng: np.random.Generator, world: World, events: Events, days: int) -> None:
    """Break one gateway, or all, for every key alike for some minutes (in place)."""
    n_gateways = world.regions * world.gateways_per_region
    for _ in range(int(rng.poisson(world.outage_rate * days))):
        start = float(rng.uniform(0, days * DAY_SECONDS))
        stop = start + 60.0 * float(np.exp(rng.uniform(np.log(1), np.log(45))))
        share = float(rng.uniform(0.2, 1.0))
        reason = str(rng.choice(["gateway_error", "other", "unknown_credential"], p=[0.6, 0.2, 0.2]))
        hit = (events.at >= start) & (events.at < stop) & (events.reason == OK_CODE)
        if rng.random() < 0.7:
            hit &= events.gateway == int(rng.integers(0, n_gateways))
        events.reason[hit & (rng.random(len(events)) < share)] = CODE[reason]


def _facts(rng: np.random.Generator, plan: KeyPlan) -> KeyFacts:
    versions = [VersionFacts(version=plan.old, created_at=START - timedelta(days=200))]
    if plan.dead is not None:
        versions.append(VersionFacts(version=plan.dead, created_at=START - timedelta(days=400)))
    if not plan.rolls:
        return KeyFacts(key=plan.name, versions=tuple(versions))
    started = START + timedelta(seconds=plan.started_at)
    expires = START + timedelta(seconds=plan.expires_at) if plan.expires_at is not None else None
    versions[0] = VersionFacts(version=plan.old, created_at=START - timedelta(days=200), expires_at=expires)
    created = started - timedelta(hours=float(rng.exponential(12)))
    versions.append(VersionFacts(version=plan.new, created_at=created))
    rollover = RolloverFacts(
        rollover=f"{plan.name}-{plan.new}",
        from_version=plan.old,
        to_version=plan.new,
        started_at=started,
        retired_at=START + timedelta(seconds=plan.retired_at),
    )
    return KeyFacts(key=plan.name, versions=tuple(versions), rollovers=(rollover,))
