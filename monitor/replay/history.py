"""Everything that has arrived so far, as the evidence that the gate decides on: the store of a replay.

In memory, mutable, and made for one reader that asks at rising moments. It keeps what `KeyEvidence` and `Telemetry`
need and nothing else; 10,000 callers over 100 days take some tens of MB.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Iterable, Mapping, Sequence

from monitor.core.alerting.callers import CallerId, CallerView, credentials_of, versions_ahead, view_caller
from monitor.core.events import RejectReason
from monitor.core.evidence import (
    CallerRecord,
    HourCount,
    KeyEvidence,
    OpenIncident,
    RequestCounts,
    Telemetry,
)
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS
from monitor.core.registry import Registry, Rollover
from monitor.replay.tallies import CallerTally, DayTally, GatewayTally, SpanTally, caller_order

_BASELINE_MS = 7 * DAY_MS


class KeyHistory:
    """All callers of one key's registered credentials, in a fixed order."""

    def __init__(self) -> None:
        """Start empty."""
        self.tallies: list[CallerTally] = []
        self.by_caller: dict[CallerId, list[CallerTally]] = {}
        self.touched: list[CallerTally] = []
        self.version = 0
        self._records: tuple[CallerRecord, ...] = ()

    def add(self, tally: CallerTally) -> None:
        """Take in a caller seen for the first time."""
        insort(self.tallies, tally, key=caller_order)
        self.by_caller.setdefault((tally.record.client, tally.record.source), []).append(tally)
        tally.owner = self.touched
        self._records = ()

    def records(self) -> tuple[CallerRecord, ...]:
        """Return the callers' records, current after `settle`."""
        if len(self._records) != len(self.tallies):
            self._records = tuple(each.record for each in self.tallies)
        return self._records


class History:
    """What has arrived, of all keys."""

    def __init__(self, registry: Registry, *, least_silence_ms: int = MINUTE_MS) -> None:
        """Start empty; a gateway's silences below `least_silence_ms` are not kept, since nobody asks for them."""
        self._registry = registry
        self._least_silence_ms = least_silence_ms
        self.keys = {each.key: KeyHistory() for each in registry.keys}
        self._callers: dict[tuple[str, str | None, str | None, str | None], CallerTally] = {}
        self._gateways: dict[tuple[str, str | None], GatewayTally] = {}
        self._days: dict[str, DayTally] = {}
        self._baselines: dict[str, list[tuple[str, SpanTally]]] = {}
        self._rejects: dict[tuple[int, str], list[int]] = {}
        self._sampled: dict[tuple[int, str], list[int]] = {}
        self._unregistered: list[CallerTally] = []
        self._unregistered_gateways: dict[str, dict[str, None]] = {}
        self._start_ms: int | None = None
        for rollover in registry.rollovers:
            stretch = (rollover.started_at_ms - _BASELINE_MS, rollover.started_at_ms)
            key = registry.key_by_name[rollover.key]
            for credential in credentials_of(key, {each.version for each in key.versions}):
                self._days.setdefault(credential, DayTally())
                self._baselines.setdefault(credential, []).append((rollover.id, SpanTally(*stretch)))

    # --- what arrives

    def caller(self, credential: str, client: str | None, source: str | None, region: str | None) -> CallerTally:
        """Return the counter of that caller; it is made at its first sight."""
        name = (credential, client, source, region)
        tally = self._callers.get(name)
        if tally is None:
            tally = self._callers[name] = CallerTally(*name)
            owner = self._registry.version_of.get(credential)
            if owner is None:
                insort(self._unregistered, tally, key=caller_order)
            else:
                self.keys[owner[0]].add(tally)
        return tally

    def stray(self, credential: str, gateway: str) -> None:
        """Note where an unregistered credential succeeded."""
        self._unregistered_gateways.setdefault(credential, {})[gateway] = None

    def gateway(self, gateway: str, region: str | None, ts_ms: int) -> GatewayTally:
        """Return the counter of that gateway; it begins with this record."""
        tally = self._gateways.get((gateway, region))
        if tally is None:
            tally = self._gateways[gateway, region] = GatewayTally(
                gateway, region, ts_ms, least_ms=self._least_silence_ms
            )
        return tally

    def day(self, credential: str) -> DayTally | None:
        """Return the counter of the last 24 hours, where a rollover needs it."""
        return self._days.get(credential)

    def baselines(self, credential: str) -> Sequence[SpanTally]:
        """Return the counters of the time before rollovers."""
        return [tally for _, tally in self._baselines.get(credential, ())]

    def began(self, ts_ms: int) -> None:
        """Note when the history begins: with the first event, by event time."""
        if self._start_ms is None:
            self._start_ms = ts_ms

    @property
    def start_ms(self) -> int | None:
        """Return when the history begins."""
        return self._start_ms

    def reject(self, reason: RejectReason, arrival_ms: int) -> None:
        """Count a rejected element."""
        _count(self._rejects, (arrival_ms // HOUR_MS * HOUR_MS, reason.value), arrival_ms, 1)

    def sample(self, gateway: str, ts_ms: int) -> None:
        """Count a record that stands for more than it says."""
        _count(self._sampled, (ts_ms // HOUR_MS * HOUR_MS, gateway), ts_ms, 1)

    # --- what is asked

    def settle(self) -> None:
        """Make every record current; before anything below is asked."""
        for key in self.keys.values():
            for tally in key.touched:
                tally.settle()
        for tally in self._unregistered:
            tally.settle()

    def tidy(self, fine_since_ms: int) -> None:
        """Forget detail that nobody will ask for any more."""
        for gateway in self._gateways.values():
            gateway.liveness(fine_since_ms)

    def telemetry(self, now_ms: int, *, fine_since_ms: int) -> Telemetry:
        """Return how far this history can be trusted; ingest is complete by nature, clocks are one."""
        gateways = [self._gateways[name] for name in sorted(self._gateways, key=_gateway_order)]
        return Telemetry(
            now_ms=now_ms,
            history_start_ms=self._start_ms,
            fine_since_ms=fine_since_ms,
            gateways=tuple(each.liveness(fine_since_ms) for each in gateways),
            rejects=_hours(self._rejects),
            sampled=_hours(self._sampled),
            unregistered=tuple(each.record for each in self._unregistered),
            unregistered_gateways={
                credential: tuple(sorted(gateways))
                for credential, gateways in sorted(self._unregistered_gateways.items())
            },
            clock_skew_ms=0,
            replayed=True,
        )

    def evidence(
        self,
        rollover: Rollover,
        now_ms: int,
        *,
        incidents: Iterable[tuple[str, OpenIncident]],
        not_ready: str | None,
    ) -> KeyEvidence:
        """Return the evidence on the rollover's key."""
        key = self._registry.key_by_name[rollover.key]
        last_day: dict[str, RequestCounts] = {}
        before: dict[str, RequestCounts] = {}
        for version in key.versions:
            for credential in version.credentials:
                last_day[credential] = self._days[credential].counts(now_ms)
                for name, tally in self._baselines[credential]:
                    if name == rollover.id:
                        before[credential] = tally.counts()
        return KeyEvidence(
            key=key.key,
            callers=self.keys[key.key].records(),
            last_day=last_day,
            before_start=before,
            incidents=tuple(each for name, each in incidents if name == key.key),
            detector=not_ready,
            state="overlap" if rollover.retired_at_ms is None or rollover.retired_at_ms > now_ms else "retired",
        )

    def callers(self, rollover: Rollover, now_ms: int, *, first_look: bool) -> ReplayedCallers:
        """Return the callers of the rollover's key for the alert rules."""
        return ReplayedCallers(self.keys[rollover.key], self._registry, rollover, now_ms, everyone=first_look)

    def looked(self) -> None:
        """Say that everybody has looked: from now on `changed` means since then."""
        for key in self.keys.values():
            for tally in key.touched:
                tally.touched = tally.arrived = False
            key.touched.clear()


class ReplayedCallers:
    """`monitor.core.alerting.Callers` over a replay's history; views are made when asked for."""

    def __init__(self, key: KeyHistory, registry: Registry, rollover: Rollover, now_ms: int, *, everyone: bool) -> None:
        """Look at one key, for one rollover; `everyone` makes all of them changed."""
        named = registry.key_by_name[rollover.key]
        self._old = credentials_of(named, {rollover.from_version})
        self._new = credentials_of(named, versions_ahead(registry, rollover, now_ms))
        self._key = key
        self._everyone = everyone

    def find(self, caller: CallerId) -> CallerView | None:
        """Return that caller."""
        tallies = self._key.by_caller.get(caller)
        if tallies is None:
            return None
        return view_caller(caller, (each.record for each in tallies), old=self._old, new=self._new)

    def changed(self) -> Iterable[CallerView]:
        """Return those with new facts since the last look, in order."""
        tallies = self._key.tallies if self._everyone else self._fresh()
        seen: dict[CallerId, None] = dict.fromkeys((each.record.client, each.record.source) for each in tallies)
        return (view for caller in seen if (view := self.find(caller)) is not None)

    def _fresh(self) -> list[CallerTally]:
        """Return those touched on the old version, or for the first time elsewhere: more of the same says nothing."""
        fresh = (each for each in self._key.touched if each.arrived or each.record.credential in self._old)
        return sorted(fresh, key=caller_order)

    def sources_known(self) -> Collection[str | None]:
        """Return the sources from which the key was ever used with success."""
        return {each.record.source for each in self._key.tallies if each.facts.accepted}


def _count(counts: dict[tuple[int, str], list[int]], name: tuple[int, str], at_ms: int, count: int) -> None:
    entry = counts.setdefault(name, [at_ms, 0])
    entry[0] = max(entry[0], at_ms)
    entry[1] += count


def _hours(counts: Mapping[tuple[int, str], list[int]]) -> tuple[HourCount, ...]:
    return tuple(
        HourCount(hour_ms=hour, last_ms=counts[hour, detail][0], count=counts[hour, detail][1], detail=detail)
        for hour, detail in sorted(counts)
    )


def _gateway_order(name: tuple[str, str | None]) -> tuple[str, str, str]:
    gateway, region = name
    return (gateway, "", "") if region is None else (gateway, "s", region)
