"""The writing side of the store: claims, flushes, probes. Exact under crashes by compare-and-set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from monitor.core.events import Reject
from monitor.core.evidence import CoverageGap
from monitor.core.registry import Registry
from monitor.core.windows import Aggregate
from monitor.ports.sources import Partition, Tail


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the store knows of a partition that a worker has just claimed.

    `next_offset`, `tail` and `identity` are `None` when it was never read. `stopped` says why it must stand still.
    """

    partition: Partition
    epoch: int
    next_offset: int | None
    tail: Tail | None
    identity: str | None
    stopped: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """One flush of one partition: everything that becomes true together, or not at all.

    `records` = aggregate.aggregated + aggregate.unmapped + len(rejects): elements, after array explosion.
    """

    partition: Partition
    epoch: int
    from_offset: int
    to_offset: int
    records: int
    aggregate: Aggregate
    rejects: Sequence[Reject] = field(default_factory=tuple)
    tail: Tail | None = None
    applied_at_ms: int
    backfill: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A partition's end offset (read uncommitted) at a moment, by our clock."""

    partition: Partition
    end_offset: int
    probed_at_ms: int


class IngestStore(Protocol):
    """The writing side: exact under crashes, because offsets move in the transaction of what they stand for.

    Every method raises `StoreAway` when the database cannot be reached; then nothing was written.
    """

    def claim(self, partition: Partition, *, worker: str, now_ms: int) -> Claim:
        """Take the partition: raise its epoch, so that every earlier owner is fenced."""
        ...

    def begin(self, claim: Claim, *, offset: int, identity: str, now_ms: int, gap: CoverageGap | None = None) -> None:
        """Set where a claimed partition is read from: the first time, or after a gap (then `gap` is recorded with it).

        Raises `Fenced`.
        """
        ...

    def apply(self, applied: Applied) -> None:
        """Write one flush in one transaction, by compare-and-set on (epoch, next). Raises `Fenced`: nothing written."""
        ...

    def probed(self, probes: Sequence[Probe], expected: Mapping[str, int | None]) -> None:
        """Record end offsets and the broker's partition counts; keeps `complete_through` of each partition."""
        ...

    def stop_line(self, claim: Claim, *, reason: str, now_ms: int) -> None:
        """Make the partition stand still, for every worker, until `resume_line`. Raises `Fenced`."""
        ...

    def resume_line(self, partition: Partition, *, reason: str, by: str, now_ms: int) -> None:
        """Let a stopped partition go on. Raises `NotFound` where it does not stand still."""
        ...

    def forget_topic(self, topic: str, *, reason: str, by: str, now_ms: int) -> int:
        """Wait for a topic no longer: it was taken out of the configuration. Return how many coverage gaps that left.

        A partition that was not read to the end last seen leaves a gap up to now. Where each was read to is kept: if
        the topic comes back, nothing is counted twice. Raises `NotFound` where it is not waited for.
        """
        ...

    def registry(self) -> tuple[int, Registry]:
        """Return the registry and its revision (it rises with each change)."""
        ...
