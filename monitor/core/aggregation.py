"""From records to what one flush adds to the store: the second step of the path, and the hottest loop of the daemon.

Canonical records take the direct way: a chunk is decoded and proved whole (`monitor.core.wire`), and one look-up makes
a small number of all that decides where an event is counted (`monitor.core.looks`); numbers, times and arrivals are
then grouped by numpy. Everything else, and every chunk with a doubtful record in it, goes one by one through the
mapping. Both meet in `Cell`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.core.cells import Cell, ValueMapping
from monitor.core.events import AuthEvent, Reject
from monitor.core.instants import MINUTE_MS
from monitor.core.looks import SharedLooks
from monitor.core.mapping.times import EARLIEST_MS, LATEST_MS
from monitor.core.repeats import Repeats
from monitor.core.tally import Tally
from monitor.core.windows import Aggregate
from monitor.core.wire import Chunk, WireReader

_CHUNK = 512
_MOST_HELD = 65_536
_ROOM = 4
"""Groups are found without sorting while all that there could be are no more than so many for each event."""


class Aggregator:
    """Gathers one flush of one partition; `monitor.ingest.lane.Accumulator`. Not shared between threads.

    Memory is bounded by what has to be written: failures of unregistered credentials become one row a bucket,
    gateway and reason, whatever their number. `reader` and `looks` may be shared by aggregators of one topic and
    thread: they have learned the producer's shape, and where its records belong.
    """

    def __init__(
        self,
        mapping: ValueMapping,
        *,
        registered: frozenset[str] = frozenset(),
        fine: frozenset[str] = frozenset(),
        max_record_bytes: int = 65_536,
        max_clock_skew_ms: int = 5 * MINUTE_MS,
        reader: WireReader | None = None,
        looks: SharedLooks | None = None,
        repeats: Repeats | None = None,
        judged_at_ms: int | None = None,
    ) -> None:
        """Start empty. registered, fine: the registry's credentials, and those counted by the minute.

        judged_at_ms: the present of a backfill, against which times are judged where there are no arrivals.
        """
        self._mapping = mapping
        self._max_bytes = max_record_bytes
        self._skew_ms = max_clock_skew_ms
        self._registered = registered
        self._fine = fine
        self._reader = reader or WireReader()
        self._shared = looks or SharedLooks(mapping)
        self._looks = self._shared.now(registered, fine)
        self._repeats = repeats
        self._judged_at_ms = judged_at_ms
        self._latest_ms = LATEST_MS if judged_at_ms is None else judged_at_ms + max_clock_skew_ms
        self._direct = mapping.is_canonical and repeats is None
        self._start()

    def _start(self) -> None:
        self._tally = Tally()
        self._rejects: list[Reject] = []
        self._elements = 0
        self._repeated = 0
        self._ids: array[int] = array("q")
        self._times: array[int] = array("q")
        self._arrivals: array[int] = array("q")

    @property
    def rows(self) -> int:
        """Return about how many rows the flush would write now."""
        aggregate = self._tally.aggregate
        return len(aggregate.usage) + len(aggregate.callers) + len(aggregate.days) + len(self._rejects)

    def add(self, values: Sequence[bytes | None], arrivals_ms: Sequence[int] | None, offsets: Sequence[int]) -> None:
        """Take in consecutive records. Without arrivals (a backfill) each event arrives at its own time."""
        for start in range(0, len(values), _CHUNK):
            end = start + _CHUNK
            if self._looks.full or len(self._ids) > _MOST_HELD:
                self._fold()
            self._add(values[start:end], None if arrivals_ms is None else arrivals_ms[start:end], offsets[start:end])

    def take(self) -> tuple[Aggregate, list[Reject], int]:
        """Finish: all that was added, its rejects in order, and the number of elements; then start anew."""
        self._fold()
        aggregate = self._tally.aggregate
        aggregate.aggregated += self._repeated
        taken = aggregate, self._rejects, self._elements
        self._start()
        return taken

    # --- records -> numbers ----------------------------------------------------------------------------------------

    def _add(self, values: Sequence[bytes | None], arrivals: Sequence[int] | None, offsets: Sequence[int]) -> None:
        doubtful = self._add_directly(values, arrivals) if self._direct else range(len(values))
        for index in doubtful:
            self._add_strictly(values[index], None if arrivals is None else arrivals[index], offsets[index])

    def _add_directly(self, values: Sequence[bytes | None], arrivals: Sequence[int] | None) -> Sequence[int]:
        """Count what is beyond doubt; return the places of the rest."""
        chunk = self._reader.read(values)
        if chunk is None:
            return self._only(self._reader.plain(values), values, arrivals)
        times = np.array(chunk.times_ms, dtype=np.int64)
        arrived = times if arrivals is None else np.array(arrivals, dtype=np.int64)
        believable = self._believable(times, None if arrivals is None else arrived)
        if not believable.all() or max(map(len, values)) > self._max_bytes:  # type: ignore[arg-type]
            plain = [at for at, good in enumerate(believable) if good and len(values[at] or b"") <= self._max_bytes]
            return self._only(plain, values, arrivals)
        looks = self._looks
        ids = looks.of_chunk(chunk)
        if not looks.refused.isdisjoint(ids):
            return self._only([at for at, number in enumerate(ids) if number not in looks.refused], values, arrivals)
        if not looks.detailed.isdisjoint(ids):
            self._detail(chunk, ids)
        self._ids.extend(array("q", ids))
        self._times.frombytes(times.tobytes())
        self._arrivals.frombytes(arrived.tobytes())
        self._elements += len(ids)
        return ()

    def _only(
        self, plain: Sequence[int], values: Sequence[bytes | None], arrivals: Sequence[int] | None
    ) -> Sequence[int]:
        """Count directly what is plain; return the places of the rest."""
        if not plain or len(plain) == len(values):
            return range(len(values))
        chosen = None if arrivals is None else [arrivals[index] for index in plain]
        left = self._add_directly([values[index] for index in plain], chosen)
        return sorted(set(range(len(values))).difference(plain).union(plain[index] for index in left))

    def _believable(self, times: NDArray[np.int64], arrivals: NDArray[np.int64] | None) -> NDArray[np.bool_]:
        """Return of each time whether it can be believed, and is not ahead of its arrival by more than the skew."""
        latest = self._latest_ms if arrivals is None else arrivals + self._skew_ms
        return (times >= EARLIEST_MS) & (times <= latest)

    def _detail(self, chunk: Chunk, ids: Sequence[int]) -> None:
        get = chunk.form.get
        for event, ts_ms, number in zip(chunk.events, chunk.times_ms, ids, strict=True):
            if number in self._looks.detailed:
                cell = self._looks.cells[number]
                if cell is not None:
                    route, method = self._looks.route_of(get(event, "route"), get(event, "method"))
                    self._tally.detail(cell, ts_ms, route, method)

    def _add_strictly(self, value: bytes | None, arrival_ms: int | None, offset: int) -> None:
        judged_at_ms = self._judged_at_ms if arrival_ms is None else arrival_ms
        for index, found in enumerate(self._mapping.map_value(value, judged_at_ms)):
            self._elements += 1
            if not isinstance(found, AuthEvent):
                self._rejects.append(
                    Reject(
                        offset=offset,
                        index=index,
                        reason=found.reason,
                        sha256=found.sha256,
                        sample=found.sample,
                        arrival_ms=-1 if judged_at_ms is None else judged_at_ms,
                    )
                )
                continue
            arrived_ms = found.ts_ms if arrival_ms is None else arrival_ms
            if self._repeats is not None and self._repeats.seen(found.event_id, (offset, index), arrived_ms):
                self._repeated += 1
            else:
                self._add_event(found, arrived_ms)

    def _add_event(self, event: AuthEvent, arrival_ms: int) -> None:
        number = self._looks.of_event(event)
        self._ids.append(number)
        self._times.append(event.ts_ms)
        self._arrivals.append(arrival_ms)
        if number in self._looks.detailed and (cell := self._looks.cells[number]) is not None:
            self._tally.detail(cell, event.ts_ms, event.route, event.method)

    # --- numbers -> groups -----------------------------------------------------------------------------------------

    def _fold(self) -> None:
        """Add what is held to the aggregate, and go on with looks that are not full."""
        if self._ids:
            self._fold_groups()
            del self._ids[:], self._times[:], self._arrivals[:]
        if self._looks.full:
            self._looks = self._shared.now(self._registered, self._fine)

    def _fold_groups(self) -> None:
        ids, times, arrivals, gateway_of, minutes_of = (
            np.array(each, dtype=np.int64)
            for each in (self._ids, self._times, self._arrivals, self._looks.gateway_of, self._looks.minutes_of)
        )
        cells, gateways = self._looks.cells, list(self._looks.gateways)
        minutes = times // MINUTE_MS
        widths = minutes_of[ids]
        for number, records, first, last, arrival in _groups(ids, minutes // widths * widths, times, arrivals):
            self._tally.add(_known(cells[number]), records, first, last, arrival)
        for number, records, first, last, _ in _groups(gateway_of[ids], minutes, times, arrivals):
            self._tally.hear(gateways[number], records, first, last)


def _groups(
    ids: NDArray[np.int64], minutes: NDArray[np.int64], times: NDArray[np.int64], arrivals: NDArray[np.int64]
) -> Iterable[tuple[int, int, int, int, int]]:
    """Return (id, records, first time, last time, latest arrival) of each distinct (id, minute)."""
    since = minutes - minutes.min()
    span = int(since.max()) + 1
    group = ids * span + since
    size = (int(ids.max()) + 1) * span
    names = None
    if size > _ROOM * len(ids):  # too wide for a place each (an event of long ago): sort, which costs ten times as much
        names, group = np.unique(group, return_inverse=True)
        size = len(names)
    counts = np.bincount(group, minlength=size)
    first = np.full(size, np.iinfo(np.int64).max)
    last = np.zeros(size, dtype=np.int64)
    arrival = np.full(size, np.iinfo(np.int64).min)
    np.minimum.at(first, group, times)
    np.maximum.at(last, group, times)
    np.maximum.at(arrival, group, arrivals)
    taken = np.flatnonzero(counts)
    found = (taken if names is None else names) // span
    return zip(found.tolist(), *(each[taken].tolist() for each in (counts, first, last, arrival)), strict=True)


def _known(cell: Cell | None) -> Cell:
    if cell is None:
        raise AssertionError("a look that is no event was counted")
    return cell
