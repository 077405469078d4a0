"""Reads callers with their days of use, many at a time: one query a table, not one a caller."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, FromClause, exists, select

from monitor.adapters.sql.engine import fetch
from monitor.adapters.sql.schema import records, traffic
from monitor.core.activity import Activity, Day
from monitor.core.events import Outcome
from monitor.core.evidence import CallerRecord
from monitor.core.windows import CallerFacts

_Label = TypeVar("_Label", str, int)
_CHUNK = 500
_CALLER = traffic.callers.c
_FACTS = (
    _CALLER.accepted,
    _CALLER.served,
    _CALLER.rejected,
    _CALLER.version_rejected,
    _CALLER.first_accepted_ms,
    _CALLER.last_accepted_ms,
    _CALLER.first_served_ms,
    _CALLER.last_served_ms,
    _CALLER.first_rejected_ms,
    _CALLER.last_rejected_ms,
    _CALLER.last_version_rejected_ms,
    _CALLER.last_arrival_ms,
    _CALLER.last_suspect_ms,
)
_SEEN = traffic.accepted_credentials
_UNKNOWN = ~exists().where(records.credentials.c.cred == _SEEN.c.cred)


def packed(activity: Activity) -> bytes:
    """Return the days as bytes: five little-endian 64-bit numbers a day."""
    cells = array("q", (number for day in activity for number in day))
    if sys.byteorder == "big":
        cells.byteswap()
    return cells.tobytes()


def unpacked(days: bytes) -> Activity:
    """Return the days of these bytes."""
    cells = array("q")
    cells.frombytes(days)
    if sys.byteorder == "big":
        cells.byteswap()
    return Activity(cells)


def chunks(names: Collection[str]) -> Iterator[list[str]]:
    """Yield the names a few hundred at a time: databases take only so many parameters."""
    ordered = sorted(names)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]


def callers_of_keys(connection: Connection, keys: Collection[str]) -> dict[str, list[CallerRecord]]:
    """Return every caller of every registered credential of these keys, by key."""
    table = records.credentials
    joined = table.join(traffic.callers, _CALLER.cred == table.c.cred)
    found: dict[str, list[CallerRecord]] = {key: [] for key in keys}
    for some in chunks(keys):
        for key, record in _read(connection, joined, table.c.key.in_(some), table.c.key):
            found[key].append(record)
    return found


def read_callers(connection: Connection, callers: Sequence[int]) -> dict[int, CallerRecord]:
    """Return these callers by id; a few hundred at most."""
    return dict(_read(connection, traffic.callers, _CALLER.id.in_(callers), _CALLER.id))


def unregistered_callers(connection: Connection) -> list[CallerRecord]:
    """Return the callers of credentials that have successes and no place in the registry."""
    if connection.execute(select(_SEEN.c.cred).where(_UNKNOWN).limit(1)).first() is None:
        return []
    joined = _SEEN.join(traffic.callers, _CALLER.cred == _SEEN.c.cred)
    return [record for _, record in _read(connection, joined, _UNKNOWN, _CALLER.credential)]


def unregistered_gateways(connection: Connection) -> dict[str, tuple[str, ...]]:
    """Return at which gateways each of those credentials succeeded, as far as the time series reaches."""
    series = traffic.usage_series.c
    query = (
        select(series.credential, series.gateway)
        .distinct()
        .select_from(_SEEN.join(traffic.usage_series, series.cred == _SEEN.c.cred))
        .where(_UNKNOWN, series.outcome == Outcome.SUCCESS.value)
    )
    nameless = select(series.gateway).distinct().where(series.cred.is_(None), series.outcome == Outcome.SUCCESS.value)
    found: dict[str, set[str]] = {}
    for credential, gateway in connection.execute(query):
        found.setdefault(credential, set()).add(gateway)
    for (gateway,) in connection.execute(nameless):
        found.setdefault("", set()).add(gateway)
    return {credential: tuple(sorted(gateways)) for credential, gateways in sorted(found.items())}


def _read(
    connection: Connection, joined: FromClause, where: ColumnElement[bool], label: ColumnElement[_Label]
) -> Iterator[tuple[_Label, CallerRecord]]:
    history, days, folds = traffic.caller_history, traffic.caller_days, traffic.caller_folds
    activities: dict[int, Activity] = {}
    packed_folds: dict[int, bytes] = {}
    old = joined.join(history, history.c.caller_id == _CALLER.id)
    old = old.outerjoin(folds, folds.c.caller_id == history.c.caller_id)
    query_old = select(history.c.caller_id, history.c.days, folds.c.packed).select_from(old).where(where)
    for caller, blob, packed_fold in fetch(connection, query_old):
        activities[caller] = unpacked(blob)
        packed_folds[caller] = packed_fold
    recent = joined.join(days, days.c.caller_id == _CALLER.id)
    query = (
        select(days.c.caller_id, days.c.day, days.c.first_ms, days.c.last_ms, days.c.uses, days.c.slots)
        .select_from(recent)
        .where(where)
        .order_by(days.c.caller_id, days.c.day)
    )
    for caller, *day in fetch(connection, query):
        activity = activities.get(caller)
        if activity is None:
            activity = activities[caller] = Activity()
        activity.add(Day(*day))
    query_facts: Any = (
        select(label, _CALLER.id, _CALLER.credential, _CALLER.client, _CALLER.source, _CALLER.region, *_FACTS)
        .select_from(joined)
        .where(where)
        .order_by(_CALLER.id)
    )
    same: dict[str | None, str | None] = {}  # each name once in memory: the same few come with every caller
    for name, caller, credential, client, source, region, *facts in fetch(connection, query_facts):
        yield (
            name,
            CallerRecord(
                credential=same.setdefault(credential, credential) or credential,
                client=same.setdefault(client, client),
                source=same.setdefault(source, source),
                region=same.setdefault(region, region),
                facts=CallerFacts(*facts),
                activity=activities.get(caller) or Activity(),
                packed_fold=packed_folds.get(caller),
            ),
        )
