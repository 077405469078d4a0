"""To tell or not to tell, and why: a rule on an alert and what has been told of its episode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from monitor.core.alerts import Alert, AlertKind, AlertSeverity
from monitor.core.decision import Json

_BY_MARK = frozenset({AlertKind.STRAGGLER, AlertKind.DEADLINE})
"""Kinds whose cause is the mark of a deadline: the next mark is a reminder, not a correction."""
_RANK = {AlertSeverity.INFO: 0, AlertSeverity.WARNING: 1, AlertSeverity.CRITICAL: 2}


class Why(StrEnum):
    """Why somebody is told, or is not."""

    FIRST = "first"
    CORRECTED = "corrected"
    ESCALATED = "escalated"
    REPEAT = "repeat"
    RESOLVED = "resolved"
    MUTED = "muted"
    SNOOZED = "snoozed"
    ACKNOWLEDGED = "acknowledged"
    NEVER_TOLD = "never_told"
    DUPLICATE = "duplicate"


TELLS = frozenset({Why.FIRST, Why.CORRECTED, Why.ESCALATED, Why.REPEAT, Why.RESOLVED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """What has been told of one episode. `level` counts reminders that nobody acknowledged (0: the owner alone knows).

    acknowledged: reminders are held back until the severity rises. snoozed_until_ms: all but the end is held back.
    """

    kind: str
    cause: str | None
    severity: AlertSeverity
    told_at_ms: int
    level: int = 0
    acknowledged_by: str | None = None
    snoozed_until_ms: int | None = None
    ended: bool = False

    def as_json(self) -> dict[str, Json]:
        """Return the form in which it is kept."""
        return {
            "kind": self.kind,
            "cause": self.cause,
            "severity": self.severity.value,
            "told_at_ms": self.told_at_ms,
            "level": self.level,
            "acknowledged_by": self.acknowledged_by,
            "snoozed_until_ms": self.snoozed_until_ms,
            "ended": self.ended,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Json]) -> Episode:
        """Read that form."""
        return cls(**{**kept, "severity": AlertSeverity(str(kept["severity"]))})  # type: ignore[arg-type] # as written


def why(alert: Alert, episode: Episode | None, *, muted: bool) -> Why:  # noqa: PLR0911 - one return a case, in order
    """Return why this alert is told, or why not. An end is told to whoever was told of the beginning."""
    if alert.kind is AlertKind.RESOLVED:
        if episode is None:
            return Why.NEVER_TOLD
        return Why.DUPLICATE if episode.ended else Why.RESOLVED
    if muted:
        return Why.MUTED
    if episode is None or episode.ended:
        return Why.FIRST
    worse = _RANK[alert.severity] > _RANK[episode.severity]
    if episode.snoozed_until_ms is not None and alert.at_ms < episode.snoozed_until_ms:
        return Why.SNOOZED
    if worse:
        return Why.ESCALATED
    if alert.cause != episode.cause and alert.kind not in _BY_MARK:
        return Why.CORRECTED
    if alert.at_ms <= episode.told_at_ms:
        return Why.DUPLICATE
    if episode.acknowledged_by is not None:
        return Why.ACKNOWLEDGED
    return Why.REPEAT


def after(alert: Alert, episode: Episode | None, reason: Why) -> Episode:
    """Return what is remembered once an alert was told for that reason."""
    if reason is Why.RESOLVED and episode is not None:
        return Episode.from_json(episode.as_json() | {"told_at_ms": alert.at_ms, "ended": True})
    fresh = episode is None or reason is Why.FIRST
    ignored = reason in {Why.REPEAT, Why.ESCALATED} and (episode is None or episode.acknowledged_by is None)
    return Episode(
        kind=alert.kind.value,
        cause=alert.cause,
        severity=alert.severity,
        told_at_ms=alert.at_ms,
        level=0 if fresh or episode is None else episode.level + ignored,
        acknowledged_by=None if fresh or episode is None or reason is Why.ESCALATED else episode.acknowledged_by,
    )
