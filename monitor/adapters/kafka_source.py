"""Records from Apache Kafka by kafka-python's public API: bytes in, batches out, offsets never trusted to Kafka.

What the code guards against was measured on kafka-python 3.0.12: rebalance callbacks run on its I/O thread (there only
seek, pause and enqueue); an eager rejoin keeps stale positions (`start` always seeks); after an exception out of `poll`
the next one may hang for ever (the consumer is dropped); a failed constructor leaves its I/O thread behind; a leader
that rejoins because partitions were added, and whose `poll` runs out of time while it waits for the assignment, never
takes it, and forgets that it wanted to (`Rejoin`).
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

import structlog
from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.errors import OffsetOutOfRangeError
from kafka.structs import OffsetAndMetadata

from monitor.adapters.kafka_looker import CLOSE_MS, KafkaLooker, KafkaSettings, away, close_quietly, construct
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

log = structlog.get_logger()

_POSITIONS_EVERY_SECONDS = 0.5
_REJOIN_POLL_SECONDS = 2.0
_REJOIN_SECONDS = 15.0
_OFFSETS, _VALUES, _TIMES = attrgetter("offset"), attrgetter("value"), attrgetter("timestamp")


class Rejoin:
    """How long a rebalance has gone on for this member: from giving up its partitions to hearing of new ones."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start outside of one."""
        self._clock = clock
        self._since: float | None = None

    def begin(self) -> None:
        """Note that partitions were given up."""
        self._since = self._clock()

    def end(self) -> None:
        """Note that the new ones, if any, are known."""
        self._since = None

    def patience(self, seconds: float) -> float:
        """Return how long to poll: longer in a rebalance, which a `poll` that runs out of time may lose."""
        return seconds if self._since is None else max(seconds, _REJOIN_POLL_SECONDS)

    @property
    def lost(self) -> bool:
        """Return whether it has gone on for so long that it will never end."""
        return self._since is not None and self._clock() - self._since > _REJOIN_SECONDS


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # kafka-python has no types
    """Notes rebalances. Runs on the client's I/O thread: nothing here may wait."""

    def __init__(self, consumer: Any, events: deque[SourceEvent], rejoin: Rejoin) -> None:  # noqa: ANN401 - untyped library
        self._consumer = consumer
        self._events = events
        self._rejoin = rejoin

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        """Note it; the main thread applies or drops what it has."""
        self._rejoin.begin()
        gone = _ours(revoked)
        if gone:
            self._events.append(PartitionsRevoked(partitions=gone))

    def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """Hold the partitions still until they are claimed; without a position, `poll` would raise for them."""
        for each in assigned:
            self._consumer.seek(each, 0)
            self._consumer.pause(each)
        self._rejoin.end()
        ours = _ours(assigned)
        if ours:
            self._events.append(PartitionsAssigned(partitions=ours))


class KafkaSource:
    """A `RecordSource` on Kafka: one member of the group, and a second client that looks at the topics."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Prepare; Kafka is asked for the first time by `poll`."""
        self._settings = settings
        self._consumer: Any = None
        self._events: deque[SourceEvent] = deque()
        self._positions: dict[Any, int] = {}
        self._positions_at = 0.0
        self._rejoin = Rejoin()
        self._looker = KafkaLooker(settings)

    # --- reading: one thread --------------------------------------------------------------------------------------

    def poll(self, timeout_seconds: float) -> Sequence[SourceEvent]:
        """See `RecordSource`."""
        consumer = self._consumer or self._connect()
        if self._rejoin.lost:
            self._drop()
            raise away(
                self._settings, TimeoutError(f"no assignment for {_REJOIN_SECONDS:.0f} s: the group is joined anew")
            )
        try:
            polled = consumer.poll(timeout_ms=int(self._rejoin.patience(timeout_seconds) * 1_000))
        except OffsetOutOfRangeError as lost:
            return [*self._drained(), *self._lost(lost)]
        except Exception as error:
            self._drop()
            raise away(self._settings, error) from error
        events: list[SourceEvent] = self._drained()
        for each, records in polled.items():
            offsets = list(map(_OFFSETS, records))
            self._positions[each] = offsets[-1] + 1
            events.append(
                RecordBatch(
                    partition=Partition(each.topic, each.partition),
                    offsets=offsets,
                    values=list(map(_VALUES, records)),
                    arrivals_ms=list(map(_TIMES, records)),
                    next_offset=offsets[-1] + 1,
                )
            )
        events.extend(self._moved_without_records(polled))
        return events

    def _connect(self) -> Any:  # noqa: ANN401
        consumer = construct(KafkaConsumer, self._settings, self._settings.consumer())
        self._events = deque()
        self._positions = {}
        self._rejoin = Rejoin()
        listener = _Listener(consumer, self._events, self._rejoin)
        consumer.subscribe(topics=list(self._settings.topics), listener=listener)
        self._consumer = consumer
        return consumer

    def _drop(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._rejoin = Rejoin()
        self._events = deque()
        self._positions = {}
        close_quietly(consumer, autocommit=False, timeout_ms=CLOSE_MS)

    def _drained(self) -> list[SourceEvent]:
        drained: list[SourceEvent] = []
        while self._events:
            event = self._events.popleft()
            if isinstance(event, PartitionsRevoked):
                for partition in event.partitions:
                    self._positions.pop(TopicPartition(*partition), None)
            drained.append(event)
        return drained

    def _lost(self, lost: OffsetOutOfRangeError) -> list[SourceEvent]:
        events: list[SourceEvent] = []
        for each, position in lost.args[0].items():
            self._positions.pop(each, None)
            with _unless_revoked():
                self._consumer.pause(each)
            events.append(PositionLost(partition=Partition(each.topic, each.partition), position=position))
        return events

    def _moved_without_records(self, polled: Mapping[Any, object]) -> Iterator[SourceEvent]:
        """Yield moves past transaction markers and compaction holes, so that a lag of nothing readable is none."""
        now = time.monotonic()
        if now < self._positions_at:
            return
        self._positions_at = now + _POSITIONS_EVERY_SECONDS
        for each, known in list(self._positions.items()):
            if each in polled:
                continue
            with _unless_revoked():
                position = self._consumer.position(each, timeout_ms=0)
                if position is not None and position > known:
                    self._positions[each] = position
                    yield RecordBatch(
                        partition=Partition(each.topic, each.partition),
                        offsets=(),
                        values=(),
                        arrivals_ms=(),
                        next_offset=position,
                    )

    def start(self, partition: Partition, offset: int) -> None:
        """See `RecordSource`."""
        each = TopicPartition(*partition)
        if self._consumer is not None:
            with _unless_revoked():
                self._consumer.seek(each, offset)
                self._consumer.resume(each)
                self._positions[each] = offset

    def pause(self, partitions: Iterable[Partition]) -> None:
        """See `RecordSource`."""
        self._each(partitions, lambda consumer, each: consumer.pause(each))

    def resume(self, partitions: Iterable[Partition]) -> None:
        """See `RecordSource`."""
        self._each(partitions, lambda consumer, each: consumer.resume(each))

    def _each(self, partitions: Iterable[Partition], do: Callable[[Any, Any], object]) -> None:
        for partition in partitions:
            if self._consumer is not None:
                with _unless_revoked():
                    do(self._consumer, TopicPartition(*partition))

    def committed(self, offsets: Mapping[Partition, int]) -> None:
        """See `RecordSource`. Not waited for: lag tools may see it a moment later, nothing depends on it."""
        if self._consumer is None:
            return
        shadow = {
            TopicPartition(*partition): OffsetAndMetadata(offset, "shadow of Rollwatch's database", -1)
            for partition, offset in offsets.items()
        }
        try:
            self._consumer.commit_async(shadow)
        except Exception as error:  # noqa: BLE001 - whatever a shadow commit does must not touch the path
            log.info("shadow_commit_failed", error=type(error).__name__)

    def close(self) -> None:
        """See `RecordSource`."""
        self._drop()
        self._looker.close()

    # --- looking: any thread --------------------------------------------------------------------------------------

    def bounds(self, partitions: Iterable[Partition]) -> Mapping[Partition, Bounds]:
        """See `RecordSource`."""
        return self._looker.bounds(list(partitions))

    def partitions(self) -> Mapping[str, int | None]:
        """See `RecordSource`."""
        return self._looker.partitions()

    def identity(self, topic: str, known: str | None = None) -> Identity | None:  # noqa: ARG002 - the old is gone
        """See `RecordSource`."""
        return self._looker.identity(topic)

    def tail(self, partition: Partition, offset: int) -> Tail | None:
        """See `RecordSource`."""
        return self._looker.record(partition, offset)


def _ours(partitions: Iterable[Any]) -> frozenset[Partition]:
    return frozenset(Partition(each.topic, each.partition) for each in partitions)


@contextlib.contextmanager
def _unless_revoked() -> Iterator[None]:
    """Let a partition be that a rebalance has just taken away: its revocation is in the queue."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - kafka-python raises ValueError, KeyError or IllegalStateError here
        log.debug("partition_gone", error=type(error).__name__)
