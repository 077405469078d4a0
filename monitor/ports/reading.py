"""Reading for people and for the detector: series, callers, rejects. The gate does not decide on these."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from monitor.core.evidence import CallerRecord, GatewayLiveness, PartitionStatus
from monitor.core.windows import CallerGatewayKey, FailureKey, Span, UsageKey
from monitor.ports.outbox import Incident
from monitor.ports.sources import Partition


class UsagePoint(NamedTuple):
    """Requests (weighted) of one version of a key in a step of time."""

    bucket_ms: int
    version: int
    outcome: str
    region: str | None
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerRow:
    """A row of `v_callers`: a caller of a version, over its credentials and regions."""

    key: str
    version: int
    client: str | None
    source: str | None
    first_success_ms: int | None
    last_success_ms: int | None
    last_failure_ms: int | None
    successes: int
    failures: int
    longest_gap_seconds: int | None
    state: str | None


class Propagation(NamedTuple):
    """When a version was first seen accepted and rejected at a gateway (event time)."""

    version: int
    gateway: str
    region: str | None
    first_accepted_ms: int | None
    first_rejected_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectRow:
    """A row of `v_rejects`."""

    at_ms: int
    partition: Partition
    offset: int
    index: int
    reason: str
    sha256: str
    sample: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """A row of `v_ledger`; `to_offset` is exclusive."""

    partition: Partition
    from_offset: int
    to_offset: int
    epoch: int
    records: int
    aggregated: int
    unmapped: int
    rejected: int
    backfill: bool


class ReadStore(Protocol):
    """What pages, the command line and the detector read. Each call is its own transaction."""

    def usage_series(self, key: str, *, from_ms: int, to_ms: int, step_ms: int) -> Sequence[UsagePoint]:
        """Return requests per version, outcome and region in steps aligned to the epoch; steps without any are absent.

        A `step_ms` below an hour shows hourly buckets at their start.
        """
        ...

    def usage_cells(
        self, *, from_ms: int, to_ms: int, credentials: Collection[str] | None = None
    ) -> Sequence[tuple[UsageKey, int]]:
        """Return the cells of the time series whose bucket begins in [from, to), in order of time."""
        ...

    def failure_cells(
        self, *, from_ms: int, to_ms: int, credentials: Collection[str] | None = None
    ) -> Sequence[tuple[FailureKey, int]]:
        """Return failures in detail whose minute begins in [from, to), in order of time."""
        ...

    def caller_gateway_spans(self, *, since_ms: int) -> Sequence[tuple[CallerGatewayKey, Span]]:
        """Return where callers of active rollovers were accepted: those whose last use (event time) is not before.

        `Span.count` only grows; the detector tells a caller's new successes at a gateway from its difference.
        """
        ...

    def caller_rows(self, key: str, *, known: Sequence[CallerRecord] | None = None) -> Sequence[CallerRow]:
        """Return the callers of every version of a key; of `known` alone, where a snapshot has read them already."""
        ...

    def propagation(self, key: str) -> Sequence[Propagation]:
        """Return where and when each version of a key was first seen."""
        ...

    def incidents(self, *, key: str | None = None, open_only: bool = False, limit: int = 100) -> Sequence[Incident]:
        """Return incidents, newest first."""
        ...

    def partition_states(self) -> Sequence[PartitionStatus]:
        """Return how far each partition has been read."""
        ...

    def ledger(self, partition: Partition | None = None) -> Sequence[LedgerRow]:
        """Return the ledger in order of partition and offset."""
        ...

    def rejects(self, *, limit: int = 100) -> Sequence[RejectRow]:
        """Return the latest rejects, newest first."""
        ...

    def gateway_liveness(self) -> Sequence[GatewayLiveness]:
        """Return the first and last record of each gateway (without silences)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long detail is kept, in ms. Callers, their days, and totals are never dropped.

    fine: 60 s buckets, older ones are folded into hours; coarse: hourly buckets; failures: their details;
    rejects: rows of `v_rejects` (their hourly counts stay as long as coarse buckets); gateways: per-minute liveness.
    """

    fine_ms: int = 14 * 86_400_000
    coarse_ms: int = 400 * 86_400_000
    failures_ms: int = 14 * 86_400_000
    rejects_ms: int = 30 * 86_400_000
    gateways_ms: int = 14 * 86_400_000


class UpkeepStore(Protocol):
    """Keeping the store small and well."""

    def prune(self, retention: Retention, *, now_ms: int) -> dict[str, int]:
        """Fold and drop what is too old, merge neighbours in the ledger; return rows removed by table."""
        ...

    def ping(self) -> None:
        """Ask the database for nothing. Raises `StoreAway`, `StoreRefused`."""
        ...

    def lead(self, name: str) -> bool:
        """Try to be (or stay) the one leader of that name among all processes; never blocks."""
        ...

    def close(self) -> None:
        """Give back connections, files and leaderships."""
        ...
