"""The registry: keys, their versions and credentials, gateways, rollovers, and who accepted what until when.

Values only. Reading `keys.yaml` with line numbers is `monitor.core.registry_file`; storing it is the store's.
All times are epoch milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whom to tell about a key, and when: `timezone` is an IANA name, `working_hours` as in `09:00-17:00`.

    `slack` is a channel, `person` somebody there; `escalation` (a channel or a person) hears what was ignored.
    """

    team: str | None = None
    slack: str | None = None
    timezone: str | None = None
    email: str | None = None
    person: str | None = None
    working_hours: str | None = None
    escalation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyVersion:
    """One version of a key, and what gateway logs show of it."""

    version: int
    credentials: tuple[str, ...]
    created_at_ms: int | None = None
    expires_at_ms: int | None = None
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A logical credential. `clients`, where given, are the only principals allowed to hold it.

    `tier` says how much it matters, in the operator's own word; `rotate_every_ms` is how old a version may grow.
    """

    key: str
    versions: tuple[KeyVersion, ...]
    owner: Owner = field(default_factory=Owner)
    clients: tuple[str, ...] = ()
    tier: str | None = None
    rotate_every_ms: int | None = None

    def version(self, number: int) -> KeyVersion | None:
        """Return that version, or `None`."""
        return next((each for each in self.versions if each.version == number), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A log source that must be heard. `from_ms` and `until_ms` bound the time in which it exists."""

    gateway: str
    region: str | None = None
    max_silence_ms: int | None = None
    from_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionWindow:
    """One region's own times in a rollover; what is absent is the rollover's."""

    region: str
    started_at_ms: int | None = None
    deadline_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollover:
    """Moving a key from one version to another. `policy` holds its own overrides, as written in the file, by name."""

    id: str
    key: str
    from_version: int
    to_version: int
    started_at_ms: int
    deadline_ms: int | None = None
    retired_at_ms: int | None = None
    channel: str | None = None
    policy: tuple[tuple[str, object], ...] = ()
    regions: tuple[RegionWindow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A hard veto on retiring a version of a key."""

    key: str
    version: int
    reason: str
    by: str
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A dated, named acceptance of one caller as a blocker; without `source` it covers all sources of the client."""

    rollover: str
    client: str
    source: str | None = None
    reason: str
    by: str
    from_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmanaged:
    """A credential, client or gateway that is knowingly not under rotation."""

    credential: str | None = None
    client: str | None = None
    gateway: str | None = None
    reason: str
    by: str
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """A client whose uses are known not to matter, up to `max_per_day` of them."""

    client: str
    source: str | None = None
    reason: str
    by: str
    until_ms: int | None = None
    max_per_day: int


@dataclass(frozen=True, kw_only=True)
class Registry:
    """All of the above at one moment."""

    keys: tuple[Key, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    rollovers: tuple[Rollover, ...] = ()
    pins: tuple[Pin, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    unmanaged: tuple[Unmanaged, ...] = ()
    noise: tuple[Noise, ...] = ()

    @cached_property
    def key_by_name(self) -> dict[str, Key]:
        """Return the keys by name."""
        return {each.key: each for each in self.keys}

    @cached_property
    def version_of(self) -> dict[str, tuple[str, int]]:
        """Return (key, version) of each registered credential."""
        return {
            credential: (key.key, version.version)
            for key in self.keys
            for version in key.versions
            for credential in version.credentials
        }

    @cached_property
    def rollover_by_id(self) -> dict[str, Rollover]:
        """Return the rollovers by id."""
        return {each.id: each for each in self.rollovers}

    @cached_property
    def fine_credentials(self) -> frozenset[str]:
        """Return the credentials of keys with a rollover that is not retired: they get 60 s buckets and details."""
        keys = {each.key for each in self.rollovers if each.retired_at_ms is None}
        return frozenset(
            credential
            for key in self.keys
            if key.key in keys
            for version in key.versions
            for credential in version.credentials
        )
