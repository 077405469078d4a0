"""The registry's side: imports by source, what they changed, and what of it the gate must feel (C9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, or_

from monitor.adapters.sql.bulk import Field, Upsert
from monitor.adapters.sql.chain import append_audit
from monitor.adapters.sql.engine import Database
from monitor.adapters.sql.registry_rows import (
    Item,
    assemble,
    item_of,
    items_of,
    raise_revision,
    read_items,
    read_registry,
    revision,
    write_credentials,
)
from monitor.adapters.sql.schema import records
from monitor.core.evidence import Change
from monitor.core.registry import Key, Registry, Rollover
from monitor.errors import RegistryError
from monitor.ports import ImportReport

API = "api"
"""The source of what came by the API or the command line."""
_ITEMS = Upsert(
    "registry_items",
    ("kind", "id"),
    (
        Field("kind", "text"),
        Field("id", "text"),
        Field("source", "text", sql="excluded.source"),
        Field("place", "integer", sql="excluded.place"),
        Field("body", "text", sql="excluded.body"),
    ),
)


class RegistryCache:
    """The registry of the revision that was read last: decoding a thousand rollovers each tick would be a waste."""

    def __init__(self) -> None:
        """Begin empty."""
        self._held: tuple[str, int, Registry] | None = None

    def read(self, connection: Connection) -> tuple[int, Registry]:
        """Return revision and registry as the connection's view has them."""
        number, mark = revision(connection)
        held = self._held
        if held is None or held[0] != mark:
            held = (mark, number, read_registry(connection))
            self._held = held
        return held[1], held[2]


class RegistrySide:
    """`RegistryStore` on SQL."""

    _db: Database
    _registry_cache: RegistryCache

    def registry(self) -> tuple[int, Registry]:
        """Return the registry and its revision."""
        with self._db.reading() as connection:
            return self._registry_cache.read(connection)

    def import_registry(self, registry: Registry, *, source: str, by: str, now_ms: int) -> ImportReport:
        """Make everything of this source be as given."""
        return self._replace(items_of(registry, source), source=source, whole=True, by=by, now_ms=now_ms)

    def put_key(self, key: Key, *, by: str, now_ms: int) -> ImportReport:
        """Add or replace one key (source `api`)."""
        item = item_of("key", key, source=API, place=0)
        return self._replace([item], source=API, whole=False, by=by, now_ms=now_ms)

    def _replace(self, items: list[Item], *, source: str, whole: bool, by: str, now_ms: int) -> ImportReport:
        with self._db.in_turn() as connection:
            stored = read_items(connection)
            given = {(item.kind, item.id): item for item in items}
            gone = [item for at, item in stored.items() if whole and item.source == source and at not in given]
            added = [item for at, item in given.items() if at not in stored]
            updated = [item for at, item in given.items() if at in stored and stored[at].body != item.body]
            moved = [item for at, item in given.items() if at in stored and _place(stored[at]) != _place(item)]
            number = revision(connection)[0]
            if not (gone or added or updated):
                if moved:
                    write_items(connection, moved)
                return ImportReport(changed=False, revision=number)
            after = {at: item for at, item in stored.items() if item not in gone} | given
            changes = _changes(stored, after)
            _check(after.values())
            delete_items(connection, gone)
            write_items(connection, [*added, *updated, *moved])
            write_credentials(connection, assemble(after.values(), {}))
            write_changes(connection, changes, now_ms)
            number = raise_revision(connection)
            report = ImportReport(
                changed=True,
                revision=number,
                added=tuple(item.name for item in added),
                updated=tuple(item.name for item in updated),
                removed=tuple(item.name for item in gone),
                changes=_by_key(changes, now_ms),
            )
            append_audit(
                connection, kind="registry_import", rollover=None, at_ms=now_ms, body=_told(report, source, by)
            )
            return report


def _place(item: Item) -> tuple[str, int]:
    return item.source, item.place


def write_items(connection: Connection, items: Iterable[Item]) -> None:
    """Add or replace entries."""
    rows = {(each.kind, each.id): (each.kind, each.id, each.source, each.place, each.body) for each in items}
    _ITEMS.run(connection, list(rows.values()))


def delete_items(connection: Connection, items: Iterable[Item]) -> None:
    """Take entries out."""
    table = records.registry_items.c
    names = [and_(table.kind == item.kind, table.id == item.id) for item in items]
    for start in range(0, len(names), 200):
        connection.execute(delete(records.registry_items).where(or_(*names[start : start + 200])))


def _check(items: Iterable[Item]) -> None:
    registry = assemble(items, {})
    for rollover in registry.rollovers:
        key = registry.key_by_name.get(rollover.key)
        if key is None:
            raise RegistryError(f"rollover {rollover.id!r} is of key {rollover.key!r}, which is not in the registry")
        missing = [each for each in (rollover.from_version, rollover.to_version) if key.version(each) is None]
        if missing:
            raise RegistryError(f"rollover {rollover.id!r}: key {rollover.key!r} has no version {missing[0]}")


def _changes(
    before: Mapping[tuple[str, str], Item], after: Mapping[tuple[str, str], Item]
) -> list[tuple[str, str | None, str]]:
    """Return (key, rollover, what) of each change that the gate must feel; what is there for the first time is none."""
    found: list[tuple[str, str | None, str]] = []
    owners = {credential: at for item in after.values() if item.kind == "key" for credential, at in _owners(item)}
    for at, item in before.items():
        now = after.get(at)
        if item.kind == "key" and (now is None or now.body != item.body):
            for credential, (key, version) in _owners(item):
                owner = owners.get(credential)
                if owner == (key, version):
                    continue
                where = "removed" if owner is None else f"moved to {owner[0]} v{owner[1]}"
                found.append((key, None, f"credential {credential} of v{version} was {where}"))
                if owner is not None and owner[0] != key:
                    found.append((owner[0], None, f"credential {credential} came from {key} v{version}"))
        if item.kind == "rollover" and now is not None and now.body != item.body:
            old: Rollover = item.entry()
            new: Rollover = now.entry()
            if sorted(old.policy, key=repr) != sorted(new.policy, key=repr):
                found.append((new.key, new.id, f"the policy of {new.id} was changed"))
            if (old.key, old.from_version, old.to_version) != (new.key, new.from_version, new.to_version):
                found.append((new.key, new.id, f"the versions of {new.id} were changed"))
    return found


def _owners(item: Item) -> list[tuple[str, tuple[str, int]]]:
    key: Key = item.entry()
    return [(name, (key.key, version.version)) for version in key.versions for name in version.credentials]


def write_changes(connection: Connection, changes: Iterable[tuple[str, str | None, str]], at_ms: int) -> None:
    """Remember what the gate must feel."""
    rows = [{"key": key, "rollover": rollover, "at_ms": at_ms, "what": what} for key, rollover, what in changes]
    if rows:
        connection.execute(insert(records.registry_changes), rows)


def _by_key(changes: Iterable[tuple[str, str | None, str]], at_ms: int) -> dict[str, tuple[Change, ...]]:
    made: dict[str, tuple[Change, ...]] = {}
    for key, _, what in changes:
        made[key] = (*made.get(key, ()), Change(at_ms=at_ms, what=what))
    return made


def _told(report: ImportReport, source: str, by: str) -> dict[str, Any]:
    return {
        "source": source,
        "by": by,
        "revision": report.revision,
        "added": list(report.added),
        "updated": list(report.updated),
        "removed": list(report.removed),
        "changes": [each.what for changes in report.changes.values() for each in changes],
    }
