"""Where records come from: the source port, and what a source says of itself. First seam of the path."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self


class Partition(NamedTuple):
    """One ordered stream of records: a Kafka partition, or a file (topic = its name, partition 0)."""

    topic: str
    partition: int

    def __str__(self) -> str:
        """Return `topic:partition`, as operators type it."""
        return f"{self.topic}:{self.partition}"


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
