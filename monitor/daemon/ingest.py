"""From the configuration to one ingest worker: its source, its mappings, its accumulators."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from monitor.adapters.kafka_looker import KafkaSettings
from monitor.adapters.kafka_source import KafkaSource
from monitor.config import KafkaClient, Settings, Topic
from monitor.core.aggregation import Aggregator
from monitor.core.instants import SECOND_MS
from monitor.core.looks import SharedLooks
from monitor.core.mapping import CANONICAL, PRESETS, MappingError, RecordMapping, compile_mapping
from monitor.core.repeats import Repeats
from monitor.core.wire import WireReader
from monitor.daemon.pepper import pepper_of
from monitor.errors import ConfigError
from monitor.ingest import Clock, IngestObserver, IngestSettings, Worker
from monitor.ports import RecordSource, Store


def build_worker(
    settings: Settings,
    *,
    store: Store,
    observer: IngestObserver,
    name: str,
    clock: Clock,
    source: RecordSource | None = None,
    pace: IngestSettings | None = None,
) -> Worker:
    """Return one member of the group; nothing is asked of Kafka or the store yet. Raises `ConfigError`.

    `source` reads from elsewhere than the configured Kafka; `pace` replaces the intervals and limits of the settings.
    """
    mappings = {topic.name: mapping_of(topic, settings) for topic in settings.kafka.topics}
    readers = {topic: WireReader() for topic in mappings}
    looks = {topic: SharedLooks(mapping) for topic, mapping in mappings.items()}
    window_ms = int(settings.ingest.dedup_window * SECOND_MS)
    repeats = Repeats(window_ms=window_ms) if window_ms else None
    skew_ms = settings.default_policy().max_clock_skew_ms

    def accumulator(topic: str, registered: frozenset[str], fine: frozenset[str]) -> Aggregator:
        return Aggregator(
            mappings[topic],
            registered=registered,
            fine=fine,
            max_record_bytes=settings.ingest.max_record_bytes,
            max_clock_skew_ms=skew_ms,
            reader=readers[topic],
            looks=looks[topic],
            repeats=repeats,
        )

    return Worker(
        source=source or _source(settings),
        store=store,
        accumulators=accumulator,
        settings=pace
        or IngestSettings(
            flush_interval_seconds=settings.ingest.flush_interval,
            max_reject_ratio=settings.ingest.max_reject_ratio,
            max_record_bytes=settings.ingest.max_record_bytes,
            max_clock_skew_ms=skew_ms,
        ),
        name=name,
        clock=clock,
        observer=observer,
    )


def _source(settings: Settings) -> RecordSource:
    kafka = settings.kafka
    given = KafkaSettings(
        bootstrap_servers=kafka.servers(),
        topics=tuple(each.name for each in kafka.topics),
        group_id=kafka.group_id,
        session_timeout_seconds=kafka.session_timeout,
        security=kafka.security(),
    )
    if kafka.client is KafkaClient.KAFKA_PYTHON:
        return KafkaSource(given)
    try:
        from monitor.adapters.confluent_source import ConfluentSource  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise ConfigError("the client `confluent` is an extra: pip install 'rollwatch[confluent]'") from error
    return ConfluentSource(given)


def check_topics(settings: Settings) -> None:
    """Raise `ConfigError` where a topic's mapping cannot be used; makes no pepper."""
    for topic in settings.kafka.topics:
        _compiled(topic, settings, pepper=b"", named=True)


def mapping_of(topic: Topic, settings: Settings, *, named: bool = True) -> RecordMapping:
    """Return the compiled mapping of a topic. Raises `ConfigError`.

    named: the topic's name stands for the gateway where nothing else says it.
    """
    pepper = b"" if topic.preset == CANONICAL else pepper_of(settings)
    return _compiled(topic, settings, pepper=pepper, named=named)


def _compiled(topic: Topic, settings: Settings, *, pepper: bytes, named: bool) -> RecordMapping:
    try:
        return compile_mapping(
            _preset(topic),
            pepper=pepper,
            gateway=topic.gateway or (topic.name if named else None),
            region=topic.region,
            max_record_bytes=settings.ingest.max_record_bytes,
            max_clock_skew_ms=settings.default_policy().max_clock_skew_ms,
        )
    except MappingError as error:
        raise ConfigError(f"ROLLWATCH_KAFKA__TOPICS: {topic.name}: {error}") from error


def _preset(topic: Topic) -> str | Mapping[str, object]:
    """Return a preset's name, or the document of a mapping file. Raises `ConfigError`."""
    if topic.preset in PRESETS:
        return topic.preset
    path = Path(topic.preset)
    if not path.suffix:
        known = ", ".join(PRESETS)
        raise ConfigError(f"ROLLWATCH_KAFKA__TOPICS: {topic.name}: no preset {topic.preset!r}; known are {known}")
    return mapping_document(path)


def mapping_document(path: Path) -> Mapping[str, object]:
    """Return what a mapping file holds, unchecked. Raises `ConfigError`."""
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as a mapping: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected a mapping document")
    return document
