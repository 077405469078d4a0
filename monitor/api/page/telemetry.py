"""The two plainer views: how far we can trust our eyes, and the keys with their versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.api.page.views import PageStore
from monitor.core.evidence import CoverageGap, GatewayLiveness, PartitionStatus
from monitor.core.instants import DAY_MS
from monitor.core.registry import Key
from monitor.ports import RejectRow

_LOOKBACK_MS = 100 * DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryView:
    """Partitions, gateways (and whether each is registered), the latest rejects, gaps."""

    partitions: Sequence[PartitionStatus]
    gateways: Sequence[tuple[GatewayLiveness, bool]]
    rejects: Sequence[RejectRow]
    gaps: Sequence[CoverageGap]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """A key with the ids of its rollovers."""

    key: Key
    rollovers: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysView:
    """One page of the keys."""

    rows: Sequence[KeyRow]
    page: int
    pages: int
    query: str


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


def keys(store: PageStore, *, query: str = "", page: int = 1, size: int = 40) -> KeysView:
    """Return one page of the keys whose name or owner fits."""
    with store.snapshot() as snapshot:
        registry = snapshot.registry()
    by_key: dict[str, list[str]] = {}
    for each in registry.rollovers:
        by_key.setdefault(each.key, []).append(each.id)
    wanted = query.casefold()
    found = [
        KeyRow(key=each, rollovers=by_key.get(each.key, []))
        for each in sorted(registry.keys, key=lambda key: key.key)
        if wanted in each.key.casefold() or wanted in (each.owner.team or "").casefold()
    ]
    pages = max(-(-len(found) // size), 1)
    page = min(max(page, 1), pages)
    return KeysView(rows=found[(page - 1) * size : page * size], page=page, pages=pages, query=query)
