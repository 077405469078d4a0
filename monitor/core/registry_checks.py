"""What must fit together in a registry file: names that are unique, references that lead somewhere.

Every fault names the line of the entry that is wrong, and of the one that it collides with.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from monitor.core.fields import UNREAD, Record
from monitor.core.located import suggest
from monitor.core.registry import Key, KeyVersion, Pin, Registry, Rollover, Waiver


@dataclass(slots=True)
class Places:
    """Where in the file each entry stands; entries are told apart by identity, since two may be equal."""

    records: dict[int, Record] = field(default_factory=dict)
    credentials: dict[int, tuple[tuple[int, str], ...]] = field(default_factory=dict)

    def put(self, entry: object, record: Record, credentials: tuple[tuple[int, str], ...] = ()) -> None:
        """Remember an entry."""
        self.records[id(entry)] = record
        self.credentials[id(entry)] = credentials

    def of(self, entry: object) -> Record:
        """Return where an entry stands."""
        return self.records[id(entry)]


def check(registry: Registry, places: Places) -> None:
    """Note every fault of the whole."""
    _unique_names(registry, places)
    _unique_credentials(registry, places)
    for rollover in registry.rollovers:
        _rollover(rollover, registry, places.of(rollover))
    for pin in registry.pins:
        _pin(pin, registry, places.of(pin))
    for waiver in registry.waivers:
        _waiver(waiver, registry, places.of(waiver))


def _unique_names(registry: Registry, places: Places) -> None:
    once = _Once(places)
    for key in registry.keys:
        once.see(("key", key.key), key, "key", f"key {key.key!a}", named=bool(key.key))
        for version in key.versions:
            named = version.version != UNREAD
            once.see(("version", id(key), version.version), version, "version", _title(key, version), named=named)
    for rollover in registry.rollovers:
        what = f"rollover {rollover.id!a}"
        once.see(("rollover", rollover.id), rollover, "id", what, named=bool(rollover.id))
        regions = [each.region for each in rollover.regions]
        if len(set(regions)) != len(regions):
            places.of(rollover).fault("expected each region once", "regions")
    for gateway in registry.gateways:
        what = f"gateway {gateway.gateway!a} in region {gateway.region or '(none)'}"
        name = ("gateway", gateway.gateway, gateway.region)
        once.see(name, gateway, "gateway", what, named=bool(gateway.gateway))


def _title(key: Key, version: KeyVersion) -> str:
    return f"{'another version' if version.version == UNREAD else f'version {version.version}'} of {key.key!a}"


class _Once:
    """Tells what was seen before, and where."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._seen: dict[Hashable, int] = {}

    def see(self, name: Hashable, entry: object, field_name: str, what: str, *, named: bool = True) -> None:
        record = self._places.of(entry)
        if not named or field_name not in record:
            return
        if name in self._seen:
            record.fault(f"{what} is registered already, in line {self._seen[name]}", field_name)
        else:
            self._seen[name] = record.line_of(field_name)


def _unique_credentials(registry: Registry, places: Places) -> None:
    seen: dict[str, tuple[int, str]] = {}
    for key in registry.keys:
        for version in key.versions:
            what = _title(key, version)
            record = places.of(version)
            for line, credential in places.credentials[id(version)]:
                if credential in seen:
                    first, holder = seen[credential]
                    record.faults.add(
                        line,
                        f"{record.where}.credentials: {credential!a} belongs to {holder} already (line {first}): "
                        "a credential has one version",
                    )
                seen.setdefault(credential, (line, what))


def _rollover(rollover: Rollover, registry: Registry, record: Record) -> None:
    key = _key(rollover.key, registry, record)
    if key is not None:
        _version(key, rollover.from_version, record, "from")
        _version(key, rollover.to_version, record, "to")
    if "from" in record and "to" in record and UNREAD != rollover.from_version == rollover.to_version:
        record.fault(f"expected another version than `from` ({rollover.from_version})", "to")


def _pin(pin: Pin, registry: Registry, record: Record) -> None:
    key = _key(pin.key, registry, record)
    if key is not None:
        _version(key, pin.version, record, "version")


def _waiver(waiver: Waiver, registry: Registry, record: Record) -> None:
    if waiver.rollover and waiver.rollover not in registry.rollover_by_id:
        hint = suggest(waiver.rollover, registry.rollover_by_id)
        record.fault(f"expected the id of a rollover in this file, got {waiver.rollover!a}{hint}", "rollover")


def _key(name: str, registry: Registry, record: Record) -> Key | None:
    key = registry.key_by_name.get(name)
    if key is None and name:
        hint = suggest(name, registry.key_by_name)
        record.fault(f"expected a key of this file, got {name!a}{hint}", "key")
    return key


def _version(key: Key, number: int, record: Record, name: str) -> KeyVersion | None:
    version = key.version(number)
    unread = number == UNREAD or any(each.version == UNREAD for each in key.versions)
    if version is None and name in record and not unread:
        known = ", ".join(str(each.version) for each in key.versions)
        record.fault(f"expected a registered version of {key.key!a} ({known}), got {number}", name)
    return version
