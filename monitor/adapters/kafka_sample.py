"""Reads the last records of a topic, outside of any group: for looking at them, never for counting."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from monitor.errors import SourceAway

_PATIENCE_SECONDS = 10.0


def sample_topic(servers: Sequence[str], security: Mapping[str, object], topic: str, *, count: int) -> list[bytes]:
    """Return up to `count` of the newest values, spread over the partitions. Raises `SourceAway`."""
    try:
        consumer = KafkaConsumer(
            bootstrap_servers=list(servers),
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            bootstrap_timeout_ms=int(_PATIENCE_SECONDS * 1000),
            **security,
        )
    except KafkaError as error:
        raise SourceAway(f"Kafka at {', '.join(servers)} does not answer: {type(error).__name__}") from None
    try:
        return _newest(consumer, topic, count)
    except KafkaError as error:
        raise SourceAway(f"{topic} cannot be sampled: {type(error).__name__}") from None
    finally:
        consumer.close()


def _newest(consumer: KafkaConsumer, topic: str, count: int) -> list[bytes]:
    numbers = consumer.partitions_for_topic(topic)
    if not numbers:
        raise SourceAway(f"{topic} does not exist")
    partitions = [TopicPartition(topic, each) for each in sorted(numbers)]
    begins, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    consumer.assign(partitions)
    share = -(-count // len(partitions))
    wanted = 0
    for each in partitions:
        start = max(begins[each], ends[each] - share)
        wanted += ends[each] - start
        consumer.seek(each, start)
    values: list[bytes] = []
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while len(values) < min(wanted, count) and time.monotonic() < deadline:
        for records in consumer.poll(timeout_ms=500).values():
            values += [record.value or b"" for record in records]
    return values[:count]
