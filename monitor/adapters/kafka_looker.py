"""Looks at Kafka's topics beside the reading: identities, bounds, single records; and makes and ends the clients."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import OffsetSpec
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.errors import OffsetOutOfRangeError, UnknownTopicOrPartitionError

from monitor.errors import SourceAway
from monitor.ports import Bounds, Identity, Partition, Tail

CLOSE_MS = 1_500
_ANSWER_MS = 3_000
_BOOTSTRAP_MS = 2_000
_RENEW_AFTER_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSettings:
    """How to reach Kafka. `security` holds kafka-python's own names (`security_protocol`, `sasl_*`, `ssl_*`).

    fetch_max_bytes bounds one answer of a broker, and with `max_poll_records` the memory of the process.
    """

    bootstrap_servers: tuple[str, ...]
    topics: tuple[str, ...]
    group_id: str = "rollwatch"
    session_timeout_seconds: float = 45.0
    security: Mapping[str, object] = field(default_factory=dict)
    max_poll_records: int = 4_000
    fetch_max_bytes: int = 2 * 1024 * 1024
    partition_fetch_bytes: int = 256 * 1024

    def client(self) -> dict[str, object]:
        """Return what every client of ours is given."""
        return {
            **self.security,
            "bootstrap_servers": list(self.bootstrap_servers),
            "client_id": "rollwatch",
            "bootstrap_timeout_ms": _BOOTSTRAP_MS,
            "reconnect_backoff_max_ms": 1_000,
        }

    def consumer(self) -> dict[str, object]:
        """Return the settings of the consumer in the group; each guards against a loss."""
        return {
            **self.client(),
            "group_id": self.group_id,
            "auto_offset_reset": "none",
            "enable_auto_commit": False,
            "allow_auto_create_topics": False,
            "isolation_level": "read_committed",
            "partition_assignment_strategy": [RoundRobinPartitionAssignor],
            "session_timeout_ms": int(self.session_timeout_seconds * 1_000),
            "heartbeat_interval_ms": int(min(3.0, self.session_timeout_seconds / 3) * 1_000),
            "metadata_max_age_ms": 10_000,
            "max_poll_records": self.max_poll_records,
            "fetch_max_bytes": self.fetch_max_bytes,
            "max_partition_fetch_bytes": self.partition_fetch_bytes,
            "request_timeout_ms": 15_000,
            "metrics_enabled": False,
        }


class KafkaLooker:
    """Looks at topics with clients of its own, so that a question never disturbs the reading; one at a time."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Prepare; clients are made when they are needed."""
        self._settings = settings
        self._admin: Any = None
        self._reader: Any = None
        self._cluster: str | None = None
        self._failing_since: float | None = None
        self._lock = threading.Lock()

    def topics(self, topics: Sequence[str]) -> dict[str, Any]:
        """Return each topic's description, `None` where there is none."""
        with self._asking() as admin:
            described = {each["name"]: each for each in admin.describe_topics(list(topics))}
        found = {topic: described.get(topic) for topic in topics}
        return {topic: each if each and each["error_code"] == 0 else None for topic, each in found.items()}

    def partitions(self) -> dict[str, int | None]:
        """Return the number of partitions of each configured topic."""
        described = self.topics(self._settings.topics)
        return {topic: len(found["partitions"]) if found else None for topic, found in described.items()}

    def identity(self, topic: str) -> Identity | None:
        """Return `cluster id/topic id`."""
        found = self.topics([topic])[topic]
        return Identity(f"{self.cluster()}/{found['topic_id']}") if found else None

    def cluster(self) -> str:
        """Return the cluster's id; asked anew with each new client."""
        with self._asking() as admin:
            if self._cluster is None:
                self._cluster = str(admin.describe_cluster()["cluster_id"])
            return self._cluster

    def bounds(self, partitions: Sequence[Partition]) -> dict[Partition, Bounds]:
        """Return the bounds of those that exist."""
        there = {
            (topic, each["partition_index"])
            for topic, found in self.topics(sorted({each.topic for each in partitions})).items()
            for each in (found["partitions"] if found else ())
        }
        wanted = [TopicPartition(*each) for each in partitions if each in there]
        if not wanted:
            return {}
        with self._asking() as admin:
            ask = admin.list_partition_offsets
            try:
                # In this order: what `readable` and `beginning` say must never be ahead of `end`.
                first = ask(dict.fromkeys(wanted, OffsetSpec.EARLIEST), timeout_ms=_ANSWER_MS)
                readable = ask(dict.fromkeys(wanted, OffsetSpec.LATEST), "read_committed", timeout_ms=_ANSWER_MS)
                last = ask(dict.fromkeys(wanted, OffsetSpec.LATEST), timeout_ms=_ANSWER_MS)
            except UnknownTopicOrPartitionError:
                return {}  # deleted between the questions; the next look will show it
        return {
            Partition(each.topic, each.partition): Bounds(first[each].offset, last[each].offset, readable[each].offset)
            for each in wanted
        }

    def record(self, partition: Partition, offset: int) -> Tail | None:
        """Return the fingerprint of the record at an offset."""
        held = self.bounds([partition]).get(partition)
        if held is None or not held.beginning <= offset < held.end:
            return None
        each = TopicPartition(*partition)
        with self._asking():
            if self._reader is None:
                settings = {**self._settings.client(), "group_id": None, "auto_offset_reset": "none"}
                settings |= {"enable_auto_commit": False, "allow_auto_create_topics": False, "max_poll_records": 1}
                settings |= {"max_partition_fetch_bytes": 65_536, "metrics_enabled": False}
                self._reader = construct(KafkaConsumer, self._settings, settings)
            reader = self._reader
            reader.assign([each])
            reader.seek(each, offset)
            deadline = time.monotonic() + _ANSWER_MS / 1_000
            while (left := deadline - time.monotonic()) > 0:
                try:
                    found = reader.poll(timeout_ms=int(left * 1_000)).get(each)
                except OffsetOutOfRangeError:
                    return None
                if found:
                    record = found[0]
                    return Tail.of(offset, record.timestamp, record.value) if record.offset == offset else None
                if (reader.position(each) or 0) > offset:
                    return None
            raise TimeoutError(f"the record at {partition} {offset} was not delivered")

    def close(self) -> None:
        """End the clients; does not wait for a question that is being asked."""
        taken = self._lock.acquire(timeout=0.3)
        self._forget()
        if taken:
            self._lock.release()

    def _forget(self) -> None:
        reader, admin = self._reader, self._admin
        self._reader = self._admin = self._cluster = None
        close_quietly(reader, autocommit=False, timeout_ms=0)
        close_quietly(admin)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[Any]:
        with self._lock:
            try:
                if self._admin is None:
                    settings = self._settings.client() | {"request_timeout_ms": _ANSWER_MS}
                    self._admin = construct(KafkaAdminClient, self._settings, settings)
                yield self._admin
            except SourceAway:
                raise
            except Exception as error:
                now = time.monotonic()
                self._failing_since = self._failing_since or now
                if now - self._failing_since > _RENEW_AFTER_SECONDS:
                    self._forget()  # every broker that this client knows may have moved
                    self._failing_since = None
                raise away(self._settings, error) from error
            else:
                self._failing_since = None


def construct(kind: Any, settings: KafkaSettings, options: Mapping[str, object]) -> Any:  # noqa: ANN401
    """Return a client; one that cannot be made leaves nothing behind. Raises `SourceAway`."""
    made: list[Any] = []

    def net_client(**given: object) -> Any:  # noqa: ANN401
        made.append(kind.DEFAULT_CONFIG["kafka_client"](**given))
        return made[-1]

    try:
        return kind(**options, kafka_client=net_client)
    except Exception as error:
        for each in made:
            close_quietly(each)
        raise away(settings, error) from error


def close_quietly(client: Any, **options: object) -> None:  # noqa: ANN401
    """End a client that is being thrown away, whatever it thinks of it."""
    if client is not None:
        with contextlib.suppress(Exception):
            client.close(**options)


def away(settings: KafkaSettings, error: Exception) -> SourceAway:
    """Return the fault to raise: what is away, and what to look at."""
    return SourceAway(
        f"Kafka at {', '.join(settings.bootstrap_servers)} does not answer ({type(error).__name__}: {error}). "
        "Is the broker up, and are ROLLWATCH_KAFKA__BOOTSTRAP_SERVERS and its security settings right? Trying again."
    )
