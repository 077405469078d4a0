"""Stragglers: reminders, at fixed marks before the deadline, of callers that still hold the gate."""

from __future__ import annotations

from monitor.core.alerting.callers import CallerView
from monitor.core.alerting.deadline import PASSED, Mark, latest_mark
from monitor.core.alerting.episodes import CallerEpisodes
from monitor.core.alerting.look import Look, Memory, name_of
from monitor.core.alerts import Alert, AlertKind, AlertSeverity
from monitor.core.decision import Blocker, Json
from monitor.core.instants import DAY_MS, HOUR_MS, rfc3339

NO_DEADLINE_FIRST_MS = 7 * DAY_MS
"""Without a deadline: one reminder, this long after the start."""
STILL_THERE_FACTOR = 3
"""A caller that uses both is still on the old version until silent there for so many of its gaps since it moved."""


def straggler(memory: Memory, look: Look) -> tuple[list[Alert], Memory]:
    """Remind of each caller that holds clause C7 at a mark (7 d, 3 d, 1 d, 1 h before the deadline, and as it passes).

    Without a deadline there is one mark, `NO_DEADLINE_FIRST_MS` after the start. A mark is looked at once; of several
    that passed unseen only the latest counts. A caller that has just moved, and only waits to be believed, is not
    reminded. One episode a caller, whose `cause` is the latest mark; it ends when the caller holds the gate no more.
    """
    episodes = CallerEpisodes(AlertKind.STRAGGLER, memory, look)
    alerts = list(episodes.close_cleared())
    told = memory.get("mark")
    mark = None if look.retired else _mark(look)
    if mark is not None and mark.name != told and look.holders_known:
        told = mark.name
        for caller, blocker in look.holders.items():
            view = look.callers.find(caller)
            if view is not None and still_there(view, look.now_ms):
                alerts.append(
                    episodes.tell(
                        caller,
                        severity=mark.severity,
                        text=_text(look, mark, caller, view, blocker),
                        cause=mark.name,
                        used_ms=view.last_old_use_ms or 0,
                        evidence=_evidence(look, mark, view, blocker),
                    )
                )
    return alerts, episodes.memory(mark=told)


def still_there(view: CallerView, now_ms: int) -> bool:
    """Return whether what is known says that this caller has not moved, rather than that it just did."""
    last, moved = view.last_old_use_ms, view.new.first_served_ms
    if moved is None or last is None:
        return True
    if last <= moved:
        return False
    uses = sum(day.slots.bit_count() for days in view.old_days for day in days.since(moved // DAY_MS))
    usual_gap_ms = (last - moved) / max(uses, 1)
    return now_ms - last <= max(HOUR_MS, STILL_THERE_FACTOR * usual_gap_ms)


def _deadline_ms(look: Look) -> int | None:
    """Return when the old version has to be gone: the rollover's deadline, else when it expires by itself."""
    if look.rollover.deadline_ms is not None:
        return look.rollover.deadline_ms
    old = look.key.version(look.rollover.from_version)
    return None if old is None else old.expires_at_ms


def _mark(look: Look) -> Mark | None:
    deadline = _deadline_ms(look)
    if deadline is not None and deadline > look.rollover.started_at_ms:
        return latest_mark(deadline, look.rollover.started_at_ms, look.now_ms)
    if look.now_ms < look.rollover.started_at_ms + NO_DEADLINE_FIRST_MS:
        return None
    return Mark(name="no_deadline", before_ms=0, severity=AlertSeverity.WARNING)


def _text(look: Look, mark: Mark, caller: tuple[str | None, str | None], view: CallerView, blocker: Blocker) -> str:
    rollover = look.rollover
    last = view.last_old_attempt_ms
    parts = [
        f"{name_of(caller)} still uses v{rollover.from_version} of {rollover.key}",
        f" ({mark.sentence})",
        "" if last is None else f"; last use {rfc3339(last)}",
        "" if blocker.next_expected_ms is None else f", next expected {rfc3339(blocker.next_expected_ms)}",
        f". {blocker.what_would_clear_it[:1].upper()}{blocker.what_would_clear_it[1:]}",
    ]
    return "".join(parts)


def _evidence(look: Look, mark: Mark, view: CallerView, blocker: Blocker) -> dict[str, Json]:
    last = view.last_old_attempt_ms
    deadline = _deadline_ms(look)
    return {
        "mark": mark.name,
        "deadline": None if deadline is None else rfc3339(deadline),
        "overdue": mark.name == PASSED,
        "state": None if blocker.state is None else blocker.state.value,
        "last_use": None if last is None else rfc3339(last),
        "next_expected": None if blocker.next_expected_ms is None else rfc3339(blocker.next_expected_ms),
        "requests_per_day": blocker.requests_per_day,
        "what_would_clear_it": blocker.what_would_clear_it,
    }
