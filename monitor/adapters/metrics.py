"""Every metric of the daemon in one typed list, and the registry that holds their values. Labels are bounded sets.

Names in `CONTRACT` are relied on by other people's dashboards and alerts: they do not change. Callers, credentials and
routes are never labels (they come from logs).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from monitor.core.decision import Verdict
from monitor.core.events import RejectReason
from monitor.core.instants import SECOND_MS
from monitor.ports import Partition

CONTENT_TYPE = CONTENT_TYPE_LATEST
disable_created_metrics()  # type: ignore[no-untyped-call] # a second sample a counter, that nobody asks for


class Kind(StrEnum):
    """What a metric's value may do."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDef:
    """One metric: name as it is scraped, help, labels; `buckets` of a histogram are upper bounds in seconds."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

LAG = MetricDef(
    name="rollwatch_ingest_lag_records",
    kind=Kind.GAUGE,
    help="Records between what is applied and the end of the partition (read uncommitted).",
    labels=("topic", "partition"),
)
RECORDS = MetricDef(
    name="rollwatch_ingest_records_total",
    kind=Kind.COUNTER,
    help="Elements applied to the store: aggregated, unmapped and rejected ones.",
    labels=("topic",),
)
REJECTS = MetricDef(
    name="rollwatch_ingest_rejects_total",
    kind=Kind.COUNTER,
    help="Elements that were not events, by reason.",
    labels=("reason",),
)
LAST_FLUSH = MetricDef(
    name="rollwatch_ingest_last_flush_timestamp_seconds",
    kind=Kind.GAUGE,
    help="When the last flush was committed, Unix time.",
)
FLUSH_SECONDS = MetricDef(
    name="rollwatch_ingest_flush_duration_seconds",
    kind=Kind.HISTOGRAM,
    help="How long a flush's transaction took.",
    buckets=_SECONDS,
)
FENCED = MetricDef(
    name="rollwatch_ingest_fenced_total",
    kind=Kind.COUNTER,
    help="Batches dropped because another worker had claimed the partition.",
    labels=("topic",),
)
GAPS = MetricDef(
    name="rollwatch_ingest_gaps_total",
    kind=Kind.COUNTER,
    help="Coverage gaps: records that we know we never saw.",
    labels=("topic",),
)
DECISION = MetricDef(
    name="rollwatch_decision",
    kind=Kind.GAUGE,
    help="1 for the decision in force of a rollover, 0 for the other two.",
    labels=("rollover", "decision"),
)
EVALUATION_TIME = MetricDef(
    name="rollwatch_evaluation_timestamp_seconds",
    kind=Kind.GAUGE,
    help="When all rollovers were last evaluated, Unix time.",
)
EVALUATION_SECONDS = MetricDef(
    name="rollwatch_evaluation_duration_seconds",
    kind=Kind.HISTOGRAM,
    help="How long one look at all rollovers took.",
    buckets=(*_SECONDS, 30.0),
)
EVALUATION_FAULTS = MetricDef(
    name="rollwatch_evaluation_faults_total",
    kind=Kind.COUNTER,
    help="Looks that failed, by reason.",
    labels=("reason",),
)
ALERTS = MetricDef(
    name="rollwatch_alerts_total", kind=Kind.COUNTER, help="Alerts by kind, told or not.", labels=("kind",)
)
OUTBOX = MetricDef(name="rollwatch_outbox_messages", kind=Kind.GAUGE, help="Messages that wait to be sent.")
INCIDENTS = MetricDef(name="rollwatch_open_incidents", kind=Kind.GAUGE, help="Incidents that have not been closed.")
DETECTOR_READY = MetricDef(
    name="rollwatch_detector_ready", kind=Kind.GAUGE, help="1 when the detector's silence means something."
)
LEADER = MetricDef(name="rollwatch_leader", kind=Kind.GAUGE, help="1 where this process is the one that decides.")
READY = MetricDef(name="rollwatch_ready", kind=Kind.GAUGE, help="1 while /readyz answers 200.")
KEYS_FILE_REFUSED = MetricDef(
    name="rollwatch_keys_file_refused", kind=Kind.GAUGE, help="1 while the keys file is refused (the last good holds)."
)
HTTP_SECONDS = MetricDef(
    name="rollwatch_http_request_duration_seconds",
    kind=Kind.HISTOGRAM,
    help="HTTP requests by route template, method and status.",
    labels=("route", "method", "status"),
    buckets=_SECONDS,
)
INFO = MetricDef(name="rollwatch_info", kind=Kind.GAUGE, help="Always 1; the version is a label.", labels=("version",))

CONTRACT = (LAG, RECORDS, REJECTS, LAST_FLUSH, DECISION, EVALUATION_TIME)
ALL = (
    *CONTRACT,
    FLUSH_SECONDS,
    FENCED,
    GAPS,
    EVALUATION_SECONDS,
    EVALUATION_FAULTS,
    ALERTS,
    OUTBOX,
    INCIDENTS,
    DETECTOR_READY,
    LEADER,
    READY,
    KEYS_FILE_REFUSED,
    HTTP_SECONDS,
    INFO,
)


class Metrics:
    """The values of this process; every method may be called from any thread. Also an `IngestObserver`."""

    def __init__(self, version: str = "") -> None:
        """Make all metrics, so that a scrape before the first event already knows their names."""
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)  # memory, processor time, open files of this process
        self._counters = {
            each.name: Counter(each.name.removesuffix("_total"), each.help, each.labels, registry=self._registry)
            for each in ALL
            if each.kind is Kind.COUNTER
        }
        self._gauges = {
            each.name: Gauge(each.name, each.help, each.labels, registry=self._registry)
            for each in ALL
            if each.kind is Kind.GAUGE
        }
        self._histograms = {
            each.name: Histogram(each.name, each.help, each.labels, buckets=each.buckets, registry=self._registry)
            for each in ALL
            if each.kind is Kind.HISTOGRAM
        }
        self._decided: set[str] = set()
        for reason in RejectReason:
            self._counters[REJECTS.name].labels(reason.value)
        self.set(INFO, 1, version=version)

    def set(self, metric: MetricDef, value: float, **labels: str) -> None:
        """Set a gauge."""
        gauge = self._gauges[metric.name]
        (gauge.labels(**labels) if metric.labels else gauge).set(value)

    def count(self, metric: MetricDef, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        counter = self._counters[metric.name]
        (counter.labels(**labels) if metric.labels else counter).inc(amount)

    def time(self, metric: MetricDef, seconds: float, **labels: str) -> None:
        """Add an observation to a histogram."""
        histogram = self._histograms[metric.name]
        (histogram.labels(**labels) if metric.labels else histogram).observe(seconds)

    def decided(self, verdicts: Mapping[str, Verdict], *, at_ms: int) -> None:
        """Show the verdict of every rollover; those no longer there are no longer shown."""
        gauge = self._gauges[DECISION.name]
        for gone in self._decided - verdicts.keys():
            for each in Verdict:
                gauge.remove(gone, each.value)
        for rollover, verdict in verdicts.items():
            for each in Verdict:
                gauge.labels(rollover=rollover, decision=each.value).set(each is verdict)
        self._decided = set(verdicts)
        self.set(EVALUATION_TIME, at_ms / SECOND_MS)

    def text(self) -> bytes:
        """Return the text exposition format."""
        return generate_latest(self._registry)

    # --- IngestObserver -------------------------------------------------------------------------------------------

    def records(self, topic: str, count: int) -> None:
        """See `IngestObserver`."""
        self.count(RECORDS, count, topic=topic)

    def rejects(self, reason: RejectReason, count: int) -> None:
        """See `IngestObserver`."""
        self.count(REJECTS, count, reason=reason.value)

    def flushed(self, partition: Partition, *, seconds: float, at_ms: int) -> None:  # noqa: ARG002 - the port's signature
        """See `IngestObserver`."""
        self.time(FLUSH_SECONDS, seconds)
        self.set(LAST_FLUSH, at_ms / SECOND_MS)

    def lag(self, partition: Partition, records: int | None) -> None:
        """See `IngestObserver`."""
        gauge = self._gauges[LAG.name]
        if records is None:
            # A partition that was assigned and never probed has no sample yet; removing it twice is no fault.
            gauge.remove_by_labels({"topic": partition.topic, "partition": str(partition.partition)})
        else:
            gauge.labels(topic=partition.topic, partition=str(partition.partition)).set(records)

    def fenced(self, partition: Partition) -> None:
        """See `IngestObserver`."""
        self.count(FENCED, topic=partition.topic)

    def gap(self, partition: Partition) -> None:
        """See `IngestObserver`."""
        self.count(GAPS, topic=partition.topic)
