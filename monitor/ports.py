"""The seams: what the daemon needs of the world, as protocols. Adapters implement them; `app.py` alone joins them.

Each port has one behaviour suite in `tests/contract/`, run on every implementation (the in-memory twin included).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, Self

from monitor.core.decision import Decision
from monitor.core.events import RejectReason
from monitor.core.evidence import CoverageGap, KeyEvidence, Telemetry
from monitor.core.registry import Registry
from monitor.core.windows import Aggregate


class Partition(NamedTuple):
    """One ordered stream of records: a Kafka partition, or a file (topic = its name, partition 0)."""

    topic: str
    partition: int

    def __str__(self) -> str:
        """Return `topic:partition`, as operators type it."""
        return f"{self.topic}:{self.partition}"


# --- sources of records -------------------------------------------------------------------------------------------


class Bounds(NamedTuple):
    """What a partition holds now: the first offset, the end read-uncommitted, and the end that may be read already.

    `readable` stays behind `end` while a transaction is open; everything up to it can be delivered.
    """

    beginning: int
    end: int
    readable: int


class Identity(NamedTuple):
    """What tells a stream from one recreated under its name (cluster id / topic id; device / inode / first line).

    `follows` is true where the stream goes on exactly where the formerly known one ended (a rotated file that was read
    to its end), so that nothing lies between them.
    """

    value: str
    follows: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordBatch:
    """Consecutive records of one partition. The three sequences have one length; `None` is a null value.

    `next_offset` is where reading goes on: past control records and compaction holes, so it may exceed
    `offsets[-1] + 1`, and a batch without records may move it. `arrivals_ms` are the records' own timestamps (append
    or create time), -1 where there is none.
    """

    partition: Partition
    offsets: Sequence[int]
    values: Sequence[bytes | None]
    arrivals_ms: Sequence[int]
    next_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionsAssigned:
    """These partitions are ours now, standing still until `RecordSource.start`."""

    partitions: frozenset[Partition]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionsRevoked:
    """These partitions are no longer ours; what was read and not applied must be dropped or applied now."""

    partitions: frozenset[Partition]


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionLost:
    """The position is outside of what the source still has (retention, truncation); the partition stands still."""

    partition: Partition
    position: int


SourceEvent = RecordBatch | PartitionsAssigned | PartitionsRevoked | PositionLost


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """Fingerprint of the last applied record: it must be the same when we come back."""

    offset: int
    timestamp_ms: int
    sha256: str

    @classmethod
    def of(cls, offset: int, timestamp_ms: int, value: bytes | None) -> Self:
        """Return the fingerprint of a record; a null value is told from an empty one."""
        digest = hashlib.sha256(b"null" if value is None else b"=" + value)
        return cls(offset=offset, timestamp_ms=timestamp_ms, sha256=digest.hexdigest())


class RecordSource(Protocol):
    """Where records come from: memory, a file, Kafka. Values are bytes; nothing is parsed here.

    A partition is delivered only between `start` and its revocation, in offset order, without loss; after
    `start(p, n)` the next record of `p` is the first at or after `n`. `poll`, `start`, `pause`, `resume` and `close`
    belong to one thread; `bounds`, `partitions`, `identity` and `tail` may be asked from any, and never for longer
    than a few seconds. Every method raises `SourceAway` (try again later) and nothing else.
    """

    def poll(self, timeout_seconds: float) -> Sequence[SourceEvent]:
        """Return what has happened since, waiting at most `timeout_seconds` for the first thing.

        Changes of the assignment come before records. After `SourceAway` nothing is assigned any more.
        """
        ...

    def start(self, partition: Partition, offset: int) -> None:
        """Deliver an assigned partition from this offset on; one that was revoked meanwhile is left alone."""
        ...

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Deliver nothing of these until `resume`; the membership in the group and the positions are kept."""
        ...

    def resume(self, partitions: Iterable[Partition]) -> None:
        """Go on delivering paused partitions from where they stood."""
        ...

    def bounds(self, partitions: Iterable[Partition]) -> Mapping[Partition, Bounds]:
        """Return what each partition holds; one that does not exist (any more) is left out."""
        ...

    def partitions(self) -> Mapping[str, int | None]:
        """Return the number of partitions of each configured topic; `None` for one that does not exist (yet)."""
        ...

    def identity(self, topic: str, known: str | None = None) -> Identity | None:
        """Return what the topic is now, `None` if it does not exist.

        A source that can still reach the `known` stream (a rotated file that was not read to its end) answers with
        that, and delivers it first.
        """
        ...

    def tail(self, partition: Partition, offset: int) -> Tail | None:
        """Re-read the record at `offset`; `None` if the source has none there any more."""
        ...

    def committed(self, offsets: Mapping[Partition, int]) -> None:
        """Show applied offsets to the source's own lag tools: a shadow, never read back as truth."""
        ...

    def close(self) -> None:
        """Leave the group at once; never blocks for longer than two seconds."""
        ...


# --- the store ----------------------------------------------------------------------------------------------------


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
class Reject:
    """A row of `v_rejects`: an element that was not an event."""

    offset: int
    index: int
    reason: RejectReason
    sha256: str
    sample: str
    arrival_ms: int


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

    def registry(self) -> tuple[int, Registry]:
        """Return the registry and its revision (it rises with each change)."""
        ...


class Snapshot(Protocol):
    """One consistent view of the store for evaluating rollovers."""

    def registry(self) -> Registry:
        """Return the registry, lifecycle steps (retired_at, waivers, pins …) included."""
        ...

    def telemetry(self, now_ms: int, *, fine_window_ms: int, lookback_ms: int) -> Telemetry:
        """Return how far our eyes can be trusted."""
        ...

    def key(self, rollover: str, now_ms: int) -> KeyEvidence:
        """Return the evidence on the key of that rollover. Raises `NotFound`."""
        ...

    def record(self, decision: Decision) -> None:
        """Append the decision to the hash-chained ledger, in this snapshot's transaction."""
        ...


class EvidenceStore(Protocol):
    """The reading side of the gate, and the decisions' ledger."""

    def snapshot(self, *, write: bool = False) -> AbstractContextManager[Snapshot]:
        """Open one snapshot (repeatable read); `write` commits what was recorded when it ends without an error.

        Refuses a standby (`pg_is_in_recovery`) with `StoreRefused`: a replica's lag is invisible to the gate.
        """
        ...
