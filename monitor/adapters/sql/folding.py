"""Folds what is old into what is small: fine buckets, gateways' hours, days of callers, ledger rows.

Each step takes rows out with `DELETE … RETURNING` and adds them elsewhere in the same transaction, so that a flush that
arrives late meanwhile is neither lost nor counted twice. Steps are short: on SQLite ingest waits for each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, func, select, update

from monitor.adapters.sql.bulk import Field, Upsert
from monitor.adapters.sql.caller_rows import packed, unpacked
from monitor.adapters.sql.engine import fetch
from monitor.adapters.sql.flush import GATEWAY_HOURS, USAGE_POINTS, USAGE_SERIES
from monitor.adapters.sql.identity import digest
from monitor.adapters.sql.metadata import get_meta, put_meta
from monitor.adapters.sql.rhythm import longest_gap_ms
from monitor.adapters.sql.schema import traffic
from monitor.core.activity import Activity, Day
from monitor.core.instants import HOUR_MS, SECOND_MS
from monitor.core.rhythm import FOLD_FORMAT, Folded

_HOUR_SECONDS = HOUR_MS // SECOND_MS
_SERIES_A_STEP = 200
_CALLERS_A_STEP = 500
_HISTORY = Upsert(
    "caller_history",
    ("caller_id",),
    (Field("caller_id", "bigint"), Field("days", "bytea", sql="excluded.days")),
)
_FOLDS = Upsert(
    "caller_folds",
    ("caller_id",),
    (Field("caller_id", "bigint"), Field("packed", "bytea", sql="excluded.packed")),
)
_FOLD_FORMAT = "caller_folds_format"
Step = Callable[[Connection], int]
"""Does a part of the work in a transaction; returns how many rows went, 0 when nothing is left."""


def fold_usage(before_ms: int) -> Step:
    """Turn fine buckets of whole hours before that moment into hourly ones; sums stay as they are."""
    series, points = traffic.usage_series.c, traffic.usage_points.c
    old = (
        select(traffic.usage_series)
        .where(
            series.bucket_seconds < _HOUR_SECONDS,
            select(points.series_id).where(points.series_id == series.id, points.bucket_ms < before_ms).exists(),
        )
        .limit(_SERIES_A_STEP)
    )

    def step(connection: Connection) -> int:
        rows = {row.id: row for row in connection.execute(old)}
        if not rows:
            return 0
        taken = connection.execute(
            delete(traffic.usage_points)
            .where(points.series_id.in_(list(rows)), points.bucket_ms < before_ms)
            .returning(points.series_id, points.bucket_ms, points.requests)
        ).all()
        hours: dict[tuple[bytes, int], int] = defaultdict(int)
        made: dict[bytes, tuple[Any, ...]] = {}
        for series_id, bucket_ms, requests in taken:
            hourly = _hourly(rows[series_id])
            made[hourly[0]] = hourly
            hours[hourly[0], bucket_ms - bucket_ms % HOUR_MS] += requests
        USAGE_SERIES.run(connection, sorted(made.values(), key=lambda row: row[0]))
        USAGE_POINTS.run(connection, [(hour, requests, name) for (name, hour), requests in sorted(hours.items())])
        return len(taken) - len(hours) or int(bool(taken))

    return step


def _hourly(row: Row[Any]) -> tuple[Any, ...]:
    place = (row.credential, row.gateway, row.region, row.outcome, row.reason)
    return (digest(*place, _HOUR_SECONDS), row.cred, *place, _HOUR_SECONDS)


def fold_hours(before_ms: int) -> Step:
    """Join a gateway's hours before that moment where no silence of an hour parts them, one gateway a step.

    A stretch keeps the place of its first hour. What arrives late for an hour inside makes that hour's row anew, which
    readers take for part of the stretch, until the next time.
    """
    hours, gateways = traffic.gateway_hours.c, traffic.gateways.c
    done = 0

    def step(connection: Connection) -> int:
        nonlocal done
        next_one = (
            select(gateways.id, gateways.digest)
            .join_from(traffic.gateways, traffic.gateway_hours, hours.gateway_id == gateways.id)
            .where(gateways.id > done, hours.hour_ms < before_ms)
            .group_by(gateways.id, gateways.digest)
            .having(func.count() > 1)
        )
        found = connection.execute(next_one.order_by(gateways.id).limit(1)).first()
        if found is None:
            return 0
        done = found.id
        taken = connection.execute(
            delete(traffic.gateway_hours)
            .where(hours.gateway_id == done, hours.hour_ms < before_ms)
            .returning(hours.hour_ms, hours.first_ms, hours.last_ms, hours.records)
        ).all()
        stretches: list[list[int]] = []
        for hour_ms, first_ms, last_ms, count in sorted(tuple(row) for row in taken):
            if stretches and first_ms - stretches[-1][2] < HOUR_MS:
                stretches[-1][2] = max(stretches[-1][2], last_ms)
                stretches[-1][3] += count
            else:
                stretches.append([hour_ms, first_ms, last_ms, count])
        GATEWAY_HOURS.run(connection, [(*each, found.digest) for each in stretches])
        return max(1, len(taken) - len(stretches))

    return step


def fold_days(before_day: int) -> Step:
    """Move callers' days before that one into their packed history."""
    days, history = traffic.caller_days.c, traffic.caller_history.c
    old = select(days.caller_id).distinct().where(days.day < before_day).limit(_CALLERS_A_STEP)

    def step(connection: Connection) -> int:
        callers = connection.execute(old).scalars().all()
        if not callers:
            return 0
        taken = connection.execute(
            delete(traffic.caller_days)
            .where(days.caller_id.in_(callers), days.day < before_day)
            .returning(days.caller_id, days.day, days.first_ms, days.last_ms, days.uses, days.slots)
        ).all()
        stored = connection.execute(select(history.caller_id, history.days).where(history.caller_id.in_(callers)))
        activities = {caller: unpacked(blob) for caller, blob in stored}
        for caller, *day in taken:
            activities.setdefault(caller, Activity()).add(Day(*day))
        ordered = sorted(activities.items())
        _HISTORY.run(connection, [(caller, packed(activity)) for caller, activity in ordered])
        known = _known_folds(connection, callers)
        _FOLDS.run(connection, [(caller, _folded(activity, known.get(caller))) for caller, activity in ordered])
        return len(taken)

    return step


def fill_folds(connection: Connection) -> int:
    """Fold histories that have none: of an older release, or whose folds said something else."""
    history, folds = traffic.caller_history, traffic.caller_folds
    if get_meta(connection, _FOLD_FORMAT) != str(FOLD_FORMAT):
        connection.execute(delete(folds))
        put_meta(connection, _FOLD_FORMAT, str(FOLD_FORMAT))
    missing = select(history.c.caller_id, history.c.days).where(
        ~exists().where(folds.c.caller_id == history.c.caller_id)
    )
    rows = connection.execute(missing.limit(_CALLERS_A_STEP)).all()
    _FOLDS.run(connection, [(caller, _folded(unpacked(days), None)) for caller, days in rows])
    return len(rows)


def _known_folds(connection: Connection, callers: Sequence[int]) -> dict[int, bytes]:
    folds = traffic.caller_folds.c
    query = select(folds.caller_id, folds.packed).where(folds.caller_id.in_(callers))
    return dict(fetch(connection, query))


def _folded(activity: Activity, known: bytes | None) -> bytes:
    """Return all days folded, going on from what is known as long as that holds."""
    fold = None if known is None else Folded.unpacked(known)
    if fold is None or not fold.holds([activity]):
        fold = Folded.nothing()
    return fold.until(activity[-1].day + 1, [activity]).packed()


def renew_gaps(connection: Connection) -> int:
    """Recompute longest gaps where use arrived hours late and may have filled one."""
    table, days, history = traffic.callers.c, traffic.caller_days.c, traffic.caller_history.c
    stale = select(table.id).where(table.gap_stale == 1).order_by(table.id).limit(_CALLERS_A_STEP)
    stale = stale.with_for_update(skip_locked=True)  # a flush locks them in another order; its callers come next time
    callers = connection.execute(stale).scalars().all()
    if not callers:
        return 0
    stored = connection.execute(select(history.caller_id, history.days).where(history.caller_id.in_(callers)))
    activities = {caller: unpacked(blob) for caller, blob in stored}
    recent = select(days.caller_id, days.day, days.first_ms, days.last_ms, days.uses, days.slots)
    for caller, *day in connection.execute(recent.where(days.caller_id.in_(callers))):
        activities.setdefault(caller, Activity()).add(Day(*day))
    for caller in callers:
        activity = activities.get(caller) or Activity()
        gap_ms = longest_gap_ms((day.first_ms, day.last_ms, day.uses, day.slots) for day in activity)
        connection.execute(update(traffic.callers).where(table.id == caller).values(longest_gap_ms=gap_ms, gap_stale=0))
    return len(callers)


def merge_ledger(connection: Connection) -> int:
    """Merge rows that follow each other in one generation, epoch and mode; the tiling stays. Return how many went."""
    table = traffic.ledger.c
    rows = connection.execute(
        select(traffic.ledger).order_by(table.topic, table.partition, table.generation, table.from_offset)
    )
    runs: list[list[Row[Any]]] = []
    for row in rows:
        if runs and _continues(runs[-1][-1], row):
            runs[-1].append(row)
        else:
            runs.append([row])
    gone = 0
    for run in runs:
        if len(run) > 1:
            _merge_run(connection, run)
            gone += len(run) - 1
    return gone


def _continues(before: Row[Any], row: Row[Any]) -> bool:
    names = ("topic", "partition", "generation", "epoch", "backfill")
    return before.to_offset == row.from_offset and all(getattr(before, each) == getattr(row, each) for each in names)


def _merge_run(connection: Connection, run: list[Row[Any]]) -> None:
    table, first, last = traffic.ledger.c, run[0], run[-1]
    same = (table.topic == first.topic, table.partition == first.partition, table.generation == first.generation)
    connection.execute(
        delete(traffic.ledger).where(
            *same, table.from_offset > first.from_offset, table.from_offset <= last.from_offset
        )
    )
    sums = {name: sum(getattr(row, name) for row in run) for name in ("records", "aggregated", "unmapped", "rejected")}
    connection.execute(
        update(traffic.ledger)
        .where(*same, table.from_offset == first.from_offset)
        .values(to_offset=last.to_offset, applied_at_ms=last.applied_at_ms, **sums)
    )
