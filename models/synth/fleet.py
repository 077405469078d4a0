"""A simulated fleet: keys, traffic, trouble, labels, and the views other layers take of them."""

# ruff: noqa: PLR2004 - the dice are the simulator, and all its events share one call shape
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from models.observations import FAILURE, SUCCESS, KeyFacts, RolloverFacts, UsageRow, VersionFacts
from models.synth.benign import add_benign
from models.synth.events import CODE, DAY_SECONDS, OK_CODE, REASONS, SERVED_BY_GATEWAY, Bools, Events, Ints, concat
from models.synth.faults import Fault, inject
from models.synth.traffic import KeyPlan, assign_versions, draw_key, places, request_times
from models.synth.world import (
    NAMED_ALWAYS,
    NAMED_BY_GATEWAY,
    NAMED_BY_REASON,
    NAMED_WHERE_FOUND,
    NO_SOURCES,
    World,
    draw_world,
)

START = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday, midnight."""
_NOT_FOUND = [CODE[r] for r in ("missing_credential", "unknown_credential", "malformed", "other", "gateway_error")]
"""Reasons that a gateway gives before it knows whose credential it is."""


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
    nameless_gateways: Bools

    @property
    def start(self) -> datetime:
        """Return the time of second 0."""
        return START

    @property
    def key_days(self) -> float:
        """Return the exposure that false episodes are counted against."""
        return float(self.days * len(self.plans))

    def gateway(self, index: int) -> tuple[str, str | None]:
        """Return a gateway's name and region, None where the fleet does not say."""
        region = f"region-{index // self.world.gateways_per_region}" if self.world.dialect.regions else None
        return f"gw-{index:02d}", region

    def minutes(self) -> Iterator[tuple[datetime, list[UsageRow]]]:
        """Yield (end of the minute, the aggregated rows that came in it) for every minute, empty ones too."""
        names = [plan.name for plan in self.plans]
        who, people = self._who()
        gateways = [self.gateway(i) for i in range(self.world.regions * self.world.gateways_per_region)]
        dialect = self.world.dialect
        e = self.events
        accepted = np.isin(e.reason, list(SERVED_BY_GATEWAY))
        written = np.where(accepted, dialect.routes_of_successes, dialect.routes_of_failures)
        route = np.where(written, e.route, -1)
        minute = (e.at // 60).astype(np.int64)
        columns = np.stack([self._arrivals(), self.key_of, e.version, who, e.gateway, route, e.reason, minute], axis=1)
        twice = np.random.default_rng([self.seed, 13]).random(len(e)) < self.world.repeated_share
        columns = np.concatenate([columns, columns[twice]])
        rows, counts = np.unique(columns, axis=0, return_counts=True)
        epoch = int(START.timestamp())
        bounds = np.searchsorted(rows[:, 0], np.arange(self.days * 1440 + 1))
        listed, listed_counts = rows.tolist(), counts.tolist()
        for m in range(self.days * 1440):
            batch = []
            for i in range(bounds[m], bounds[m + 1]):
                _, key, version, caller, gateway, at_route, reason, of_minute = listed[i]
                client, source = people[caller]
                name, region = gateways[gateway]
                batch.append(
                    UsageRow(
                        epoch + of_minute * 60,
                        names[key],
                        version,
                        client,
                        source,
                        name,
                        region,
                        None if at_route < 0 else f"/r{at_route}",
                        SUCCESS if reason in SERVED_BY_GATEWAY else FAILURE,
                        REASONS[reason],
                        listed_counts[i],
                    )
                )
            yield START + timedelta(minutes=m + 1), batch

    def _arrivals(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Return the minute in which each record comes."""
        rng, world = np.random.default_rng([self.seed, 11]), self.world
        late = np.where(rng.random(len(self.events)) < world.late_share, world.late_minutes * 60.0, 0.0)
        return ((self.events.at + late * rng.exponential(1.0, len(late))) // 60).astype(np.int64)

    def canonical_events(self) -> Iterator[dict[str, object]]:
        """Yield the history as canonical gateway events, in order of time; a credential is `KEY.vVERSION`."""
        who, people = self._who()
        epoch_ms = int(START.timestamp() * 1000)
        e = self.events
        columns = (e.at, self.key_of, e.version, who, e.gateway, e.route, e.reason)
        for at, key, version, caller, gateway, route, reason in zip(*(c.tolist() for c in columns), strict=True):
            name, region = self.gateway(gateway)
            client, source = people[caller]
            accepted = reason in SERVED_BY_GATEWAY
            yield {
                "ts": epoch_ms + int(at * 1000),
                "outcome": SUCCESS if accepted else FAILURE,
                "reason": REASONS[reason],
                "credential": f"{self.plans[key].name}.v{version}",
                "client": client,
                "source": source,
                "gateway": name,
                "region": region,
                "route": f"/r{route}" if accepted or self.world.dialect.routes_of_failures else None,
            }

    def _who(self) -> tuple[Ints, list[tuple[str | None, str | None]]]:
        """Return each event's index into (client, source) as the gateways write them down."""
        dialect = self.world.dialect
        callers = [c for plan in self.plans for c in plan.callers]
        e = self.events
        index = e.caller.copy()
        people: list[tuple[str | None, str | None]] = [(c.client, c.source) for c in callers]
        nameless = len(people)
        people.extend((None, c.source) for c in callers)
        strangers = len(people)
        for i in range(int(max(0, -int(e.caller.min(initial=0))))):
            name = {"nameless": None, "many": f"guest-{i}", "one": "scanner"}[dialect.strangers]
            people.append((name, None if dialect.sources == NO_SOURCES else f"198.51.100.{i}"))
        refused = ~np.isin(e.reason, list(SERVED_BY_GATEWAY)) & (e.caller >= 0)
        if dialect.naming == NAMED_BY_GATEWAY:
            refused &= self.nameless_gateways[e.gateway]
        elif dialect.naming == NAMED_BY_REASON:
            refused &= np.isin(e.reason, _NOT_FOUND)
        elif dialect.naming == NAMED_WHERE_FOUND:
            refused &= np.isin(e.reason, _NOT_FOUND) & self.nameless_gateways[e.gateway]
        elif dialect.naming == NAMED_ALWAYS:
            refused[:] = False
        index[refused] += nameless
        stranger = e.caller < 0
        index[stranger] = strangers - 1 - e.caller[stranger]
        return index, people


def simulate(
    seed: int,
    *,
    keys: int = 200,
    days: int = 14,
    level: str = "realistic",
    failing_share: float | None = None,
    busiest: float = 35.0,
) -> Fleet:
    """Simulate a fleet; the same arguments give the same fleet.

    Args:
        seed: source of all dice.
        keys: number of keys.
        days: length of the history.
        level: `realistic` or `hard`.
        failing_share: share of rollovers that fail, None for one in eight.
        busiest: requests a minute of the busiest key, at the most.
    """
    rng = np.random.default_rng([seed, 7 if level == "hard" else 3])
    world = draw_world(rng, level, failing_share)
    n_gateways = world.regions * world.gateways_per_region
    words = _words(rng, world, n_gateways)
    plans, parts, owners, faults = [], [], [], []
    next_caller = 0
    for index in range(keys):
        plan = draw_key(rng, world, index=index, first_caller=next_caller, days=days, busiest=busiest)
        next_caller += len(plan.callers)
        events, fault = _one_key(rng, world, plan, words, days)
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
        facts=tuple(_facts(rng, world, plan) for plan in plans),
        nameless_gateways=rng.random(n_gateways) < 0.5,
    )


def _one_key(
    rng: np.random.Generator, world: World, plan: KeyPlan, words: Ints, days: int
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
        events, fault = inject(rng, world, plan, events, words)
        if fault is not None and fault.cause == "premature_expiry":
            plan.expires_at = fault.first_at - 1.0 if rng.random() < 0.85 else plan.expires_at
    veil = (words[events.gateway] >= 0) & ~np.isin(events.reason, list(SERVED_BY_GATEWAY))
    events.reason[veil] = words[events.gateway[veil]]
    return events, fault


def _words(rng: np.random.Generator, world: World, n_gateways: int) -> Ints:
    """Return for each gateway the reason that it gives for every refusal, -1 where it tells the true one."""
    hidden = rng.random(n_gateways) < world.hidden_gateway_share
    words = np.full(n_gateways, CODE[world.hidden_reason], dtype=np.int32)
    if world.dialect.words:
        said = [CODE[r] for r in ("unknown_credential", "other", "forbidden")]
        words = rng.choice(said, n_gateways, p=[0.5, 0.4, 0.1]).astype(np.int32)
    words[~hidden] = -1
    return words


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


def _facts(rng: np.random.Generator, world: World, plan: KeyPlan) -> KeyFacts:
    def day(offset: float) -> datetime:
        return START + timedelta(seconds=offset)

    known = world.dialect
    versions = [
        VersionFacts(version=plan.dead, created_at=START - timedelta(days=400)),
        VersionFacts(
            version=plan.old,
            created_at=START - timedelta(days=200) if plan.earlier_started_at is None else day(plan.earlier_started_at),
            expires_at=day(plan.expires_at) if plan.expires_at is not None and known.expiries else None,
        ),
    ]
    rollovers = []
    if plan.earlier_started_at is not None and plan.earlier_retired_at is not None:
        rollovers.append(
            RolloverFacts(
                rollover=f"{plan.name}-{plan.old}",
                from_version=plan.dead,
                to_version=plan.old,
                started_at=day(plan.earlier_started_at),
                retired_at=day(plan.earlier_retired_at) if known.retirements else None,
            )
        )
    if plan.rolls:
        created = day(plan.started_at) - timedelta(hours=float(rng.exponential(12)))
        versions.append(VersionFacts(version=plan.new, created_at=created))
        rollovers.append(
            RolloverFacts(
                rollover=f"{plan.name}-{plan.new}",
                from_version=plan.old,
                to_version=plan.new,
                started_at=day(plan.started_at),
                retired_at=day(plan.retired_at) if known.retirements else None,
            )
        )
    return KeyFacts(key=plan.name, versions=tuple(versions), rollovers=tuple(rollovers))
