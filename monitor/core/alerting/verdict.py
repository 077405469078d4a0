"""The verdict changed."""

from __future__ import annotations

from monitor.core.alerting.look import Look, Memory, episode_name
from monitor.core.alerts import Alert, AlertKind, AlertSeverity
from monitor.core.decision import Json, Status, Verdict

_FIRST_BLOCKERS = 3


def decision_changed(memory: Memory, look: Look) -> tuple[list[Alert], Memory]:
    """Tell each change of the verdict; a GO that is taken back is critical. The first verdict is no change."""
    now = look.decision.verdict
    before = memory.get("verdict")
    if before is None or before == now.value:
        return [], {"verdict": now.value}
    revoked = before == Verdict.GO.value
    severity = AlertSeverity.CRITICAL if revoked and not look.retired else AlertSeverity.INFO
    blockers = [each.summary for each in look.decision.blockers[:_FIRST_BLOCKERS]]
    evidence: dict[str, Json] = {
        "from": before,
        "to": now.value,
        "clauses": [each.id for each in look.decision.clauses if each.status is not Status.PASS],
        "blockers": [*blockers],
    }
    what = f"GO was taken back: {now.value}" if revoked else f"{before} became {now.value}"
    alert = look.alert(
        AlertKind.DECISION_CHANGED,
        severity=severity,
        text=f"{look.rollover.id}: {what}{'. ' + '; '.join(blockers) if blockers else ''}",
        cause=f"{before}->{now.value}",
        episode=episode_name(AlertKind.DECISION_CHANGED, look.rollover.id, began_ms=look.now_ms),
        evidence=evidence,
    )
    return [alert], {"verdict": now.value}
