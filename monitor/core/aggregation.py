"""From records to what one flush adds to the store: the second step of the path, and the hottest loop of the daemon.

Canonical records take the direct way: a chunk is decoded and proved whole (`monitor.core.wire`), and one look-up makes
a small number of all that decides where an event is counted; numbers, times and arrivals are then grouped by numpy.
Everything else, and every chunk with a doubtful record in it, goes one by one through the mapping. Both meet in `Cell`.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import count
from operator import sub
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.core.cells import Cell, Places, ValueMapping
from monitor.core.events import AuthEvent, Reject
from monitor.core.instants import MINUTE_MS
from monitor.core.mapping.times import EARLIEST_MS, LATEST_MS
from monitor.core.repeats import Repeats
from monitor.core.tally import Tally
from monitor.core.windows import SLOT_MS, Aggregate
from monitor.core.wire import Chunk, Form, WireReader

_CHUNK = 512
_MOST_LOOKS = 4_096
"""Distinct looks of records that are held before they are folded: bounds the memory under random credentials."""
_MOST_HELD = 65_536
_LOOK_BITS = 32


class Aggregator:
    """Gathers one flush of one partition; `monitor.ingest.lane.Accumulator`. Not shared between threads.

    Memory is bounded by what has to be written: failures of unregistered credentials become one row a bucket,
    gateway and reason, whatever their number. `reader` may be shared by aggregators of one topic and thread: it has
    learned the producer's shape.
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
        repeats: Repeats | None = None,
        judged_at_ms: int | None = None,
    ) -> None:
        """Start empty. registered, fine: the registry's credentials, and those counted by the minute.

        judged_at_ms: the present of a backfill, against which times are judged where there are no arrivals.
        """
        self._mapping = mapping
        self._max_bytes = max_record_bytes
        self._skew_ms = max_clock_skew_ms
        self._places = Places(mapping, registered, fine)
        self._reader = reader or WireReader()
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
        self._forget_looks()

    def _forget_looks(self) -> None:
        self._numbers = count()
        self._looks: dict[Form | None, defaultdict[Any, int]] = {}
        self._cells: list[Cell | None] = []
        self._refused: set[int] = set()
        self._detailed: set[int] = set()
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
            self._add(values[start:end], None if arrivals_ms is None else arrivals_ms[start:end], offsets[start:end])
            if len(self._cells) > _MOST_LOOKS or len(self._ids) > _MOST_HELD:
                self._fold()

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
        times = chunk.times_ms
        if not self._in_time(times, arrivals) or max(map(len, values)) > self._max_bytes:  # type: ignore[arg-type]
            plain = [
                index
                for index, value in enumerate(values)
                if len(value or b"") <= self._max_bytes
                and self._in_time(times[index : index + 1], None if arrivals is None else arrivals[index : index + 1])
            ]
            return self._only(plain, values, arrivals)
        looks = self._looks_of(chunk.form)
        ids = list(map(looks.__getitem__, map(chunk.form.key_of, chunk.events)))
        if max(ids) >= len(self._cells):
            self._place(chunk, ids)
        if not self._refused.isdisjoint(ids):
            return self._only([at for at, number in enumerate(ids) if number not in self._refused], values, arrivals)
        if not self._detailed.isdisjoint(ids):
            self._detail(chunk, ids)
        self._ids.extend(ids)
        self._times.extend(times)
        self._arrivals.extend(times if arrivals is None else arrivals)
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

    def _in_time(self, times: Sequence[int], arrivals: Sequence[int] | None) -> bool:
        """Return whether all times can be believed, and none is ahead of its arrival by more than the skew."""
        if min(times) < EARLIEST_MS:
            return False
        return max(times) <= self._latest_ms if arrivals is None else max(map(sub, times, arrivals)) <= self._skew_ms

    def _looks_of(self, form: Form | None) -> defaultdict[Any, int]:
        looks = self._looks.get(form)
        if looks is None:
            looks = self._looks[form] = defaultdict(self._numbers.__next__)
        return looks

    def _place(self, chunk: Chunk, ids: Sequence[int]) -> None:
        """Find the cells of looks that were not seen before. New numbers come in order of appearance."""
        form, known = chunk.form, len(self._cells)
        for event, number in zip(chunk.events, ids, strict=True):
            if number == known:
                known += 1
                self._new_cell(number, self._places.of_fields(form.fields_of(event)))

    def _new_cell(self, number: int, cell: Cell | None) -> None:
        self._cells.append(cell)
        if cell is None:
            self._refused.add(number)
        elif cell.detailed:
            self._detailed.add(number)

    def _detail(self, chunk: Chunk, ids: Sequence[int]) -> None:
        get = chunk.form.get
        for event, ts_ms, number in zip(chunk.events, chunk.times_ms, ids, strict=True):
            if number in self._detailed:
                cell = self._cells[number]
                if cell is not None:
                    route, method = self._places.route_of(get(event, "route"), get(event, "method"))
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
        look = (
            event.credential,
            event.client,
            event.source,
            event.gateway,
            event.region,
            event.outcome,
            event.reason,
            event.count,
            event.sample_rate < 1,
            event.ts_suspect,
        )
        number = self._looks_of(None)[look]
        if number == len(self._cells):
            self._new_cell(number, self._places.of_event(event))
        self._ids.append(number)
        self._times.append(event.ts_ms)
        self._arrivals.append(arrival_ms)
        if number in self._detailed and (cell := self._cells[number]) is not None:
            self._tally.detail(cell, event.ts_ms, event.route, event.method)

    # --- numbers -> groups -----------------------------------------------------------------------------------------

    def _fold(self) -> None:
        """Add what is held to the aggregate, and forget the looks."""
        if self._ids:
            self._fold_groups()
        self._forget_looks()

    def _fold_groups(self) -> None:
        ids, times, arrivals = (np.array(each, dtype=np.int64) for each in (self._ids, self._times, self._arrivals))
        cells = self._cells
        places: dict[tuple[str, str | None], int] = {}
        gateway_of = np.zeros(len(cells), dtype=np.int64)
        width_of = np.full(len(cells), SLOT_MS // MINUTE_MS, dtype=np.int64)
        for number, cell in enumerate(cells):
            if cell is not None:
                gateway_of[number] = places.setdefault((cell.gateway, cell.region), len(places))
                if cell.fine:
                    width_of[number] = 1
        minutes = times // MINUTE_MS
        widths = width_of[ids]
        add = self._tally.add
        for number, records, first, last, arrival in _groups(ids, minutes // widths * widths, times, arrivals):
            add(_known(cells[number]), records, first, last, arrival)
        heard = list(places)
        for number, records, first, last, _ in _groups(gateway_of[ids], minutes, times, arrivals):
            self._tally.hear(heard[number], records, first, last)


def _groups(
    ids: NDArray[np.int64], minutes: NDArray[np.int64], times: NDArray[np.int64], arrivals: NDArray[np.int64]
) -> Iterable[tuple[int, int, int, int, int]]:
    """Return (id, records, first time, last time, latest arrival) of each distinct (id, minute)."""
    codes, group = np.unique((ids << _LOOK_BITS) | minutes, return_inverse=True)
    size = len(codes)
    first = np.full(size, np.iinfo(np.int64).max)
    last = np.zeros(size, dtype=np.int64)
    arrival = np.full(size, np.iinfo(np.int64).min)
    np.minimum.at(first, group, times)
    np.maximum.at(last, group, times)
    np.maximum.at(arrival, group, arrivals)
    counts = np.bincount(group, minlength=size)
    return zip(
        (codes >> _LOOK_BITS).tolist(), counts.tolist(), first.tolist(), last.tolist(), arrival.tolist(), strict=True
    )


def _known(cell: Cell | None) -> Cell:
    if cell is None:
        raise AssertionError("a look that is no event was counted")
    return cell
