"""Claims, flushes, probes: offsets move in the transaction of what they stand for, by compare-and-set."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from monitor.adapters.sql.bulk import Field, Merge, Upsert
from monitor.adapters.sql.chain import append_audit
from monitor.adapters.sql.engine import Database
from monitor.adapters.sql.flush import write_aggregate
from monitor.adapters.sql.schema import traffic
from monitor.core.decision import Json
from monitor.core.events import Reject
from monitor.core.evidence import CoverageGap
from monitor.core.instants import HOUR_MS
from monitor.errors import Fenced, NotFound, StoreRefused, ValueRefused
from monitor.ports import Applied, Claim, Partition, Probe, Tail

_PENDING_PROBES = 64
_REJECT_HOURS = Upsert(
    "reject_hours",
    ("hour_ms", "reason"),
    (
        Field("hour_ms", "bigint"),
        Field("reason", "text"),
        Field("last_ms", "bigint", Merge.MAX),
        Field("count", "bigint", Merge.SUM),
    ),
)
_PARTITION = Upsert(
    "partitions",
    ("topic", "partition"),
    (
        Field("topic", "text"),
        Field("partition", "integer"),
        Field("epoch", "bigint", Merge.SUM),
    ),
)
_TOPICS = Upsert(
    "topics",
    ("topic",),
    (
        Field("topic", "text"),
        Field("partitions", "integer", sql="excluded.partitions"),
        Field("asked_at_ms", "bigint", sql="excluded.asked_at_ms"),
    ),
)


class IngestSide:
    """`IngestStore` on SQL, but for `registry`, which the registry's side gives."""

    _db: Database

    def claim(self, partition: Partition, *, worker: str, now_ms: int) -> Claim:
        """Take the partition: raise its epoch, so that every earlier owner is fenced."""
        with self._db.writing() as connection:
            _PARTITION.run(connection, [(*partition, 1)])  # the row is ours now, until the commit
            connection.execute(_at(partition).values(worker=worker, claimed_at_ms=now_ms))
            return _claim(partition, _row(connection, partition))

    def begin(self, claim: Claim, *, offset: int, identity: str, now_ms: int, gap: CoverageGap | None = None) -> None:
        """Set where a claimed partition is read from; a gap makes a new generation of its ledger."""
        with self._db.writing() as connection:
            row = self._ours(connection, claim)
            anew = row.next_offset is not None and (gap is not None or row.next_offset != offset)
            connection.execute(
                _at(claim.partition).values(
                    next_offset=offset,
                    claimed_at_ms=now_ms,
                    identity=identity,
                    generation=row.generation + int(anew),
                    tail_offset=None,
                    tail_timestamp_ms=None,
                    tail_sha256=None,
                    end_offset=None,
                    probed_at_ms=None,
                    complete_through_ms=None,
                    pending_probes="[]",
                )
            )
            if gap is not None:
                _write_gap(connection, gap)

    def apply(self, applied: Applied) -> None:
        """Write one flush in one transaction, by compare-and-set on (epoch, next)."""
        aggregate = applied.aggregate
        if applied.records != aggregate.aggregated + aggregate.unmapped + len(applied.rejects):
            raise StoreRefused(
                f"a flush of {applied.partition} does not add up: {applied.records} records, "
                f"{aggregate.aggregated} aggregated, {aggregate.unmapped} unmapped, {len(applied.rejects)} rejected"
            )
        try:
            with self._db.writing() as connection:
                self._move(connection, applied)
                write_aggregate(connection, aggregate)
                _write_rejects(connection, applied.partition, applied.rejects)
        except (UnicodeEncodeError, OverflowError) as error:
            raise ValueRefused(f"a value of {applied.partition} cannot be stored: {type(error).__name__}") from error

    def _move(self, connection: Connection, applied: Applied) -> None:
        table, partition = traffic.partitions.c, applied.partition
        tail: dict[str, Any] = {}
        if applied.tail is not None:
            tail = {
                "tail_offset": applied.tail.offset,
                "tail_timestamp_ms": applied.tail.timestamp_ms,
                "tail_sha256": applied.tail.sha256,
            }
        moved = connection.execute(
            _at(partition)
            .where(table.epoch == applied.epoch, table.next_offset == applied.from_offset)
            .values(next_offset=applied.to_offset, applied_at_ms=applied.applied_at_ms, **tail)
            .returning(table.generation, table.pending_probes, table.complete_through_ms)
        ).one_or_none()
        if moved is None:
            raise Fenced(f"{partition} is no longer ours at epoch {applied.epoch}, offset {applied.from_offset}")
        pending = json.loads(moved.pending_probes)
        reached = [at for end, at in pending if end <= applied.to_offset]
        if reached:
            connection.execute(
                _at(partition).values(
                    complete_through_ms=max([*reached, moved.complete_through_ms or 0]),
                    pending_probes=json.dumps([each for each in pending if each[0] > applied.to_offset]),
                )
            )
        if applied.to_offset == applied.from_offset and not applied.records:
            return  # only a fresher tail: an empty stretch has no place in a tiling
        connection.execute(
            insert(traffic.ledger).values(
                topic=partition.topic,
                partition=partition.partition,
                generation=moved.generation,
                from_offset=applied.from_offset,
                to_offset=applied.to_offset,
                epoch=applied.epoch,
                records=applied.records,
                aggregated=applied.aggregate.aggregated,
                unmapped=applied.aggregate.unmapped,
                rejected=len(applied.rejects),
                backfill=applied.backfill,
                applied_at_ms=applied.applied_at_ms,
            )
        )

    def probed(self, probes: Sequence[Probe], expected: Mapping[str, int | None]) -> None:
        """Record end offsets and the broker's partition counts; keeps `complete_through` of each partition."""
        with self._db.writing() as connection:
            ordered = sorted(probes, key=lambda each: each.partition)
            _PARTITION.run(connection, sorted({(*each.partition, 0) for each in ordered}))
            for probe in ordered:
                self._keep_probe(connection, probe)
            asked_at_ms = max((each.probed_at_ms for each in probes), default=0)
            _TOPICS.run(connection, [(topic, count, asked_at_ms) for topic, count in sorted(expected.items())])

    def _keep_probe(self, connection: Connection, probe: Probe) -> None:
        row = _row(connection, probe.partition)
        if row.probed_at_ms is not None and row.probed_at_ms > probe.probed_at_ms:
            return
        pending = json.loads(row.pending_probes)
        complete = row.complete_through_ms
        if row.next_offset is not None and row.next_offset >= probe.end_offset:
            complete, pending = probe.probed_at_ms, []
        else:
            # Of probes of one end only the latest counts; of too many, every other is as good a witness.
            pending = [each for each in pending if each[0] < probe.end_offset]
            pending.append([probe.end_offset, probe.probed_at_ms])
            if len(pending) > _PENDING_PROBES:
                pending = pending[1::2]
        connection.execute(
            _at(probe.partition).values(
                end_offset=probe.end_offset,
                probed_at_ms=probe.probed_at_ms,
                complete_through_ms=complete,
                pending_probes=json.dumps(pending),
            )
        )

    def stop_line(self, claim: Claim, *, reason: str, now_ms: int) -> None:
        """Make the partition stand still, for every worker, until `resume_line`."""
        with self._db.in_turn(repeatable=False) as connection:
            self._ours(connection, claim)
            connection.execute(_at(claim.partition).values(stopped=reason))
            append_audit(
                connection, kind="line_stopped", rollover=None, at_ms=now_ms, body=_line(claim.partition, reason)
            )

    def resume_line(self, partition: Partition, *, reason: str, by: str, now_ms: int) -> None:
        """Let a stopped partition go on."""
        with self._db.in_turn(repeatable=False) as connection:
            going = connection.execute(
                _at(partition).where(traffic.partitions.c.stopped.is_not(None)).values(stopped=None)
            )
            if not going.rowcount:
                raise NotFound(f"{partition} does not stand still")
            append_audit(
                connection,
                kind="line_resumed",
                rollover=None,
                at_ms=now_ms,
                body={**_line(partition, reason), "by": by},
            )

    def forget_topic(self, topic: str, *, reason: str, by: str, now_ms: int) -> int:
        """Wait for a topic no longer; a partition that was not read to the end last seen leaves a gap up to now."""
        table = traffic.partitions.c
        with self._db.in_turn(repeatable=False) as connection:
            if not connection.execute(delete(traffic.topics).where(traffic.topics.c.topic == topic)).rowcount:
                raise NotFound(f"{topic} is not waited for")
            rows = connection.execute(
                select(traffic.partitions).where(table.topic == topic).order_by(table.partition).with_for_update()
            ).all()
            unread = [row for row in rows if row.next_offset is None or row.next_offset < (row.end_offset or 0)]
            for row in unread:
                gap = CoverageGap(
                    topic=topic,
                    partition=row.partition,
                    from_ms=row.complete_through_ms,
                    to_ms=now_ms,
                    recorded_at_ms=now_ms,
                    reason=f"it was forgotten before it was read to its end: {reason}",
                )
                _write_gap(connection, gap)
            connection.execute(
                update(traffic.partitions)
                .where(table.topic == topic)
                .values(end_offset=None, probed_at_ms=None, complete_through_ms=None, pending_probes="[]")
            )
            body: dict[str, Json] = {"topic": topic, "reason": reason, "by": by, "gaps": len(unread)}
            append_audit(connection, kind="topic_forgotten", rollover=None, at_ms=now_ms, body=body)
            return len(unread)

    def _ours(self, connection: Connection, claim: Claim) -> Row[Any]:
        """Return the partition's row, locked. Raises `Fenced` where somebody has claimed it since."""
        held = connection.execute(
            _at(claim.partition).where(traffic.partitions.c.epoch == claim.epoch).values(epoch=claim.epoch)
        )
        if not held.rowcount:
            raise Fenced(f"{claim.partition} is no longer ours at epoch {claim.epoch}")
        return _row(connection, claim.partition)


def _at(partition: Partition) -> Any:  # noqa: ANN401 - SQLAlchemy's Update has no useful parameter here
    table = traffic.partitions.c
    return update(traffic.partitions).where(table.topic == partition.topic, table.partition == partition.partition)


def _row(connection: Connection, partition: Partition) -> Row[Any]:
    table = traffic.partitions.c
    return connection.execute(
        select(traffic.partitions).where(table.topic == partition.topic, table.partition == partition.partition)
    ).one()


def _claim(partition: Partition, row: Row[Any]) -> Claim:
    tail = None
    if row.tail_offset is not None:
        tail = Tail(offset=row.tail_offset, timestamp_ms=row.tail_timestamp_ms, sha256=row.tail_sha256)
    return Claim(
        partition=partition,
        epoch=row.epoch,
        next_offset=row.next_offset,
        tail=tail,
        identity=row.identity,
        stopped=row.stopped,
    )


def _write_gap(connection: Connection, gap: CoverageGap) -> None:
    connection.execute(
        insert(traffic.gaps).values(
            topic=gap.topic,
            partition=gap.partition,
            from_ms=gap.from_ms,
            to_ms=gap.to_ms,
            recorded_at_ms=gap.recorded_at_ms,
            reason=gap.reason,
        )
    )


def _line(partition: Partition, reason: str) -> dict[str, Any]:
    return {"topic": partition.topic, "partition": partition.partition, "reason": reason}


def _write_rejects(connection: Connection, partition: Partition, rejects: Sequence[Reject]) -> None:
    if not rejects:
        return
    connection.execute(
        insert(traffic.rejects),
        [
            {
                "arrival_ms": each.arrival_ms,
                "topic": partition.topic,
                "partition": partition.partition,
                "offset": each.offset,
                "index": each.index,
                "reason": str(each.reason),
                "sha256": each.sha256,
                "sample": each.sample,
            }
            for each in rejects
        ],
    )
    hours: dict[tuple[int, str], tuple[int, int]] = {}
    for each in rejects:
        hour = (each.arrival_ms - each.arrival_ms % HOUR_MS, str(each.reason))
        last_ms, count = hours.get(hour, (0, 0))
        hours[hour] = (max(last_ms, each.arrival_ms), count + 1)
    _REJECT_HOURS.run(connection, sorted((*hour, *cell) for hour, cell in hours.items()))
