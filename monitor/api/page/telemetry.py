"""How far we can trust our eyes: partitions, gateways, rejects, what nobody registered, gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from monitor.api.page.views import PageStore
from monitor.core.evidence import CallerRecord, CoverageGap, GatewayLiveness, PartitionStatus
from monitor.core.instants import DAY_MS
from monitor.core.registry import Gateway
from monitor.ports import RejectRow

_LOOKBACK_MS = 100 * DAY_MS
_MOST_STRAYS = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRow:
    """A gateway. `silent`: its last record is older than its registration, or the policy, allows."""

    seen: GatewayLiveness
    registered: bool
    silent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """A credential that succeeds and belongs to no key (`""`: requests that succeed without any)."""

    credential: str
    accepted: int
    callers: int
    last_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryView:
    """What is known of our own eyes.

    lag: records that are written and not yet applied; `None` as long as no partition's end is known. rejected: in the
    last day, by reason. strays: the last seen first, at most 25 of `stray_count`.
    """

    partitions: Sequence[PartitionStatus]
    lag: int | None
    gateways: Sequence[GatewayRow]
    rejects: Sequence[RejectRow]
    rejected: Mapping[str, int]
    strays: Sequence[Stray]
    stray_count: int
    gaps: Sequence[CoverageGap]


def telemetry(store: PageStore, *, now_ms: int, max_silence_ms: int) -> TelemetryView:
    """Return what is known of our own eyes; `max_silence_ms` is for gateways that have no limit of their own."""
    with store.snapshot() as snapshot:
        gateways = snapshot.registry().gateways
        seen = snapshot.telemetry(now_ms, fine_window_ms=DAY_MS, lookback_ms=_LOOKBACK_MS)
    partitions = store.partition_states()
    lags = [
        max(each.end_offset - each.next_offset, 0)
        for each in partitions
        if each.end_offset is not None and each.next_offset is not None
    ]
    rejected: dict[str, int] = {}
    for hour in seen.rejects:
        if hour.last_ms > now_ms - DAY_MS:
            rejected[hour.detail] = rejected.get(hour.detail, 0) + hour.count
    strays = _strays(seen.unregistered)
    return TelemetryView(
        partitions=partitions,
        lag=sum(lags) if lags else None,
        gateways=[_gateway(each, gateways, now_ms, max_silence_ms) for each in store.gateway_liveness()],
        rejects=store.rejects(limit=25),
        rejected=rejected,
        strays=strays[:_MOST_STRAYS],
        stray_count=len(strays),
        gaps=seen.gaps,
    )


def _gateway(seen: GatewayLiveness, known: Sequence[Gateway], now_ms: int, max_silence_ms: int) -> GatewayRow:
    mine = [each for each in known if each.gateway == seen.gateway and each.region in (seen.region, None)]
    limits = [each.max_silence_ms for each in mine if each.max_silence_ms is not None]
    return GatewayRow(
        seen=seen, registered=bool(mine), silent=now_ms - seen.last_ms > (limits[0] if limits else max_silence_ms)
    )


def _strays(records: Sequence[CallerRecord]) -> list[Stray]:
    by_credential: dict[str, list[CallerRecord]] = {}
    for each in records:
        if each.facts.accepted:
            by_credential.setdefault(each.credential, []).append(each)
    found = [
        Stray(
            credential=credential,
            accepted=sum(each.facts.accepted for each in mine),
            callers=len({(each.client, each.source) for each in mine}),
            last_ms=max((each.facts.last_accepted_ms or 0 for each in mine), default=0) or None,
        )
        for credential, mine in by_credential.items()
    ]
    return sorted(found, key=lambda each: -(each.last_ms or 0))
