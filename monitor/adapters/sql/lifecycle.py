"""Steps of rollovers, waivers, pins: each with its row of the ledger, in a write snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, select

from monitor.adapters.sql.bulk import Field, Upsert
from monitor.adapters.sql.chain import append_audit
from monitor.adapters.sql.registry import API, delete_items, write_items
from monitor.adapters.sql.registry_rows import (
    BACK_IN_USE,
    Entry,
    free_name,
    item_of,
    natural_id,
    raise_revision,
    read_items,
)
from monitor.adapters.sql.schema import records
from monitor.core.decision import Json
from monitor.core.registry import Pin, Registry, Rollover, Waiver
from monitor.errors import Conflict, NotFound
from monitor.ports import RolloverState

_AFTER_FILES = 1_000_000
"""Entries that came by the API stand behind those of files."""


def _replacing(table: str, key: str, **kinds: str) -> Upsert:
    return Upsert(
        table,
        (key,),
        (Field(key, "text"), *[Field(name, kind, sql=f"excluded.{name}") for name, kind in kinds.items()]),
    )


_STATES = _replacing(
    "rollover_states", "rollover", state="text", since_ms="bigint", by="text", reason="text", retired_at_ms="bigint"
)
_ACKNOWLEDGEMENTS = _replacing("acknowledgements", "rollover", by="text", reason="text", at_ms="bigint")


def state_rows(connection: Connection) -> Mapping[str, Row[Any]]:
    """Return what was stepped, by rollover."""
    return {row.rollover: row for row in connection.execute(select(records.rollover_states))}


def state_of(rollover: Rollover, row: Row[Any] | None, now_ms: int) -> RolloverState:
    """Return where a rollover stands: by its start until somebody makes a step."""
    if row is None:
        state = "planned" if now_ms < rollover.started_at_ms else "overlap"
        return RolloverState(rollover=rollover, state=state, since_ms=rollover.started_at_ms)
    return RolloverState(rollover=rollover, state=row.state, since_ms=row.since_ms, by=row.by, reason=row.reason)


def start_rollover(connection: Connection, registry: Registry, rollover: Rollover, *, by: str, now_ms: int) -> None:
    """Add a rollover of source `api`."""
    if rollover.id in registry.rollover_by_id:
        raise Conflict(f"there is a rollover {rollover.id!a} already")
    _version(registry, rollover.key, rollover.from_version)
    _version(registry, rollover.key, rollover.to_version)
    _add(connection, "rollover", rollover)
    body: dict[str, Json] = {
        "key": rollover.key,
        "from_version": rollover.from_version,
        "to_version": rollover.to_version,
        "started_at_ms": rollover.started_at_ms,
        "by": by,
    }
    append_audit(connection, kind="rollover_started", rollover=rollover.id, body=body, at_ms=now_ms)


def transition(
    connection: Connection, now: RolloverState, *, expected: str, to: str, by: str, reason: str | None, now_ms: int
) -> None:
    """Move by compare-and-set."""
    name = now.rollover.id
    if now.state != expected:
        raise Conflict(f"rollover {name!a} is {now.state}, not {expected}")
    retired_at_ms = now_ms if to == "retired" else None if to in BACK_IN_USE else now.rollover.retired_at_ms
    _STATES.run(connection, [(name, to, now_ms, by, reason, retired_at_ms)])
    raise_revision(connection)
    body: dict[str, Json] = {"from": now.state, "to": to, "by": by, "reason": reason}
    append_audit(connection, kind="transition", rollover=name, body=body, at_ms=now_ms)


def waive(connection: Connection, waiver: Waiver, *, now_ms: int) -> None:
    """Add a waiver."""
    _add(connection, "waiver", waiver)
    body: dict[str, Json] = {
        "client": waiver.client,
        "source": waiver.source,
        "reason": waiver.reason,
        "by": waiver.by,
        "from_ms": waiver.from_ms,
        "until_ms": waiver.until_ms,
    }
    append_audit(connection, kind="waiver", rollover=waiver.rollover, body=body, at_ms=now_ms)


def pin(connection: Connection, registry: Registry, pinned: Pin, *, now_ms: int) -> None:
    """Pin a version."""
    _version(registry, pinned.key, pinned.version)
    _add(connection, "pin", pinned)
    body: dict[str, Json] = {
        "key": pinned.key,
        "version": pinned.version,
        "reason": pinned.reason,
        "by": pinned.by,
        "until_ms": pinned.until_ms,
    }
    append_audit(connection, kind="pin", rollover=None, body=body, at_ms=now_ms)


def unpin(connection: Connection, key: str, version: int, *, by: str, reason: str, now_ms: int) -> None:
    """Take all pins off a version."""
    pins = [
        item
        for item in read_items(connection).values()
        if item.kind == "pin" and (found := item.entry()).key == key and found.version == version
    ]
    if not pins:
        raise NotFound(f"version {version} of {key!a} is not pinned")
    delete_items(connection, pins)
    raise_revision(connection)
    body: dict[str, Json] = {"key": key, "version": version, "by": by, "reason": reason}
    append_audit(connection, kind="unpin", rollover=None, body=body, at_ms=now_ms)


def acknowledge(connection: Connection, rollover: str, *, by: str, reason: str, now_ms: int) -> None:
    """Record by name that the old version was never used."""
    _ACKNOWLEDGEMENTS.run(connection, [(rollover, by, reason, now_ms)])
    body: dict[str, Json] = {"by": by, "reason": reason}
    append_audit(connection, kind="never_used_acknowledged", rollover=rollover, body=body, at_ms=now_ms)


def _add(connection: Connection, kind: str, entry: Entry) -> None:
    """Add an entry beside what is there, even if one like it is."""
    stored = read_items(connection)
    name = free_name(natural_id(entry), {each for of, each in stored if of == kind})
    place = max([_AFTER_FILES, *(item.place + 1 for item in stored.values())])
    write_items(connection, [item_of(kind, entry, source=API, place=place, name=name)])
    raise_revision(connection)


def _version(registry: Registry, key: str, version: int) -> None:
    known = registry.key_by_name.get(key)
    if known is None:
        raise NotFound(f"there is no key {key!a}")
    if known.version(version) is None:
        raise NotFound(f"there is no version {version} of {key!a}")
