"""What people and the detector read of the store in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise

from monitor.adapters.memory_store.contents import Contents
from monitor.core.activity import Activity
from monitor.core.events import Outcome
from monitor.core.evidence import CallerRecord, GatewayLiveness, PartitionStatus
from monitor.core.instants import SECOND_MS
from monitor.core.windows import SLOT_MS, CallerGatewayKey, FailureKey, Span, UsageKey, earlier, later
from monitor.ports.outbox import Incident
from monitor.ports.reading import CallerRow, LedgerRow, Propagation, RejectRow, UsagePoint
from monitor.ports.sources import Partition


class ReadingSide:
    """See `ReadStore`."""

    _contents: Contents

    def _open(self) -> AbstractContextManager[Contents]:
        raise NotImplementedError

    def usage_series(self, key: str, *, from_ms: int, to_ms: int, step_ms: int) -> Sequence[UsagePoint]:
        """Return requests per version, outcome and region in steps of time."""
        sums: dict[tuple[int, int, str, str | None], int] = {}
        with self._open() as contents:
            version_of = contents.registered.registry().version_of
            for cell, requests in contents.counts.usage.items():
                owner = version_of.get(cell.credential or "")
                if owner is not None and owner[0] == key and from_ms <= cell.bucket_ms < to_ms:
                    step = cell.bucket_ms - cell.bucket_ms % step_ms
                    point = (step, owner[1], cell.outcome, cell.region)
                    sums[point] = sums.get(point, 0) + requests
        return [UsagePoint(*point, sums[point]) for point in sorted(sums, key=_sortable)]

    def usage_cells(
        self, *, from_ms: int, to_ms: int, credentials: Collection[str] | None = None
    ) -> Sequence[tuple[UsageKey, int]]:
        """Return the cells of the time series."""
        with self._open() as contents:
            found = [
                (cell, requests)
                for cell, requests in contents.counts.usage.items()
                if from_ms <= cell.bucket_ms < to_ms and (credentials is None or cell.credential in credentials)
            ]
        return sorted(found, key=lambda each: _sortable(each[0]))

    def failure_cells(
        self, *, from_ms: int, to_ms: int, credentials: Collection[str] | None = None
    ) -> Sequence[tuple[FailureKey, int]]:
        """Return failures in detail."""
        with self._open() as contents:
            found = [
                (cell, count)
                for cell, count in contents.counts.failures.items()
                if from_ms <= cell.minute_ms < to_ms and (credentials is None or cell.credential in credentials)
            ]
        return sorted(found, key=lambda each: _sortable(each[0]))

    def caller_gateway_spans(self, *, since_ms: int) -> Sequence[tuple[CallerGatewayKey, Span]]:
        """Return where callers of active rollovers were accepted."""
        with self._open() as contents:
            return [
                (caller, Span(first_ms=span.first_ms, last_ms=span.last_ms, count=span.count))
                for caller, span in contents.counts.caller_gateways.items()
                if span.last_ms >= since_ms
            ]

    def caller_rows(self, key: str, *, known: Sequence[CallerRecord] | None = None) -> Sequence[CallerRow]:
        """Return the callers of every version of a key; of `known` alone, where a snapshot has read them already."""
        rows: list[CallerRow] = []
        with self._open() as contents:
            owner = contents.registered.registry().key_by_name.get(key)
            for version in () if owner is None else owner.versions:
                grouped: dict[tuple[str | None, str | None], list[CallerRecord]] = {}
                for record in contents.counts.callers_of(version.credentials) if known is None else known:
                    if record.credential not in version.credentials:
                        continue
                    grouped.setdefault((record.client, record.source), []).append(record)
                for (client, source), records in sorted(grouped.items(), key=lambda each: _sortable(each[0])):
                    state = contents.states.get((key, version.version, client, source))
                    rows.append(
                        _caller_row(key, version.version, records, state=None if state is None else state.value)
                    )
        return rows

    def propagation(self, key: str) -> Sequence[Propagation]:
        """Return where and when each version of a key was first seen, to the bucket; a caller's first use exactly."""
        firsts: dict[tuple[int, str, str | None], list[int | None]] = {}
        with self._open() as contents:
            version_of = contents.registered.registry().version_of
            for credential, gateway, region, at_ms, accepted in _sightings(contents):
                owner = version_of.get(credential)
                if owner is not None and owner[0] == key:
                    first = firsts.setdefault((owner[1], gateway, region), [None, None])
                    index = 0 if accepted else 1
                    first[index] = earlier(first[index], at_ms)
        return [Propagation(*place, *firsts[place]) for place in sorted(firsts, key=_sortable)]

    def incidents(self, *, key: str | None = None, open_only: bool = False, limit: int = 100) -> Sequence[Incident]:
        """Return incidents, newest first."""
        with self._open() as contents:
            found = [
                each
                for each in contents.incidents.values()
                if (key is None or each.key == key) and not (open_only and each.closed_at_ms is not None)
            ]
        return sorted(found, key=lambda each: each.opened_at_ms, reverse=True)[:limit]

    def partition_states(self) -> Sequence[PartitionStatus]:
        """Return how far each partition has been read."""
        with self._open() as contents:
            return contents.partitions.statuses()

    def ledger(self, partition: Partition | None = None) -> Sequence[LedgerRow]:
        """Return the ledger."""
        with self._open() as contents:
            return contents.partitions.ledger(partition)

    def rejects(self, *, limit: int = 100) -> Sequence[RejectRow]:
        """Return the latest rejects, newest first."""
        with self._open() as contents:
            return contents.rejects[: -limit - 1 : -1]

    def gateway_liveness(self) -> Sequence[GatewayLiveness]:
        """Return the first and last record of each gateway."""
        with self._open() as contents:
            return [
                GatewayLiveness(gateway=each.gateway, region=each.region, first_ms=each.first_ms, last_ms=each.last_ms)
                for each in contents.counts.ordered_gateways()
            ]


def _sightings(contents: Contents) -> Iterator[tuple[str, str, str | None, int, bool]]:
    for cell in contents.counts.usage:
        if cell.credential is not None:
            accepted = cell.outcome == Outcome.SUCCESS
            yield cell.credential, cell.gateway, cell.region, cell.bucket_ms, accepted


def _caller_row(key: str, version: int, records: Sequence[CallerRecord], *, state: str | None) -> CallerRow:
    activity = records[0].activity
    for record in records[1:]:
        activity = activity.union(record.activity)
    first_ms = last_ms = failure_ms = None
    for facts in (record.facts for record in records):
        first_ms = earlier(first_ms, facts.first_accepted_ms)
        last_ms = later(last_ms, facts.last_accepted_ms)
        failure_ms = later(failure_ms, facts.last_rejected_ms)
    gap_ms = longest_gap_ms(activity)
    return CallerRow(
        key=key,
        version=version,
        client=records[0].client,
        source=records[0].source,
        first_success_ms=first_ms,
        last_success_ms=last_ms,
        last_failure_ms=failure_ms,
        successes=sum(record.facts.accepted for record in records),
        failures=sum(record.facts.rejected for record in records),
        longest_gap_seconds=None if gap_ms is None else gap_ms // SECOND_MS,
        state=state,
    )


def longest_gap_ms(activity: Activity) -> int | None:
    """Return the longest time between two uses: exact between days, to half an hour within one; `None` below two."""
    gaps: list[int] = []
    before_ms: int | None = None
    for day in activity:
        if before_ms is not None:
            gaps.append(max(day.first_ms - before_ms, 0))
        before_ms = day.last_ms
        if day.uses == 2:  # noqa: PLR2004 - two uses: their distance is exact
            gaps.append(day.last_ms - day.first_ms)
        elif day.uses > 1:
            marks = [slot for slot in range(48) if day.slots >> slot & 1]
            steps = [later - earlier for earlier, later in pairwise(marks)]
            gaps.append(min(max(steps, default=1) * SLOT_MS, day.last_ms - day.first_ms))
    return max(gaps, default=None)


def _sortable(key: Iterable[str | int | None]) -> tuple[tuple[bool, str | int], ...]:
    return tuple((each is not None, "" if each is None else each) for each in key)
