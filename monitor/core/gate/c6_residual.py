"""C6: nobody who still matters used the old version in the quiet window, by event time and by time of arrival."""

from __future__ import annotations

from monitor.core.callers import FOREVER_MS, Entry
from monitor.core.decision import Blocker, Status
from monitor.core.gate.finding import Finding, Trouble, finding
from monitor.core.gate.look import Look
from monitor.core.instants import rfc3339

CLAUSE = "C6"
_NAMED = 3


def residual(look: Look) -> Finding:
    """Count the window's uses of the old version by callers that are not cleared.

    The window's first day counts whole when its last use is inside; of late arrivals at least one is certain.
    """
    uses = [
        (max(1, _uses_in_window(entry, look.window_from_ms)), entry)
        for entry in look.roster.uncleared
        if _last(entry) >= look.window_from_ms
    ]
    total = sum(count for count, _ in uses)
    troubles = [_trouble(look, total, uses)] if total > look.policy.max_residual else []
    return finding(
        CLAUSE,
        troubles,
        passed=f"{total} uses of v{look.rollover.from_version} in the window by callers that are not cleared",
        evidence={"uses": total, "callers": len(uses), "allowed": look.policy.max_residual},
    )


def _last(entry: Entry) -> int:
    """Return the caller's last use, by event time or arrival, whichever is later."""
    who = entry.standing.profile
    return max(who.last_used_ms, who.last_arrival_ms or 0)


def _uses_in_window(entry: Entry, from_ms: int) -> int:
    return sum(record.activity.uses_since(from_ms) for record in entry.old)


def _trouble(look: Look, total: int, uses: list[tuple[int, Entry]]) -> Trouble:
    most = sorted(uses, key=lambda each: -each[0])
    named = ", ".join(f"{entry.standing.name} ({count})" for count, entry in most[:_NAMED])
    more = f" and {len(uses) - _NAMED} more" if len(uses) > _NAMED else ""
    # a late record arrives long after the use: people look for the use in their logs
    last = max(entry.standing.profile.last_used_ms for _, entry in uses)
    quiet = look.policy.quiet_window_ms + 1
    clears = max(min(_last(entry) + quiet, entry.standing.clears_at_ms or FOREVER_MS) for _, entry in uses)
    only = most[0][1].standing if len(uses) == 1 else None
    return Trouble(
        status=Status.FAIL,
        blocker=Blocker(
            clause=CLAUSE,
            caller=None if only is None else only.name,
            state=None if only is None else only.state,
            last_seen_ms=last,
            clears_at_ms=clears,
            summary=f"{total} uses of v{look.rollover.from_version} in the window by {named}{more}, "
            f"the last at {rfc3339(last)}",
            what_would_clear_it=f"a quiet window without such a use, or these callers move "
            f"to v{look.rollover.to_version}",
        ),
    )
