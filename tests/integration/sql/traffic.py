"""Small aggregates with plain defaults."""

from __future__ import annotations

from monitor.adapters.sql import SqlStore
from monitor.core.windows import (
    Aggregate,
    CallerDayKey,
    CallerFacts,
    CallerGatewayKey,
    CallerKey,
    DayUse,
    FailureKey,
    GatewayMinuteKey,
    Span,
    UsageKey,
)
from monitor.ports import Applied, Claim, Partition, Tail

DAY = 86_400_000
HOUR = 3_600_000
MINUTE = 60_000
T0 = 20_600 * DAY + 9 * HOUR
PARTITION = Partition("gw.logs", 0)


def uses(
    *times_ms: int,
    credential: str = "cred-a1",
    client: str | None = "acme",
    source: str | None = "eu",
    gateway: str = "edge-1",
    region: str | None = "eu",
    count: int = 1,
) -> Aggregate:
    """Return what served uses at these times add."""
    made = Aggregate(aggregated=len(times_ms))
    for at in times_ms:
        day, minute, slot = at // DAY, at - at % MINUTE, at % DAY // 1_800_000
        cell = UsageKey(minute, 60, credential, gateway, region, "success", "ok")
        made.usage[cell] = made.usage.get(cell, 0) + count
        caller = made.callers.setdefault(CallerKey(credential, client, source, region), CallerFacts())
        caller.merge(
            CallerFacts(
                accepted=count,
                served=count,
                first_accepted_ms=at,
                last_accepted_ms=at,
                first_served_ms=at,
                last_served_ms=at,
                last_arrival_ms=at,
            )
        )
        use = DayUse(first_ms=at, last_ms=at, uses=count, slots=1 << slot)
        key = CallerDayKey(credential, client, source, region, day)
        if key in made.days:
            made.days[key].merge(use)
        else:
            made.days[key] = use
        where = CallerGatewayKey(credential, client, source, gateway, region)
        span(made.caller_gateways, where, at)
        span(made.gateways, GatewayMinuteKey(gateway, region, minute), at)
    return made


def failures(
    *times_ms: int,
    credential: str | None = "cred-a2",
    client: str | None = "acme",
    source: str | None = "eu",
    gateway: str = "edge-1",
    region: str | None = "eu",
    reason: str = "unknown_credential",
) -> Aggregate:
    """Return what rejected attempts at these times add; without a credential they are unmapped."""
    made = Aggregate()
    for at in times_ms:
        minute = at - at % MINUTE
        cell = UsageKey(minute, 60, credential, gateway, region, "failure", reason)
        made.usage[cell] = made.usage.get(cell, 0) + 1
        span(made.gateways, GatewayMinuteKey(gateway, region, minute), at)
        if credential is None:
            made.unmapped += 1
            continue
        made.aggregated += 1
        caller = made.callers.setdefault(CallerKey(credential, client, source, region), CallerFacts())
        caller.merge(CallerFacts(rejected=1, version_rejected=1, first_rejected_ms=at, last_rejected_ms=at))
        failure = FailureKey(minute, credential, client, source, gateway, region, "/pay", "GET", reason)
        made.failures[failure] = made.failures.get(failure, 0) + 1
    return made


def span(spans: dict, key: object, at: int) -> None:  # type: ignore[type-arg]
    """Widen the span of a key by one record."""
    if key in spans:
        spans[key].merge(Span(first_ms=at, last_ms=at, count=1))
    else:
        spans[key] = Span(first_ms=at, last_ms=at, count=1)


def claimed(store: SqlStore, partition: Partition = PARTITION, *, offset: int = 0) -> Claim:
    """Return a claim on a partition that is read from `offset`."""
    claim = store.claim(partition, worker="w1", now_ms=T0)
    if claim.next_offset is None:
        store.begin(claim, offset=offset, identity="cluster/topic-1", now_ms=T0)
    return claim


def flush(claim: Claim, from_offset: int, aggregate: Aggregate, *, rejects: tuple = (), **changes: object) -> Applied:  # type: ignore[type-arg]
    """Return the flush of an aggregate: one record an element."""
    records = aggregate.aggregated + aggregate.unmapped + len(rejects)
    given: dict = {  # type: ignore[type-arg]
        "partition": claim.partition,
        "epoch": claim.epoch,
        "from_offset": from_offset,
        "to_offset": from_offset + records,
        "records": records,
        "aggregate": aggregate,
        "rejects": rejects,
        "tail": Tail.of(from_offset + records - 1, T0, b"last"),
        "applied_at_ms": T0,
    }
    return Applied(**(given | changes))
