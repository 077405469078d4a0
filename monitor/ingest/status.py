"""What a worker shows of itself: a status for readiness and a port for counters, both free of any metrics library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from monitor.core.events import RejectReason
from monitor.ports import Applied, Partition

_NONE: Mapping[Partition, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """One worker at one moment; a value, so any thread may keep it.

    connected: the source answered its last probe. store_connected: the database answered the last call. lag: records
    between what is applied and the end. stopped: why a line stands still. fault: what the worker waits for, in words.
    """

    connected: bool = False
    store_connected: bool = True
    assigned: frozenset[Partition] = frozenset()
    reading: frozenset[Partition] = frozenset()
    lag: Mapping[Partition, int] = field(default_factory=dict)
    last_flush_ms: int | None = None
    stopped: Mapping[Partition, str] = field(default_factory=lambda: _NONE)
    missing_topics: tuple[str, ...] = ()
    fault: str | None = None
    leaving: bool = False

    @property
    def ready(self) -> bool:
        """Return whether this worker does its job: both ends answer, nothing stands still, nothing is awaited."""
        return not self.why_not_ready

    @property
    def why_not_ready(self) -> tuple[str, ...]:
        """Return what keeps it from being ready, in sentences; empty when it is."""
        reasons: list[str] = []
        if self.leaving:
            reasons.append("ingest is stopping")
        if self.fault is not None:
            reasons.append(self.fault)
        elif not self.connected:
            reasons.append("Kafka has not answered yet")
        elif not self.store_connected:
            reasons.append("the database has not answered yet")
        reasons.extend(f"topic {topic} does not exist yet" for topic in self.missing_topics)
        reasons.extend(f"{partition} stands still: {why}" for partition, why in sorted(self.stopped.items()))
        waiting = self.assigned - self.reading - self.stopped.keys()
        reasons.extend(f"{partition} waits for its claim" for partition in sorted(waiting))
        return tuple(reasons)


class IngestObserver(Protocol):
    """Counters of the worker: called from its thread, must not block and must not raise."""

    def records(self, topic: str, count: int) -> None:
        """Count elements that were applied (aggregated, unmapped and rejected ones)."""
        ...

    def rejects(self, reason: RejectReason, count: int) -> None:
        """Count elements that were not events."""
        ...

    def flushed(self, partition: Partition, *, seconds: float, at_ms: int) -> None:
        """Note a flush: how long the transaction took, and when."""
        ...

    def lag(self, partition: Partition, records: int | None) -> None:
        """Note how far the applied offset is from the end; `None` when the partition is no longer ours."""
        ...

    def fenced(self, partition: Partition) -> None:
        """Count a batch that was dropped because another worker had claimed the partition."""
        ...

    def gap(self, partition: Partition) -> None:
        """Count a coverage gap."""
        ...


class Unobserved:
    """An observer that looks away."""

    def records(self, topic: str, count: int) -> None:
        """See `IngestObserver`."""

    def rejects(self, reason: RejectReason, count: int) -> None:
        """See `IngestObserver`."""

    def flushed(self, partition: Partition, *, seconds: float, at_ms: int) -> None:
        """See `IngestObserver`."""

    def lag(self, partition: Partition, records: int | None) -> None:
        """See `IngestObserver`."""

    def fenced(self, partition: Partition) -> None:
        """See `IngestObserver`."""

    def gap(self, partition: Partition) -> None:
        """See `IngestObserver`."""


def tell(observer: IngestObserver, applied: Applied, *, seconds: float) -> None:
    """Tell the observer of a flush that has become true."""
    observer.flushed(applied.partition, seconds=seconds, at_ms=applied.applied_at_ms)
    observer.records(applied.partition.topic, applied.records)
    for reason, count in Counter(each.reason for each in applied.rejects).items():
        observer.rejects(reason, count)
