"""Reads `keys.yaml` and `policy.yaml` (contract: DESIGN section 7; all fields: docs/reference/registry.md).

Text in, `Registry` out, or one `RegistryError` with a line for each fault: `keys.yaml:12: what was expected`. What is
written is kept as it stands: credential ids lose blanks at their ends and nothing else, case matters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from zoneinfo import ZoneInfo

import yaml

from monitor.core.fields import Record
from monitor.core.located import (
    Faults,
    Fields,
    FileRefusedError,
    Items,
    Node,
    as_plain,
    is_nothing,
    parse_tree,
    shown,
    suggest,
)
from monitor.core.policy import Policy, PolicyError
from monitor.core.registry import (
    Gateway,
    Key,
    KeyVersion,
    Noise,
    Owner,
    Pin,
    RegionWindow,
    Registry,
    Rollover,
    Unmanaged,
    Waiver,
)
from monitor.core.registry_checks import Places, check
from monitor.errors import RegistryError

_SECTIONS = ("keys", "gateways", "rollovers", "pins", "waivers", "unmanaged", "noise")
_KEY = ("key", "owner", "versions", "clients", "tier", "rotate_every")
_OWNER = ("team", "slack", "timezone", "email", "person", "working_hours", "escalation")
_VERSION = ("version", "credentials", "created_at", "expires_at", "scopes")
_GATEWAY = ("gateway", "region", "max_silence", "from", "until")
_ROLLOVER = (
    "id",
    "key",
    "from",
    "to",
    "started_at",
    "deadline",
    "retired_at",
    "channel",
    "policy",
    "regions",
)
_REGION = ("region", "started_at", "deadline")
_PIN = ("key", "version", "reason", "by", "until")
_WAIVER = ("rollover", "client", "source", "reason", "by", "from", "until")
_UNMANAGED = ("credential", "client", "gateway", "reason", "by", "until")
_NOISE = ("client", "source", "reason", "by", "until", "max_per_day")

_HOURS = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", re.ASCII)


def parse_registry(text: str, *, name: str) -> Registry:
    """Read a registry; `name` is the file's, for messages. Raises `RegistryError`.

    A file without any content is refused (an editor may be writing it just now): `{}` is the empty registry.
    """
    faults = Faults(name)
    try:
        root = parse_tree(text, faults)
        if root is None or is_nothing(root):
            faults.refuse(1, f"expected a mapping with {', '.join(_SECTIONS)}; an empty registry is written {{}}")
        registry = _registry(root, faults)
        faults.raise_if_any()
    except FileRefusedError as refused:
        raise RegistryError(str(refused)) from None
    return registry


def parse_key(body: Mapping[str, object], *, name: str) -> Key:
    """Read one key given as JSON (`PUT /v1/keys/…`), by the same rules. Raises `RegistryError`."""
    return parse_registry(yaml.safe_dump({"keys": [body]}), name=name).keys[0]


def parse_policy(text: str, *, name: str) -> dict[str, object]:
    """Read a policy file into what `Policy.overridden` takes; a file without content overrides nothing.

    Raises `RegistryError`.
    """
    faults = Faults(name)
    try:
        root = parse_tree(text, faults)
        policy = {} if root is None or is_nothing(root) else _policy(root, "", faults)
        faults.raise_if_any()
    except FileRefusedError as refused:
        raise RegistryError(str(refused)) from None
    return policy


def _registry(root: Node, faults: Faults) -> Registry:
    file = Record(root, "", faults, _SECTIONS)
    places = Places()
    registry = Registry(
        keys=tuple(_key(each, places) for each in file.records("keys", _KEY)),
        gateways=tuple(_gateway(each, places) for each in file.records("gateways", _GATEWAY)),
        rollovers=tuple(_rollover(each, places) for each in file.records("rollovers", _ROLLOVER)),
        pins=tuple(_pin(each, places) for each in file.records("pins", _PIN)),
        waivers=tuple(_waiver(each, places) for each in file.records("waivers", _WAIVER)),
        unmanaged=tuple(_unmanaged(each) for each in file.records("unmanaged", _UNMANAGED)),
        noise=tuple(_noise(each) for each in file.records("noise", _NOISE)),
    )
    check(registry, places)
    return registry


def _key(record: Record, places: Places) -> Key:
    owner = record.record("owner", _OWNER)
    versions = [_version(each, places) for each in record.records("versions", _VERSION)]
    if not versions and (isinstance(record.node("versions"), Items) or "versions" not in record):
        record.fault("expected at least one version, as in [{version: 1, credentials: [cred-a1]}]", "versions")
    key = Key(
        key=record.text("key"),
        versions=tuple(sorted(versions, key=lambda each: each.version)),
        owner=Owner() if owner is None else _owner(owner),
        clients=tuple(dict.fromkeys(text for _, text in record.texts("clients"))),
        tier=record.text_or_none("tier"),
        rotate_every_ms=record.duration_or_none("rotate_every"),
    )
    places.put(key, record)
    return key


def _owner(record: Record) -> Owner:
    owner = Owner(**{name: record.text_or_none(name) for name in _OWNER})
    if owner.timezone is not None and not _is_timezone(owner.timezone):
        record.fault(f"expected an IANA time zone such as Europe/Berlin, got {owner.timezone!a}", "timezone")
    if owner.working_hours is not None and not _HOURS.fullmatch(owner.working_hours):
        record.fault(f"expected hours such as 09:00-17:00, got {owner.working_hours!a}", "working_hours")
    return owner


def _is_timezone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return False
    return True


def _version(record: Record, places: Places) -> KeyVersion:
    credentials = record.texts("credentials", required=True)
    version = KeyVersion(
        version=record.whole("version", least=0),
        credentials=tuple(dict.fromkeys(text for _, text in credentials)),
        created_at_ms=record.time_or_none("created_at"),
        expires_at_ms=record.time_or_none("expires_at"),
        scopes=tuple(dict.fromkeys(text for _, text in record.texts("scopes"))),
    )
    record.before("created_at", "expires_at", (version.created_at_ms, version.expires_at_ms))
    places.put(version, record, credentials)
    return version


def _gateway(record: Record, places: Places) -> Gateway:
    gateway = Gateway(
        gateway=record.text("gateway"),
        region=record.text_or_none("region"),
        max_silence_ms=record.duration_or_none("max_silence"),
        from_ms=record.time_or_none("from"),
        until_ms=record.time_or_none("until"),
    )
    record.before("from", "until", (gateway.from_ms, gateway.until_ms))
    places.put(gateway, record)
    return gateway


def _rollover(record: Record, places: Places) -> Rollover:
    policy = record.node("policy")
    given = {} if policy is None else _policy(policy, f"{record.where}.policy", record.faults)
    rollover = Rollover(
        id=record.text("id"),
        key=record.text("key"),
        from_version=record.whole("from", least=0),
        to_version=record.whole("to", least=0),
        started_at_ms=record.time("started_at"),
        deadline_ms=record.time_or_none("deadline"),
        retired_at_ms=record.time_or_none("retired_at"),
        channel=record.text_or_none("channel"),
        policy=tuple((name, tuple(raw) if isinstance(raw, list) else raw) for name, raw in sorted(given.items())),
        regions=tuple(_region(each) for each in record.records("regions", _REGION)),
    )
    if "started_at" in record:
        record.before("started_at", "deadline", (rollover.started_at_ms, rollover.deadline_ms))
        record.before("started_at", "retired_at", (rollover.started_at_ms, rollover.retired_at_ms))
    places.put(rollover, record)
    return rollover


def _region(record: Record) -> RegionWindow:
    window = RegionWindow(
        region=record.text("region"),
        started_at_ms=record.time_or_none("started_at"),
        deadline_ms=record.time_or_none("deadline"),
    )
    record.before("started_at", "deadline", (window.started_at_ms, window.deadline_ms))
    return window


def _pin(record: Record, places: Places) -> Pin:
    pin = Pin(
        key=record.text("key"),
        version=record.whole("version", least=0),
        reason=record.text("reason"),
        by=record.text("by"),
        until_ms=record.time_or_none("until"),
    )
    places.put(pin, record)
    return pin


def _waiver(record: Record, places: Places) -> Waiver:
    waiver = Waiver(
        rollover=record.text("rollover"),
        client=record.text("client"),
        source=record.text_or_none("source"),
        reason=record.text("reason"),
        by=record.text("by"),
        from_ms=record.time_or_none("from"),
        until_ms=record.time_or_none("until"),
    )
    record.before("from", "until", (waiver.from_ms, waiver.until_ms))
    places.put(waiver, record)
    return waiver


def _unmanaged(record: Record) -> Unmanaged:
    what = ("credential", "client", "gateway")
    if sum(name in record for name in what) != 1:
        record.fault("expected exactly one of credential, client or gateway")
    return Unmanaged(
        credential=record.text_or_none("credential"),
        client=record.text_or_none("client"),
        gateway=record.text_or_none("gateway"),
        reason=record.text("reason"),
        by=record.text("by"),
        until_ms=record.time_or_none("until"),
    )


def _noise(record: Record) -> Noise:
    return Noise(
        client=record.text("client"),
        source=record.text_or_none("source"),
        reason=record.text("reason"),
        by=record.text("by"),
        until_ms=record.time_or_none("until"),
        max_per_day=record.whole("max_per_day", least=0),
    )


def _policy(node: Node, where: str, faults: Faults) -> dict[str, object]:
    """Return a policy's own fields, in the form of files; each is tried on its own, so that all faults are told."""
    if not isinstance(node, Fields):
        faults.add(
            node.line, f"{where or 'policy'}: expected a mapping such as {{quiet_window: 3d}}, got {shown(node)}"
        )
        return {}
    given: dict[str, object] = {}
    for name, (line, value) in node.fields.items():
        problem = _fault_of(name, as_plain(value))
        if problem is None:
            given[name] = as_plain(value)
        else:
            faults.add(line, f"{where}.{name}: {problem}" if where else f"{name}: {problem}")
    return given


def _fault_of(name: str, value: object) -> str | None:
    known = Policy().as_written()
    if name not in known:
        return f"unknown policy field{suggest(name, known)}"
    try:
        Policy().overridden({name: value})
    except PolicyError as error:
        return str(error).removeprefix(f"policy field {name!r}: ")
    except OverflowError:
        return "expected a number or duration that a person could mean"
    return None
