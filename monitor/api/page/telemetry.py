"""How far we can trust our eyes: partitions, gateways, rejects, gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.api.page.views import PageStore
from monitor.core.evidence import CoverageGap, GatewayLiveness, PartitionStatus
from monitor.core.instants import DAY_MS
from monitor.ports import RejectRow

_LOOKBACK_MS = 100 * DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryView:
    """Partitions, gateways (and whether each is registered), the latest rejects, gaps."""

    partitions: Sequence[PartitionStatus]
    gateways: Sequence[tuple[GatewayLiveness, bool]]
    rejects: Sequence[RejectRow]
    gaps: Sequence[CoverageGap]


def telemetry(store: PageStore, *, now_ms: int) -> TelemetryView:
    """Return what is known of our own eyes."""
    with store.snapshot() as snapshot:
        registered = {(each.gateway, each.region) for each in snapshot.registry().gateways}
        seen = snapshot.telemetry(now_ms, fine_window_ms=DAY_MS, lookback_ms=_LOOKBACK_MS)
    anywhere = {gateway for gateway, region in registered if region is None}
    return TelemetryView(
        partitions=store.partition_states(),
        gateways=[
            (each, (each.gateway, each.region) in registered or each.gateway in anywhere)
            for each in store.gateway_liveness()
        ],
        rejects=store.rejects(limit=25),
        gaps=seen.gaps,
    )
