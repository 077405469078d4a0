"""C9: clocks agree, nobody vetoed it, and the rules were the same all window long."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.core.decision import Status
from monitor.core.gate.finding import Finding, Trouble, finding, trouble
from monitor.core.gate.look import Look
from monitor.core.instants import format_duration, rfc3339

CLAUSE = "C9"
_NAMED = 3


def clocks_and_policy(look: Look) -> Finding:
    """Judge pins, the overlap's minimum, changes in the window, clocks, and times nobody can trust."""
    clocks = [*_clocks(look), *_suspect_times(look)]
    return finding(
        CLAUSE,
        [*_pins(look), *_state(look), *_overlap(look), *_changes(look), *clocks],
        passed="clocks agree, the overlap's minimum is over, nothing is pinned, the policy did not change",
        evidence={
            "clock_skew_ms": look.telemetry.clock_skew_ms,
            "state": look.evidence.state,
            "troubles": {"clocks": [each.blocker.summary for each in clocks[:_NAMED]]},
        },
    )


def _pins(look: Look) -> Iterator[Trouble]:
    for pin in look.registry.pins:
        valid = pin.until_ms is None or look.now_ms < pin.until_ms
        if valid and pin.key == look.rollover.key and pin.version == look.rollover.from_version:
            yield _fail(
                f"{pin.key} v{pin.version} is pinned by {pin.by}: {pin.reason}",
                "the pin is taken off",
                clears_at_ms=pin.until_ms,
            )


def _state(look: Look) -> Iterator[Trouble]:
    if look.evidence.state == "rolled_back":
        yield _fail("the rollover was rolled back", "start a new rollover")


def _overlap(look: Look) -> Iterator[Trouble]:
    due = look.rollover.started_at_ms + look.policy.min_overlap_ms
    if look.now_ms < due:
        yield _fail(
            f"the overlap lasts at least {format_duration(look.policy.min_overlap_ms)}, until {rfc3339(due)}",
            "time",
            clears_at_ms=due,
        )


def _changes(look: Look) -> Iterator[Trouble]:
    for change in look.evidence.changes:
        if change.at_ms > look.window_from_ms:
            yield _fail(
                f"changed within the window, at {rfc3339(change.at_ms)}: {change.what}",
                "the change leaves the quiet window",
                clears_at_ms=change.at_ms + look.policy.quiet_window_ms,
            )


def _clocks(look: Look) -> Iterator[Trouble]:
    skew, most = look.telemetry.clock_skew_ms, look.policy.max_clock_skew_ms
    if skew is None:
        if not look.telemetry.replayed:
            yield _unknown(
                "the clocks of the database and this machine could not be compared", "a database that answers"
            )
    elif abs(skew) > most:
        yield _unknown(
            f"the clocks of the database and this machine differ by {format_duration(abs(skew))}", "clocks that agree"
        )


def _suspect_times(look: Look) -> Iterator[Trouble]:
    """Uses of the old version at times ahead of their arrival: when they really happened, nobody knows."""
    for entry in look.roster.remarkable:
        standing = entry.standing
        at = standing.profile.last_suspect_ms
        if at is None or at < look.window_from_ms or standing.noise or standing.state in ("waived", "suspect"):
            continue
        yield _unknown(
            f"a use of v{look.rollover.from_version} by {standing.name} is dated after its arrival, {rfc3339(at)}",
            "its gateway's clock is set right, and the use leaves the quiet window",
            clears_at_ms=at + look.policy.quiet_window_ms + 1,
        )


def _fail(summary: str, clear: str, *, clears_at_ms: int | None = None) -> Trouble:
    return trouble(CLAUSE, Status.FAIL, summary, clear, clears_at_ms=clears_at_ms)


def _unknown(summary: str, clear: str, *, clears_at_ms: int | None = None) -> Trouble:
    return trouble(CLAUSE, Status.UNKNOWN, summary, clear, clears_at_ms=clears_at_ms)
