"""How far our eyes can be trusted: partitions, gateways, gaps, the ledger's tiling, rejects, strangers."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import Connection, func, select, text

from monitor.adapters.sql.caller_rows import unregistered_callers, unregistered_gateways
from monitor.adapters.sql.engine import fetch
from monitor.adapters.sql.liveness import Hour, Span, fine_silences
from monitor.adapters.sql.metadata import get_meta
from monitor.adapters.sql.schema import traffic
from monitor.core.evidence import CoverageGap, GatewayLiveness, HourCount, PartitionStatus, Telemetry
from monitor.core.instants import HOUR_MS

MINUTES_KEPT_SINCE = "gateway_minutes_kept_since_ms"
"""Name of the single value that says from when on gateways' minutes are still there."""

_TILING = """
SELECT topic, partition, from_offset, to_offset, before_offset, records, records - aggregated - unmapped - rejected
FROM (
  SELECT l.*, lag(to_offset) OVER (PARTITION BY topic, partition, generation ORDER BY from_offset) AS before_offset
  FROM ledger l
) tiles
WHERE from_offset <> before_offset OR to_offset < from_offset OR records <> aggregated + unmapped + rejected
ORDER BY topic, partition, from_offset
"""
_ENDS = """
SELECT p.topic, p.partition, p.next_offset, l.ends
FROM partitions p
JOIN (SELECT topic, partition, generation, max(to_offset) AS ends FROM ledger GROUP BY topic, partition, generation) l
  ON l.topic = p.topic AND l.partition = p.partition AND l.generation = p.generation
WHERE p.next_offset <> l.ends
ORDER BY p.topic, p.partition
"""
_LONG_SILENCES = f"""
SELECT gateway_id, before_ms, first_ms
FROM (
  SELECT gateway_id, first_ms, max(last_ms) OVER (
    PARTITION BY gateway_id ORDER BY hour_ms ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
  ) AS before_ms
  FROM gateway_hours
) hours
WHERE first_ms - before_ms >= {HOUR_MS} AND first_ms >= :since
"""  # noqa: S608 - a number of ours
"""The latest record so far, not the one of the row before: an old row may tell of many hours (`fold_hours`)."""
REACH_MS = 2 * HOUR_MS
"""From this long before on, the hours tell the silences of less than an hour that end after a moment."""


def read_telemetry(connection: Connection, now_ms: int, *, fine_window_ms: int, lookback_ms: int) -> Telemetry:
    """Return it, as of the connection's view."""
    kept_since_ms = int(get_meta(connection, MINUTES_KEPT_SINCE) or 0)
    fine_since_ms = max(now_ms - fine_window_ms, kept_since_ms)
    since_ms = now_ms - lookback_ms
    strangers = unregistered_callers(connection)
    return Telemetry(
        now_ms=now_ms,
        history_start_ms=connection.execute(select(func.min(traffic.gateways.c.first_ms))).scalar_one_or_none(),
        fine_since_ms=fine_since_ms,
        partitions=tuple(partition_states(connection)),
        expected_partitions={
            row.topic: row.partitions
            for row in connection.execute(select(traffic.topics).order_by(traffic.topics.c.topic))
        },
        gateways=tuple(_gateways(connection, since_ms, fine_since_ms)),
        gaps=tuple(_gaps(connection)),
        ledger_faults=tuple(ledger_faults(connection)),
        rejects=tuple(_rejects(connection, since_ms)),
        sampled=tuple(_sampled(connection, since_ms)),
        unregistered=tuple(strangers),
        unregistered_gateways=unregistered_gateways(connection) if strangers else {},
        clock_skew_ms=_clock_skew_ms(connection),
    )


def partition_states(connection: Connection) -> Iterable[PartitionStatus]:
    """Yield how far each partition has been read."""
    table = traffic.partitions.c
    for row in connection.execute(select(traffic.partitions).order_by(table.topic, table.partition)):
        yield PartitionStatus(
            topic=row.topic,
            partition=row.partition,
            next_offset=row.next_offset,
            end_offset=row.end_offset,
            probed_at_ms=row.probed_at_ms,
            complete_through_ms=row.complete_through_ms,
            stopped=row.stopped,
        )


def _gateways(connection: Connection, since_ms: int, fine_since_ms: int) -> Iterable[GatewayLiveness]:
    gateways, hours = traffic.gateways.c, traffic.gateway_hours.c
    oldest_ms = min(since_ms, fine_since_ms)
    found: dict[int, set[Span]] = defaultdict(set)
    for gateway, from_ms, until_ms in fetch(connection, text(_LONG_SILENCES).bindparams(since=oldest_ms)):
        found[gateway].add((from_ms, until_ms))
    recent: dict[int, list[Hour]] = defaultdict(list)
    query = select(hours.gateway_id, hours.hour_ms, hours.first_ms, hours.last_ms, hours.minutes)
    query = query.where(hours.hour_ms > fine_since_ms - REACH_MS).order_by(hours.gateway_id, hours.hour_ms)
    for gateway, *hour in fetch(connection, query):
        recent[gateway].append(Hour(*hour))
    for row in connection.execute(select(traffic.gateways).order_by(gateways.gateway, gateways.region.nulls_first())):
        yield GatewayLiveness(
            gateway=row.gateway,
            region=row.region,
            first_ms=row.first_ms,
            last_ms=row.last_ms,
            silences=tuple(sorted(found[row.id].union(fine_silences(recent[row.id], fine_since_ms)))),
        )


def _gaps(connection: Connection) -> Iterable[CoverageGap]:
    for row in connection.execute(select(traffic.gaps).order_by(traffic.gaps.c.recorded_at_ms, traffic.gaps.c.id)):
        yield CoverageGap(
            topic=row.topic,
            partition=row.partition,
            from_ms=row.from_ms,
            to_ms=row.to_ms,
            recorded_at_ms=row.recorded_at_ms,
            reason=row.reason,
        )


def ledger_faults(connection: Connection) -> Iterable[str]:
    """Yield a sentence for each hole, overlap or sum that is not one; within one generation of a partition."""
    for topic, partition, start, end, before, count, missing in connection.execute(text(_TILING)):
        place = f"the ledger of {topic}:{partition}"
        if before is not None and before != start:
            what = "a hole" if before < start else "an overlap"
            yield f"{place} has {what}: a row ends at offset {before}, the next begins at {start}"
        if end < start:
            yield f"{place} has a row from offset {start} to {end}"
        if missing:
            yield f"{place} does not add up from offset {start}: {missing} of {count} records are unaccounted for"
    for topic, partition, next_offset, ends in connection.execute(text(_ENDS)):
        yield f"the ledger of {topic}:{partition} ends at offset {ends}, but reading stands at {next_offset}"


def _rejects(connection: Connection, since_ms: int) -> Iterable[HourCount]:
    table = traffic.reject_hours.c
    query = select(table.hour_ms, table.last_ms, table["count"], table.reason).where(table.last_ms >= since_ms)
    for hour_ms, last_ms, count, reason in connection.execute(query.order_by(table.hour_ms, table.reason)):
        yield HourCount(hour_ms=hour_ms, last_ms=last_ms, count=count, detail=reason)


def _sampled(connection: Connection, since_ms: int) -> Iterable[HourCount]:
    table = traffic.sampled_hours.c
    query = (
        select(table.hour_ms, table.last_ms, table["count"], table.gateway, table.region)
        .where(table.last_ms >= since_ms)
        .order_by(table.gateway, table.region.nulls_first(), table.hour_ms)
    )
    for hour_ms, last_ms, count, gateway, region in connection.execute(query):
        detail = gateway if region is None else f"{gateway}/{region}"
        yield HourCount(hour_ms=hour_ms, last_ms=last_ms, count=count, detail=detail)


def _clock_skew_ms(connection: Connection) -> int | None:
    """Return how far the database's clock is ahead of ours; SQLite has none but ours."""
    if connection.dialect.name == "sqlite":
        return 0
    before = time.time()
    theirs = float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
    after = time.time()
    return round((theirs - (before + after) / 2) * 1000)
