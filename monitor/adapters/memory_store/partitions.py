"""Where reading stands: claims and fences, the ledger that tiles, probes, coverage gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from monitor.core.evidence import CoverageGap, PartitionStatus
from monitor.errors import Fenced, NotFound, StoreRefused
from monitor.ports.ingest_store import Applied, Claim, Probe
from monitor.ports.reading import LedgerRow
from monitor.ports.sources import Partition, Tail

_MOST_PENDING = 64


@dataclass(slots=True)
class _Lane:
    """One partition. `generation` rises where reading starts anew: the ledger tiles within one."""

    epoch: int = 0
    generation: int = 0
    next_offset: int | None = None
    begun_at: int = 0
    tail: Tail | None = None
    identity: str | None = None
    stopped: str | None = None
    end_offset: int | None = None
    probed_at_ms: int | None = None
    complete_through_ms: int | None = None
    pending: list[tuple[int, int]] = field(default_factory=list)
    """Probes (end offset, time) that applied offsets have not reached yet."""

    def settle(self) -> None:
        """Take the probes whose end has been reached."""
        if self.next_offset is None:
            return
        reached = [at for end, at in self.pending if end <= self.next_offset]
        if reached:
            self.complete_through_ms = max(self.complete_through_ms or 0, *reached)
            self.pending = [each for each in self.pending if each[0] > self.next_offset]


@dataclass(slots=True)
class _Tile:
    """A row of the ledger, and the generation it belongs to."""

    generation: int
    begun_at: int
    row: LedgerRow


class Partitions:
    """All partitions. Every method that a worker calls with an old claim raises `Fenced` and changes nothing."""

    def __init__(self) -> None:
        """Start with none."""
        self._lanes: dict[Partition, _Lane] = {}
        self._tiles: dict[Partition, list[_Tile]] = {}
        self.gaps: list[CoverageGap] = []
        self.expected: dict[str, int | None] = {}

    def claim(self, partition: Partition) -> Claim:
        """Raise the epoch; see `IngestStore.claim`."""
        lane = self._lanes.setdefault(partition, _Lane())
        lane.epoch += 1
        return Claim(
            partition=partition,
            epoch=lane.epoch,
            next_offset=lane.next_offset,
            tail=lane.tail,
            identity=lane.identity,
            stopped=lane.stopped,
        )

    def begin(self, claim: Claim, *, offset: int, identity: str, gap: CoverageGap | None) -> None:
        """Set the position; see `IngestStore.begin`."""
        lane = self._held(claim.partition, claim.epoch)
        if lane.next_offset is None:
            lane.begun_at = offset
        elif gap is not None or lane.next_offset != offset:
            lane.generation += 1
            lane.begun_at = offset
        lane.next_offset = offset
        lane.identity = identity
        lane.tail = None
        lane.end_offset = lane.probed_at_ms = lane.complete_through_ms = None
        lane.pending = []
        if gap is not None:
            self.gaps.append(gap)

    def advance(self, applied: Applied) -> None:
        """Move the position by compare-and-set and write the ledger; see `IngestStore.apply`."""
        partition, aggregate = applied.partition, applied.aggregate
        lane = self._held(partition, applied.epoch)
        if lane.next_offset != applied.from_offset:
            raise Fenced(f"{partition} stands at {lane.next_offset}, not at {applied.from_offset}: drop the batch")
        if applied.records != aggregate.aggregated + aggregate.unmapped + len(applied.rejects):
            raise StoreRefused(
                f"a flush of {partition} does not add up: {applied.records} records, "
                f"{aggregate.aggregated} aggregated, {aggregate.unmapped} unmapped, {len(applied.rejects)} rejected"
            )
        lane.next_offset = applied.to_offset
        lane.tail = applied.tail or lane.tail
        lane.settle()
        if applied.to_offset == applied.from_offset and not applied.records:
            return  # only a fresher tail: an empty stretch has no place in a tiling
        row = LedgerRow(
            partition=partition,
            from_offset=applied.from_offset,
            to_offset=applied.to_offset,
            epoch=applied.epoch,
            records=applied.records,
            aggregated=aggregate.aggregated,
            unmapped=aggregate.unmapped,
            rejected=len(applied.rejects),
            backfill=applied.backfill,
        )
        self._tiles.setdefault(partition, []).append(_Tile(lane.generation, lane.begun_at, row))

    def probed(self, probes: Sequence[Probe], expected: Mapping[str, int | None]) -> None:
        """Record ends; see `IngestStore.probed`."""
        self.expected.update(expected)
        for probe in probes:
            lane = self._lanes.setdefault(probe.partition, _Lane())
            if lane.probed_at_ms is not None and probe.probed_at_ms < lane.probed_at_ms:
                continue
            lane.end_offset = probe.end_offset
            lane.probed_at_ms = probe.probed_at_ms
            lane.pending = [each for each in lane.pending if each[0] < probe.end_offset]
            lane.pending.append((probe.end_offset, probe.probed_at_ms))
            if len(lane.pending) > _MOST_PENDING:
                lane.pending = lane.pending[1::2]  # every other one is as good a witness
            lane.settle()

    def stop(self, claim: Claim, reason: str) -> None:
        """Stop the line; see `IngestStore.stop_line`."""
        self._held(claim.partition, claim.epoch).stopped = reason

    def resume(self, partition: Partition) -> None:
        """Let it go on; see `IngestStore.resume_line`."""
        lane = self._lanes.get(partition)
        if lane is None or lane.stopped is None:
            raise NotFound(f"{partition} does not stand still")
        lane.stopped = None

    def forget(self, topic: str, *, reason: str, now_ms: int) -> int:
        """Wait for it no longer; see `IngestStore.forget_topic`."""
        if topic not in self.expected:
            raise NotFound(f"{topic} is not waited for")
        del self.expected[topic]
        before = len(self.gaps)
        for partition, lane in sorted(self._lanes.items()):
            if partition.topic != topic:
                continue
            if lane.next_offset is None or lane.next_offset < (lane.end_offset or 0):
                self.gaps.append(
                    CoverageGap(
                        topic=topic,
                        partition=partition.partition,
                        from_ms=lane.complete_through_ms,
                        to_ms=now_ms,
                        recorded_at_ms=now_ms,
                        reason=f"it was forgotten before it was read to its end: {reason}",
                    )
                )
            lane.end_offset = lane.probed_at_ms = lane.complete_through_ms = None
            lane.pending = []
        return len(self.gaps) - before

    def _held(self, partition: Partition, epoch: int) -> _Lane:
        lane = self._lanes.get(partition)
        if lane is None or lane.epoch != epoch:
            now = None if lane is None else lane.epoch
            raise Fenced(f"{partition} was claimed by another worker (epoch {now}, not {epoch}): drop the batch")
        return lane

    # --- looks

    def statuses(self) -> tuple[PartitionStatus, ...]:
        """Return how far each has been read."""
        return tuple(
            PartitionStatus(
                topic=partition.topic,
                partition=partition.partition,
                next_offset=lane.next_offset,
                end_offset=lane.end_offset,
                probed_at_ms=lane.probed_at_ms,
                complete_through_ms=lane.complete_through_ms,
                stopped=lane.stopped,
            )
            for partition, lane in sorted(self._lanes.items())
        )

    def ledger(self, partition: Partition | None) -> list[LedgerRow]:
        """Return the rows in order of partition and offset."""
        wanted = sorted(self._tiles) if partition is None else [partition]
        return [tile.row for each in wanted for tile in self._tiles.get(each, ())]

    def faults(self) -> tuple[str, ...]:
        """Return a sentence for each hole, overlap or false sum of the ledger."""
        found: list[str] = []
        for partition, tiles in sorted(self._tiles.items()):
            before: _Tile | None = None
            for tile in tiles:
                follows = before is not None and before.generation == tile.generation
                start = before.row.to_offset if before is not None and follows else tile.begun_at
                before = tile
                if tile.row.from_offset != start:
                    found.append(f"{partition}: the ledger goes on at {tile.row.from_offset} after {start}")
                row = tile.row
                if row.records != row.aggregated + row.unmapped + row.rejected:
                    found.append(f"{partition}: {row.records} elements at {row.from_offset} are not what was counted")
            lane = self._lanes[partition]
            if tiles[-1].generation == lane.generation and tiles[-1].row.to_offset != lane.next_offset:
                found.append(
                    f"{partition}: the ledger ends at {tiles[-1].row.to_offset}, reading at {lane.next_offset}"
                )
        return tuple(found)

    def merge_neighbours(self) -> int:
        """Merge rows that follow each other in one generation, epoch and mode; return how many went."""
        gone = 0
        for partition, tiles in self._tiles.items():
            merged = tiles[:1]
            for tile in tiles[1:]:
                last = merged[-1]
                if (last.generation, last.row.epoch, last.row.backfill) == (
                    tile.generation,
                    tile.row.epoch,
                    tile.row.backfill,
                ) and last.row.to_offset == tile.row.from_offset:
                    merged[-1] = _Tile(last.generation, last.begun_at, _sum(last.row, tile.row))
                else:
                    merged.append(tile)
            gone += len(tiles) - len(merged)
            self._tiles[partition] = merged
        return gone


def _sum(first: LedgerRow, second: LedgerRow) -> LedgerRow:
    return replace(
        first,
        to_offset=second.to_offset,
        records=first.records + second.records,
        aggregated=first.aggregated + second.aggregated,
        unmapped=first.unmapped + second.unmapped,
        rejected=first.rejected + second.rejected,
    )
