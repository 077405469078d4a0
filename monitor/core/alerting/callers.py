"""A caller as the alert rules see it: its use of the old version beside that of the new one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from monitor.core.activity import Activity
from monitor.core.evidence import CallerRecord
from monitor.core.registry import Key, Registry, Rollover
from monitor.core.windows import CallerFacts, earlier, later

CallerId = tuple[str | None, str | None]
"""(client, source)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerView:
    """One caller of the key, over its credentials and regions.

    old: on the version that is left; old_days: its days there, for each credential and region; new: on the version it
    should use, or a later one that is not being left itself; accepted_ever: on any version of the key.
    """

    client: str | None
    source: str | None
    old: CallerFacts
    old_days: tuple[Activity, ...]
    new: CallerFacts
    accepted_ever: bool

    @property
    def id(self) -> CallerId:
        """Return (client, source)."""
        return self.client, self.source

    @property
    def last_old_use_ms(self) -> int | None:
        """Return the latest accepted use of the old version."""
        return self.old.last_accepted_ms

    @property
    def last_old_attempt_ms(self) -> int | None:
        """Return the latest sign of life on the old version, rejected ones included."""
        return later(self.old.last_accepted_ms, self.old.last_rejected_ms)

    @property
    def first_seen_on_old_ms(self) -> int | None:
        """Return the first sign of life on the old version, rejected ones included."""
        return earlier(self.old.first_accepted_ms, self.old.first_rejected_ms)


class Callers(Protocol):
    """The callers of one key at one look."""

    def find(self, caller: CallerId) -> CallerView | None:
        """Return that caller."""
        ...

    def changed(self) -> Iterable[CallerView]:
        """Return, in a fixed order, those with new facts since the last look; all of them is always right."""
        ...

    def sources_known(self) -> Collection[str | None]:
        """Return the sources from which the key was ever used with success."""
        ...


@dataclass(frozen=True, slots=True)
class _All:
    views: Mapping[CallerId, CallerView]

    def find(self, caller: CallerId) -> CallerView | None:
        return self.views.get(caller)

    def changed(self) -> Iterable[CallerView]:
        return self.views.values()

    def sources_known(self) -> Collection[str | None]:
        return {view.source for view in self.views.values() if view.accepted_ever}


def versions_ahead(registry: Registry, rollover: Rollover, now_ms: int) -> frozenset[int]:
    """Return the versions on which a caller has arrived: the new one, and later ones that are not being left."""
    key = registry.key_by_name[rollover.key]
    left = {
        each.from_version for each in registry.rollovers if each.key == rollover.key and each.started_at_ms <= now_ms
    }
    return frozenset(
        each.version
        for each in key.versions
        if each.version == rollover.to_version
        or (each.version > rollover.to_version and each.version != rollover.from_version and each.version not in left)
    )


def credentials_of(key: Key, versions: Collection[int]) -> frozenset[str]:
    """Return the credentials of these versions."""
    return frozenset(each for version in key.versions if version.version in versions for each in version.credentials)


def view_callers(records: Iterable[CallerRecord], registry: Registry, rollover: Rollover, now_ms: int) -> Callers:
    """Return all callers of the rollover's key, from its stored records."""
    grouped: dict[CallerId, list[CallerRecord]] = {}
    for record in records:
        grouped.setdefault((record.client, record.source), []).append(record)
    key = registry.key_by_name[rollover.key]
    old = credentials_of(key, {rollover.from_version})
    new = credentials_of(key, versions_ahead(registry, rollover, now_ms))
    order = sorted(grouped, key=lambda caller: tuple(("", "") if each is None else ("s", each) for each in caller))
    return _All({caller: view_caller(caller, grouped[caller], old=old, new=new) for caller in order})


def view_caller(
    caller: CallerId, records: Iterable[CallerRecord], *, old: frozenset[str], new: frozenset[str]
) -> CallerView:
    """Return one caller's view from its records of any credential of the key."""
    on_old: list[CallerRecord] = []
    on_new: list[CallerRecord] = []
    accepted = False
    for record in records:
        accepted = accepted or record.facts.accepted > 0
        if record.credential in old:
            on_old.append(record)
        elif record.credential in new:
            on_new.append(record)
    return CallerView(
        client=caller[0],
        source=caller[1],
        old=_together(on_old),
        old_days=tuple([record.activity for record in on_old]),
        new=_together(on_new),
        accepted_ever=accepted,
    )


def _together(records: Sequence[CallerRecord]) -> CallerFacts:
    if len(records) == 1:
        return records[0].facts
    facts = CallerFacts()
    for record in records:
        facts.merge(record.facts)
    return facts
