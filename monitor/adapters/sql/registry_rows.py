"""The registry as rows: one JSON document an entry, named `kind:id`; and the registry that follows from them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select

from monitor.adapters.sql.identity import digest
from monitor.adapters.sql.metadata import get_meta, put_meta
from monitor.adapters.sql.schema import records
from monitor.core.registry import Gateway, Key, Noise, Pin, Registry, Rollover, Unmanaged, Waiver
from monitor.errors import RegistryError

_REVISION = "registry_revision"
Entry = Key | Gateway | Rollover | Pin | Waiver | Unmanaged | Noise
KINDS: dict[str, type[Any]] = {
    "key": Key,
    "gateway": Gateway,
    "rollover": Rollover,
    "pin": Pin,
    "waiver": Waiver,
    "unmanaged": Unmanaged,
    "noise": Noise,
}
BACK_IN_USE = frozenset({"rolled_back"})
"""States in which the old version is in use again: a former retirement no longer counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A stored entry."""

    kind: str
    id: str
    source: str
    place: int
    body: str

    @property
    def name(self) -> str:
        """Return `kind:id`."""
        return f"{self.kind}:{self.id}"

    def entry(self) -> Any:  # noqa: ANN401 - one of `Entry`, by its kind
        """Return the entry itself."""
        entry = msgspec.json.decode(self.body, type=KINDS[self.kind])
        if isinstance(entry, Rollover) and entry.policy:  # JSON has no tuples; values are frozen all through
            policy = tuple((name, tuple(raw) if isinstance(raw, list) else raw) for name, raw in entry.policy)
            return replace(entry, policy=policy)
        return entry


def items_of(registry: Registry, source: str) -> list[Item]:
    """Return the entries of a registry as items, in its order; likes get `#2`, `#3`."""
    entries: list[tuple[str, Entry]] = [
        *(("key", each) for each in registry.keys),
        *(("gateway", each) for each in registry.gateways),
        *(("rollover", each) for each in registry.rollovers),
        *(("pin", each) for each in registry.pins),
        *(("waiver", each) for each in registry.waivers),
        *(("unmanaged", each) for each in registry.unmanaged),
        *(("noise", each) for each in registry.noise),
    ]
    items: list[Item] = []
    taken: set[tuple[str, str]] = set()
    for place, (kind, entry) in enumerate(entries):
        name = free_name(natural_id(entry), {each for of, each in taken if of == kind}) if taken else natural_id(entry)
        taken.add((kind, name))
        items.append(item_of(kind, entry, name=name, source=source, place=place))
    return items


def item_of(kind: str, entry: Entry, *, source: str, place: int, name: str | None = None) -> Item:
    """Return one entry as an item."""
    body = msgspec.json.encode(entry, order="deterministic").decode()
    return Item(kind=kind, id=name or natural_id(entry), source=source, place=place, body=body)


def free_name(wanted: str, taken: Iterable[str]) -> str:
    """Return the name, or with `#2`, `#3` … where it is taken."""
    taken = set(taken)
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}#{number}"
    return name


def natural_id(entry: Entry) -> str:  # noqa: PLR0911 - one line a kind
    """Return the name by which an entry is told from others of its kind."""
    match entry:
        case Key(key=key):
            return key
        case Rollover(id=name):
            return name
        case Gateway(gateway=gateway, region=region):
            return _path(gateway, region)
        case Pin(key=key, version=version):
            return f"{key}/{version}"
        case Waiver(rollover=rollover, client=client, source=source):
            return _path(rollover, client, source)
        case Unmanaged(credential=credential, client=client, gateway=gateway):
            named = {"credential": credential, "client": client, "gateway": gateway}
            return ",".join(f"{name}={value}" for name, value in named.items() if value is not None)
        case Noise(client=client, source=source):
            return _path(client, source)


def _path(*parts: str | None) -> str:
    return "/".join(part for part in parts if part is not None)


def read_items(connection: Connection) -> dict[tuple[str, str], Item]:
    """Return all items by (kind, id), in the order of their places."""
    table = records.registry_items.c
    query = select(table.kind, table.id, table.source, table.place, table.body).order_by(
        table.place, table.kind, table.id
    )
    return {
        (row.kind, row.id): Item(kind=row.kind, id=row.id, source=row.source, place=row.place, body=row.body)
        for row in connection.execute(query)
    }


def assemble(items: Iterable[Item], retired: Mapping[str, tuple[str, int | None]]) -> Registry:
    """Return the registry of these items; `retired` has (state, retired_at_ms) of rollovers that were stepped."""
    by_kind: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for item in items:
        by_kind[item.kind].append(item.entry())
    return Registry(
        keys=tuple(by_kind["key"]),
        gateways=tuple(by_kind["gateway"]),
        rollovers=tuple(_stepped(each, retired.get(each.id)) for each in by_kind["rollover"]),
        pins=tuple(by_kind["pin"]),
        waivers=tuple(by_kind["waiver"]),
        unmanaged=tuple(by_kind["unmanaged"]),
        noise=tuple(by_kind["noise"]),
    )


def _stepped(rollover: Rollover, step: tuple[str, int | None] | None) -> Rollover:
    if step is None:
        return rollover
    state, retired_at_ms = step
    if state in BACK_IN_USE:
        return replace(rollover, retired_at_ms=None)
    return rollover if retired_at_ms is None else replace(rollover, retired_at_ms=retired_at_ms)


def read_registry(connection: Connection) -> Registry:
    """Return the registry as it stands, lifecycle steps included."""
    table = records.rollover_states.c
    retired = {
        row.rollover: (row.state, row.retired_at_ms)
        for row in connection.execute(select(table.rollover, table.state, table.retired_at_ms))
    }
    return assemble(read_items(connection).values(), retired)


def revision(connection: Connection) -> tuple[int, str]:
    """Return the registry's revision, and a mark that no other content ever had (a restored backup has another)."""
    text = get_meta(connection, _REVISION)
    return (0, "") if text is None else (int(text.partition(":")[0]), text)


def raise_revision(connection: Connection) -> int:
    """Make a new revision."""
    made = revision(connection)[0] + 1
    put_meta(connection, _REVISION, f"{made}:{secrets.token_hex(8)}")
    return made


def write_credentials(connection: Connection, registry: Registry) -> None:
    """Make the table of joins follow the registry. Raises `RegistryError` for a credential of two versions."""
    rows: dict[str, dict[str, Any]] = {}
    for key in registry.keys:
        for version in key.versions:
            for credential in version.credentials:
                other = rows.get(credential)
                if other is not None and (other["key"], other["version"]) != (key.key, version.version):
                    raise RegistryError(
                        f"credential {credential!r} would belong to {other['key']} v{other['version']} and to "
                        f"{key.key} v{version.version}: a use of it could not be attributed"
                    )
                rows[credential] = {
                    "cred": digest(credential),
                    "credential": credential,
                    "key": key.key,
                    "version": version.version,
                }
    table = records.credentials.c
    stored = {
        row.credential: (row.key, row.version)
        for row in connection.execute(select(table.credential, table.key, table.version))
    }
    stale = [
        name for name, at in stored.items() if name not in rows or at != (rows[name]["key"], rows[name]["version"])
    ]
    for start in range(0, len(stale), 500):
        connection.execute(delete(records.credentials).where(table.cred.in_(map(digest, stale[start : start + 500]))))
    new = [row for name, row in rows.items() if stored.get(name) != (row["key"], row["version"])]
    if new:
        connection.execute(insert(records.credentials), new)
