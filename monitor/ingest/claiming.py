"""Claims partitions in the store and finds out where to read them: the store's memory against the source's present."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from monitor.errors import Fenced
from monitor.ingest.judging import describe, judge, lost_to_retention, tail_to_check
from monitor.ingest.lane import Lane
from monitor.ingest.settings import Clock
from monitor.ports import Bounds, Claim, IngestStore, RecordSource

log = structlog.get_logger()

_ABSENT_RECHECK_SECONDS = 2.0


class Claimant:
    """Takes lanes from "assigned" to "reading". Raises `StoreAway` and `SourceAway`; lanes not reached stay due."""

    def __init__(self, *, source: RecordSource, store: IngestStore, name: str, clock: Clock) -> None:
        """Remember whom to ask."""
        self._source = source
        self._store = store
        self._name = name
        self._clock = clock

    def claim(self, lanes: Sequence[Lane], *, recheck_at: float) -> list[Lane]:
        """Claim these and start reading them; return those that are read now.

        A stopped line is looked at again at `recheck_at`, and so is a partition that does not exist (any more).
        """
        bounds = self._source.bounds([lane.partition for lane in lanes])
        started: list[Lane] = []
        for lane in lanes:
            held = bounds.get(lane.partition)
            if held is None:
                lane.claim_at = recheck_at
                continue
            claim = self._store.claim(lane.partition, worker=self._name, now_ms=self._clock.now_ms())
            if claim.stopped is not None:
                if lane.stopped is None:
                    log.warning("line_stands_still", partition=str(lane.partition), reason=claim.stopped)
                lane.stopped = claim.stopped
                lane.claim_at = recheck_at
                continue
            if lane.stopped is not None:
                log.info("line_resumed", partition=str(lane.partition))
            try:
                if self._start(lane, claim, held):
                    started.append(lane)
                else:
                    lane.claim_at = recheck_at
            except Fenced:
                lane.release(claim_at=recheck_at)
        return started

    def _start(self, lane: Lane, claim: Claim, bounds: Bounds) -> bool:
        source, partition = self._source, lane.partition
        identity = source.identity(partition.topic, claim.identity)
        if identity is None:
            return False
        check = tail_to_check(claim, identity, bounds)
        ruling = judge(
            claim,
            identity,
            bounds,
            tail=None if check is None else source.tail(partition, check),
            first=source.tail(partition, bounds.beginning) if lost_to_retention(claim, identity, bounds) else None,
            now_ms=self._clock.now_ms(),
        )
        lane.gapped = ruling.gap is not None
        if ruling.gap is not None:
            log.error("coverage_gap", partition=str(partition), message=describe(partition, ruling))
        if ruling.begin:
            self._store.begin(
                claim, offset=ruling.offset, identity=identity.value, now_ms=self._clock.now_ms(), gap=ruling.gap
            )
        lane.begin(claim, identity=identity.value, offset=ruling.offset)
        source.start(partition, ruling.offset)
        log.info("claimed", partition=str(partition), epoch=claim.epoch, offset=ruling.offset)
        return True
