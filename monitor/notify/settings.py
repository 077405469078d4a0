"""Where messages go and when people may be bothered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from monitor.core.alerts import Alert, AlertSeverity
from monitor.core.instants import from_ms, to_ms
from monitor.core.registry import Key, Registry

_SATURDAY = 5
_ALL = "*"


class Digest(StrEnum):
    """Whether reminders come one by one or gathered, at the start of the day's or the week's work."""

    OFF = "off"
    DAILY = "daily"
    WEEKLY = "weekly"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Sends what fits elsewhere, or nowhere (`mute`). Patterns are as in file names; the first route that fits wins."""

    key: str = _ALL
    team: str = _ALL
    client: str = _ALL
    kind: str = _ALL
    severity: str = _ALL
    channel: str | None = None
    mute: bool = False

    def fits(self, alert: Alert, key: Key | None) -> bool:
        """Return whether this route is for that alert."""
        given = (
            (self.key, alert.key),
            (self.team, key.owner.team if key is not None else None),
            (self.client, alert.client),
            (self.kind, alert.kind.value),
            (self.severity, alert.severity.value),
        )
        return all(pattern == _ALL or fnmatchcase(value or "", pattern) for pattern, value in given)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingHours:
    """When people of a time zone may be reminded: Monday to Friday, from `start` to `end`."""

    timezone: str = "UTC"
    start: time = time(9)
    end: time = time(17)

    def next_open_ms(self, now_ms: int) -> int:
        """Return now if they are at work, else when their next working day starts."""
        local = from_ms(now_ms).astimezone(ZoneInfo(self.timezone))
        if local.weekday() < _SATURDAY and self.start <= local.time() < self.end:
            return now_ms
        return to_ms(self._next_start(local))

    def next_digest_ms(self, now_ms: int, digest: Digest) -> int:
        """Return when the next digest leaves: the start of the next working day, or of the next Monday."""
        local = from_ms(now_ms).astimezone(ZoneInfo(self.timezone))
        start = self._next_start(local)
        while digest is Digest.WEEKLY and start.weekday():
            start = self._next_start(start)
        return to_ms(start)

    def _next_start(self, local: datetime) -> datetime:
        day = local.replace(hour=self.start.hour, minute=self.start.minute, second=0, microsecond=0)
        if day <= local:
            day += timedelta(days=1)
        while day.weekday() >= _SATURDAY:
            day += timedelta(days=1)
        return day


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySettings:
    """All that the notifier is told. `slack_channel` is where rollovers without a channel of their own have theirs.

    senders: which senders get a copy of each alert beside Slack (`webhook`, `alertmanager`, `pagerduty`).
    page_url / runbook_url: bases of links; without them none is written.
    """

    slack: bool = False
    slack_channel: str | None = None
    security_channel: str | None = None
    escalate_to: str | None = None
    senders: tuple[str, ...] = ()
    page_url: str | None = None
    runbook_url: str | None = None
    hours: WorkingHours = WorkingHours()
    digest: Digest = Digest.OFF
    routes: tuple[Route, ...] = ()

    def route(self, alert: Alert, registry: Registry) -> Route | None:
        """Return the first route that fits."""
        key = registry.key_by_name.get(alert.key or "")
        return next((each for each in self.routes if each.fits(alert, key)), None)

    def rollover_channel(self, rollover: str | None, registry: Registry) -> str | None:
        """Return the channel in which a rollover has its thread."""
        found = registry.rollover_by_id.get(rollover or "")
        return (found.channel if found is not None else None) or self.slack_channel

    def owner_hours(self, key: Key | None) -> WorkingHours:
        """Return the working hours of a key's owner, as the registry has them, else as configured."""
        if key is None:
            return self.hours
        start, _, end = (key.owner.working_hours or "").partition("-")
        return WorkingHours(
            timezone=key.owner.timezone or self.hours.timezone,
            start=time.fromisoformat(start) if end else self.hours.start,
            end=time.fromisoformat(end) if end else self.hours.end,
        )

    def ladder(self, alert: Alert, registry: Registry) -> tuple[str | None, str | None, str | None]:
        """Return who hears of a straggler: its owner (channel or person), the rollover's channel, a named person."""
        key = registry.key_by_name.get(alert.key or "")
        route = self.route(alert, registry)
        home = self.rollover_channel(alert.rollover, registry)
        owner = route.channel if route is not None else None
        escalation = self.escalate_to
        if key is not None:
            owner = owner or key.owner.slack or key.owner.person
            escalation = key.owner.escalation or escalation
        return owner or home, home, escalation


def urgent(alert: Alert) -> bool:
    """Return whether somebody must be told at night, too."""
    return alert.severity is AlertSeverity.CRITICAL
