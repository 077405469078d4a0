"""One world per record source: what a test does to the far side (append, truncate, recreate), alike for all of them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from monitor.adapters.file_source import FileSource
from monitor.adapters.kafka_looker import KafkaSettings
from monitor.adapters.kafka_source import KafkaSource
from monitor.adapters.memory_source import MemoryBroker, MemorySource
from monitor.ports import Partition, PartitionsAssigned, PartitionsRevoked, PositionLost, RecordBatch, RecordSource


class World(Protocol):
    """The far side of a source. `dense` tells whether offsets count records (a file's count bytes)."""

    dense: bool
    topic: str

    def append(self, values: Sequence[bytes], partition: int = 0) -> None: ...
    def source(self) -> RecordSource: ...
    def recreate(self) -> None: ...


class MemoryWorld:
    dense = True

    def __init__(self, partitions: int = 1) -> None:
        """Make the far side."""
        self.broker = MemoryBroker()
        self.topic = "gateway-logs"
        self._partitions = partitions
        self.broker.create_topic(self.topic, partitions)

    def append(self, values: Sequence[bytes], partition: int = 0) -> None:
        self.broker.append(self.topic, values, partition=partition, arrival_ms=1_780_000_000_000)

    def source(self) -> RecordSource:
        return MemorySource(self.broker, topics=[self.topic])

    def recreate(self) -> None:
        self.broker.create_topic(self.topic, self._partitions)

    def delete_records(self, before: int) -> None:
        self.broker.delete_records(self.topic, before)

    def add_partitions(self, total: int) -> None:
        self.broker.add_partitions(self.topic, total)


class KafkaWorld:
    dense = True
    kind: type[Any] = KafkaSource

    def __init__(self, broker: Any, partitions: int = 1) -> None:
        """Make the far side."""
        self.broker = broker
        self.topic = f"c-{uuid.uuid4().hex[:8]}"
        self.group = f"g-{uuid.uuid4().hex[:8]}"
        self._partitions = partitions
        broker.create_topic(self.topic, partitions)

    def append(self, values: Sequence[bytes], partition: int = 0) -> None:
        self.broker.produce(self.topic, values, partition=partition)

    def source(self) -> RecordSource:
        made: RecordSource = self.kind(
            KafkaSettings(
                bootstrap_servers=(self.broker.bootstrap,),
                topics=(self.topic,),
                group_id=self.group,
                session_timeout_seconds=6,
            )
        )
        return made

    def recreate(self) -> None:
        self.broker.delete_topic(self.topic)
        self.broker.create_topic(self.topic, self._partitions)

    def delete_records(self, before: int) -> None:
        self.broker.delete_records(self.topic, {0: before})

    def add_partitions(self, total: int) -> None:
        self.broker.add_partitions(self.topic, total)


class FileWorld:
    dense = False

    def __init__(self, folder: Path) -> None:
        """Make the far side."""
        self.path = folder / "access.log"
        self.topic = self.path.name
        self.path.touch()

    def append(self, values: Sequence[bytes], partition: int = 0) -> None:
        with self.path.open("ab") as file:
            file.writelines(value + b"\n" for value in values)

    def source(self) -> RecordSource:
        return FileSource([self.path])

    def recreate(self) -> None:
        self.path.unlink()
        self.path.write_bytes(b"")


class Reader:
    """Drives a source as the worker does: starts what is assigned, and keeps all that comes."""

    def __init__(self, source: RecordSource, *, start_at: Callable[[Partition], int] | None = None) -> None:
        """Make the far side."""
        self.source = source
        self.start_at = start_at or (lambda partition: source.bounds([partition])[partition].beginning)
        self.assigned: set[Partition] = set()
        self.batches: list[RecordBatch] = []
        self.lost: list[PositionLost] = []
        self.revocations = 0

    def step(self, seconds: float = 0.2) -> None:
        fresh: set[Partition] = set()
        for event in self.source.poll(seconds):
            match event:
                case PartitionsAssigned(partitions=partitions):
                    fresh |= partitions
                case PartitionsRevoked(partitions=partitions):
                    self.revocations += 1
                    fresh -= partitions
                    self.assigned -= partitions
                case RecordBatch():
                    assert event.partition in self.assigned, "records of a partition that was not started"
                    self.batches.append(event)
                case PositionLost():
                    self.lost.append(event)
        for partition in fresh:
            self.source.start(partition, self.start_at(partition))
            self.assigned.add(partition)

    def until(self, condition: Callable[[], bool], *, seconds: float = 30) -> None:
        """Step until the condition holds; fail after the deadline."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s; got {self.values!r:.300}"
            self.step()

    @property
    def values(self) -> list[bytes | None]:
        return [value for batch in self.batches for value in batch.values]

    @property
    def offsets(self) -> list[int]:
        return [offset for batch in self.batches for offset in batch.offsets]
