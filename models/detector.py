"""The detector: aggregates in, alerts out. One object holds memory, scorers, thresholds and open episodes.

Use: `register` the registry's facts, `observe` each minute's rows, `train` once a day. It has no clock: `now` is given.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import sklearn
from numpy.typing import NDArray

from models.calibration import HISTORY_DAYS, HealthyPeaks, PeakBook, Thresholds, calibrate
from models.cause import Cause
from models.causes import Surroundings, Verdict, judge
from models.certainty import beyond_doubt
from models.doubts import everybody_fails, threshold_of
from models.episodes import CLOSE_AFTER_MINUTES, Action, Alert, Episode, Episodes, FeatureShare, Finding
from models.features import INDEX, NAMES
from models.observations import KeyFacts, UsageRow, epoch_seconds, from_epoch
from models.reranker import Reranker
from models.scopes import Scope
from models.scorers import ForestScorer, Scorer, SurpriseBaseline
from models.silence import Silences
from models.state import Candidate, FleetState
from models.trees import Matrix
from models.votes import CauseVotes
from models.wording import sentence, severity

_HOUR = 60
_DAY = 24 * _HOUR
_MAX_HISTORY_ROWS = 20_000
_FAILING_SHARE = 0.125
"""Of rollovers: one in eight fails, and a history that nobody labelled must not deafen the detector."""
_ALONE = Thresholds(rollover=0.55, rest=0.6, expected=5.0)
"""For the forest alone: the floor of its thresholds."""
_COLD = Thresholds(rollover=0.93, rest=0.985, expected=5.0)
"""For the baseline on its own: what held the budget on the first days of simulated fleets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorOptions:
    """What an operator may choose. `budget` is false episodes per 1,000 key-days."""

    budget: float = 5.0
    warm_up_hours: int = 24
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether the detector's silence means something. `text` says why not; `scorer` is what speaks meanwhile."""

    ready: bool
    scorer: str
    text: str
    history_hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The record of one training (`model_runs`). `blind` names features that were constant in the history."""

    at: datetime
    rows: int
    seed: int
    scorer: str
    thresholds: Thresholds
    blind: tuple[str, ...]
    accepted: bool
    text: str

    def as_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values, the libraries' versions beside it."""
        return {
            "at": self.at.isoformat(),
            "rows": self.rows,
            "seed": self.seed,
            "scorer": self.scorer,
            "threshold_rollover": self.thresholds.rollover,
            "threshold_rest": self.thresholds.rest,
            "false_episodes_per_1000_key_days": self.thresholds.expected,
            "blind": list(self.blind),
            "accepted": self.accepted,
            "text": self.text,
            "versions": {"scikit-learn": sklearn.__version__, "numpy": np.__version__},
        }


class _Past(NamedTuple):
    """A look of the history. What was flagged is not learnt from, but thresholds must know of it."""

    key: str
    minute: int
    in_rollover: bool
    flagged: bool
    features: NDArray[np.float32]


class Detector:
    """Finds failed rollovers in minute aggregates.

    Promises: no look at the future; the same input gives the same alerts; one opening an episode; what is flagged is
    not learnt. Does not promise alerts before `readiness(now).ready`: until then a calibrated baseline stands in.
    """

    def __init__(
        self,
        *,
        reranker: Reranker | None,
        options: DetectorOptions | None = None,
        healthy: HealthyPeaks | None = None,
    ) -> None:
        """Start with no history. `reranker` None runs on the forest alone (the label-free fallback).

        `healthy` calibrates that forest until the fleet's own rollovers do; without it, it exceeds its budget.
        """
        self._healthy = healthy
        self.options = options or DetectorOptions()
        self.state = FleetState()
        self.episodes = Episodes()
        self.silences = Silences()
        self.reranker = reranker
        self.forest = ForestScorer(seed=self.options.seed)
        self.baseline = SurpriseBaseline()
        if reranker is not None:
            self.baseline.fit(reranker.reference)
        self.thresholds: Thresholds | None = None
        self._history: list[_Past] = []
        self._peaks = PeakBook()
        self._around = Surroundings(
            region_of=lambda gateway: self.state.regions.get(gateway, ""),
            hides_reasons=self.state.hides_reasons,
            namelessness=self.state.namelessness,
            is_environment=lambda source: source not in self.state.addresses,
        )

    def register(self, facts: Iterable[KeyFacts]) -> None:
        """Replace what the registry says of the given keys; call it again whenever the registry changes."""
        self.state.register(facts)

    def observe(self, rows: Sequence[UsageRow], now: datetime) -> list[Alert]:
        """Take in what arrived since the last look and say what is to be told.

        Args:
            rows: aggregates of buckets that began before `now`, any order inside the batch; late ones are welcome.
            now: the look, aware.

        Returns:
            Alerts in order of key: openings, corrections, escalations, then closes.
        """
        return self._look(rows, now, speak=True)

    def warm(self, rows: Sequence[UsageRow], now: datetime) -> None:
        """Take in stored history after a restart: the same as `observe`, but nothing opens."""
        self._look(rows, now, speak=False)

    def restore(self, opened: Iterable[Alert], now: datetime) -> None:
        """Take up episodes that were open when the process ended, from their last told alerts."""
        minute = epoch_seconds(now) // 60
        for alert in opened:
            if alert.finding.cause is Cause.CLIENT_OUTAGE:
                self.silences.restore(alert)
            elif alert.action is not Action.CLOSED:
                at = (alert.finding.key, alert.finding.version)
                self.episodes.open[at] = Episode(
                    name=alert.episode, finding=alert.finding, opened=epoch_seconds(alert.at) // 60, last=minute
                )

    def readiness(self, now: datetime) -> Readiness:
        """Say whether the detector is ready, and what stands in for it while it is not."""
        hours = self._history_minutes(epoch_seconds(now) // 60) / _HOUR
        scorer, _ = self._scorer(epoch_seconds(now) // 60)
        if scorer is self.baseline:
            needed = self.options.warm_up_hours
            text = f"not ready: {hours:.0f} h of history, {needed} h are needed; a calibrated baseline stands in"
            return Readiness(ready=False, scorer=scorer.name, text=text, history_hours=hours)
        return Readiness(ready=True, scorer=scorer.name, text=f"ready on {hours:.0f} h of history", history_hours=hours)

    def train(self, now: datetime) -> Training:
        """Grow the forest again on incident-free history and calibrate; the old one is kept where that fails."""
        minute = epoch_seconds(now) // 60
        self._peaks.prune(minute)
        rows = self._training_rows()
        forest = ForestScorer(seed=self.options.seed)
        forest.fit(rows)
        baseline = SurpriseBaseline()
        baseline.fit(rows)
        accepted = forest.ready and bool(np.ptp(forest.score(rows)) > 0)
        if accepted:
            self.forest, self.baseline = forest, baseline
        self.thresholds = self._calibrated(minute)
        scorer, in_force = self._scorer(minute)
        thresholds = self.thresholds or in_force
        text = "trained" if accepted else f"kept the old forest: {len(rows)} rows of history are too few"
        return Training(
            at=now,
            rows=len(rows),
            seed=self.options.seed,
            scorer=scorer.name,
            thresholds=thresholds,
            blind=forest.blind,
            accepted=accepted,
            text=text,
        )

    def _look(self, rows: Sequence[UsageRow], now: datetime, *, speak: bool) -> list[Alert]:
        minute = (epoch_seconds(now) - 1) // 60
        self.state.add(rows)
        candidates = self.state.look(minute, self.episodes.flagged())
        alerts: list[Alert] = []
        if candidates:
            matrix = np.array([c.features for c in candidates], dtype=np.float64)
            scorer, thresholds = self._scorer(minute)
            if scorer.ready:
                scores = scorer.score(matrix).tolist()
                for candidate, score in zip(candidates, scores, strict=True):
                    alerts.extend(self._judge(candidate, score, scorer, thresholds, now, speak=speak))
            else:
                for candidate in candidates:
                    self._remember(candidate)
        if speak:
            alerts.extend(self.episodes.close_quiet(minute, now))
            alerts.extend(self.silences.look(self.state, minute, now))
        return alerts

    def _judge(
        self, candidate: Candidate, score: float, scorer: Scorer, thresholds: Thresholds, now: datetime, *, speak: bool
    ) -> list[Alert]:
        key, version, minute = candidate.key, candidate.version, candidate.minute
        threshold = threshold_of(candidate, thresholds, doubting=scorer is self.reranker)
        if scorer is self.reranker and (key, version) not in self.episodes.open:
            self._peaks.add(key, minute, score, in_rollover=candidate.in_rollover)
        if score < threshold and self._certain(candidate):
            score = threshold
        if not self.episodes.wants(key, version, score, threshold):
            self._remember(candidate)
            return []
        self._remember(candidate, flagged=True)
        if not speak:
            return []
        lead = candidate.evidence.lead
        quiet = CLOSE_AFTER_MINUTES
        if not lead.recovered:
            quiet = max(2 * quiet, self.state.keys[key].callers[lead.who].run_gap(minute))
        failing = frozenset(
            "/".join(f.caller) for f in candidate.evidence.failures if f.minute > minute - CLOSE_AFTER_MINUTES
        )
        told = self.episodes.make_way(key, version, minute, now, callers=failing) if score >= threshold else []
        votes = self.episodes.votes(key, version)
        finding = self._finding(candidate, score, scorer, threshold, now, votes=votes)
        return told + self.episodes.judge(finding, minute, quiet=quiet, callers=failing, votes=votes)

    def _certain(self, candidate: Candidate) -> bool:
        if not candidate.in_rollover:
            return everybody_fails(candidate)
        return beyond_doubt(
            self.state.keys[candidate.key],
            candidate.version,
            candidate.evidence,
            candidate.life,
            keys_failing_here=round(math.expm1(candidate.features[INDEX["keys_failing_here"]])),
            region_of=self._around.region_of,
            retirements_told=self.state.retirements_told,
            now=candidate.minute,
        )

    def _finding(
        self,
        candidate: Candidate,
        score: float,
        scorer: Scorer,
        threshold: float,
        now: datetime,
        *,
        votes: CauseVotes,
    ) -> Finding:
        verdict = judge(
            self.state.keys[candidate.key],
            candidate.version,
            candidate.evidence,
            candidate.life,
            around=self._around,
            now=candidate.minute,
            features=candidate.features,
            model=None if self.reranker is None else self.reranker.causes,
            votes=votes,
        )
        opening = (candidate.key, candidate.version) not in self.episodes.open
        return Finding(
            key=candidate.key,
            version=candidate.version,
            at=now,
            score=score,
            threshold=threshold,
            scorer=scorer.name,
            cause=verdict.cause,
            severity=severity(verdict),
            started_at=from_epoch(verdict.since * 60),
            text=sentence(candidate.version, verdict),
            reason=verdict.reason,
            failures=verdict.explanation.failures,
            requests=verdict.explanation.requests,
            callers=verdict.callers,
            gateways=verdict.gateways,
            in_rollover=candidate.in_rollover,
            top_features=self._shares(candidate.features) if opening else (),
            **self._place(candidate, verdict),
        )

    def _place(self, candidate: Candidate, verdict: Verdict) -> dict[str, str | None]:
        scope = verdict.explanation.scope
        gateway = verdict.explanation.name if scope is Scope.GATEWAY else None
        region = verdict.explanation.name if scope is Scope.REGION else self.state.regions.get(gateway or "")
        client, source = candidate.evidence.lead.who if verdict.callers == 1 else ("", "")
        if scope is Scope.SOURCE:
            source = verdict.explanation.name
        return {"gateway": gateway, "region": region or None, "client": client or None, "source": source or None}

    def _shares(self, features: tuple[float, ...]) -> tuple[FeatureShare, ...]:
        return self.reranker.explain(features) if self.reranker is not None else ()

    def _scorer(self, minute: int) -> tuple[Scorer, Thresholds]:
        warm = self._history_minutes(minute) >= self.options.warm_up_hours * _HOUR
        if warm and self.reranker is not None:
            return self.reranker, self.thresholds or self.reranker.adapted((), key_days=0.0, budget=self.options.budget)
        if warm and self.forest.ready and self.thresholds is not None:
            return self.forest, self.thresholds
        return self.baseline, _COLD

    def _calibrated(self, minute: int) -> Thresholds | None:
        """Return thresholds for the budget, by the fleet's own history; None for a forest that has not grown."""
        if self.reranker is not None:
            warm = minute - self.options.warm_up_hours * _HOUR
            days = min(HISTORY_DAYS, max(0.0, self._history_minutes(warm) / _DAY))
            started = self.state.rollovers_started(max(0, minute - HISTORY_DAYS * _DAY), minute)
            return self.reranker.adapted(
                self._peaks.peaks(),
                key_days=len(self.state.keys) * days,
                budget=self.options.budget,
                faults=_FAILING_SHARE * started,
            )
        if not self.forest.ready:
            return None
        return calibrate(
            self._rescored().peaks(),
            key_days=len(self.state.keys) * self._history_minutes(minute) / _DAY,
            budget=self.options.budget,
            floor=self._floor(),
            faults=_FAILING_SHARE * self.state.rollovers_started(0, minute),
        )

    def _floor(self) -> Thresholds:
        """Return the forest's thresholds on simulated fleets: this one's history may hold no rollover yet."""
        if self._healthy is None:
            return _ALONE
        peaks = self._healthy.peaks(self.forest.score(self._healthy.rows))
        return calibrate(peaks, key_days=self._healthy.key_days, budget=self.options.budget, floor=_ALONE)

    def _history_minutes(self, minute: int) -> int:
        return 0 if self.state.first_minute is None else max(0, minute + 1 - self.state.first_minute)

    def _remember(self, candidate: Candidate, *, flagged: bool = False) -> None:
        self._history.append(
            _Past(
                candidate.key,
                candidate.minute,
                candidate.in_rollover,
                flagged,
                np.array(candidate.features, dtype=np.float32),
            )
        )
        if len(self._history) > 2 * _MAX_HISTORY_ROWS:
            self._history = self._history[::2]

    def _training_rows(self) -> Matrix:
        rows = np.array([past.features for past in self._history if not past.flagged], dtype=np.float64).reshape(
            -1, len(NAMES)
        )
        if self.reranker is not None:
            rows = np.concatenate([rows, self.reranker.reference])
        return rows

    def _rescored(self) -> PeakBook:
        """Return the history's peaks as the present forest scores them: two forests' scores do not compare."""
        book = PeakBook()
        if self._history and self.forest.ready:
            scores = self.forest.score(np.array([past.features for past in self._history], dtype=np.float64))
            for past, score in zip(self._history, scores.tolist(), strict=True):
                book.add(past.key, past.minute, score, in_rollover=past.in_rollover)
        return book
