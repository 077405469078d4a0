"""One partition in a worker's hands: what was read of it and not applied, and how much of it was rejected."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Protocol

from monitor.core.events import RejectReason
from monitor.core.windows import Aggregate
from monitor.ingest.settings import IngestSettings
from monitor.ports import Applied, Claim, Partition, RecordBatch, Reject, Tail


class Accumulator(Protocol):
    """What gathers one flush of one partition: `monitor.core.aggregation.Aggregator`."""

    def add(self, batch_values: Sequence[bytes | None], arrivals_ms: Sequence[int], offsets: Sequence[int]) -> None:
        """Take in consecutive records."""
        ...

    @property
    def rows(self) -> int:
        """Return about how many rows the flush would write now: what the memory goes into."""
        ...

    def take(self) -> tuple[Aggregate, list[Reject], int]:
        """Finish: all that was added, its rejects in order, and the number of elements; then start anew."""
        ...


AccumulatorFactory = Callable[[str, frozenset[str], frozenset[str]], Accumulator]
"""(topic, registered credentials, credentials of active rollovers) -> an empty accumulator."""


class RejectWindow:
    """The last `size` elements of a partition: were too many of them rejected?

    >>> window = RejectWindow(size=4, max_ratio=0.5)
    >>> window.feed(4, [0, 1]), window.feed(1, [0])
    (False, True)
    """

    def __init__(self, size: int, max_ratio: float) -> None:
        """Start with an empty window."""
        self._last: deque[bool] = deque(maxlen=size)
        self._most = size * max_ratio

    def feed(self, elements: int, rejected_at: Sequence[int]) -> bool:
        """Add so many elements, those at the given ordinals rejected; return whether there are too many now."""
        before = 0
        for ordinal in rejected_at:
            self._last.extend(repeat(False, min(ordinal - before, self._last.maxlen or 0)))
            self._last.append(True)
            before = ordinal + 1
            if self.too_many:
                return True
        self._last.extend(repeat(False, min(max(elements - before, 0), self._last.maxlen or 0)))
        return self.too_many

    @property
    def too_many(self) -> bool:
        """Return whether more than the allowed share of a full window was rejected."""
        return sum(self._last) > self._most

    @property
    def rejected(self) -> int:
        """Return how many of the last elements were rejected."""
        return sum(self._last)

    def advice(self, partition: Partition, latest: RejectReason) -> str:
        """Return why a line stands still, and what to do."""
        return (
            f"{self.rejected} of the last {self._last.maxlen} elements were rejected (the latest: {latest.value}). "
            f"Look at v_rejects, put the mapping right, then `rollwatch ingest resume {partition} --reason TEXT`"
        )


class Lane:
    """A partition that this worker has been assigned; it is read only while `claim` is set and `stopped` is not.

    applied: the offset that the store has; next: where reading goes on. Times are the monotonic clock's seconds.
    """

    def __init__(self, partition: Partition, *, claim_at: float) -> None:
        """Start unclaimed; the claim is due at `claim_at`."""
        self.partition = partition
        self.claim: Claim | None = None
        self.identity: str | None = None
        self.stopped: str | None = None
        self.claim_at = claim_at
        self.gapped = False
        self.fences = 0
        self.applied = 0
        self.next = 0
        self.records = 0
        self.opened_at: float | None = None
        self.behind: tuple[int, float] | None = None
        self.pending: Applied | None = None
        self.at_most: int | None = None
        """How many records a flush may hold: set, and halved, while a value that the store refuses is looked for."""
        self.full = False
        self.flushed = 0
        self.only: bytes | None = None
        self._accumulator: Accumulator | None = None
        self._tail: Tail | None = None
        self._last: tuple[int, int, bytes | None] | None = None

    @property
    def reading(self) -> bool:
        """Return whether records are delivered to this lane."""
        return self.claim is not None and self.stopped is None

    @property
    def unapplied(self) -> bool:
        """Return whether anything was read that the store does not have."""
        return self.pending is not None or self.next != self.applied

    @property
    def rows(self) -> int:
        """Return about how many rows wait to be written."""
        return 0 if self._accumulator is None else self._accumulator.rows

    def begin(self, claim: Claim, *, identity: str, offset: int) -> None:
        """Start reading under this claim."""
        self.claim, self.identity, self.stopped = claim, identity, None
        self.applied = self.next = offset
        self._tail = claim.tail if claim.identity == identity else None
        self.behind = None
        self.drop()

    def drop(self) -> None:
        """Forget what was read and not applied."""
        self.pending = None
        self.records = 0
        self.full = False
        self.opened_at = None
        self.next = self.applied
        self._accumulator = None
        self._last = None

    def stalled(self, readable: int, now: float, patience_seconds: float) -> bool:
        """Return whether there has been something to read and nothing came for that long; called now and then."""
        if self.next >= readable or not self.reading:
            self.behind = None
        elif self.behind is None or self.behind[0] != self.next:
            self.behind = (self.next, now)
        else:
            return now - self.behind[1] > patience_seconds
        return False

    def release(self, *, claim_at: float) -> None:
        """Give up the claim; a new one is due at `claim_at`."""
        self.drop()
        self.claim = None
        self.claim_at = claim_at

    def add(self, batch: RecordBatch, arrivals_ms: Sequence[int], make: Callable[[], Accumulator], now: float) -> None:
        """Take in a batch that begins where the last one ended; what is beyond `at_most` is left to the next claim."""
        if self.at_most is not None:
            if self.full:
                return
            room = self.at_most - self.records
            self.full = len(batch.values) >= room
            if len(batch.values) > room:
                batch = replace(
                    batch,
                    values=batch.values[:room],
                    arrivals_ms=batch.arrivals_ms[:room],
                    offsets=batch.offsets[:room],
                    next_offset=batch.offsets[room - 1] + 1,
                )
                arrivals_ms = arrivals_ms[:room]
            self.only = batch.values[-1] if batch.values else self.only
        if batch.values:
            if self._accumulator is None:
                self._accumulator = make()
            self._accumulator.add(batch.values, arrivals_ms, batch.offsets)
            self._last = (batch.offsets[-1], batch.arrivals_ms[-1], batch.values[-1])
            self.records += len(batch.values)
        if self.opened_at is None:
            self.opened_at = now
        self.next = max(self.next, batch.next_offset)

    def close(self, *, now_ms: int) -> Applied | None:
        """Return what has to be applied, made once: a second call after a failure returns the same."""
        if self.pending is not None or self.claim is None or self.next == self.applied:
            return self.pending
        taken = (Aggregate(), [], 0) if self._accumulator is None else self._accumulator.take()
        aggregate, rejects, elements = taken
        if self._last is not None:
            self._tail = Tail.of(*self._last)
            self._last = None
        self.pending = Applied(
            partition=self.partition,
            epoch=self.claim.epoch,
            from_offset=self.applied,
            to_offset=self.next,
            records=elements,
            aggregate=aggregate,
            rejects=rejects,
            tail=self._tail,
            applied_at_ms=now_ms,
        )
        self._accumulator = None
        self.flushed, self.records = self.records, 0
        self.opened_at = None
        return self.pending

    def halve(self) -> None:
        """Let the next flush hold half as many records as the one that is pending."""
        self.at_most = max(self.flushed // 2, 1)

    def widen(self, most: int) -> None:
        """Let the next flush hold twice as many records; without a limit from `most` on."""
        if self.at_most is not None:
            self.at_most = 2 * self.at_most if 2 * self.at_most < most else None

    def confirm(self, applied: Applied) -> None:
        """Note that the store has it."""
        self.applied = applied.to_offset
        self.pending = None
        self.fences = 0


def due_lanes(lanes: Sequence[Lane], settings: IngestSettings, now: float) -> list[Lane]:
    """Return the lanes whose flush is due: tried before, full, old enough; or all, when together they hold too much."""
    if sum(lane.rows for lane in lanes) >= settings.flush_rows:
        return list(lanes)
    return [
        lane
        for lane in lanes
        if lane.pending is not None
        or lane.full
        or lane.records >= settings.flush_records
        or (lane.opened_at is not None and now - lane.opened_at >= settings.flush_interval_seconds)
    ]


def reject_ordinals(rejects: Sequence[Reject], applied: Applied) -> list[int]:
    """Return where among the elements of a flush its rejects stood.

    Exact where every record is one element; where arrays were exploded, their places are spread evenly, which is as
    near as the window needs.
    """
    span = max(applied.to_offset - applied.from_offset, 1)
    elements = applied.records
    places = [min((reject.offset - applied.from_offset) * elements // span, elements - 1) for reject in rejects]
    spread: list[int] = []
    for place in places:
        spread.append(place if not spread or place > spread[-1] else spread[-1] + 1)
    return spread
