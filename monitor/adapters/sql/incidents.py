"""Incidents as rows."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, Select, desc, select

from monitor.adapters.sql.bulk import Field, Upsert
from monitor.adapters.sql.schema import records
from monitor.core.chain import canonical_json
from monitor.core.evidence import OpenIncident
from monitor.ports import Incident

_COLUMNS = {
    "key": "text",
    "version": "integer",
    "rollover": "text",
    "kind": "text",
    "cause": "text",
    "severity": "text",
    "opened_at_ms": "bigint",
    "closed_at_ms": "bigint",
    "summary": "text",
    "holds_gate": "boolean",
    "evidence": "text",
}
_INCIDENTS = Upsert(
    "incidents",
    ("id",),
    (Field("id", "text"), *[Field(name, kind, sql=f"excluded.{name}") for name, kind in _COLUMNS.items()]),
)


def put_incident(connection: Connection, incident: Incident) -> None:
    """Open, correct or close one."""
    row = (
        incident.id,
        incident.key,
        incident.version,
        incident.rollover,
        incident.kind,
        incident.cause,
        incident.severity,
        incident.opened_at_ms,
        incident.closed_at_ms,
        incident.summary,
        incident.holds_gate,
        canonical_json(incident.evidence),
    )
    _INCIDENTS.run(connection, [row])


def open_incidents(connection: Connection, keys: Collection[str]) -> dict[str, list[OpenIncident]]:
    """Return the open incidents of these keys, oldest first."""
    table = records.incidents.c
    found: dict[str, list[OpenIncident]] = {}
    query: Select[Any] = select(records.incidents).where(table.closed_at_ms.is_(None))
    for row in connection.execute(query.order_by(table.opened_at_ms, table.id)):
        if row.key in keys:
            found.setdefault(row.key, []).append(
                OpenIncident(
                    incident=row.id,
                    version=row.version,
                    cause=row.cause,
                    opened_at_ms=row.opened_at_ms,
                    summary=row.summary,
                    holds_gate=row.holds_gate,
                )
            )
    return found


def newest_incidents(connection: Connection, *, key: str | None, open_only: bool, limit: int) -> list[Incident]:
    """Return incidents, newest first."""
    table = records.incidents.c
    query = select(records.incidents).order_by(desc(table.opened_at_ms), desc(table.id)).limit(limit)
    if key is not None:
        query = query.where(table.key == key)
    if open_only:
        query = query.where(table.closed_at_ms.is_(None))
    return [_incident(row) for row in connection.execute(query)]


def _incident(row: Row[Any]) -> Incident:
    return Incident(
        id=row.id,
        key=row.key,
        version=row.version,
        rollover=row.rollover,
        kind=row.kind,
        cause=row.cause,
        severity=row.severity,
        opened_at_ms=row.opened_at_ms,
        closed_at_ms=row.closed_at_ms,
        summary=row.summary,
        holds_gate=row.holds_gate,
        evidence=json.loads(row.evidence),
    )
