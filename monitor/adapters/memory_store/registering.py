"""The registry as people leave it: entries of several sources, and which changes of an import the gate feels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TypeAlias

from monitor.adapters.memory_store.journal import Journal
from monitor.core.evidence import Change
from monitor.core.policy import Policy
from monitor.core.registry import (
    Gateway,
    Key,
    Noise,
    Pin,
    Registry,
    Rollover,
    Unmanaged,
    Waiver,
)
from monitor.errors import RegistryError
from monitor.ports.lifecycle import ImportReport

Entry: TypeAlias = Key | Gateway | Rollover | Pin | Waiver | Unmanaged | Noise
_Id = tuple[str, str]


class Registered:
    """The entries by (kind, id), each with its source. Changes go through a journal; nothing is audited here."""

    def __init__(self, journal: Journal) -> None:
        """Start empty, at revision 0."""
        self._journal = journal
        self._entries: dict[_Id, tuple[Entry, str]] = {}
        self.retired_at: dict[str, int | None] = {}
        """What lifecycle steps say of rollovers; it stands above what a file says."""
        self.changes: list[tuple[str, str | None, Change]] = []
        """(key, rollover or `None` for all of the key, change), in order of time."""
        self.revision = 0
        self._registry: Registry | None = None

    def registry(self) -> Registry:
        """Return all of it; made once per revision."""
        if self._registry is None:
            of_kind: dict[type[Entry], list[Entry]] = {}
            for entry, _ in self._entries.values():
                of_kind.setdefault(type(entry), []).append(entry)
            self._registry = Registry(
                keys=tuple(each for each in of_kind.get(Key, ()) if isinstance(each, Key)),
                gateways=tuple(each for each in of_kind.get(Gateway, ()) if isinstance(each, Gateway)),
                rollovers=tuple(
                    self._as_lived(each) for each in of_kind.get(Rollover, ()) if isinstance(each, Rollover)
                ),
                pins=tuple(each for each in of_kind.get(Pin, ()) if isinstance(each, Pin)),
                waivers=tuple(each for each in of_kind.get(Waiver, ()) if isinstance(each, Waiver)),
                unmanaged=tuple(each for each in of_kind.get(Unmanaged, ()) if isinstance(each, Unmanaged)),
                noise=tuple(each for each in of_kind.get(Noise, ()) if isinstance(each, Noise)),
            )
        return self._registry

    def _as_lived(self, rollover: Rollover) -> Rollover:
        return replace(rollover, retired_at_ms=self.retired_at.get(rollover.id, rollover.retired_at_ms))

    def import_all(self, registry: Registry, *, source: str, now_ms: int) -> ImportReport:
        """Make everything of this source be as given. Raises `RegistryError`, and then changes nothing."""
        given = named(registry)
        kept = {name: each for name, each in self._entries.items() if name not in given and each[1] != source}
        after = {**kept, **{name: (entry, source) for name, entry in given.items()}}
        return self._become(after, given=given, now_ms=now_ms)

    def put(self, registry: Registry, *, source: str, now_ms: int) -> ImportReport:
        """Add or replace these entries, and remove none. Raises `RegistryError`, and then changes nothing."""
        given = named(registry)
        after = {**self._entries, **{name: (entry, source) for name, entry in given.items()}}
        return self._become(after, given=given, now_ms=now_ms)

    def add(self, entry: Entry) -> None:
        """Add an entry of source `api` beside what is there, even if one like it is."""
        taken = self._entries
        name = _name(entry)
        number = 1
        while (unused := (name[0], name[1] if number == 1 else f"{name[1]}#{number}")) in taken:
            number += 1
        self._journal.put(self._entries, unused, (entry, "api"))
        self.touch()

    def remove_pins(self, key: str, version: int) -> bool:
        """Remove all pins of a version; return whether there was one."""
        pins = [
            name
            for name, (entry, _) in self._entries.items()
            if isinstance(entry, Pin) and (entry.key, entry.version) == (key, version)
        ]
        for name in pins:
            self._journal.drop(self._entries, name)
        if pins:
            self.touch()
        return bool(pins)

    def retire(self, rollover: str, at_ms: int | None) -> None:
        """Set what the lifecycle says of `retired_at_ms`."""
        self._journal.put(self.retired_at, rollover, at_ms)
        self.touch()

    def touch(self) -> None:
        """Make a revision."""
        self._journal.assign(self, "revision", self.revision + 1)
        self._journal.assign(self, "_registry", None)

    def _become(
        self, after: Mapping[_Id, tuple[Entry, str]], *, given: Mapping[_Id, Entry], now_ms: int
    ) -> ImportReport:
        before = self._entries
        _refuse_what_does_not_fit(after)
        added = tuple(":".join(name) for name in given if name not in before)
        updated = tuple(":".join(name) for name, entry in given.items() if name in before and before[name][0] != entry)
        removed = tuple(":".join(name) for name in before if name not in after)
        changed = bool(added or updated or removed)
        felt = _felt(before, after, now_ms)
        if after != before:
            self._journal.assign(self, "_entries", dict(after))
        if changed:
            self.touch()
        for key, rollover, change in felt:
            self._journal.append(self.changes, (key, rollover, change))
        by_key: dict[str, tuple[Change, ...]] = {}
        for key, _, change in felt:
            by_key[key] = (*by_key.get(key, ()), change)
        return ImportReport(
            changed=changed, revision=self.revision, added=added, updated=updated, removed=removed, changes=by_key
        )


class _Fit:
    """Entries of one state of the registry, by kind."""

    def __init__(self, entries: Mapping[_Id, tuple[Entry, str]]) -> None:
        self.keys = {entry.key: entry for entry, _ in entries.values() if isinstance(entry, Key)}
        self.rollovers = {entry.id: entry for entry, _ in entries.values() if isinstance(entry, Rollover)}

    @cached_property
    def version_of(self) -> dict[str, tuple[str, int]]:
        return Registry(keys=tuple(self.keys.values())).version_of


def _refuse_what_does_not_fit(after: Mapping[_Id, tuple[Entry, str]]) -> None:
    fit = _Fit(after)
    faults: list[str] = []
    count = Counter(
        credential for key in fit.keys.values() for version in key.versions for credential in version.credentials
    )
    faults += [f"credential {each!a} would belong to two versions" for each, times in count.items() if times > 1]
    faults += [
        f"rollover {each.id!a} would be of an unknown key {each.key!a}"
        for each in fit.rollovers.values()
        if each.key not in fit.keys
    ]
    faults += [
        f"rollover {rollover.id!a}: key {key.key!a} would have no version {number}"
        for rollover in fit.rollovers.values()
        for key in (fit.keys.get(rollover.key),)
        for number in (rollover.from_version, rollover.to_version)
        if key is not None and key.version(number) is None
    ]
    if faults:
        raise RegistryError("\n".join(faults))


def _felt(
    before: Mapping[_Id, tuple[Entry, str]], after: Mapping[_Id, tuple[Entry, str]], now_ms: int
) -> list[tuple[str, str | None, Change]]:
    """Return what the gate must feel: policies that differ, credentials that left their version."""
    old, new = _Fit(before), _Fit(after)
    felt: list[tuple[str, str | None, Change]] = []
    for credential, (key, version) in old.version_of.items():
        now = new.version_of.get(credential)
        if now != (key, version):
            where = "was removed" if now is None else f"was moved to {now[0]} v{now[1]}"
            what = f"credential {credential} of {key} v{version} {where}"
            felt.append((key, None, Change(at_ms=now_ms, what=what)))
            if now is not None and now[0] != key:
                felt.append((now[0], None, Change(at_ms=now_ms, what=what)))
    for name, rollover in new.rollovers.items():
        earlier = old.rollovers.get(name)
        if earlier is None:
            continue
        if _effective(earlier) != _effective(rollover):
            felt.append((rollover.key, name, Change(at_ms=now_ms, what=f"the policy of {name} was changed")))
        if (earlier.key, earlier.from_version, earlier.to_version) != (
            rollover.key,
            rollover.from_version,
            rollover.to_version,
        ):
            what = f"{name} was made a rollover of {rollover.key} v{rollover.from_version} to v{rollover.to_version}"
            felt.append((rollover.key, name, Change(at_ms=now_ms, what=what)))
    return felt


def _effective(rollover: Rollover) -> Policy:
    return Policy().overridden(dict(rollover.policy))


def named(registry: Registry) -> dict[_Id, Entry]:
    """Return the entries by (kind, id); those without a name of their own are told apart by a number."""
    entries: list[Iterable[Entry]] = [
        registry.keys,
        registry.gateways,
        registry.rollovers,
        registry.pins,
        registry.waivers,
        registry.unmanaged,
        registry.noise,
    ]
    found: dict[_Id, Entry] = {}
    for section in entries:
        for entry in section:
            kind, name = _name(entry)
            number = 1
            while (unused := (kind, name if number == 1 else f"{name}#{number}")) in found:
                number += 1
            found[unused] = entry
    return found


def _name(entry: Entry) -> _Id:
    path: tuple[str | None, ...]
    match entry:
        case Key():
            path = (entry.key,)
        case Gateway():
            path = (entry.gateway, entry.region)
        case Rollover():
            path = (entry.id,)
        case Pin():
            path = (entry.key, str(entry.version))
        case Waiver():
            path = (entry.rollover, entry.client, entry.source)
        case Unmanaged():
            given = {"credential": entry.credential, "client": entry.client, "gateway": entry.gateway}
            path = (",".join(f"{name}={value}" for name, value in given.items() if value is not None),)
        case Noise():
            path = (entry.client, entry.source)
    return (type(entry).__name__.lower(), "/".join(part for part in path if part is not None))
