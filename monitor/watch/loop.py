"""One look at every rollover: detect, decide, follow, tell. Reads first, then writes all that follows at once.

What was decided is written with the alerts that it causes and the messages that tell of them, or not at all: a crash in
between repeats the look, and the memory of what has been told was not written either.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from monitor.adapters.metrics import (
    ALERTS,
    DETECTOR_READY,
    EVALUATION_FAULTS,
    EVALUATION_SECONDS,
    INCIDENTS,
    LEADER,
    OUTBOX,
    Metrics,
)
from monitor.control.judge import Judge, Sight
from monitor.control.ledger import keep_looked
from monitor.control.memos import BROWNOUT_MEMO, WATCH_MEMO
from monitor.core.alerting import Look, follow, follow_telemetry, view_callers
from monitor.core.alerts import Alert
from monitor.core.decision import CallerState, Json
from monitor.core.gate import CallerCache
from monitor.errors import RollwatchError
from monitor.ingest import Clock
from monitor.notify.drain import drain_by_day
from monitor.notify.notifier import Notifier, Overview
from monitor.ports import CallerStateKey, Evaluation, Incident, RolloverState, Snapshot, Store
from monitor.watch.brownouts import follow_brownouts
from monitor.watch.detection import Detected, Detection
from monitor.watch.holding import follow_holds

log = structlog.get_logger()

LEADER_NAME = "watch"
OVER = frozenset({"completed", "rolled_back"})
"""States in which nothing is decided any more."""
_MEMORY = "alerting:"
_TELEMETRY_MEMORY = "alerting-telemetry"
_HOLDS_MEMORY = "alerting-holds"
_BROWNOUTS_MEMORY = "alerting-brownouts"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Followed:
    """What follows from a look: alerts, and the memory of each rule set by the memo's name."""

    alerts: Sequence[Alert]
    memories: Mapping[str, Mapping[str, Json]]


class Watch:
    """Looks when it is told to. One thread; of several processes only the leader's look does anything."""

    def __init__(
        self,
        *,
        store: Store,
        judge: Judge,
        detection: Detection,
        notifier: Notifier,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        """Prepare; nothing is read before the first look."""
        self._store = store
        self._judge = judge
        self._detection = detection
        self._notifier = notifier
        self._metrics = metrics
        self._clock = clock
        self._cache = CallerCache()
        self._standings: dict[CallerStateKey, CallerState] = {}
        self.leads = False
        self.detector_ready = False
        self.last_look_ms: int | None = None
        self.fault: str | None = None

    def look(self) -> bool:
        """Look once; return whether it was done (or another process does it). Faults are kept, counted, not raised."""
        began = time.monotonic()
        try:
            self.leads = self._store.lead(LEADER_NAME)
            self._metrics.set(LEADER, self.leads)
            if self.leads:
                self._look(self._clock.now_ms())
                self._metrics.time(EVALUATION_SECONDS, time.monotonic() - began)
        except RollwatchError as fault:
            self._stumbled(fault.reason.value, str(fault))
            return False
        except Exception as error:
            log.exception("watch_error", error=type(error).__name__)
            self._stumbled("internal", f"an unexpected {type(error).__name__}; see the log")
            return False
        if self.fault is not None:
            log.info("watch_goes_on")
        self.fault = None
        return True

    def _stumbled(self, reason: str, text: str) -> None:
        self._metrics.count(EVALUATION_FAULTS, reason=reason)
        if text != self.fault:
            log.warning("watch_waits", reason=text)
        self.fault = text

    def _look(self, now_ms: int) -> None:
        _, registry = self._store.registry()
        detected = self._detection.look(registry, now_ms)
        if detected.incidents:
            # First, so that the decision of this very look feels them.
            self._keep_incidents(detected.incidents)
        with self._store.snapshot() as snapshot:
            states = snapshot.states(now_ms)
            wanted = [name for name, state in states.items() if state.state not in OVER]
            sight = self._judge.decide_all(
                snapshot,
                wanted,
                now_ms=now_ms,
                detector=(detected.not_ready,),
                cache=self._cache,
                with_standings=True,
            )
            evaluations = snapshot.evaluations()
            memories = dict(snapshot.memos(_MEMORY))
            for memo in (_TELEMETRY_MEMORY, _HOLDS_MEMORY, _BROWNOUTS_MEMORY):
                memories[memo] = snapshot.memo(memo) or {}
            limits = snapshot.memos(BROWNOUT_MEMO)
            due = self._notifier.due(snapshot, _overviews(sight, states, evaluations), now_ms=now_ms)
        overviews = [
            replace(each, drain=drain_by_day(self._store, sight.registry.rollover_by_id[each.rollover], now_ms))
            for each in due
        ]
        followed = _follow(sight, states, memories, limits)
        new_standings = self._changed_standings(sight)
        with self._store.snapshot(write=True) as snapshot:
            self._write(
                snapshot,
                sight,
                evaluations=evaluations,
                followed=followed,
                detected=detected,
                standings=new_standings,
                overviews=overviews,
            )
        self._standings.update(new_standings)
        self._show(sight, followed, detected)

    def _keep_incidents(self, incidents: Sequence[Incident]) -> None:
        with self._store.snapshot(write=True) as snapshot:
            for each in incidents:
                snapshot.put_incident(each)

    def _write(
        self,
        snapshot: Snapshot,
        sight: Sight,
        *,
        evaluations: Mapping[str, Evaluation],
        followed: _Followed,
        detected: Detected,
        standings: Mapping[CallerStateKey, CallerState],
        overviews: Sequence[Overview],
    ) -> None:
        now_ms = sight.now_ms
        for name, decision in sight.decisions.items():
            if keep_looked(snapshot, decision, evaluations.get(name)):
                log.info("decision_changed", rollover=name, decision=decision.verdict.value)
        if standings:
            snapshot.put_states(standings, now_ms=now_ms)
        for name, memory in followed.memories.items():
            snapshot.put_memo(name, memory, now_ms=now_ms)
        # The parent message first: what is told now belongs into its thread.
        self._notifier.show(snapshot, overviews, sight.registry, now_ms=now_ms)
        self._notifier.tell(snapshot, [*detected.alerts, *followed.alerts], sight.registry, now_ms=now_ms)
        self._notifier.flush(snapshot, now_ms=now_ms)
        snapshot.put_memo(WATCH_MEMO, {"at_ms": now_ms, "detector": detected.not_ready}, now_ms=now_ms)

    def _changed_standings(self, sight: Sight) -> dict[CallerStateKey, CallerState]:
        """Return the callers' states that are not in the store yet: nearly all stay as they were."""
        changed: dict[CallerStateKey, CallerState] = {}
        for name, standings in sight.standings.items():
            rollover = sight.registry.rollover_by_id[name]
            for each in standings:
                key = (rollover.key, rollover.from_version, each.name.client, each.name.source)
                if self._standings.get(key) is not each.state:
                    changed[key] = each.state
        return changed

    def _show(self, sight: Sight, followed: _Followed, detected: Detected) -> None:
        metrics = self._metrics
        metrics.decided({name: each.verdict for name, each in sight.decisions.items()}, at_ms=sight.now_ms)
        metrics.set(DETECTOR_READY, detected.not_ready is None)
        for alert in (*detected.alerts, *followed.alerts):
            metrics.count(ALERTS, kind=alert.kind.value)
            log.info("alert", kind=alert.kind.value, episode=alert.episode, rollover=alert.rollover, text=alert.text)
        metrics.set(OUTBOX, self._store.outbox_size())
        metrics.set(INCIDENTS, sum(len(each.incidents) for each in sight.evidence.values()))
        self.last_look_ms = sight.now_ms
        self.detector_ready = detected.not_ready is None


def _overviews(
    sight: Sight, states: Mapping[str, RolloverState], evaluations: Mapping[str, Evaluation]
) -> Iterator[Overview]:
    """Yield what the parent messages show: this look's decisions, and the last one of what is over."""
    for name, state in states.items():
        decision = sight.decisions.get(name)
        last = evaluations.get(name)
        body = decision.as_json() if decision is not None else last.body if last is not None else None
        if body is not None:
            yield Overview(rollover=name, decision=body, deadline_ms=state.rollover.deadline_ms, state=state.state)


def _follow(
    sight: Sight,
    states: Mapping[str, RolloverState],
    memories: Mapping[str, Mapping[str, Json]],
    limits: Mapping[str, Mapping[str, Json]],
) -> _Followed:
    """Return the alerts that follow, and what is to be remembered; a rollover that has not begun tells nothing."""
    alerts: list[Alert] = []
    after: dict[str, Mapping[str, Json]] = {}
    looks: list[Look] = []
    for name, decision in sight.decisions.items():
        rollover = sight.registry.rollover_by_id[name]
        key = sight.registry.key_by_name.get(rollover.key)
        if key is None or states[name].state == "planned":
            continue
        look = Look(
            rollover=rollover,
            key=key,
            registry=sight.registry,
            decision=decision,
            callers=view_callers(sight.evidence[name].callers, sight.registry, rollover, sight.now_ms),
            history_start_ms=sight.telemetry.history_start_ms,
            now_ms=sight.now_ms,
        )
        looks.append(look)
        memo = _MEMORY + name
        told, kept = follow(memories.get(memo, {}), look)
        alerts += told
        if kept != memories.get(memo, {}):
            after[memo] = kept
    fleet, kept = follow_telemetry(memories[_TELEMETRY_MEMORY], looks, sight.now_ms)
    if kept != memories[_TELEMETRY_MEMORY]:
        after[_TELEMETRY_MEMORY] = kept
    holds, kept = follow_holds(memories[_HOLDS_MEMORY], states, sight.now_ms)
    if kept != memories[_HOLDS_MEMORY]:
        after[_HOLDS_MEMORY] = kept
    brownouts, kept = follow_brownouts(memories[_BROWNOUTS_MEMORY], sight, states, limits)
    if kept != memories[_BROWNOUTS_MEMORY]:
        after[_BROWNOUTS_MEMORY] = kept
    return _Followed(alerts=[*fleet, *alerts, *holds, *brownouts], memories=after)
