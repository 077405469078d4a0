"""An in-memory broker and a source on it: topics, groups, rebalances, retention, all real; the twin of Kafka.

Shipped, not only for tests: the embedded demo feeds the daemon through it. Behaviour is held equal to Kafka's by
`tests/contract/source`.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from monitor.errors import SourceAway
from monitor.ports import (
    Bounds,
    Identity,
    Partition,
    PartitionsAssigned,
    PartitionsRevoked,
    PositionLost,
    RecordBatch,
    SourceEvent,
    Tail,
)


class _Record(NamedTuple):
    offset: int
    arrival_ms: int
    value: bytes | None


@dataclass(slots=True)
class _Log:
    """One partition's records; `beginning` moves with retention, `end` never falls unless the log is truncated."""

    beginning: int = 0
    end: int = 0
    readable: int | None = None
    records: deque[_Record] = field(default_factory=deque)


@dataclass(slots=True)
class _Topic:
    id: int
    logs: list[_Log]


class MemoryBroker:
    """Topics in memory, shared by any number of sources and threads."""

    def __init__(self) -> None:
        """Start without topics."""
        self.changed = threading.Condition()
        self.topics: dict[str, _Topic] = {}
        self.committed: dict[tuple[str, Partition], int] = {}
        self._members: dict[str, list[MemorySource]] = {}
        self._ids = itertools.count(1)
        self._away = False

    def create_topic(self, topic: str, partitions: int = 1) -> None:
        """Create a topic; one of that name that exists is deleted first."""
        with self.changed:
            self.topics[topic] = _Topic(id=next(self._ids), logs=[_Log() for _ in range(partitions)])
            self._rebalance_all()

    def delete_topic(self, topic: str) -> None:
        """Delete a topic with all its records."""
        with self.changed:
            del self.topics[topic]
            self._rebalance_all()

    def add_partitions(self, topic: str, total: int) -> None:
        """Grow a topic to so many partitions."""
        with self.changed:
            logs = self.topics[topic].logs
            logs.extend(_Log() for _ in range(total - len(logs)))
            self._rebalance_all()

    def append(self, topic: str, values: Iterable[bytes | None], *, partition: int = 0, arrival_ms: int = -1) -> int:
        """Append records; return the end offset."""
        with self.changed:
            log = self.topics[topic].logs[partition]
            for value in values:
                log.records.append(_Record(log.end, arrival_ms, value))
                log.end += 1
            self.changed.notify_all()
            return log.end

    def skip(self, topic: str, offsets: int, *, partition: int = 0) -> None:
        """Use up offsets without records, as transaction markers and compaction do."""
        with self.changed:
            self.topics[topic].logs[partition].end += offsets
            self.changed.notify_all()

    def delete_records(self, topic: str, before: int, *, partition: int = 0) -> None:
        """Remove all records before an offset, as retention does."""
        with self.changed:
            log = self.topics[topic].logs[partition]
            log.beginning = max(log.beginning, min(before, log.end))
            while log.records and log.records[0].offset < log.beginning:
                log.records.popleft()
            self.changed.notify_all()

    def truncate(self, topic: str, end: int, *, partition: int = 0) -> None:
        """Cut the log's end off, as an unclean leader election does."""
        with self.changed:
            log = self.topics[topic].logs[partition]
            log.end = end
            while log.records and log.records[-1].offset >= end:
                log.records.pop()
            self.changed.notify_all()

    def hold_back(self, topic: str, readable: int | None, *, partition: int = 0) -> None:
        """Let nothing be read from this offset on, as an open transaction does; `None` ends it."""
        with self.changed:
            self.topics[topic].logs[partition].readable = readable
            self.changed.notify_all()

    def set_away(self, *, away: bool) -> None:
        """Make the broker unreachable, or reachable again."""
        with self.changed:
            self._away = away
            self.changed.notify_all()

    def check(self) -> None:
        """Raise `SourceAway` while the broker is unreachable."""
        if self._away:
            raise SourceAway("the in-memory broker is away")

    def log_of(self, partition: Partition) -> _Log | None:
        """Return a partition's log, if it exists."""
        topic = self.topics.get(partition.topic)
        if topic is None or partition.partition >= len(topic.logs):
            return None
        return topic.logs[partition.partition]

    def join(self, group: str, member: MemorySource) -> None:
        """Take a member into its group; everyone's partitions are dealt out anew."""
        self._members.setdefault(group, []).append(member)
        self._rebalance(group)

    def leave(self, group: str, member: MemorySource) -> None:
        """Let a member go."""
        members = self._members.get(group, [])
        if member in members:
            members.remove(member)
            self._rebalance(group)

    def _rebalance_all(self) -> None:
        for group in self._members:
            self._rebalance(group)

    def _rebalance(self, group: str) -> None:
        """Deal the partitions out in turn, eagerly: all revoked, then assigned, as in Kafka's default protocol."""
        members = self._members[group]
        wanted = sorted({topic for member in members for topic in member.topics if topic in self.topics})
        every = [Partition(topic, number) for topic in wanted for number in range(len(self.topics[topic].logs))]
        for place, member in enumerate(members):
            member.assign(frozenset(every[place :: len(members)]))
        self.changed.notify_all()


class MemorySource:
    """A `RecordSource` on a `MemoryBroker`: one member of a group."""

    def __init__(
        self, broker: MemoryBroker, *, topics: Sequence[str], group: str = "rollwatch", chunk: int = 5_000
    ) -> None:
        """Prepare a member; it joins its group with the first `poll`."""
        self.topics = tuple(topics)
        self._broker = broker
        self._group = group
        self._chunk = chunk
        self._joined = False
        self._events: deque[SourceEvent] = deque()
        self._assigned: frozenset[Partition] = frozenset()
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()

    def assign(self, partitions: frozenset[Partition]) -> None:
        """Be told by the broker what is ours now."""
        if self._assigned:
            self._events.append(PartitionsRevoked(partitions=self._assigned))
        self._positions.clear()
        self._paused.clear()
        self._assigned = partitions
        if partitions:
            self._events.append(PartitionsAssigned(partitions=partitions))

    def poll(self, timeout_seconds: float) -> Sequence[SourceEvent]:
        """See `RecordSource`."""
        deadline = time.monotonic() + timeout_seconds
        with self._broker.changed:
            self._broker.check()
            if not self._joined:
                self._joined = True
                self._broker.join(self._group, self)
            while True:
                found = [*self._events, *self._ready()]
                self._events.clear()
                left = deadline - time.monotonic()
                if found or left <= 0:
                    return found
                self._broker.changed.wait(left)

    def _ready(self) -> list[SourceEvent]:
        if self._events:
            return []  # a change of the assignment is taken in before records
        ready: list[SourceEvent] = []
        for partition, position in list(self._positions.items()):
            log = self._broker.log_of(partition)
            if partition in self._paused or log is None:
                continue
            if not log.beginning <= position <= log.end:
                del self._positions[partition]
                ready.append(PositionLost(partition=partition, position=position))
                continue
            batch = self._read(partition, log, position)
            if batch is not None:
                self._positions[partition] = batch.next_offset
                ready.append(batch)
        return ready

    def _read(self, partition: Partition, log: _Log, position: int) -> RecordBatch | None:
        limit = log.end if log.readable is None else min(log.readable, log.end)
        if position >= limit:
            return None
        # Offsets are dense but for skipped ones, so the place is at most (position - first offset) into the deque.
        first = log.records[0].offset if log.records else log.end
        start = min(max(position - first, 0), len(log.records))
        while start > 0 and log.records[start - 1].offset >= position:
            start -= 1
        chosen = [
            each
            for each in itertools.islice(log.records, start, start + self._chunk)
            if position <= each.offset < limit
        ]
        complete = not chosen or chosen[-1] is log.records[-1] or len(chosen) < self._chunk
        return RecordBatch(
            partition=partition,
            offsets=[each.offset for each in chosen],
            values=[each.value for each in chosen],
            arrivals_ms=[each.arrival_ms for each in chosen],
            next_offset=limit if complete else chosen[-1].offset + 1,
        )

    def start(self, partition: Partition, offset: int) -> None:
        """See `RecordSource`."""
        with self._broker.changed:
            if partition in self._assigned:
                self._positions[partition] = offset
                self._paused.discard(partition)

    def pause(self, partitions: Iterable[Partition]) -> None:
        """See `RecordSource`."""
        with self._broker.changed:
            self._paused.update(partitions)

    def resume(self, partitions: Iterable[Partition]) -> None:
        """See `RecordSource`."""
        with self._broker.changed:
            self._paused.difference_update(partitions)

    def bounds(self, partitions: Iterable[Partition]) -> Mapping[Partition, Bounds]:
        """See `RecordSource`."""
        with self._broker.changed:
            self._broker.check()
            logs = {partition: self._broker.log_of(partition) for partition in partitions}
            return {
                partition: Bounds(log.beginning, log.end, log.end if log.readable is None else log.readable)
                for partition, log in logs.items()
                if log is not None
            }

    def partitions(self) -> Mapping[str, int | None]:
        """See `RecordSource`."""
        with self._broker.changed:
            self._broker.check()
            known = self._broker.topics
            return {topic: len(known[topic].logs) if topic in known else None for topic in self.topics}

    def identity(self, topic: str, known: str | None = None) -> Identity | None:  # noqa: ARG002 - the old is gone
        """See `RecordSource`."""
        with self._broker.changed:
            self._broker.check()
            found = self._broker.topics.get(topic)
            return None if found is None else Identity(f"memory/{found.id}")

    def tail(self, partition: Partition, offset: int) -> Tail | None:
        """See `RecordSource`."""
        with self._broker.changed:
            self._broker.check()
            log = self._broker.log_of(partition)
            found = None if log is None else next((each for each in log.records if each.offset == offset), None)
            if found is None:
                return None
            return Tail.of(offset, found.arrival_ms, found.value)

    def committed(self, offsets: Mapping[Partition, int]) -> None:
        """See `RecordSource`."""
        with self._broker.changed:
            for partition, offset in offsets.items():
                self._broker.committed[self._group, partition] = offset

    def close(self) -> None:
        """See `RecordSource`."""
        with self._broker.changed:
            self._assigned = frozenset()
            self._positions.clear()
            self._events.clear()
            self._broker.leave(self._group, self)
