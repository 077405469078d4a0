"""The deadline: it nears, or has passed, and the gate does not say GO."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.core.alerting.look import Look, Memory, episode_name
from monitor.core.alerts import Alert, AlertKind, AlertSeverity
from monitor.core.decision import Json
from monitor.core.instants import DAY_MS, HOUR_MS, rfc3339

PASSED = "passed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A moment of reminding, so long before the deadline."""

    name: str
    before_ms: int
    severity: AlertSeverity

    @property
    def sentence(self) -> str:
        """Return it in words."""
        if self.name == PASSED:
            return "the deadline has passed"
        return f"{self.name} to the deadline" if self.before_ms else "no deadline is set"


MARKS = (
    Mark(name="7d", before_ms=7 * DAY_MS, severity=AlertSeverity.INFO),
    Mark(name="3d", before_ms=3 * DAY_MS, severity=AlertSeverity.WARNING),
    Mark(name="1d", before_ms=DAY_MS, severity=AlertSeverity.WARNING),
    Mark(name="1h", before_ms=HOUR_MS, severity=AlertSeverity.CRITICAL),
    Mark(name=PASSED, before_ms=0, severity=AlertSeverity.CRITICAL),
)


def latest_mark(deadline_ms: int, started_at_ms: int, now_ms: int) -> Mark | None:
    """Return the latest mark that has been reached; those before the start are none (but for the deadline itself)."""
    reached = None
    for mark in MARKS:
        at = deadline_ms - mark.before_ms
        if at <= now_ms and (at > started_at_ms or mark.name == PASSED):
            reached = mark
    return reached


def deadline(memory: Memory, look: Look) -> tuple[list[Alert], Memory]:
    """Tell, at each mark, that the deadline nears or has passed without a GO; resolved by a GO or the retirement.

    One episode a rollover (a GO that is revoked later begins another), `cause` is the mark.
    """
    rollover = look.rollover
    told = memory.get("mark")
    began = memory.get("began")
    if look.retired or look.is_go:
        if not isinstance(began, int):
            return [], memory
        why = "the old version was retired" if look.retired else "the gate says GO"
        ended = look.alert(
            AlertKind.RESOLVED,
            severity=AlertSeverity.INFO,
            text=f"{rollover.id}: {why}",
            episode=episode_name(AlertKind.DEADLINE, rollover.id, began_ms=began),
            cause=told if isinstance(told, str) else None,
            evidence={"kind": AlertKind.DEADLINE.value, "opened_at": rfc3339(began)},
        )
        return [ended], {"mark": told}
    if rollover.deadline_ms is None:
        return [], memory
    mark = latest_mark(rollover.deadline_ms, rollover.started_at_ms, look.now_ms)
    if mark is None or (mark.name == told and isinstance(began, int)):
        return [], memory
    since = began if isinstance(began, int) else look.now_ms
    holders = len(look.holders)
    evidence: dict[str, Json] = {
        "deadline": rfc3339(rollover.deadline_ms),
        "decision": look.decision.verdict.value,
        "callers_holding": holders,
        "earliest_go": None if look.decision.eta.earliest_go_ms is None else rfc3339(look.decision.eta.earliest_go_ms),
        "limited_by": look.decision.eta.limited_by,
    }
    alert = look.alert(
        AlertKind.DEADLINE,
        severity=mark.severity,
        text=(
            f"{rollover.id}: {mark.sentence} ({rfc3339(rollover.deadline_ms)}) and the gate says "
            f"{look.decision.verdict.value}; {holders} caller{'' if holders == 1 else 's'} of "
            f"v{rollover.from_version} {'holds' if holders == 1 else 'hold'} it."
        ),
        cause=mark.name,
        episode=episode_name(AlertKind.DEADLINE, rollover.id, began_ms=since),
        evidence=evidence,
    )
    return [alert], {"mark": mark.name, "began": since}
