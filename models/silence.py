"""Callers that stopped instead of failing: a sure rhythm, a switch to the new version, and then nothing on either.

The daemon's other eyes see refusals; a process that crashes on its new credential sends none. This speaks only inside
an open rollover and only of rhythms that were sure, as a silence has many harmless reasons.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from models.cause import Cause
from models.episodes import Action, Alert, Finding, Severity
from models.history import CallerKey, KeyPast, Rhythm
from models.observations import epoch_seconds, from_epoch
from models.state import FleetState

_LOOK_EVERY_MINUTES = 5
_DAY = 1440
_FIRST_WEEKDAY, _SATURDAY = 3, 5
"""The epoch began on a Thursday; Monday is 0."""
_SEEN_MINUTES = 3 * _DAY
"""A rhythm is sure after so long: days and nights are in it."""
_WEEK_MINUTES = 8 * _DAY
"""One with pauses of hours needs a weekend in it too, before a silence over a weekend means anything."""
_SHORT_PAUSE_MINUTES = 120
_LONG_PAUSE_MINUTES = _DAY
_REQUESTS = 40
_LEAST_SILENCE_MINUTES = 45
_FACTOR = 3.0
_SOON_MINUTES = 48 * 60
"""Later than this after the switch, a silence is hardly the rollover's."""
_HEARD_MINUTES = 15
"""A gateway that told nothing of anybody for so long may be dark itself."""

SCORER = "silence"
Silent = tuple[str, str, str]


class Silences:
    """The open silences by (key, client, source). Feed `look` once a look; it works every few minutes."""

    def __init__(self) -> None:
        """Start with none."""
        self.open: dict[Silent, Alert] = {}
        self._looked = -1

    def look(self, state: FleetState, minute: int, at: datetime) -> list[Alert]:
        """Tell what has fallen silent, and what is heard again or over."""
        if minute - self._looked < _LOOK_EVERY_MINUTES:
            return []
        self._looked = minute
        rolling = state.open_rollovers(minute)
        over = [s for s, alert in self.open.items() if s[0] not in rolling or _is_heard_again(state, alert, s)]
        told = [self._close(silent, at) for silent in sorted(over)]
        for name, (version, started) in sorted(rolling.items()):
            key = state.keys.get(name)
            if key is None:
                continue
            for who, rhythm in _subjects(state, key):
                silent = (name, *who) not in self.open and _is_silent(rhythm, minute)
                if not silent or _nobody_named(key, rhythm.last):
                    continue
                if _has_moved(key, who, version, started, rhythm.last) and _are_heard(state, key, who, minute):
                    told.append(self._open((name, *who), version, rhythm, at))
        return told

    def restore(self, alert: Alert) -> None:
        """Take up a silence that was open when the process ended."""
        finding = alert.finding
        self.open[finding.key, finding.client or "", finding.source or ""] = alert

    def _open(self, silent: Silent, version: int, rhythm: Rhythm, at: datetime) -> Alert:
        key, client, source = silent
        since = from_epoch(rhythm.last * 60)
        usual = max(1, round((rhythm.last - rhythm.first) / max(1, rhythm.requests)))
        name = "/".join(part for part in (client, source) if part) or "without a name"
        finding = Finding(
            key=key,
            version=version,
            at=at,
            score=1.0,
            threshold=1.0,
            scorer=SCORER,
            cause=Cause.CLIENT_OUTAGE,
            severity=Severity.INFO,
            started_at=since,
            text=(
                f"caller {name} moved to v{version} and is silent on all versions since {since:%Y-%m-%d %H:%M} UTC: it "
                f"asked about every {usual} min and never paused longer than {rhythm.longest} min before; see whether "
                "it runs"
            ),
            reason="silent",
            failures=0,
            requests=0,
            callers=1,
            gateways=0,
            in_rollover=True,
            client=client or None,
            source=source or None,
        )
        episode = f"{key}/v{version}/silent/{at:%Y%m%dT%H%M}/{name}"
        alert = Alert(action=Action.OPENED, episode=episode, at=at, finding=finding)
        self.open[silent] = alert
        return alert

    def _close(self, silent: Silent, at: datetime) -> Alert:
        alert = self.open.pop(silent)
        return Alert(action=Action.CLOSED, episode=alert.episode, at=at, finding=alert.finding, ended_at=at)


def _subjects(state: FleetState, key: KeyPast) -> Iterator[tuple[CallerKey, Rhythm]]:
    """Yield whose silence counts: a client in each environment; all of a client where its sources are addresses.

    Addresses come and go with pods: one that falls silent says nothing while its client is heard from another.
    """
    placed = set()
    for (client, source), past in key.proven.items():
        if source and source not in state.addresses:
            placed.add(client)
            yield (client, source), past.rhythm
    for client, rhythm in key.clients.items():
        if client not in placed:
            yield (client, ""), rhythm


def _mine(key: KeyPast, who: CallerKey) -> Iterator[CallerKey]:
    client, source = who
    return (each for each in key.proven if each[0] == client and source in {"", each[1]})


def _has_moved(key: KeyPast, who: CallerKey, version: int, started: int, last: int) -> bool:
    """Tell whether all callers in question that asked since the rollover began tried its version, and not long ago."""
    seen = [key.proven[each] for each in _mine(key, who) if key.proven[each].rhythm.last >= started]
    moved = [past.versions[version].first_seen for past in seen if version in past.versions]
    return bool(seen) and len(moved) == len(seen) and last - max(moved) <= _SOON_MINUTES


def _is_silent(rhythm: Rhythm, minute: int) -> bool:
    silence, seen = minute - rhythm.last, rhythm.last - rhythm.first
    if rhythm.requests < _REQUESTS or rhythm.longest > _LONG_PAUSE_MINUTES:
        return False
    known = rhythm.longest <= _SHORT_PAUSE_MINUTES or seen >= _WEEK_MINUTES or not _has_weekend(rhythm.last, minute)
    return known and seen >= _SEEN_MINUTES and silence > max(_LEAST_SILENCE_MINUTES, _FACTOR * rhythm.longest)


def _has_weekend(first: int, last: int) -> bool:
    return any((day + _FIRST_WEEKDAY) % 7 >= _SATURDAY for day in range(first // _DAY, last // _DAY + 1))


def _are_heard(state: FleetState, key: KeyPast, who: CallerKey, minute: int) -> bool:
    """Tell whether all gateways that the caller used are still heard of: else the silence may be theirs."""
    used = {g for each in _mine(key, who) for past in key.proven[each].versions.values() for g in past.ok_at}
    return bool(used) and all(state.heard.get(g, -1) > minute - _HEARD_MINUTES for g in used)


def _nobody_named(key: KeyPast, since: int) -> bool:
    """Tell whether somebody without a name was refused since: it may be the very caller that seems to be silent."""
    return any(past.nameless and past.rhythm.last >= since for past in key.callers.values())


def _is_heard_again(state: FleetState, alert: Alert, silent: Silent) -> bool:
    name, *who = silent
    key = state.keys.get(name)
    if key is None:
        return False
    since = epoch_seconds(alert.finding.started_at) // 60
    return any(key.proven[each].rhythm.last > since for each in _mine(key, (who[0], who[1])))
