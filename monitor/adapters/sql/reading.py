"""What pages, the command line and the detector read; each call is its own transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, case, desc, func, select

from monitor.adapters.sql.caller_rows import callers_of_keys
from monitor.adapters.sql.engine import Database, fetch
from monitor.adapters.sql.identity import digest
from monitor.adapters.sql.incidents import newest_incidents
from monitor.adapters.sql.rhythm import longest_gap_ms
from monitor.adapters.sql.schema import records, traffic
from monitor.adapters.sql.telemetry import partition_states
from monitor.core.activity import Activity
from monitor.core.events import Outcome
from monitor.core.evidence import CallerRecord, GatewayLiveness, PartitionStatus
from monitor.core.instants import SECOND_MS
from monitor.core.windows import CallerGatewayKey, FailureKey, Span, UsageKey, earlier, later
from monitor.ports import CallerRow, Incident, LedgerRow, Partition, Propagation, RejectRow, UsagePoint

_CHUNK = 500
_SERIES = traffic.usage_series.c
_POINTS = traffic.usage_points.c
_CREDENTIALS = records.credentials.c


class ReadingSide:
    """`ReadStore` on SQL."""

    _db: Database

    def usage_series(self, key: str, *, from_ms: int, to_ms: int, step_ms: int) -> Sequence[UsagePoint]:
        """Return requests per version, outcome and region in steps aligned to the epoch."""
        step = (_POINTS.bucket_ms - _POINTS.bucket_ms % step_ms).label("step")
        query = (
            select(step, _CREDENTIALS.version, _SERIES.outcome, _SERIES.region, func.sum(_POINTS.requests))
            .select_from(
                records.credentials.join(traffic.usage_series, _SERIES.cred == _CREDENTIALS.cred).join(
                    traffic.usage_points, _POINTS.series_id == _SERIES.id
                )
            )
            .where(_CREDENTIALS.key == key, _POINTS.bucket_ms >= from_ms, _POINTS.bucket_ms < to_ms)
            .group_by(step, _CREDENTIALS.version, _SERIES.outcome, _SERIES.region)
            .order_by(step, _CREDENTIALS.version, _SERIES.outcome, _SERIES.region.nulls_first())
        )
        with self._db.reading() as connection:
            rows = connection.execute(query).all()
        return [UsagePoint(at, version, outcome, region, int(sum_)) for at, version, outcome, region, sum_ in rows]

    def usage_cells(
        self, *, from_ms: int, to_ms: int, credentials: Collection[str] | None = None
    ) -> Sequence[tuple[UsageKey, int]]:
        """Return the cells of the time series whose bucket begins in [from, to), in order of time."""
        query = (
            select(
                _POINTS.bucket_ms,
                _SERIES.bucket_seconds,
                _SERIES.credential,
                _SERIES.gateway,
                _SERIES.region,
                _SERIES.outcome,
                _SERIES.reason,
                _POINTS.requests,
            )
            .join_from(traffic.usage_series, traffic.usage_points, _POINTS.series_id == _SERIES.id)
            .where(_POINTS.bucket_ms >= from_ms, _POINTS.bucket_ms < to_ms)
            .order_by(_POINTS.bucket_ms, _SERIES.id)
        )
        found = [(UsageKey._make(row[:-1]), row[-1]) for row in self._rows(query, _SERIES.cred, credentials)]
        return found if credentials is None else sorted(found, key=lambda each: each[0].bucket_ms)

    def failure_cells(
        self, *, from_ms: int, to_ms: int, credentials: Collection[str] | None = None
    ) -> Sequence[tuple[FailureKey, int]]:
        """Return failures in detail whose minute begins in [from, to), in order of time."""
        series, points = traffic.failure_series.c, traffic.failure_points.c
        query = (
            select(
                points.minute_ms,
                series.credential,
                series.client,
                series.source,
                series.gateway,
                series.region,
                series.route,
                series.method,
                series.reason,
                points.requests,
            )
            .join_from(traffic.failure_series, traffic.failure_points, points.series_id == series.id)
            .where(points.minute_ms >= from_ms, points.minute_ms < to_ms)
            .order_by(points.minute_ms, series.id)
        )
        found = [(FailureKey._make(row[:-1]), row[-1]) for row in self._rows(query, series.cred, credentials)]
        return found if credentials is None else sorted(found, key=lambda each: each[0].minute_ms)

    def _rows(
        self, query: Select[Any], cred: ColumnElement[bytes | None], credentials: Collection[str] | None
    ) -> Iterator[tuple[Any, ...]]:
        with self._db.reading() as connection:
            if credentials is None:
                yield from fetch(connection, query)
                return
            names = [digest(each) for each in sorted(set(credentials))]
            for start in range(0, len(names), _CHUNK):
                yield from fetch(connection, query.where(cred.in_(names[start : start + _CHUNK])))

    def caller_gateway_spans(self, *, since_ms: int) -> Sequence[tuple[CallerGatewayKey, Span]]:
        """Return where callers of active rollovers were accepted."""
        table = traffic.caller_gateways.c
        query = select(
            table.credential,
            table.client,
            table.source,
            table.gateway,
            table.region,
            table.first_ms,
            table.last_ms,
            table["count"],
        ).where(table.last_ms >= since_ms)
        with self._db.reading() as connection:
            return [
                (CallerGatewayKey(*row[:5]), Span(first_ms=row[5], last_ms=row[6], count=row[7]))
                for row in connection.execute(query.order_by(table.last_ms, table.digest))
            ]

    def caller_rows(self, key: str, *, known: Sequence[CallerRecord] | None = None) -> Sequence[CallerRow]:
        """Return the callers of every version of a key; of `known` alone, where a snapshot has read them already."""
        states = records.caller_states.c
        with self._db.reading() as connection:
            callers = callers_of_keys(connection, [key])[key] if known is None else known
            of_key = select(_CREDENTIALS.credential, _CREDENTIALS.version).where(_CREDENTIALS.key == key)
            versions = {row.credential: row.version for row in connection.execute(of_key)}
            state_of = {
                bytes(name): state
                for name, state in connection.execute(select(states.digest, states.state).where(states.key == key))
            }
        grouped: dict[tuple[int, str | None, str | None], list[CallerRecord]] = {}
        for record in callers:
            if record.credential in versions:
                grouped.setdefault((versions[record.credential], record.client, record.source), []).append(record)
        return [
            _caller_row(
                key, version, grouped[version, client, source], state_of.get(digest(key, version, client, source))
            )
            for version, client, source in sorted(grouped, key=lambda at: (at[0], at[1] or "", at[2] or ""))
        ]

    def propagation(self, key: str) -> Sequence[Propagation]:
        """Return where and when each version of a key was first seen, to the bucket."""
        first = (
            select(func.min(_POINTS.bucket_ms))
            .where(_POINTS.series_id == _SERIES.id)
            .correlate(traffic.usage_series)
            .scalar_subquery()
        )
        accepted = _SERIES.outcome == Outcome.SUCCESS.value
        query = (
            select(
                _CREDENTIALS.version,
                _SERIES.gateway,
                _SERIES.region,
                func.min(case((accepted, first))),
                func.min(case((~accepted, first))),
            )
            .join_from(records.credentials, traffic.usage_series, _SERIES.cred == _CREDENTIALS.cred)
            .where(_CREDENTIALS.key == key)
            .group_by(_CREDENTIALS.version, _SERIES.gateway, _SERIES.region)
            .order_by(_CREDENTIALS.version, _SERIES.gateway, _SERIES.region.nulls_first())
        )
        with self._db.reading() as connection:
            return [Propagation(*row) for row in connection.execute(query)]

    def incidents(self, *, key: str | None = None, open_only: bool = False, limit: int = 100) -> Sequence[Incident]:
        """Return incidents, newest first."""
        with self._db.reading() as connection:
            return newest_incidents(connection, key=key, open_only=open_only, limit=limit)

    def partition_states(self) -> Sequence[PartitionStatus]:
        """Return how far each partition has been read."""
        with self._db.reading() as connection:
            return list(partition_states(connection))

    def ledger(self, partition: Partition | None = None) -> Sequence[LedgerRow]:
        """Return the ledger in order of partition and offset."""
        table = traffic.ledger.c
        query = select(traffic.ledger).order_by(table.topic, table.partition, table.generation, table.from_offset)
        if partition is not None:
            query = query.where(table.topic == partition.topic, table.partition == partition.partition)
        with self._db.reading() as connection:
            return [
                LedgerRow(
                    partition=Partition(row.topic, row.partition),
                    from_offset=row.from_offset,
                    to_offset=row.to_offset,
                    epoch=row.epoch,
                    records=row.records,
                    aggregated=row.aggregated,
                    unmapped=row.unmapped,
                    rejected=row.rejected,
                    backfill=row.backfill,
                )
                for row in connection.execute(query)
            ]

    def rejects(self, *, limit: int = 100) -> Sequence[RejectRow]:
        """Return the latest rejects, newest first."""
        table = traffic.rejects.c
        columns = (
            table.arrival_ms,
            table.topic,
            table.partition,
            table.offset,
            table["index"],
            table.reason,
            table.sha256,
            table.sample,
        )
        with self._db.reading() as connection:
            rows = connection.execute(select(*columns).order_by(desc(table.id)).limit(limit)).all()
        return [
            RejectRow(
                at_ms=at_ms,
                partition=Partition(topic, number),
                offset=offset,
                index=index,
                reason=reason,
                sha256=sha256,
                sample=sample,
            )
            for at_ms, topic, number, offset, index, reason, sha256, sample in rows
        ]

    def gateway_liveness(self) -> Sequence[GatewayLiveness]:
        """Return the first and last record of each gateway (without silences)."""
        table = traffic.gateways.c
        with self._db.reading() as connection:
            rows = connection.execute(select(traffic.gateways).order_by(table.gateway, table.region.nulls_first()))
            return [
                GatewayLiveness(gateway=row.gateway, region=row.region, first_ms=row.first_ms, last_ms=row.last_ms)
                for row in rows
            ]


def _caller_row(key: str, version: int, callers: Sequence[CallerRecord], state: str | None) -> CallerRow:
    alone = len(callers) == 1  # nearly all: one credential, one region
    activity = callers[0].activity if alone else Activity.of(day for each in callers for day in each.activity)
    first_ms = last_ms = failure_ms = None
    for facts in (each.facts for each in callers):
        first_ms = earlier(first_ms, facts.first_accepted_ms)
        last_ms = later(last_ms, facts.last_accepted_ms)
        failure_ms = later(failure_ms, facts.last_rejected_ms)
    gap_ms = longest_gap_ms((day.first_ms, day.last_ms, day.uses, day.slots) for day in activity)
    return CallerRow(
        key=key,
        version=version,
        client=callers[0].client,
        source=callers[0].source,
        first_success_ms=first_ms,
        last_success_ms=last_ms,
        last_failure_ms=failure_ms,
        successes=sum(each.facts.accepted for each in callers),
        failures=sum(each.facts.rejected for each in callers),
        longest_gap_seconds=None if gap_ms is None else gap_ms // SECOND_MS,
        state=state,
    )
