"""The common face of the simulators beside our own: a world's one run as a history that can be watched.

`watched.py` takes such a history as it takes a `Fleet`. It is what `rollwatch replay` would make of the same events.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from models.observations import KeyFacts, RolloverFacts, UsageRow, VersionFacts

_DAY_SECONDS = 86400.0
_DAY_MINUTES = 1440
_LEAST_HITS = 3
"""A rollover that fewer requests saw fail is no fault: nothing tells it from chance."""


class PlannedFault(Protocol):
    """What a world knows of a fault before traffic meets it."""

    @property
    def version(self) -> int:
        """Return the version that is refused."""


class KeyLife(Protocol):
    """One key of a world. `hits`, the seconds at which its fault refused requests, are known once all events are."""

    @property
    def key(self) -> str:
        """Return its name."""

    @property
    def fault(self) -> PlannedFault | None:
        """Return what was to fail."""

    @property
    def cause(self) -> str | None:
        """Return why."""

    @property
    def hits(self) -> Sequence[float]:
        """Return when it did."""


class OtherWorld(Protocol):
    """A simulator beside `fleet.py`, seeded and not yet run."""

    @property
    def start(self) -> datetime:
        """Return the time of second 0, a full minute."""

    @property
    def days(self) -> float:
        """Return the length of the history; events after it are not part of it."""

    @property
    def keys(self) -> Sequence[KeyLife]:
        """Return the keys."""

    def events(self) -> Iterator[tuple[float, dict[str, Any]]]:
        """Yield (seconds from the start, canonical event), in any order."""

    def registry(self) -> Mapping[str, Any]:
        """Return the content of `keys.yaml`."""

    def labels(self) -> Sequence[Mapping[str, Any]]:
        """Return the true faults, as `evaluate.read_labels` takes them; runs the events where nobody has yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetFault:
    """The label: which key version failed why, from its first to its last failing request (seconds from the start)."""

    key: str
    version: int
    cause: str
    first_at: float
    last_at: float
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What one run of a world left behind. `rows` holds, by minute from the start, what came in it."""

    start: datetime
    days: float
    facts: tuple[KeyFacts, ...]
    faults: tuple[MetFault, ...]
    rows: Mapping[int, tuple[UsageRow, ...]]

    @property
    def key_days(self) -> float:
        """Return the exposure that false episodes are counted against."""
        return float(self.days * len(self.facts))

    def minutes(self) -> Iterator[tuple[datetime, list[UsageRow]]]:
        """Yield (end of the minute, the aggregated rows of it) for every minute, empty ones too."""
        for minute in range(math.ceil(self.days * _DAY_MINUTES)):
            yield self.start + timedelta(minutes=minute + 1), list(self.rows.get(minute, ()))


def history_of(world: OtherWorld) -> History:
    """Run a world, once: some throw new dice when they are asked for their events again."""
    registry = world.registry()
    rows = _aggregated(world, registry)
    faults = tuple(label for life in world.keys if (label := _label(life, world.days * _DAY_SECONDS)) is not None)
    return History(start=world.start, days=world.days, facts=_facts(registry), faults=faults, rows=rows)


def _aggregated(world: OtherWorld, registry: Mapping[str, Any]) -> dict[int, tuple[UsageRow, ...]]:
    """Return the events within the days as counts of like ones, by minute."""
    issued: dict[str, tuple[str, int]] = {
        credential: (entry["key"], version["version"])
        for entry in registry["keys"]
        for version in entry["versions"]
        for credential in version["credentials"]
    }
    epoch, end = int(world.start.timestamp()), world.days * _DAY_SECONDS
    counted: defaultdict[int, Counter[tuple[Any, ...]]] = defaultdict(Counter)
    for at, event in world.events():
        if at >= end:
            continue
        minute = (event["ts"] // 1000 - epoch) // 60
        like = (
            epoch + minute * 60,
            *issued[event["credential"]],
            event.get("client"),
            event.get("source"),
            event["gateway"],
            event.get("region"),
            event.get("route"),
            event["outcome"],
            event["reason"],
        )
        counted[minute][like] += 1
    return {
        minute: tuple(UsageRow._make((*like, requests)) for like, requests in counts.items())
        for minute, counts in sorted(counted.items())
    }


def _label(life: KeyLife, end: float) -> MetFault | None:
    hits = sorted(at for at in life.hits if at < end)
    if life.fault is None or life.cause is None or len(hits) < _LEAST_HITS:
        return None
    return MetFault(
        key=life.key,
        version=life.fault.version,
        cause=life.cause,
        first_at=hits[0],
        last_at=hits[-1],
        failures=len(hits),
    )


def _facts(registry: Mapping[str, Any]) -> tuple[KeyFacts, ...]:
    rollovers: defaultdict[str, list[RolloverFacts]] = defaultdict(list)
    for row in registry["rollovers"]:
        rollovers[row["key"]].append(
            RolloverFacts(
                rollover=row["id"],
                from_version=row["from"],
                to_version=row["to"],
                started_at=datetime.fromisoformat(row["started_at"]),
                retired_at=_time(row, "retired_at"),
            )
        )
    return tuple(
        KeyFacts(key=entry["key"], versions=_versions(entry["versions"]), rollovers=tuple(rollovers[entry["key"]]))
        for entry in registry["keys"]
    )


def _versions(listed: Iterable[Mapping[str, Any]]) -> tuple[VersionFacts, ...]:
    return tuple(
        VersionFacts(version=row["version"], created_at=_time(row, "created_at"), expires_at=_time(row, "expires_at"))
        for row in listed
    )


def _time(row: Mapping[str, Any], name: str) -> datetime | None:
    return datetime.fromisoformat(row[name]) if name in row else None
