"""Episodes: one alert for one trouble; a later look may correct its cause or raise its severity; silence closes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from models.cause import Cause
from models.votes import CauseVotes

CLOSE_AFTER_MINUTES = 60
"""Quiet for so long, an episode is over; a caller that asks seldom needs longer to show it (`quiet` of `judge`)."""
_SUPERSEDED_AFTER_MINUTES = 60
KEEP_SHARE = 0.3
"""A score above this share of its threshold keeps an open episode open (hysteresis)."""
CORRECTION_LOOKS = 2
MAX_CORRECTIONS = 4


class Action(StrEnum):
    """What an alert says of its episode."""

    OPENED = "opened"
    CORRECTED = "corrected"
    ESCALATED = "escalated"
    CLOSED = "closed"


class Severity(StrEnum):
    """How bad: `critical` where many callers or a whole place cannot get in."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


_RANK = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureShare:
    """One feature's part in a score: its value and its contribution (log odds for the re-ranker)."""

    name: str
    value: float
    contribution: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one look says of one key version: the numbers of an alert, before anyone decides whether to send one.

    `started_at` is the first failing minute by the evidence. `gateway`, `region`, `client`, `source` are set where the
    cause points at one. `failures` of `requests` in the scope blamed; `callers` and `gateways` count those that fail.
    """

    key: str
    version: int
    at: datetime
    score: float
    threshold: float
    scorer: str
    cause: Cause
    severity: Severity
    started_at: datetime
    text: str
    reason: str
    failures: int
    requests: int
    callers: int
    gateways: int
    in_rollover: bool
    gateway: str | None = None
    region: str | None = None
    client: str | None = None
    source: str | None = None
    top_features: tuple[FeatureShare, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One line to tell. `episode` ties an opening, its corrections and its close; `ended_at` is the last evidence."""

    action: Action
    episode: str
    at: datetime
    finding: Finding
    ended_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Episode:
    """An open trouble of one key version. Minutes since the epoch."""

    name: str
    finding: Finding
    opened: int
    last: int
    quiet: int = CLOSE_AFTER_MINUTES
    callers: frozenset[str] = frozenset()
    doubts: int = 0
    doubted: Cause | None = None
    corrections: int = 0
    votes: CauseVotes = field(default_factory=CauseVotes)


class Episodes:
    """The open episodes. `judge` is fed every finding in order of time; `close_quiet` once a look."""

    def __init__(self) -> None:
        """Start with none."""
        self.open: dict[tuple[str, int], Episode] = {}

    def flagged(self) -> set[str]:
        """Return the keys with an open episode."""
        return {key for key, _ in self.open}

    def wants(self, key: str, version: int, score: float, threshold: float) -> bool:
        """Tell whether a score matters here: it opens an episode, or speaks to an open one."""
        return score >= threshold or (key, version) in self.open

    def make_way(self, key: str, version: int, minute: int, at: datetime, *, callers: frozenset[str]) -> list[Alert]:
        """Close an old episode where none of those that fail now failed when it opened: this is another trouble."""
        episode = self.open.get((key, version))
        if episode is None or not self._superseded(episode, minute, callers):
            return []
        return [self._close((key, version), at)]

    def votes(self, key: str, version: int) -> CauseVotes:
        """Return the votes on an open episode's cause, or none yet for one that is about to open."""
        episode = self.open.get((key, version))
        return CauseVotes() if episode is None else episode.votes

    def judge(
        self,
        finding: Finding,
        minute: int,
        *,
        quiet: int = CLOSE_AFTER_MINUTES,
        callers: frozenset[str] = frozenset(),
        votes: CauseVotes | None = None,
    ) -> list[Alert]:
        """Open, correct, escalate or merely prolong. Returns what is to be told, if anything.

        Args:
            finding: this look's.
            minute: the look, epoch minutes.
            quiet: minutes without failures after which the episode is over.
            callers: who fails now.
            votes: on the cause, kept by an episode that opens.
        """
        at = (finding.key, finding.version)
        episode = self.open.get(at)
        over = finding.score >= finding.threshold
        if episode is None:
            if not over:
                return []
            name = f"{finding.key}/v{finding.version}/{finding.at:%Y%m%dT%H%M}"
            self.open[at] = Episode(
                name=name,
                finding=finding,
                opened=minute,
                last=minute,
                quiet=quiet,
                callers=callers,
                votes=votes or CauseVotes(),
            )
            return [Alert(action=Action.OPENED, episode=name, at=finding.at, finding=finding)]
        if finding.score >= KEEP_SHARE * finding.threshold:
            episode.last, episode.quiet = minute, quiet
            if over:
                episode.callers |= callers
        revised = self._revise(episode, finding)
        return [] if revised is None else [revised]

    @staticmethod
    def _superseded(episode: Episode, minute: int, callers: frozenset[str]) -> bool:
        long_ago = minute - episode.opened > _SUPERSEDED_AFTER_MINUTES
        return bool(callers and episode.callers) and long_ago and not callers & episode.callers

    @staticmethod
    def _revise(episode: Episode, finding: Finding) -> Alert | None:
        told = episode.finding
        if finding.cause is told.cause:
            episode.doubts = 0
            if _RANK[finding.severity] > _RANK[told.severity]:
                episode.finding = finding
                return Alert(action=Action.ESCALATED, episode=episode.name, at=finding.at, finding=finding)
            return None
        episode.doubts = episode.doubts + 1 if finding.cause is episode.doubted else 1
        episode.doubted = finding.cause
        if episode.doubts < CORRECTION_LOOKS or episode.corrections >= MAX_CORRECTIONS:
            return None
        episode.doubts, episode.corrections, episode.finding = 0, episode.corrections + 1, finding
        return Alert(action=Action.CORRECTED, episode=episode.name, at=finding.at, finding=finding)

    def close_quiet(self, minute: int, at: datetime) -> list[Alert]:
        """Close what has been quiet; the last evidence is the end."""
        over = [k for k, e in self.open.items() if minute - e.last > e.quiet]
        return [self._close(k, at) for k in over]

    def _close(self, key: tuple[str, int], at: datetime) -> Alert:
        episode = self.open.pop(key)
        ended = at.fromtimestamp(episode.last * 60 + 60, at.tzinfo)
        return Alert(action=Action.CLOSED, episode=episode.name, at=at, finding=episode.finding, ended_at=ended)
