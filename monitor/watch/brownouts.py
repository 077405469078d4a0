"""Measures each brownout under way at every look, and calls somebody where it must end now."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from monitor.control.brownouts import Limits, Progress, progress_of
from monitor.control.judge import Sight
from monitor.control.memos import BROWNOUT_MEMO
from monitor.core.alerts import Alert, AlertKind, AlertSeverity
from monitor.core.decision import Json
from monitor.core.registry import Rollover
from monitor.core.rollover import Lifecycle
from monitor.core.untrusted import harmless
from monitor.ports import RolloverState

log = structlog.get_logger()

CAUSE = "brownout"
_FEW = 10


def follow_brownouts(
    memory: Mapping[str, Json],
    sight: Sight,
    states: Mapping[str, RolloverState],
    limits: Mapping[str, Mapping[str, Json]],
) -> tuple[list[Alert], Mapping[str, Json]]:
    """Return one critical alert for each window that must end, its end when the window is over, and what to remember.

    `limits` are the memos of begun windows, by `BROWNOUT_MEMO` and rollover. Told once a window, and not taken back
    while it runs: who was refused stays refused.
    """
    alerts: list[Alert] = []
    after: dict[str, Json] = {}
    for name in sight.decisions:
        state = states[name]
        if state.state == Lifecycle.BROWNOUT:
            set_limits = Limits.of(limits.get(BROWNOUT_MEMO + name), state.since_ms)
            progress = progress_of(sight, name, since_ms=state.since_ms, limits=set_limits)
            told = _told(memory.get(name), state.since_ms)
            if not told and progress.found.abort is not None:
                alerts.append(_alert(state.rollover, progress, sight.now_ms, progress.found.abort))
            refused = len(progress.found.hit)
            after[name] = {
                "since_ms": state.since_ms,
                "told": told or progress.found.abort is not None,
                "refused": refused,
            }
            if after[name] != memory.get(name):
                log.info("brownout_measured", rollover=name, refused=refused, abort=progress.found.abort)
    for name, entry in memory.items():
        since_ms = entry.get("since_ms") if isinstance(entry, Mapping) else None
        if isinstance(since_ms, int) and _told(entry, since_ms) and not _told(after.get(name), since_ms):
            rollover = sight.registry.rollover_by_id.get(name)
            alerts.append(_over(name, rollover, since_ms, sight.now_ms))
    return alerts, after


def _told(entry: Json, since_ms: int) -> bool:
    return isinstance(entry, Mapping) and entry.get("since_ms") == since_ms and entry.get("told") is True


def _episode(name: str, since_ms: int) -> str:
    return f"{CAUSE}:{name}:{since_ms}"


def _alert(rollover: Rollover, progress: Progress, now_ms: int, abort: str) -> Alert:
    names = ", ".join(f"{harmless(each.client)}/{harmless(each.source)}" for each in progress.found.hit[:_FEW])
    return Alert(
        at_ms=now_ms,
        kind=AlertKind.FAILED_ROLLOVER,
        episode=_episode(rollover.id, progress.since_ms),
        severity=AlertSeverity.CRITICAL,
        text=f"{rollover.id}: end the brownout of v{rollover.from_version} now: {abort}. "
        f"Refused so far: {names or 'nobody'}.",
        rollover=rollover.id,
        key=rollover.key,
        version=rollover.from_version,
        cause=CAUSE,
        evidence=progress.as_json(),
    )


def _over(name: str, rollover: Rollover | None, since_ms: int, now_ms: int) -> Alert:
    return Alert(
        at_ms=now_ms,
        kind=AlertKind.RESOLVED,
        episode=_episode(name, since_ms),
        severity=AlertSeverity.INFO,
        text=f"{name}: the brownout is over",
        rollover=name,
        key=None if rollover is None else rollover.key,
        version=None if rollover is None else rollover.from_version,
        cause=CAUSE,
        evidence={"kind": AlertKind.FAILED_ROLLOVER.value},
    )
