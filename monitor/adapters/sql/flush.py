"""Writes an `Aggregate`: each of its fields as additive upserts, in one order of tables and keys for all flushes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select

from monitor.adapters.sql.bulk import Field, Merge, Upsert
from monitor.adapters.sql.identity import digest
from monitor.adapters.sql.liveness import MinuteUse, merged
from monitor.adapters.sql.rhythm import longest_gap_ms
from monitor.adapters.sql.schema import traffic
from monitor.core.events import Outcome, Reason
from monitor.core.instants import HOUR_MS, MINUTE_MS
from monitor.core.windows import Aggregate, CallerKey, GatewayMinuteKey, Span

_Caller = tuple[str, str | None, str | None, str | None]
"""A `CallerKey`, as the first four fields of other keys give it."""
_BYTES, _TEXT, _INT = "bytea", "text", "bigint"


def _texts(*names: str) -> tuple[Field, ...]:
    return tuple(Field(name, _TEXT) for name in names)


_SPAN = (Field("first_ms", _INT, Merge.MIN), Field("last_ms", _INT, Merge.MAX))

USAGE_SERIES = Upsert(
    "usage_series",
    ("digest",),
    (
        Field("digest", _BYTES),
        Field("cred", _BYTES),
        *_texts("credential", "gateway", "region", "outcome", "reason"),
        Field("bucket_seconds", "integer"),
    ),
)
USAGE_POINTS = Upsert(
    "usage_points",
    ("bucket_ms", "series_id"),
    (Field("bucket_ms", _INT), Field("requests", _INT, Merge.SUM)),
    parent=("usage_series", "series_id"),
)
_CREDENTIAL_HOURS = Upsert(
    "credential_hours",
    ("cred", "hour_ms"),
    (
        Field("cred", _BYTES),
        Field("hour_ms", _INT),
        Field("accepted", _INT, Merge.SUM),
        Field("rejected", _INT, Merge.SUM),
    ),
)
_GAP = (
    "max(coalesce(callers.longest_gap_ms, excluded.longest_gap_ms),"
    " coalesce(excluded.longest_gap_ms, callers.longest_gap_ms))"
)
_BETWEEN = (
    "CASE WHEN excluded.first_accepted_ms >= callers.last_accepted_ms"
    f" THEN max(excluded.first_accepted_ms - callers.last_accepted_ms, coalesce({_GAP}, 0))"
    " WHEN excluded.last_accepted_ms <= callers.first_accepted_ms"
    f" THEN max(callers.first_accepted_ms - excluded.last_accepted_ms, coalesce({_GAP}, 0))"
    f" ELSE {_GAP} END"
)
_STALE = (
    f"CASE WHEN excluded.first_accepted_ms < callers.last_accepted_ms - {HOUR_MS} THEN 1 ELSE callers.gap_stale END"
)
_CALLERS = Upsert(
    "callers",
    ("digest",),
    (
        Field("digest", _BYTES),
        Field("cred", _BYTES),
        *_texts("credential", "client", "source", "region"),
        *[Field(name, _INT, Merge.SUM) for name in ("accepted", "served", "rejected", "version_rejected")],
        *[
            Field(f"{name}_ms", _INT, Merge.MIN if name.startswith("first") else Merge.MAX, nullable=True)
            for name in (
                "first_accepted",
                "last_accepted",
                "first_served",
                "last_served",
                "first_rejected",
                "last_rejected",
                "last_version_rejected",
                "last_arrival",
                "last_suspect",
            )
        ],
        Field("longest_gap_ms", _INT, sql=_BETWEEN),
        Field("gap_stale", "smallint", sql=_STALE),
    ),
)
_CALLER_DAYS = Upsert(
    "caller_days",
    ("day", "caller_id"),
    (Field("day", "integer"), *_SPAN, Field("uses", _INT, Merge.SUM), Field("slots", _INT, Merge.OR)),
    parent=("callers", "caller_id"),
)
_ACCEPTED = Upsert("accepted_credentials", ("cred",), (Field("cred", _BYTES),))
_CALLER_GATEWAYS = Upsert(
    "caller_gateways",
    ("digest",),
    (
        Field("digest", _BYTES),
        Field("cred", _BYTES),
        *_texts("credential", "client", "source", "gateway", "region"),
        *_SPAN,
        Field("count", _INT, Merge.SUM),
    ),
)
_FAILURE_SERIES = Upsert(
    "failure_series",
    ("digest",),
    (
        Field("digest", _BYTES),
        Field("cred", _BYTES),
        *_texts("credential", "client", "source", "gateway", "region", "route", "method", "reason"),
        Field("last_minute_ms", _INT, Merge.MAX),
    ),
)
_FAILURE_POINTS = Upsert(
    "failure_points",
    ("minute_ms", "series_id"),
    (Field("minute_ms", _INT), Field("requests", _INT, Merge.SUM)),
    parent=("failure_series", "series_id"),
)
_GATEWAYS = Upsert(
    "gateways",
    ("digest",),
    (Field("digest", _BYTES), *_texts("gateway", "region"), *_SPAN, Field("records", _INT, Merge.SUM)),
)
_GATEWAY_HOURS = Upsert(
    "gateway_hours",
    ("hour_ms", "gateway_id"),
    (Field("hour_ms", _INT), *_SPAN, Field("records", _INT, Merge.SUM)),
    parent=("gateways", "gateway_id"),
)
_SAMPLED = Upsert(
    "sampled_hours",
    ("digest",),
    (
        Field("digest", _BYTES),
        *_texts("gateway", "region"),
        Field("hour_ms", _INT),
        *_SPAN,
        Field("count", _INT, Merge.SUM),
    ),
)


def write_aggregate(connection: Connection, aggregate: Aggregate) -> None:
    """Add everything in it to what is stored."""
    creds: dict[str, bytes] = {}

    def cred(credential: str) -> bytes:
        known = creds.get(credential)
        if known is None:
            known = creds[credential] = digest(credential)
        return known

    series: dict[bytes, tuple[Any, ...]] = {}
    points: list[tuple[Any, ...]] = []
    hours: dict[tuple[bytes, int], list[int]] = {}
    for use, requests in aggregate.usage.items():
        _, width, credential, gateway, region, outcome, reason = use
        name = digest(credential, gateway, region, outcome, reason, width)
        mark = None if credential is None else cred(credential)
        series[name] = (name, mark, credential, gateway, region, str(outcome), str(reason), width)
        points.append((use.bucket_ms, requests, name))
        if mark is not None:
            cell = hours.setdefault((mark, use.bucket_ms - use.bucket_ms % HOUR_MS), [0, 0])
            if outcome == Outcome.SUCCESS:
                cell[0] += requests
            elif reason != Reason.RATE_LIMITED:
                cell[1] += requests
    _run(connection, USAGE_SERIES, series.values())
    _run(connection, USAGE_POINTS, points, by=2)
    _run(connection, _CREDENTIAL_HOURS, [(*at, *cell) for at, cell in hours.items()])

    names = _write_callers(connection, aggregate, creds)
    _run(
        connection,
        _CALLER_DAYS,
        [
            (day.day, use.first_ms, use.last_ms, use.uses, use.slots, names.get(day[:4]) or digest(*day[:4]))
            for day, use in aggregate.days.items()
        ],
        by=5,
    )
    accepted = {cred(each.credential) for each, facts in aggregate.callers.items() if facts.accepted}
    _run(connection, _ACCEPTED, [(each,) for each in accepted])
    _run(
        connection,
        _CALLER_GATEWAYS,
        [
            (digest(*where), cred(where.credential), *where, span.first_ms, span.last_ms, span.count)
            for where, span in aggregate.caller_gateways.items()
        ],
    )
    failing: dict[bytes, tuple[Any, ...]] = {}
    failures: list[tuple[Any, ...]] = []
    for failure, requests in aggregate.failures.items():
        minute_ms, *rest = failure
        name = digest(*rest)
        known = failing.get(name)
        last_ms = minute_ms if known is None else max(known[-1], minute_ms)
        failing[name] = (name, cred(failure.credential), *rest[:-1], str(failure.reason), last_ms)
        failures.append((minute_ms, requests, name))
    _run(connection, _FAILURE_SERIES, failing.values())
    _run(connection, _FAILURE_POINTS, failures, by=2)
    _run(
        connection,
        _SAMPLED,
        [(digest(*key), *key, span.first_ms, span.last_ms, span.count) for key, span in aggregate.sampled.items()],
    )
    _write_gateways(connection, aggregate.gateways)  # last: every flush meets in these rows


def _run(connection: Connection, upsert: Upsert, rows: Iterable[tuple[Any, ...]], by: int = 0) -> None:
    """Write rows in the order of the digest in column `by`."""
    upsert.run(connection, sorted(rows, key=lambda row: row[by]))


def _write_callers(connection: Connection, aggregate: Aggregate, creds: dict[str, bytes]) -> dict[_Caller, bytes]:
    days: dict[_Caller, list[tuple[int, int, int, int]]] = defaultdict(list)
    for day, use in aggregate.days.items():
        days[day[:4]].append((use.first_ms, use.last_ms, use.uses, use.slots))
    names: dict[_Caller, bytes] = {}
    rows: list[tuple[Any, ...]] = []
    for caller, facts in aggregate.callers.items():
        name = names[caller] = digest(*caller)
        mark = creds.get(caller.credential)
        if mark is None:
            mark = creds[caller.credential] = digest(caller.credential)
        rows.append(
            (
                name,
                mark,
                *caller,
                facts.accepted,
                facts.served,
                facts.rejected,
                facts.version_rejected,
                facts.first_accepted_ms,
                facts.last_accepted_ms,
                facts.first_served_ms,
                facts.last_served_ms,
                facts.first_rejected_ms,
                facts.last_rejected_ms,
                facts.last_version_rejected_ms,
                facts.last_arrival_ms,
                facts.last_suspect_ms,
                longest_gap_ms(sorted(days.get(caller, ()))),
                0,
            )
        )
    for key in days.keys() - names.keys():  # days without facts of the same flush: the row must be there
        caller = CallerKey(*key)
        names[key] = digest(*caller)
        rows.append((names[key], digest(caller.credential), *caller, 0, 0, 0, 0, *[None] * 10, 0))
    _run(connection, _CALLERS, rows)
    return names


def _write_gateways(connection: Connection, minutes: dict[GatewayMinuteKey, Span]) -> None:
    spans: dict[tuple[str, str | None], Span] = {}
    hours: dict[tuple[bytes, int], Span] = {}
    details: dict[tuple[bytes, int], list[MinuteUse]] = defaultdict(list)
    for key, span in minutes.items():
        name = digest(key.gateway, key.region)
        hour = (name, key.minute_ms - key.minute_ms % HOUR_MS)
        _widen(spans, (key.gateway, key.region), span)
        _widen(hours, hour, span)
        first, last = (min(max(at - key.minute_ms, 0), MINUTE_MS - 1) for at in (span.first_ms, span.last_ms))
        details[hour].append(MinuteUse(key.minute_ms % HOUR_MS // MINUTE_MS, first, last))
    _run(
        connection,
        _GATEWAYS,
        [(digest(*key), *key, span.first_ms, span.last_ms, span.count) for key, span in spans.items()],
    )
    _run(
        connection,
        _GATEWAY_HOURS,
        [(hour, span.first_ms, span.last_ms, span.count, name) for (name, hour), span in hours.items()],
        by=4,
    )
    _merge_minutes(connection, details)


def _merge_minutes(connection: Connection, details: dict[tuple[bytes, int], list[MinuteUse]]) -> None:
    """Read, merge and write back packed minutes; the upserts before have locked these rows until the commit."""
    if not details:
        return
    table, gateways = traffic.gateway_hours.c, traffic.gateways.c
    names: Sequence[bytes] = sorted({name for name, _ in details})
    found = connection.execute(
        select(gateways.digest, table.gateway_id, table.hour_ms, table.minutes)
        .join_from(traffic.gateways, traffic.gateway_hours, gateways.id == table.gateway_id)
        .where(gateways.digest.in_(names), table.hour_ms.in_(sorted({hour for _, hour in details})))
    )
    changed = [
        {"gateway": row.gateway_id, "hour": row.hour_ms, "packed": merged(row.minutes, minutes)}
        for row in found
        if (minutes := details.get((bytes(row.digest), row.hour_ms)))
    ]
    connection.execute(
        traffic.gateway_hours.update()
        .where(table.gateway_id == bindparam("gateway"), table.hour_ms == bindparam("hour"))
        .values(minutes=bindparam("packed")),
        changed,
    )


def _widen(spans: dict[Any, Span], key: Any, span: Span) -> None:  # noqa: ANN401 - two kinds of keys
    known = spans.get(key)
    if known is None:
        spans[key] = Span(first_ms=span.first_ms, last_ms=span.last_ms, count=span.count)
    else:
        known.merge(span)
