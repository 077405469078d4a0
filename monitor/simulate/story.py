"""A story: callers, gateways and a registry under way, gathered into a log and its truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

import orjson

from monitor.core.alerts import AlertKind
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, rfc3339
from monitor.simulate.rhythms import Rhythm

Caller = tuple[str, str]
"""(client, source)."""


class Call(NamedTuple):
    """One authentication of a story."""

    arrival_ms: int
    ts_ms: int
    credential: str | None
    client: str | None
    source: str | None
    gateway: str
    region: str
    accepted: bool
    reason: str
    count: int  # type: ignore[assignment] # a field of that name hides tuple.count, which nobody calls
    sample_rate: float
    told: bool
    """Whether the record says when it arrived (`arrived_at`)."""

    def line(self) -> bytes:
        """Return it as a canonical event."""
        event: dict[str, object] = {
            "ts": rfc3339(self.ts_ms),
            "outcome": "success" if self.accepted else "failure",
            "reason": self.reason,
            "credential": self.credential,
            "client": self.client,
            "source": self.source,
            "gateway": self.gateway,
            "region": self.region,
            "route": "/v1/orders",
        }
        if self.count != 1:
            event["count"] = self.count
        if self.sample_rate < 1:
            event["sample_rate"] = self.sample_rate
        if self.told:
            event["arrived_at"] = self.arrival_ms
        return orjson.dumps({name: value for name, value in event.items() if value is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """An alert that is due within [from, until]; names that are `None` are not compared."""

    kind: AlertKind
    client: str | None = None
    source: str | None = None
    gateway: str | None = None
    from_ms: int
    until_ms: int


_ACCEPTED = frozenset({"ok", "rate_limited", "gateway_error"})


@dataclass(slots=True, kw_only=True)
class Story:
    """One history. Times are epoch ms. The old version's credential is `old`, the new one's `new`.

    healthy: telemetry is whole. ends_in_go: everybody moves or is gone early enough, so a GO is due before the end.
    beyond_design: the truth cannot be known from any log (DESIGN §6's known limit); it is not judged as a false GO.
    """

    kind: str
    seed: int
    random: Random
    begin_ms: int
    start_ms: int
    end_ms: int
    registry: dict[str, object] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    broken: list[tuple[int, bytes]] = field(default_factory=list)
    """Lines that are no events, with their arrival."""
    expected: list[Expected] = field(default_factory=list)
    healthy: bool = True
    beyond_design: bool = False

    def add(
        self,
        ts_ms: int,
        credential: str | None,
        caller: tuple[str | None, str | None],
        *,
        gateway: str = "edge-1",
        reason: str = "ok",
        count: int = 1,
        sample_rate: float = 1.0,
        arrival_ms: int | None = None,
    ) -> None:
        """Add one authentication; its `reason` says whether it failed."""
        region = self.region_of(gateway)
        accepted = reason in _ACCEPTED
        told = arrival_ms is not None
        arrives = ts_ms if arrival_ms is None else arrival_ms
        self.calls.append(
            Call(arrives, ts_ms, credential, *caller, gateway, region, accepted, reason, count, sample_rate, told)
        )

    def region_of(self, gateway: str) -> str:
        """Return where a gateway stands."""
        return "us" if gateway.endswith("2") else "eu"

    def use(
        self,
        caller: Caller,
        rhythm: Rhythm,
        *,
        old: str = "old",
        new: str = "new",
        moves_ms: int | None = None,
        from_ms: int | None = None,
        until_ms: int | None = None,
        gateways: Iterable[str] = ("edge-1",),
        new_reason: str = "ok",
    ) -> list[int]:
        """Add a caller's calls: on `old` before it moves, on `new` after. Returns the times on the old version."""
        on_old = []
        places = list(gateways)
        begin = self.begin_ms if from_ms is None else from_ms
        for at in rhythm(self.random, begin, self.end_ms if until_ms is None else until_ms):
            gateway = self.random.choice(places)
            if moves_ms is None or at < moves_ms:
                on_old.append(at)
                self.add(at, old, caller, gateway=gateway)
            else:
                self.add(at, new, caller, gateway=gateway, reason=new_reason)
        return on_old

    def heartbeat(self, gateways: Iterable[str], *, gap_ms: int = 8 * MINUTE_MS, from_ms: int | None = None) -> None:
        """Let each gateway be heard all the time, by another key's traffic."""
        for gateway in gateways:
            at = self.begin_ms if from_ms is None else from_ms
            while at < self.end_ms:
                self.add(at, "fleet", ("fleet", "fleet"), gateway=gateway)
                at += gap_ms // 2 + self.random.randrange(gap_ms)

    def silence(self, gateway: str, begin_ms: int, end_ms: int) -> None:
        """Drop what a gateway logged in [begin, end): nobody ever sees it."""
        self.calls = [each for each in self.calls if each.gateway != gateway or not begin_ms <= each.ts_ms < end_ms]

    def delay(self, gateway: str, begin_ms: int, end_ms: int) -> None:
        """Let what a gateway logged in [begin, end) arrive at the end of it."""
        self.calls = [
            each._replace(arrival_ms=end_ms, told=True)
            if each.gateway == gateway and begin_ms <= each.ts_ms < end_ms
            else each
            for each in self.calls
        ]

    def shift_clock(self, gateway: str, begin_ms: int, end_ms: int, ahead_ms: int) -> None:
        """Let a gateway's clock be ahead in [begin, end); its records arrive when they really happened."""
        self.calls = [
            each._replace(ts_ms=each.ts_ms + ahead_ms, told=True)
            if each.gateway == gateway and begin_ms <= each.ts_ms < end_ms
            else each
            for each in self.calls
        ]

    def due(
        self,
        kind: AlertKind,
        *,
        from_ms: int,
        within_ms: int = DAY_MS,
        caller: Caller | None = None,
        gateway: str | None = None,
    ) -> None:
        """Note an alert that must come."""
        client, source = caller or (None, None)
        self.expected.append(
            Expected(
                kind=kind, client=client, source=source, gateway=gateway, from_ms=from_ms, until_ms=from_ms + within_ms
            )
        )

    def in_order(self) -> list[Call]:
        """Return the calls in order of arrival; the order among those of one moment is theirs."""
        return sorted(self.calls, key=lambda each: each.arrival_ms)

    def lines(self) -> Iterator[bytes]:
        """Yield the log's lines in order of arrival."""
        told = any(each.told for each in self.calls)
        records: list[tuple[int, bytes | Call]] = [(each.arrival_ms, each) for each in self.calls]
        records += self.broken
        for arrival_ms, record in sorted(records, key=lambda each: each[0]):
            if isinstance(record, bytes):
                yield record
            elif told:
                yield record._replace(told=True, arrival_ms=arrival_ms).line()
            else:
                yield record.line()


def hourly(moment_ms: int) -> int:
    """Return the first full hour at or after a moment: when a replay decides next."""
    return -(-moment_ms // HOUR_MS) * HOUR_MS
