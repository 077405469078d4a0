"""Records from Apache Kafka by confluent-kafka (librdkafka): the same behaviour for a third of the processor's time.

An extra (`pip install rollwatch[confluent]`, `ROLLWATCH_KAFKA__CLIENT=confluent`). Topics are still looked at with
kafka-python, in its own thread. Callbacks of a rebalance run inside of `consume`, in our thread.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import methodcaller
from typing import Any

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from monitor.adapters.kafka_looker import CLOSE_MS, KafkaLooker, KafkaSettings, away
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

_SEEK_SECONDS = 2.0
_SEEK_AGAIN_SECONDS = 0.02
_LOST = frozenset({KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET})  # noqa: SLF001 - their public name
_EOF = KafkaError._PARTITION_EOF  # noqa: SLF001 - as above
_OFFSET, _VALUE, _TIME = methodcaller("offset"), methodcaller("value"), methodcaller("timestamp")
_PLACE, _NUMBER, _ERROR = methodcaller("topic"), methodcaller("partition"), methodcaller("error")

_SECURITY = {
    "security_protocol": "security.protocol",
    "sasl_mechanism": "sasl.mechanism",
    "sasl_plain_username": "sasl.username",
    "sasl_plain_password": "sasl.password",
    "sasl_kerberos_service_name": "sasl.kerberos.service.name",
    "ssl_cafile": "ssl.ca.location",
    "ssl_certfile": "ssl.certificate.location",
    "ssl_keyfile": "ssl.key.location",
    "ssl_password": "ssl.key.password",
    "ssl_crlfile": "ssl.crl.location",
    "ssl_ciphers": "ssl.cipher.suites",
}


def librdkafka_settings(settings: KafkaSettings) -> dict[str, object]:
    """Return the settings of the consumer in the group under librdkafka's names.

    >>> librdkafka_settings(KafkaSettings(bootstrap_servers=("k:9092",), topics=("t",)))["auto.offset.reset"]
    'error'
    """
    security = {_SECURITY[name]: value for name, value in settings.security.items() if name in _SECURITY}
    if "ssl_check_hostname" in settings.security:
        checked = settings.security["ssl_check_hostname"]
        security["ssl.endpoint.identification.algorithm"] = "https" if checked else "none"
    return {
        **security,
        "bootstrap.servers": ",".join(settings.bootstrap_servers),
        "client.id": "rollwatch",
        "group.id": settings.group_id,
        "auto.offset.reset": "error",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "allow.auto.create.topics": False,
        "isolation.level": "read_committed",
        "partition.assignment.strategy": "roundrobin",
        "session.timeout.ms": int(settings.session_timeout_seconds * 1_000),
        "heartbeat.interval.ms": int(min(3.0, settings.session_timeout_seconds / 3) * 1_000),
        "max.poll.interval.ms": 300_000,
        "topic.metadata.refresh.interval.ms": 10_000,
        "enable.partition.eof": True,
        "fetch.max.bytes": settings.fetch_max_bytes,
        "max.partition.fetch.bytes": settings.partition_fetch_bytes,
        "queued.max.messages.kbytes": settings.fetch_max_bytes // 1_024,
        "fetch.wait.max.ms": 250,
        "reconnect.backoff.max.ms": 1_000,
        "log_level": 3,
    }


class ConfluentSource:
    """A `RecordSource` on Kafka by librdkafka: one member of the group, and a client that looks at the topics."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Prepare; Kafka is asked for the first time by `poll`."""
        self._settings = settings
        self._consumer: Any = None
        self._events: deque[SourceEvent] = deque()
        self._positions: dict[tuple[str, int], int] = {}
        self._paused: set[tuple[str, int]] = set()
        self._halted: set[tuple[str, int]] = set()
        self._looker = KafkaLooker(settings)

    # --- reading: one thread --------------------------------------------------------------------------------------

    def poll(self, timeout_seconds: float) -> Sequence[SourceEvent]:
        """See `RecordSource`."""
        consumer = self._consumer or self._connect()
        try:
            messages = consumer.consume(self._settings.max_poll_records, timeout_seconds)
        except (KafkaException, RuntimeError) as error:
            self._drop()
            raise away(self._settings, error) from error
        events: list[SourceEvent] = list(self._events)
        self._events.clear()
        records: dict[tuple[str, int], list[Any]] = {}
        notes: list[tuple[tuple[str, int], Any, Any]] = []
        places = zip(map(_PLACE, messages), map(_NUMBER, messages), strict=True)
        for place, message, fault in zip(places, messages, map(_ERROR, messages), strict=True):
            if fault is None:
                records.setdefault(place, []).append(message)
            else:
                notes.append((place, message, fault))
        for place, found in records.items():
            batch = self._batch(place, found)
            if batch is not None:
                events.append(batch)
        for note in notes:  # after the records: the end of a partition comes behind those that lead to it
            events.extend(self._noted(*note))
        return events

    def _connect(self) -> Any:  # noqa: ANN401 - untyped library
        try:
            consumer = Consumer(librdkafka_settings(self._settings), logger=_Silent())
            consumer.subscribe(
                list(self._settings.topics),
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._revoked,
            )
        except (KafkaException, ValueError, TypeError) as error:
            raise away(self._settings, error) from error
        self._forget()
        self._consumer = consumer
        return consumer

    def _forget(self) -> None:
        self._events.clear()
        self._positions.clear()
        self._paused.clear()
        self._halted.clear()

    def _drop(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._forget()
        if consumer is not None:
            # It may wait for a broker that is gone, and it cannot be told not to.
            closing = threading.Thread(target=_close, args=(consumer,), name="rollwatch-kafka-close", daemon=True)
            closing.start()
            closing.join(CLOSE_MS / 1_000)

    def _assigned(self, consumer: Any, partitions: Sequence[Any]) -> None:  # noqa: ANN401
        """Hold the partitions still until they are claimed."""
        consumer.assign([TopicPartition(each.topic, each.partition, OFFSET_BEGINNING) for each in partitions])
        consumer.pause(partitions)
        if partitions:
            self._events.append(PartitionsAssigned(partitions=_ours(partitions)))

    def _revoked(self, _consumer: Any, partitions: Sequence[Any]) -> None:  # noqa: ANN401
        for each in partitions:
            self._positions.pop((each.topic, each.partition), None)
            self._paused.discard((each.topic, each.partition))
            self._halted.discard((each.topic, each.partition))
        if partitions:
            self._events.append(PartitionsRevoked(partitions=_ours(partitions)))

    def _noted(self, place: tuple[str, int], message: Any, error: Any) -> Iterator[SourceEvent]:  # noqa: ANN401
        """Yield what an error that stands among the messages means to us."""
        code, position = error.code(), self._positions.get(place)
        if position is None:
            return
        if code in _LOST:
            del self._positions[place]
            self._halted.add(place)
            yield PositionLost(partition=Partition(*place), position=position)
        elif code == _EOF and message.offset() > position and place not in self._paused:
            # Past transaction markers and compaction holes, so that a lag of nothing readable is none.
            self._positions[place] = message.offset()
            yield RecordBatch(
                partition=Partition(*place), offsets=(), values=(), arrivals_ms=(), next_offset=message.offset()
            )

    def _batch(self, place: tuple[str, int], messages: list[Any]) -> RecordBatch | None:
        position = self._positions.get(place)
        if position is None or place in self._paused:
            return None  # fetched before a seek or a pause: comes again
        offsets = list(map(_OFFSET, messages))
        if offsets[0] < position:
            messages = [each for each, offset in zip(messages, offsets, strict=True) if offset >= position]
            offsets = [offset for offset in offsets if offset >= position]
            if not offsets:
                return None
        self._positions[place] = offsets[-1] + 1
        return RecordBatch(
            partition=Partition(*place),
            offsets=offsets,
            values=list(map(_VALUE, messages)),
            arrivals_ms=[at if kind else -1 for kind, at in map(_TIME, messages)],
            next_offset=offsets[-1] + 1,
        )

    def start(self, partition: Partition, offset: int) -> None:
        """See `RecordSource`."""
        place = (partition.topic, partition.partition)
        if self._consumer is None:
            return
        if place in self._halted:
            self._assign_anew(place, offset)
        elif self._seek(place, offset):
            self._positions[place] = offset
            self._paused.discard(place)
            with _unless_revoked():
                self._consumer.resume([TopicPartition(*place)])

    def _assign_anew(self, place: tuple[str, int], offset: int) -> None:
        """Start a partition that librdkafka has given up: it refuses to seek there for ever."""
        with _unless_revoked():
            held = {(each.topic, each.partition) for each in self._consumer.assignment()}
            if place not in held:
                return
            self._positions[place] = offset
            self._halted.discard(place)
            self._paused.discard(place)
            still = [TopicPartition(*each) for each in held - (self._positions.keys() - self._paused)]
            self._consumer.assign([TopicPartition(*each, self._positions.get(each, OFFSET_BEGINNING)) for each in held])
            self._consumer.pause(still)

    def _seek(self, place: tuple[str, int], offset: int) -> bool:
        """Seek; a fresh assignment takes librdkafka a moment, in which it refuses."""
        deadline = time.monotonic() + _SEEK_SECONDS
        while True:
            try:
                self._consumer.seek(TopicPartition(*place, offset))
            except KafkaException as error:
                if error.args[0].code() != KafkaError._STATE or time.monotonic() > deadline:  # noqa: SLF001
                    log.debug("seek_refused", partition=str(Partition(*place)), error=str(error.args[0].code()))
                    return False
                time.sleep(_SEEK_AGAIN_SECONDS)
            else:
                return True

    def pause(self, partitions: Iterable[Partition]) -> None:
        """See `RecordSource`."""
        for each in partitions:
            place = (each.topic, each.partition)
            if self._consumer is not None and place in self._positions:
                self._paused.add(place)
                with _unless_revoked():
                    self._consumer.pause([TopicPartition(*place)])

    def resume(self, partitions: Iterable[Partition]) -> None:
        """See `RecordSource`."""
        for each in partitions:
            position = self._positions.get((each.topic, each.partition))
            if position is not None:
                self.start(each, position)

    def committed(self, offsets: Mapping[Partition, int]) -> None:
        """See `RecordSource`. Not waited for: lag tools may see it a moment later, nothing depends on it."""
        if self._consumer is not None:
            with contextlib.suppress(KafkaException):
                shadow = [TopicPartition(*partition, offset) for partition, offset in offsets.items()]
                self._consumer.commit(offsets=shadow, asynchronous=True)

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


class _Silent:
    """librdkafka tells of each lost connection; our prober says it once, with what to do."""

    def log(self, level: int, message: str, *arguments: object) -> None:
        """Keep it for those who look closely."""
        log.debug("librdkafka", level=level, message=message % arguments if arguments else message)


def _close(consumer: Any) -> None:  # noqa: ANN401
    with contextlib.suppress(Exception):
        consumer.close()


def _ours(partitions: Iterable[Any]) -> frozenset[Partition]:
    return frozenset(Partition(each.topic, each.partition) for each in partitions)


@contextlib.contextmanager
def _unless_revoked() -> Iterator[None]:
    """Let a partition be that a rebalance has just taken away: its revocation is in the queue."""
    try:
        yield
    except KafkaException as error:
        log.debug("partition_gone", error=type(error).__name__)
