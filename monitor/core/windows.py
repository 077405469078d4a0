"""Window aggregates: what one flush of one partition adds to the store, in a form whose merge is free of order.

Second step of the path: `AuthEvent`s -> `Aggregate`. Every field merges by sum, min, max or bitwise or, so partitions,
workers and a backfill may meet in any order and give the same rows (a property test holds it).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

SLOT_MS = 1_800_000
"""A day has 48 slots of 30 minutes: one bit each in `DayUse.slots`."""


class UsageKey(NamedTuple):
    """A cell of the time series. `bucket_ms` is the start of its bucket of `bucket_seconds` (60 or 3600)."""

    bucket_ms: int
    bucket_seconds: int
    credential: str | None
    gateway: str
    region: str | None
    outcome: str
    reason: str


class CallerKey(NamedTuple):
    """A caller (client x source) of one credential, as seen in one region."""

    credential: str
    client: str | None
    source: str | None
    region: str | None


class CallerDayKey(NamedTuple):
    """A caller of one credential on one UTC day (`day` = days since the epoch)."""

    credential: str
    client: str | None
    source: str | None
    region: str | None
    day: int


class CallerGatewayKey(NamedTuple):
    """A caller of one credential at one gateway; kept for credentials of an active rollover only."""

    credential: str
    client: str | None
    source: str | None
    gateway: str
    region: str | None


class FailureKey(NamedTuple):
    """Failures of one caller in detail: one minute, gateway, route and reason. Registered credentials only."""

    minute_ms: int
    credential: str
    client: str | None
    source: str | None
    gateway: str
    region: str | None
    route: str | None
    method: str | None
    reason: str


class GatewayMinuteKey(NamedTuple):
    """One gateway's minute: its liveness."""

    gateway: str
    region: str | None
    minute_ms: int


def earlier(a: int | None, b: int | None) -> int | None:
    """Return the smaller of two times, where either may be missing."""
    return b if a is None else a if b is None else min(a, b)


def later(a: int | None, b: int | None) -> int | None:
    """Return the larger of two times, where either may be missing."""
    return b if a is None else a if b is None else max(a, b)


@dataclass(slots=True)
class CallerFacts:
    """What is known of one caller of one credential, over all time. Times are event times, epoch ms, unless said.

    accepted: outcome success, weighted by `count`; served: accepted and neither rate limited nor a gateway error (the
    only proof that a version works); rejected: outcome failure; version_rejected: rejected because of the version.
    """

    accepted: int = 0
    served: int = 0
    rejected: int = 0
    version_rejected: int = 0
    first_accepted_ms: int | None = None
    last_accepted_ms: int | None = None
    first_served_ms: int | None = None
    last_served_ms: int | None = None
    first_rejected_ms: int | None = None
    last_rejected_ms: int | None = None
    last_version_rejected_ms: int | None = None
    last_arrival_ms: int | None = None
    """When its latest accepted event reached us (C6 counts by arrival too)."""
    last_suspect_ms: int | None = None
    """Arrival of its latest accepted event whose time could not be trusted (`ts_suspect`)."""

    def merge(self, other: CallerFacts) -> None:
        """Add the other's facts to these; commutative and associative."""
        self.accepted += other.accepted
        self.served += other.served
        self.rejected += other.rejected
        self.version_rejected += other.version_rejected
        self.first_accepted_ms = earlier(self.first_accepted_ms, other.first_accepted_ms)
        self.last_accepted_ms = later(self.last_accepted_ms, other.last_accepted_ms)
        self.first_served_ms = earlier(self.first_served_ms, other.first_served_ms)
        self.last_served_ms = later(self.last_served_ms, other.last_served_ms)
        self.first_rejected_ms = earlier(self.first_rejected_ms, other.first_rejected_ms)
        self.last_rejected_ms = later(self.last_rejected_ms, other.last_rejected_ms)
        self.last_version_rejected_ms = later(self.last_version_rejected_ms, other.last_version_rejected_ms)
        self.last_arrival_ms = later(self.last_arrival_ms, other.last_arrival_ms)
        self.last_suspect_ms = later(self.last_suspect_ms, other.last_suspect_ms)


@dataclass(slots=True)
class DayUse:
    """A caller's accepted uses on one UTC day: exact first and last (epoch ms), their number, and when.

    `slots` has bit i set when a *served* use fell into the i-th half hour of the day. From these rows follow the
    longest gap (exact between days, to half an hour within one), sightings, the hour-of-week profile and the mean gap
    since any moment, whatever the order in which events arrived.
    """

    first_ms: int
    last_ms: int
    uses: int
    slots: int

    def merge(self, other: DayUse) -> None:
        """Add the other's uses of the same day; commutative and associative."""
        self.first_ms = min(self.first_ms, other.first_ms)
        self.last_ms = max(self.last_ms, other.last_ms)
        self.uses += other.uses
        self.slots |= other.slots


@dataclass(slots=True)
class Span:
    """First and last event time (epoch ms) and the number of records (not weighted) or uses of something."""

    first_ms: int
    last_ms: int
    count: int

    def merge(self, other: Span) -> None:
        """Widen to cover the other; commutative and associative."""
        self.first_ms = min(self.first_ms, other.first_ms)
        self.last_ms = max(self.last_ms, other.last_ms)
        self.count += other.count


@dataclass(slots=True)
class Aggregate:
    """All that a set of events adds to the store. Empty is the neutral element.

    usage: requests (weighted) per cell. callers, days, caller_gateways, failures: as their keys say. gateways: per
    minute liveness, by event time. sampled: (gateway, region, hour start ms) -> span of events whose `sample_rate` was
    below 1. `aggregated` + `unmapped` count elements, not weighted; unmapped are those that went into a row without a
    credential.
    """

    usage: dict[UsageKey, int] = field(default_factory=dict)
    callers: dict[CallerKey, CallerFacts] = field(default_factory=dict)
    days: dict[CallerDayKey, DayUse] = field(default_factory=dict)
    caller_gateways: dict[CallerGatewayKey, Span] = field(default_factory=dict)
    failures: dict[FailureKey, int] = field(default_factory=dict)
    gateways: dict[GatewayMinuteKey, Span] = field(default_factory=dict)
    sampled: dict[tuple[str, str | None, int], Span] = field(default_factory=dict)
    aggregated: int = 0
    unmapped: int = 0
