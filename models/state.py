"""The fleet as the detector remembers it: fed with aggregates, asked once a look for what failed just now."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from models.breakdown import Evidence, FleetView, LifeCycle, gather
from models.features import vector
from models.history import CREDENTIAL, ERROR, FORBIDDEN, REASON_CLASS, KeyPast, Rates, VersionPast
from models.observations import NOT_SERVED, OK, KeyFacts, RolloverFacts, UsageRow, epoch_seconds

_HOUR = 60
_FROZEN_MINUTES = 48 * 60
_NEIGHBOUR_MINUTES = 15
_CALM_MINUTES = 120
_MANY_LOOKS = 30
_SPARE_MINUTES = 5
_HABIT_MINIMUM = 20
_HABIT_SHARE = 0.97


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A key version that failed for a known caller since the last look, with its features and their breakdown."""

    key: str
    version: int
    minute: int
    in_rollover: bool
    life: LifeCycle
    evidence: Evidence
    features: tuple[float, ...]


class FleetState:
    """Incremental memory of all keys. Feed `add` in order of time (late rows are taken as they come), then `look`."""

    def __init__(self) -> None:
        """Start empty."""
        self.keys: dict[str, KeyPast] = {}
        self.first_minute: int | None = None
        self.rows = 0
        self._rates = Rates()
        self._touched: set[tuple[str, int]] = set()
        self._failing: deque[tuple[int, str, str]] = deque()
        self._habits: dict[str, dict[str, int]] = {}
        self.retirements_told = False
        """Whether any rollover ever had a retirement in the registry: only then does the lack of one say something."""
        self.regions: dict[str, str] = {}
        self.addresses: frozenset[str] = frozenset()
        self.heard: dict[str, int] = {}
        """The newest minute of each gateway, over all keys."""
        self._naming: dict[str, list[int]] = {}
        self._facts: dict[str, KeyFacts] = {}
        self._expires: dict[tuple[str, int], int] = {}
        self._settled_hour = -1
        self._life: dict[tuple[str, int], LifeCycle] = {}

    def register(self, facts: Iterable[KeyFacts]) -> None:
        """Replace what the registry says of the given keys. Raises `ValueError` on a naive time."""
        self._life.clear()
        for key in facts:
            self.retirements_told |= any(r.retired_at is not None for r in key.rollovers)
            self._facts[key.key] = key
            for version in key.versions:
                if version.expires_at is not None:
                    self._expires[key.key, version.version] = epoch_seconds(version.expires_at) // 60
                else:
                    self._expires.pop((key.key, version.version), None)

    def add(self, rows: Iterable[UsageRow]) -> None:
        """Take in aggregates. Failures of one minute are taken before its successes, so that a retry counts as one."""
        ordered = sorted(rows, key=_order)
        if ordered and self.first_minute is None:
            self.first_minute = ordered[0].bucket // 60
        self.rows += len(ordered)
        for row in ordered:
            past = self.keys.get(row.key)
            if past is None:
                past = self.keys[row.key] = KeyPast()
            minute = row.bucket // 60
            if minute > self.heard.get(row.gateway, -1):
                self.heard[row.gateway] = minute
            if row.region is not None and row.gateway not in self.regions:
                self.regions[row.gateway] = row.region
            if past.add(row):
                self._touched.add((row.key, row.version))
                kind = REASON_CLASS.get(row.reason, CREDENTIAL)
                if kind in {CREDENTIAL, FORBIDDEN, ERROR}:
                    self._failing.append((minute, row.gateway, row.key))
                    habit = self._habits.setdefault(row.gateway, {})
                    habit[row.reason] = habit.get(row.reason, 0) + 1
                if row.reason not in NOT_SERVED:
                    named = self._naming.setdefault(row.gateway, [0, 0])
                    named[0] += row.client is None
                    named[1] += 1
            self._rates.add(minute, row.reason, row.requests)

    def look(self, minute: int, flagged: AbstractSet[str]) -> list[Candidate]:
        """Return what failed since the last look, as of a minute.

        Args:
            minute: the look, epoch minutes; rows of that minute and before have been added.
            flagged: keys with an open episode: their hours are not learnt as normal.
        """
        if minute // _HOUR != self._settled_hour:
            self._settled_hour = minute // _HOUR
            self._rates.settle(minute, learn=True)
            for name, past in self.keys.items():
                past.rates.settle(minute, learn=name not in flagged and not self._frozen(name, minute))
            self.addresses = self._addresses()
        if not self._touched:
            return []
        view = self._view(minute)
        found = []
        for name, number in sorted(self._touched):
            past = self.keys[name]
            if _can_wait(past.versions[number], minute):
                continue
            self._touched.discard((name, number))
            evidence = gather(past, number, view, minute)
            if evidence is None:
                continue
            life = self.life(name, number, minute)
            features = tuple(vector(past, number, evidence, view, life, minute))
            found.append(
                Candidate(
                    key=name,
                    version=number,
                    minute=minute,
                    in_rollover=_in_rollover(life, minute),
                    life=life,
                    evidence=evidence,
                    features=features,
                )
            )
        return found

    def life(self, key: str, version: int, minute: int) -> LifeCycle:
        """Return where a version stands: its newest rollover that has started, else the key's."""
        rollover = self._rollover(key, version, minute)
        expires = self._expires.get((key, version))
        if rollover is None:
            return LifeCycle(expires=expires)
        role = "to" if rollover.to_version == version else "from" if rollover.from_version == version else ""
        retired = None if rollover.retired_at is None else epoch_seconds(rollover.retired_at) // 60
        return LifeCycle(
            role=role,
            started=epoch_seconds(rollover.started_at) // 60,
            retired=retired if retired is not None and retired <= minute else None,
            expires=expires,
        )

    def open_rollovers(self, minute: int) -> dict[str, tuple[int, int]]:
        """Return (version moved to, minute of its start) of the newest rollover that runs, by key."""
        found = {}
        for name, facts in self._facts.items():
            started = [r for r in facts.rollovers if epoch_seconds(r.started_at) // 60 <= minute]
            newest = max(started, key=lambda r: r.started_at, default=None)
            if newest is not None and (newest.retired_at is None or epoch_seconds(newest.retired_at) // 60 > minute):
                found[name] = (newest.to_version, epoch_seconds(newest.started_at) // 60)
        return found

    def rollovers_started(self, since: int, minute: int) -> int:
        """Return how many rollovers began from one minute to another, both epoch minutes, as far as history goes."""
        first = max(since, self.first_minute if self.first_minute is not None else minute)
        starts = (epoch_seconds(r.started_at) // 60 for key in self._facts.values() for r in key.rollovers)
        return sum(first <= start <= minute for start in starts)

    def hides_reasons(self, gateway: str) -> bool:
        """Tell whether a gateway gives one and the same reason for all its rejections of credentials."""
        refusals = [n for reason, n in self._habits.get(gateway, {}).items() if reason not in NOT_SERVED]
        total = sum(refusals)
        return total >= _HABIT_MINIMUM and max(refusals) >= _HABIT_SHARE * total

    def sameness(self, gateway: str) -> float:
        """Return the share of a gateway's commonest reason among its refusals; a quarter where there were none."""
        refusals = [n for reason, n in self._habits.get(gateway, {}).items() if reason not in NOT_SERVED]
        return (max(refusals, default=0) + 1.0) / (sum(refusals) + 4.0)

    def _addresses(self) -> frozenset[str]:
        """Return the sources at which one client alone was ever served, over all keys."""
        clients: dict[str, str | None] = {}
        for past in self.keys.values():
            for client, source in past.proven:
                if clients.setdefault(source, client) != client:
                    clients[source] = None
        return frozenset(source for source, client in clients.items() if client and source)

    def namelessness(self, gateway: str) -> float:
        """Return the share of a gateway's rejections that carry no client; 0.25 where none was seen."""
        nameless, rejections = self._naming.get(gateway, [0, 0])
        return (nameless + 0.5) / (rejections + 2.0)

    def _rollover(self, key: str, version: int, minute: int) -> RolloverFacts | None:
        facts = self._facts.get(key)
        if facts is None:
            return None
        started = [r for r in facts.rollovers if epoch_seconds(r.started_at) // 60 <= minute]
        own = [r for r in started if version in {r.from_version, r.to_version}]
        return max(own or started, key=lambda r: r.started_at, default=None)

    def _frozen(self, key: str, minute: int) -> bool:
        facts = self._facts.get(key)
        if facts is None:
            return False
        ages = (minute - epoch_seconds(r.started_at) // 60 for r in facts.rollovers)
        return any(0 <= age < _FROZEN_MINUTES for age in ages)

    def _view(self, minute: int) -> FleetView:
        while self._failing and self._failing[0][0] <= minute - _NEIGHBOUR_MINUTES:
            self._failing.popleft()
        by_gateway: dict[str, set[str]] = {}
        for _, gateway, key in self._failing:
            by_gateway.setdefault(gateway, set()).add(key)
        requests = self._rates.requests + 1000.0
        return FleetView(
            rates={reason: n / requests for reason, n in self._rates.failures.items()},
            keys_failing_at={g: len(keys) for g, keys in by_gateway.items()},
            regions=self.regions,
            hidden={g: self.sameness(g) for g in self._habits},
            nameless={g: self.namelessness(g) for g in self._naming},
            keys_failing=len(set().union(*by_gateway.values())) if by_gateway else 0,
            addresses=self.addresses,
        )


def _order(row: UsageRow) -> tuple[int, bool]:
    return row.bucket, row.reason == OK


def _in_rollover(life: LifeCycle, minute: int) -> bool:
    """From the start to 48 h after it, or to the retirement, whichever is later (DESIGN section 8)."""
    if life.started is None:
        return False
    return minute - life.started <= _FROZEN_MINUTES or life.retired is None


def _can_wait(version: VersionPast, minute: int) -> bool:
    """Tell whether a long trouble without news may be looked at every few minutes only; else count the look."""
    if version.last_look < minute - _CALM_MINUTES:
        version.looks = 0
    if version.looks > _MANY_LOOKS and not version.news and minute - version.last_look < _SPARE_MINUTES:
        return True
    version.looks, version.last_look, version.news = version.looks + 1, minute, False
    return False
