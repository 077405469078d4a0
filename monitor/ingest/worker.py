"""The ingest worker: claims partitions, reads them, and moves counts and offsets into the store together.

The path is `poll -> Lane.add -> Lane.close -> store.apply -> shadow commit`, all in one thread. Nothing is ever lost or
counted twice, because only the store's compare-and-set on (epoch, next) makes a batch true; whatever goes wrong, the
batch is dropped, the partition claimed again and read from where the store stands.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial

import structlog

from monitor.collector import collect_seldom
from monitor.errors import Fenced, RollwatchError, SourceAway, Stalled, StoreAway, ValueRefused
from monitor.ingest.claiming import Claimant
from monitor.ingest.lane import AccumulatorFactory, Lane, RejectWindow, due_lanes, reject_ordinals
from monitor.ingest.probing import Prober, Survey
from monitor.ingest.settings import SYSTEM_CLOCK, Backoff, Clock, IngestSettings
from monitor.ingest.sifting import condemned
from monitor.ingest.status import IngestObserver, Unobserved, WorkerStatus, tell
from monitor.ports import (
    Applied,
    IngestStore,
    Partition,
    PartitionsAssigned,
    PartitionsRevoked,
    PositionLost,
    Probe,
    RecordBatch,
    RecordSource,
    SourceEvent,
)

log = structlog.get_logger()


class Worker:
    """One member of the group. `run` returns after `stop` was set, and raises only `Stalled` (exit code 70).

    The store and the source may be away at any time, at the start too: the worker waits, says so in its status, holds
    no more than it has read already, and goes on within seconds of their return.
    """

    def __init__(
        self,
        *,
        source: RecordSource,
        store: IngestStore,
        accumulators: AccumulatorFactory,
        settings: IngestSettings,
        name: str,
        clock: Clock = SYSTEM_CLOCK,
        observer: IngestObserver | None = None,
    ) -> None:
        """Prepare; nothing is asked of source or store before `run`."""
        self._source = source
        self._store = store
        self._accumulators = accumulators
        self._settings = settings
        self._clock = clock
        self._observer = observer or Unobserved()
        self._claimant = Claimant(source=source, store=store, name=name, clock=clock)
        self._prober = Prober(source, interval_seconds=settings.probe_interval_seconds, clock=clock)
        self._lanes: dict[Partition, Lane] = {}
        self._windows: dict[Partition, RejectWindow] = {}
        self._revision = -1
        self._registered: frozenset[str] = frozenset()
        self._fine: frozenset[str] = frozenset()
        self._registry_at = 0.0
        self._wait = Backoff()
        self._hold_until = 0.0
        self._held = False
        self._fault: str | None = None
        self._away: str | None = None
        self._connected = False
        self._store_connected = False
        self._lag: dict[Partition, int] = {}
        self._missing: tuple[str, ...] = ()
        self._last_flush_ms: int | None = None
        self._leaving = False
        self._status = WorkerStatus()

    @property
    def status(self) -> WorkerStatus:
        """Return how it stands; from any thread."""
        return self._status

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; then flush, leave the group and return. Raises `Stalled`."""
        collect_seldom()
        self._prober.start()
        try:
            while not stop.is_set():
                try:
                    self.tick()
                except Stalled:
                    raise
                except RollwatchError as fault:
                    self._stumble(stop, str(fault), fault)
                except Exception as error:
                    log.exception("ingest_error", error=type(error).__name__)
                    self._stumble(stop, f"an unexpected {type(error).__name__}; see the log", error)
        finally:
            self._leave()

    def tick(self) -> None:
        """Do one round: take what has happened, then all that is due."""
        for event in self._source.poll(self._settings.poll_seconds):
            self._handle(event)
        now = self._clock.monotonic()
        if now >= self._hold_until:
            try:
                self._do_due(now)
            except (StoreAway, SourceAway) as away:
                self._hold(away)
            else:
                self._carry_on()
        self._look(self._prober.take())
        self._publish()

    # --- what the source says ------------------------------------------------------------------------------------

    def _handle(self, event: SourceEvent) -> None:
        match event:
            case RecordBatch():
                self._take(event)
            case PartitionsAssigned(partitions=partitions):
                log.info("partitions_assigned", partitions=[str(each) for each in sorted(partitions)])
                for partition in partitions:
                    self._lanes[partition] = Lane(partition, claim_at=self._clock.monotonic())
            case PartitionsRevoked(partitions=partitions):
                log.info("partitions_revoked", partitions=[str(each) for each in sorted(partitions)])
                self._give_up(partitions)
            case PositionLost(partition=partition, position=position):
                log.warning("position_lost", partition=str(partition), position=position)
                lane = self._lanes.get(partition)
                if lane is not None:
                    self._last_flush([lane])
                    lane.release(claim_at=self._clock.monotonic())

    def _take(self, batch: RecordBatch) -> None:
        lane = self._lanes.get(batch.partition)
        if lane is None or not lane.reading:
            return  # read before a claim was lost: the next claim reads it again
        arrivals = batch.arrivals_ms
        if arrivals and min(arrivals) < 0:
            now_ms = self._clock.now_ms()
            arrivals = [now_ms if each < 0 else each for each in arrivals]
        make = partial(self._accumulators, batch.partition.topic, self._registered, self._fine)
        lane.add(batch, arrivals, make, self._clock.monotonic())

    def _give_up(self, partitions: Iterable[Partition]) -> None:
        lanes = [self._lanes[each] for each in partitions if each in self._lanes]
        self._last_flush(lanes)
        for lane in lanes:
            del self._lanes[lane.partition]
            self._lag.pop(lane.partition, None)
            self._observer.lag(lane.partition, None)

    def _last_flush(self, lanes: Iterable[Lane]) -> None:
        """Try to apply what was read; what cannot be applied now is dropped, and read again by whoever claims next."""
        try:
            self._flush([lane for lane in lanes if lane.reading and lane.unapplied])
        except (StoreAway, SourceAway) as away:
            log.info("last_flush_dropped", reason=str(away))

    # --- what is due ---------------------------------------------------------------------------------------------

    def _do_due(self, now: float) -> None:
        self._follow_registry(now)
        self._claim_due(now)
        self._flush(due_lanes(list(self._lanes.values()), self._settings, now))

    def _follow_registry(self, now: float) -> None:
        if now < self._registry_at:
            return
        revision, registry = self._store.registry()
        self._store_connected = True
        self._registry_at = now + self._settings.registry_interval_seconds
        if revision != self._revision:
            self._revision = revision
            self._registered = frozenset(registry.version_of)
            self._fine = registry.fine_credentials

    def _claim_due(self, now: float) -> None:
        due = [lane for lane in self._lanes.values() if not lane.reading and lane.claim_at <= now]
        if not due:
            return
        for lane in self._claimant.claim(due, recheck_at=now + self._settings.stopped_recheck_seconds):
            if lane.at_most is None:
                self._windows[lane.partition] = RejectWindow(*self._settings.rejects_allowed)
            if lane.gapped:
                self._observer.gap(lane.partition)

    def _flush(self, lanes: list[Lane]) -> None:
        if not lanes:
            return
        genuine = self._genuine(lanes)
        done: dict[Partition, int] = {}
        try:
            for lane in genuine:
                applied = lane.close(now_ms=self._clock.now_ms())
                if applied is not None and self._apply(lane, applied):
                    done[lane.partition] = applied.to_offset
        finally:
            if done:
                self._source.committed(done)

    def _genuine(self, lanes: list[Lane]) -> list[Lane]:
        """Return the lanes whose topic is still the one that was claimed; the others are dropped and claimed anew.

        Asked before every transaction: records of a topic that was recreated under its name must never be added to
        the offsets of the old one.
        """
        identities = {topic: self._source.identity(topic) for topic in {lane.partition.topic for lane in lanes}}
        genuine: list[Lane] = []
        for lane in lanes:
            identity = identities[lane.partition.topic]
            if identity is not None and identity.value == lane.identity:
                genuine.append(lane)
            elif lane.claim is not None:
                log.warning("topic_changed", partition=str(lane.partition), was=lane.identity, now=str(identity))
                lane.release(claim_at=self._clock.monotonic())
        return genuine

    def _apply(self, lane: Lane, applied: Applied, *, condemned_already: bool = False) -> bool:
        began = self._clock.monotonic()
        try:
            self._store.apply(applied)
        except Fenced:
            self._fenced(lane)
            return False
        except ValueRefused as refusal:
            if condemned_already:
                raise
            return self._sift(lane, applied, refusal)
        self._store_connected, self._last_flush_ms = True, applied.applied_at_ms
        lane.confirm(applied)
        tell(self._observer, applied, seconds=self._clock.monotonic() - began)
        self._judge_line(lane, applied)
        if lane.at_most is not None and lane.claim is not None:
            lane.widen(self._settings.flush_records)
            self._read_again(lane)  # what followed in the same batches was left out
        return True

    def _sift(self, lane: Lane, applied: Applied, refusal: ValueRefused) -> bool:
        """Read less at a time until the one record is found that the store refuses, and count it as rejected."""
        if lane.at_most == 1:
            log.error("record_refused", partition=str(lane.partition), offset=lane.next - 1, reason=str(refusal))
            return self._apply(lane, condemned(applied, lane.only), condemned_already=True)
        log.warning("flush_refused", partition=str(lane.partition), records=lane.flushed, reason=str(refusal))
        lane.halve()
        self._read_again(lane)
        return False

    def _read_again(self, lane: Lane, *, in_seconds: float = 0.0) -> None:
        self._source.pause([lane.partition])
        lane.release(claim_at=self._clock.monotonic() + in_seconds)

    def _judge_line(self, lane: Lane, applied: Applied) -> None:
        window = self._windows[lane.partition]
        if not window.feed(applied.records, reject_ordinals(applied.rejects, applied)) or lane.claim is None:
            return
        reason = window.advice(lane.partition, applied.rejects[-1].reason)
        try:
            self._store.stop_line(lane.claim, reason=reason, now_ms=self._clock.now_ms())
        except Fenced:
            self._fenced(lane)
            return
        log.error("line_stopped", partition=str(lane.partition), reason=reason)
        self._read_again(lane, in_seconds=self._settings.stopped_recheck_seconds)
        lane.stopped = reason

    def _fenced(self, lane: Lane) -> None:
        """Drop the batch. The next claim waits a little: if another worker took over, the group will tell us first."""
        lane.fences += 1
        seconds = min(0.5 * 2**lane.fences, 10.0)
        log.warning("fenced", partition=str(lane.partition), claim_again_in_seconds=seconds)
        self._observer.fenced(lane.partition)
        self._read_again(lane, in_seconds=seconds)

    # --- when something is away ----------------------------------------------------------------------------------

    def _hold(self, away: RollwatchError) -> None:
        """Stand still, in the group: nothing is read that cannot be applied."""
        seconds = self._wait.next()
        self._hold_until = self._clock.monotonic() + seconds
        if isinstance(away, StoreAway):
            self._store_connected = False
        else:
            self._connected = False
        if not self._held:
            log.warning("ingest_waits", reason=str(away), fault=away.reason.value)
            self._source.pause([lane.partition for lane in self._lanes.values() if lane.reading])
        self._held = True
        self._fault = str(away)

    def _carry_on(self) -> None:
        self._wait.reset()
        self._fault = None
        if self._held:
            log.info("ingest_goes_on")
            self._source.resume([lane.partition for lane in self._lanes.values() if lane.reading])
            self._held = False

    def _stumble(self, stop: threading.Event, fault: str, error: Exception) -> None:
        """Start over with everything after a fault out of a tick: drop what is not applied, claim it again."""
        if isinstance(error, SourceAway):
            self._give_up(list(self._lanes))
            self._connected = False
        else:
            now = self._clock.monotonic()
            for lane in self._lanes.values():
                lane.release(claim_at=now)
        if fault != self._fault:
            log.warning("ingest_starts_over", reason=fault)
        self._fault = fault
        self._held = False
        self._publish()
        stop.wait(self._wait.next())

    # --- looking around ------------------------------------------------------------------------------------------

    def _look(self, survey: Survey | None) -> None:
        self._prober.want(frozenset(self._lanes))
        if survey is None:
            return
        if survey.away is not None:
            if self._away is None:
                log.warning("source_away", reason=survey.away)
            self._connected, self._away = False, survey.away
            return
        if not self._connected:
            log.info("source_connected", topics=dict(survey.expected))
        self._connected, self._away = True, None
        missing = tuple(sorted(topic for topic, count in survey.expected.items() if count is None))
        for topic in set(missing) - set(self._missing):
            log.warning("topic_missing", topic=topic, advice="create it, or correct ROLLWATCH_KAFKA__TOPICS")
        self._missing = missing
        self._watch(survey)
        probes = [
            Probe(partition=partition, end_offset=bounds.end, probed_at_ms=survey.asked_at_ms)
            for partition, bounds in survey.bounds.items()
            if partition in self._lanes
        ]
        try:
            self._store.probed(probes, survey.expected)
        except StoreAway as away:
            self._hold(away)

    def _watch(self, survey: Survey) -> None:
        """Compare progress with the ends: a partition with something to read and no progress ends the process."""
        now = self._clock.monotonic()
        for partition, bounds in survey.bounds.items():
            lane = self._lanes.get(partition)
            if lane is None:
                continue
            if lane.claim is not None:
                self._lag[partition] = max(bounds.end - lane.applied, 0)
                self._observer.lag(partition, self._lag[partition])
            if self._held:
                lane.behind = None
            elif lane.stalled(bounds.readable, now, self._settings.stall_after_seconds):
                raise Stalled(
                    f"{partition} stands at offset {lane.next} although {bounds.readable} can be read: no record came "
                    f"for {self._settings.stall_after_seconds:.0f} s. The process ends to start anew (exit code 70)."
                )

    def _publish(self) -> None:
        lanes = self._lanes
        self._status = WorkerStatus(
            connected=self._connected,
            store_connected=self._store_connected,
            assigned=frozenset(lanes),
            reading=frozenset(each for each, lane in lanes.items() if lane.reading),
            lag=dict(self._lag),
            last_flush_ms=self._last_flush_ms,
            stopped={each: lane.stopped for each, lane in lanes.items() if lane.stopped is not None},
            missing_topics=self._missing,
            fault=self._fault or self._away,
            leaving=self._leaving,
        )

    def _leave(self) -> None:
        """Flush what can be flushed, leave the group; must be done within 5 s of the request."""
        self._leaving = True
        self._publish()
        self._prober.stop()
        try:
            self._last_flush(self._lanes.values())
        except Exception as error:
            log.exception("last_flush_failed", error=type(error).__name__)
        finally:
            self._source.close()
            log.info("ingest_left")
