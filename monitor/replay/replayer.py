"""The replay: records in, decisions and alerts out, in order of the replay's own time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from monitor.core.alerting import Look, follow, follow_telemetry
from monitor.core.alerts import Alert
from monitor.core.callers import CallerCache
from monitor.core.decision import Decision, Json
from monitor.core.gate import decide
from monitor.core.instants import DAY_MS, HOUR_MS, SECOND_MS
from monitor.core.policy import Policy
from monitor.core.registry import Registry, Rollover
from monitor.ports.detection import FailureDetector
from monitor.replay.clock import Beat
from monitor.replay.history import History
from monitor.replay.intake import Intake, RecordMapping
from monitor.replay.places import Places
from monitor.replay.watching import Watching


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPlan:
    """What to replay: `policy` is what rollovers start from; their own overrides come on top.

    from_ms: decisions and alerts are written from here on (default: the first rollover's start, without a rollover
    the first record); until_ms: the last moment (default: the last record's arrival).
    """

    registry: Registry
    policy: Policy
    every_ms: int = HOUR_MS
    from_ms: int | None = None
    until_ms: int | None = None
    max_record_bytes: int = 65_536


@dataclass(slots=True)
class _Course:
    """One rollover under way: its policy, and what its alert rules remember."""

    rollover: Rollover
    policy: Policy
    memory: Mapping[str, Json] = field(default_factory=dict)
    looked: bool = False


class Replay:
    """One run over recorded events. Feed it once."""

    def __init__(
        self,
        plan: ReplayPlan,
        *,
        mapping: RecordMapping,
        detector: FailureDetector | None,
        on_decision: Callable[[Decision], None],
        on_alert: Callable[[Alert], None],
    ) -> None:
        """Prepare; nothing is read yet."""
        registry = plan.registry
        self._plan = plan
        self._on_decision, self._on_alert = on_decision, on_alert
        starts = [each.started_at_ms for each in registry.rollovers]
        self._from_ms = plan.from_ms if plan.from_ms is not None else min(starts, default=None)
        self._courses = [
            _Course(rollover=each, policy=plan.policy.overridden(dict(each.policy))) for each in registry.rollovers
        ]
        self.history = History(registry, least_silence_ms=self._least_silence_ms())
        self._cache = CallerCache()
        self._detector = detector
        self._watching: Watching | None = None
        self._fine_window_ms = max((each.policy.quiet_window_ms for each in self._courses), default=0) + DAY_MS
        self._intake = Intake(
            mapping=mapping,
            history=self.history,
            places=Places(registry, self.history),
            max_record_bytes=plan.max_record_bytes,
            advance=self._advance,
            for_detector=detector is not None,
        )
        self._checkpoints: Beat | None = None
        self._telemetry_memory: Mapping[str, Json] = {}
        self._tidy_ms = 0
        self._tick_ms = 0

    @property
    def records(self) -> int:
        """Return how many records were read."""
        return self._intake.records

    @property
    def clock_ms(self) -> int | None:
        """Return the replay's time: the latest arrival."""
        return self._intake.clock_ms

    def run(self, chunks: Iterable[list[bytes]]) -> None:
        """Read all chunks (or up to `until_ms`), and let the time pass to the end."""
        before: list[bytes] | None = None
        for chunk in chain(chunks, ([],)):
            if before and not self._intake.feed(before, chunk):
                break
            before = chunk
        clock_ms = self._intake.clock_ms
        until_ms = self._plan.until_ms if self._plan.until_ms is not None else clock_ms
        if until_ms is not None:
            if self._checkpoints is None:
                self._begin(until_ms if clock_ms is None else clock_ms)
            self._pass(until_ms + 1)

    def _least_silence_ms(self) -> int:
        """Return the shortest silence worth keeping: half of the shortest that any policy or gateway minds.

        Late records only cut silences to pieces, so no decision depends on what is not kept.
        """
        minded = [each.policy.max_silence_ms for each in self._courses]
        minded += [each.max_silence_ms for each in self._plan.registry.gateways if each.max_silence_ms is not None]
        return max(min(minded, default=0) // 2, SECOND_MS)

    def _advance(self, arrival_ms: int) -> int | None:
        """Let the time pass up to this arrival; see `Intake`."""
        if self._checkpoints is None:
            self._begin(arrival_ms)
        until_ms = self._plan.until_ms
        if until_ms is not None and arrival_ms > until_ms:
            return None
        due_ms = self._pass(arrival_ms)
        return due_ms if until_ms is None else min(due_ms, until_ms)

    def _begin(self, first_ms: int) -> None:
        start_ms = first_ms if self._from_ms is None else self._from_ms
        self._checkpoints = Beat(every_ms=self._plan.every_ms, from_ms=start_ms)
        self._watching = Watching(self._detector, self._plan.registry, told_from_ms=start_ms)
        self._tick_ms = self._watching.next_tick(first_ms - 1)
        self._tidy_ms = first_ms + DAY_MS

    def _pass(self, arrival_ms: int) -> int:
        """Do all that is due before `arrival_ms`, in order; return when something is due next."""
        assert self._checkpoints is not None and self._watching is not None  # noqa: S101, PT018 - set by `_begin`
        checkpoints, watching = self._checkpoints, self._watching
        while True:
            look_ms = self._tick_ms if watching.on else checkpoints.next_ms
            due_ms = min(look_ms, checkpoints.next_ms, self._tidy_ms)
            if due_ms >= arrival_ms:
                return due_ms
            if self._tidy_ms == due_ms:
                self.history.tidy(due_ms - self._fine_window_ms)
                self._tidy_ms += DAY_MS
            if watching.on and self._tick_ms == due_ms:
                for alert in watching.look(self._intake.take_uses(), due_ms):
                    self._on_alert(alert)
                self._tick_ms = watching.next_tick(due_ms)
            if checkpoints.next_ms == due_ms:
                self._decide(checkpoints.step(), watching)

    def _decide(self, now_ms: int, watching: Watching) -> None:
        open_courses = [each for each in self._courses if each.rollover.started_at_ms <= now_ms]
        if not open_courses:
            return
        registry, history = self._plan.registry, self.history
        history.settle()
        telemetry = history.telemetry(now_ms, fine_since_ms=now_ms - self._fine_window_ms)
        incidents = list(watching.incidents())
        not_ready = watching.not_ready(now_ms, history.start_ms)
        looks: list[Look] = []
        for course in open_courses:
            rollover = course.rollover
            decision = decide(
                rollover=rollover,
                registry=registry,
                policy=course.policy,
                evidence=history.evidence(rollover, now_ms, incidents=incidents, not_ready=not_ready),
                telemetry=telemetry,
                cache=self._cache,
            )
            self._on_decision(decision)
            looks.append(
                Look(
                    rollover=rollover,
                    key=registry.key_by_name[rollover.key],
                    registry=registry,
                    decision=decision,
                    callers=history.callers(rollover, now_ms, first_look=not course.looked),
                    history_start_ms=history.start_ms,
                    now_ms=now_ms,
                )
            )
            course.looked = True
        alerts, self._telemetry_memory = follow_telemetry(self._telemetry_memory, looks, now_ms)
        for course, look in zip(open_courses, looks, strict=True):
            told, course.memory = follow(course.memory, look)
            alerts += told
        for alert in alerts:
            self._on_alert(alert)
        history.looked()
