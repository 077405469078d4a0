"""Writes an `Aggregate`: each of its fields as additive upserts, in one order of tables and keys for all flushes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, bindparam, select

from monitor.adapters.sql.bulk import Field, Merge, Upsert
from monitor.adapters.sql.identity import digest
from monitor.adapters.sql.liveness import MinuteUse, merged
from monitor.adapters.sql.rhythm import longest_gap_ms
from monitor.adapters.sql.schema import traffic
from monitor.core.events import Outcome, Reason
from monitor.core.instants import HOUR_MS, MINUTE_MS
from monitor.core.windows import Aggregate, CallerFacts, GatewayMinuteKey, Span

_Caller = tuple[str, str | None, str | None, str | None]
"""A `CallerKey`, as the first four fields of other keys give it."""
_BYTES, _TEXT, _INT = "bytea", "text", "bigint"
_SUCCESS, _RATE_LIMITED = Outcome.SUCCESS.value, Reason.RATE_LIMITED.value
_COUNTS = ("accepted", "served", "rejected", "version_rejected")
_TIMES = (
    "first_accepted_ms",
    "last_accepted_ms",
    "first_served_ms",
    "last_served_ms",
    "first_rejected_ms",
    "last_rejected_ms",
    "last_version_rejected_ms",
    "last_arrival_ms",
    "last_suspect_ms",
)
_FACTS = attrgetter(*_COUNTS, *_TIMES)


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
        *[Field(name, _INT, Merge.SUM) for name in _COUNTS],
        *[Field(name, _INT, Merge.MIN if name.startswith("first") else Merge.MAX, nullable=True) for name in _TIMES],
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
GATEWAY_HOURS = Upsert(
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
    creds = _Digests()
    _write_usage(connection, aggregate, creds)
    _write_callers(connection, aggregate, creds)
    _CALLER_GATEWAYS.run(
        connection,
        [
            (digest(*where), creds[where.credential], *where, span.first_ms, span.last_ms, span.count)
            for where, span in aggregate.caller_gateways.items()
        ],
    )
    _write_failures(connection, aggregate, creds)
    _SAMPLED.run(
        connection,
        [(digest(*key), *key, span.first_ms, span.last_ms, span.count) for key, span in aggregate.sampled.items()],
    )
    _write_gateways(connection, aggregate.gateways)  # last: every flush meets in these rows


class _Digests(dict[str, bytes]):
    """The digest of each credential of a flush."""

    def __missing__(self, credential: str) -> bytes:
        found = self[credential] = digest(credential)
        return found


def _write_usage(connection: Connection, aggregate: Aggregate, creds: _Digests) -> None:
    series: dict[bytes, tuple[Any, ...]] = {}
    points: list[tuple[Any, ...]] = []
    hours: dict[tuple[bytes, int], tuple[int, int]] = {}
    for use, requests in aggregate.usage.items():
        bucket_ms, width, credential, gateway, region, outcome, reason = use
        name = digest(credential, gateway, region, outcome, reason, str(width))
        points.append((bucket_ms, requests, name))
        if credential is None:
            series[name] = (name, None, None, gateway, region, outcome, reason, width)
            continue
        mark = creds[credential]
        series[name] = (name, mark, credential, gateway, region, outcome, reason, width)
        hour = (mark, bucket_ms - bucket_ms % HOUR_MS)
        accepted, rejected = hours.get(hour, (0, 0))
        if outcome == _SUCCESS:
            hours[hour] = (accepted + requests, rejected)
        elif reason != _RATE_LIMITED:
            hours[hour] = (accepted, rejected + requests)
    USAGE_SERIES.run(connection, list(series.values()))
    USAGE_POINTS.run(connection, points)
    _CREDENTIAL_HOURS.run(connection, [(*at, *cell) for at, cell in hours.items()])


def _write_callers(connection: Connection, aggregate: Aggregate, creds: _Digests) -> None:
    days: dict[_Caller, list[tuple[int, int, int, int]]] = defaultdict(list)
    for day, use in aggregate.days.items():
        days[day[:4]].append((use.first_ms, use.last_ms, use.uses, use.slots))
    names: dict[_Caller, bytes] = {}
    rows: list[tuple[Any, ...]] = []
    for caller, facts in aggregate.callers.items():
        name = names[caller] = digest(*caller)
        gap_ms = longest_gap_ms(sorted(days.get(caller, ())))
        rows.append((name, creds[caller.credential], *caller, *_FACTS(facts), gap_ms, 0))
    for key in days.keys() - names.keys():  # days without facts of the same flush: the row must be there
        name = names[key] = digest(*key)
        rows.append((name, creds[key[0]], *key, *_FACTS(CallerFacts()), None, 0))
    _CALLERS.run(connection, rows)
    _CALLER_DAYS.run(
        connection,
        [
            (day.day, use.first_ms, use.last_ms, use.uses, use.slots, names[day[:4]])
            for day, use in aggregate.days.items()
        ],
    )
    accepted = {creds[caller.credential] for caller, facts in aggregate.callers.items() if facts.accepted}
    _ACCEPTED.run(connection, [(each,) for each in accepted])


def _write_failures(connection: Connection, aggregate: Aggregate, creds: _Digests) -> None:
    series: dict[bytes, tuple[Any, ...]] = {}
    points: list[tuple[Any, ...]] = []
    for failure, requests in aggregate.failures.items():
        minute_ms, *rest = failure
        name = digest(*rest)
        known = series.get(name)
        last_ms = minute_ms if known is None else max(known[-1], minute_ms)
        series[name] = (name, creds[failure.credential], *rest, last_ms)
        points.append((minute_ms, requests, name))
    _FAILURE_SERIES.run(connection, list(series.values()))
    _FAILURE_POINTS.run(connection, points)


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
    _GATEWAYS.run(
        connection,
        [(digest(*key), *key, span.first_ms, span.last_ms, span.count) for key, span in spans.items()],
    )
    GATEWAY_HOURS.run(
        connection,
        [(hour, span.first_ms, span.last_ms, span.count, name) for (name, hour), span in hours.items()],
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
