"""One message of each kind, made up: for `rollwatch alerts preview` and `rollwatch alerts test`."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.core.alerts import Alert, AlertKind, AlertSeverity
from monitor.core.decision import Json
from monitor.core.instants import DAY_MS, HOUR_MS, rfc3339
from monitor.notify import bodies
from monitor.notify.guides import BY_KIND

ROLLOVER = "sample-rollover"
_KEY = "sample-key"
_CAUSES = {AlertKind.FAILED_ROLLOVER: "stale_gateway", AlertKind.FAILURE_SPIKE: "upstream_outage"}
_SEVERITIES = {
    AlertKind.FAILED_ROLLOVER: AlertSeverity.CRITICAL,
    AlertKind.POST_RETIREMENT_USE: AlertSeverity.CRITICAL,
    AlertKind.DECISION_CHANGED: AlertSeverity.INFO,
    AlertKind.RESOLVED: AlertSeverity.INFO,
}


def sample_alert(kind: AlertKind, at_ms: int) -> Alert:
    """Return an alert of that kind which says that it is a sample."""
    return Alert(
        at_ms=at_ms,
        kind=kind,
        episode=f"sample:{kind.value}",
        severity=_SEVERITIES.get(kind, AlertSeverity.WARNING),
        text=f"This is a sample, nothing happened. {BY_KIND[kind].title}: sample-client at 10.0.0.7 on v1 of {_KEY}.",
        rollover=ROLLOVER,
        key=_KEY,
        version=1,
        gateway="sample-gateway",
        client="sample-client",
        source="10.0.0.7",
        cause=_CAUSES.get(kind),
        evidence={
            "deadline": rfc3339(at_ms + DAY_MS),
            "last_use": rfc3339(at_ms - HOUR_MS),
            "next_expected": rfc3339(at_ms + 23 * HOUR_MS),
            "requests_per_day": 24.0,
            "what_would_clear_it": "one success on v2 and silence on v1",
        },
    )


def samples(*, channel: str, at_ms: int) -> Mapping[str, Mapping[str, Json]]:
    """Return a body by name: `overview`, then each alert kind; a straggler is told as a reminder."""
    made: dict[str, Mapping[str, Json]] = {
        "overview": bodies.overview(
            channel=channel,
            decision=_decision(at_ms),
            deadline=rfc3339(at_ms + 7 * DAY_MS),
            state="rolling",
            drain=[{"day": rfc3339(at_ms - (6 - day) * DAY_MS)[:10], **_requests(day)} for day in range(7)],
        )
    }
    for kind in AlertKind:
        told = sample_alert(kind, at_ms)
        if kind is AlertKind.STRAGGLER:
            made[kind.value] = bodies.reminder(
                channel=channel, audience="sample-team", alerts=[told.as_json()], at=rfc3339(at_ms), level=0
            )
        else:
            made[kind.value] = bodies.alert(channel=channel, told=told, why="first", thread_of=None)
    return made


def _requests(day: int) -> dict[str, Json]:
    return {"old": 1_000 - 150 * day, "new": 150 * day}


def _decision(at_ms: int) -> dict[str, Json]:
    return {
        "rollover": ROLLOVER,
        "key": _KEY,
        "from_version": 1,
        "to_version": 2,
        "decision": "NO_GO",
        "evaluated_at": rfc3339(at_ms),
        "blockers": [
            {
                "clause": "C7",
                "caller": {"client": "sample-client", "source": "10.0.0.7"},
                "summary": "still uses v1",
                "what_would_clear_it": "one success on v2 and silence on v1",
            }
        ],
        "eta": {"state": "estimated", "earliest_go": rfc3339(at_ms + 2 * DAY_MS), "limited_by": "sample-client"},
        "progress": {"callers": 12, "callers_cleared": 9, "requests_moved_share": 0.9},
    }
