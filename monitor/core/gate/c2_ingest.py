"""C2: everything that was written by now has been read: per partition, never by the group's word."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.core.decision import Status
from monitor.core.evidence import PartitionStatus
from monitor.core.gate.finding import Finding, Trouble, finding, trouble
from monitor.core.gate.look import Look
from monitor.core.instants import format_duration, rfc3339

CLAUSE = "C2"


def ingest(look: Look) -> Finding:
    """Judge how far each partition of each registered topic has been read."""
    telemetry = look.telemetry
    if telemetry.replayed:
        return finding(
            CLAUSE, (), passed="a replay: ingest is complete up to the checkpoint", evidence={"replay": True}
        )
    expected = sum(count or 0 for count in telemetry.expected_partitions.values())
    return finding(
        CLAUSE,
        _troubles(look),
        passed=f"all {expected} partitions are read up to {format_duration(look.policy.max_ingest_age_ms)} ago",
        evidence={
            "topics": dict(sorted(telemetry.expected_partitions.items())),
            "partitions_read": len(telemetry.partitions),
        },
    )


def _troubles(look: Look) -> Iterator[Trouble]:
    telemetry = look.telemetry
    if not telemetry.expected_partitions:
        yield _unknown(
            "no topic is registered: nothing is being read", "configure the topics, and start an ingest worker"
        )
    known = {(each.topic, each.partition): each for each in telemetry.partitions}
    for topic, count in sorted(telemetry.expected_partitions.items()):
        if count is None:
            yield _unknown(f"the broker could not be asked about topic {topic}", "the broker answers again")
        elif count < 1:
            clear = f"create it, correct its name, or, if it is read no longer: rollwatch ingest forget {topic}"
            yield _unknown(f"topic {topic} does not exist", clear)
        else:
            for partition in range(count):
                yield from _partition(look, topic, partition, known.get((topic, partition)))


def _partition(look: Look, topic: str, partition: int, status: PartitionStatus | None) -> Iterator[Trouble]:
    name = f"{topic}:{partition}"
    limit = look.policy.max_ingest_age_ms
    oldest = look.now_ms - limit
    if status is None or status.next_offset is None:
        yield _unknown(f"partition {name} has never been read", "an ingest worker claims it and reads it to its end")
    elif status.stopped is not None:
        yield _unknown(f"partition {name} stands still: {status.stopped}", f"resume it: rollwatch ingest resume {name}")
    elif status.probed_at_ms is None or status.end_offset is None or status.probed_at_ms < oldest:
        when = "never" if status.probed_at_ms is None else f"last at {rfc3339(status.probed_at_ms)}"
        clear = f"a probe that succeeds; if the topic is read no longer: rollwatch ingest forget {topic}"
        yield _unknown(f"the end of partition {name} was probed {when}", clear)
    elif status.probed_at_ms > look.now_ms + look.policy.max_clock_skew_ms:
        yield _unknown(f"partition {name} was probed in the future: a clock is wrong", "clocks that agree")
    elif status.complete_through_ms is None or status.complete_through_ms < oldest:
        lag = max(0, status.end_offset - status.next_offset)
        yield _unknown(
            f"partition {name} is {lag} records behind, and not complete for the last {format_duration(limit)}",
            "the worker catches up",
        )


def _unknown(summary: str, clear: str) -> Trouble:
    return trouble(CLAUSE, Status.UNKNOWN, summary, clear)
