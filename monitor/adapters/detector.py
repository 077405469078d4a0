"""Joins `models` to the port `FailureDetector`: minutes of use in; alerts, open incidents and readiness out.

The only place that knows both vocabularies. A gateway is a place, name x region, as two regions may use one name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from models.cause import NOT_THE_ROLLOVER, Cause
from models.detector import Detector, DetectorOptions
from models.episodes import Action, Finding, Severity
from models.episodes import Alert as ModelAlert
from models.observations import KeyFacts, RolloverFacts, UsageRow, VersionFacts, from_epoch
from models.reranker import Reranker, default_reranker
from monitor.core.alerts import Alert, AlertKind, AlertSeverity
from monitor.core.decision import Json
from monitor.core.evidence import OpenIncident
from monitor.core.instants import HOUR_MS, rfc3339, to_ms
from monitor.core.registry import Key, Registry, Rollover
from monitor.ports.detection import MinuteUse
from monitor.ports.outbox import Incident

_ROLLOVER_MS: Final = 48 * HOUR_MS


class RolloverDetector:
    """`FailureDetector` on `models.Detector`. Fed minute by minute, in a replay and in the daemon alike.

    Promises: one opening alert an episode; corrections keep its kind; one `resolved` at its end. Has no clock.
    """

    def __init__(
        self,
        *,
        false_episodes_per_1000_key_days: float = 5.0,
        seed: int = 0,
        reranker: Reranker | None = None,
        label_free: bool = False,
    ) -> None:
        """Start with no history.

        Args:
            false_episodes_per_1000_key_days: the budget (policy).
            seed: of the forest.
            reranker: another re-ranker than the one that ships with the package.
            label_free: run on the forest alone.
        """
        chosen = reranker or default_reranker()
        self._detector = Detector(
            reranker=None if label_free else chosen,
            options=DetectorOptions(budget=false_episodes_per_1000_key_days, seed=seed),
            healthy=chosen.healthy,
        )
        self._rollovers: dict[str, list[Rollover]] = {}
        self._places: dict[tuple[str, str | None], str] = {}
        self._place_of: dict[str, tuple[str, str | None]] = {}
        self._incidents: dict[str, Incident] = {}
        self._changed: dict[str, Incident] = {}

    def register(self, registry: Registry) -> None:
        """Take in the registry; call it again whenever that changes."""
        self._rollovers = {}
        for rollover in registry.rollovers:
            self._rollovers.setdefault(rollover.key, []).append(rollover)
        self._detector.register(_facts(key, self._rollovers.get(key.key, [])) for key in registry.keys)

    def observe(self, uses: Sequence[MinuteUse], now_ms: int) -> Sequence[Alert]:
        """Take in what arrived since the last look; return alerts (opened, corrected, resolved) in a fixed order."""
        told = self._detector.observe(self._rows(uses), from_epoch(now_ms / 1000))
        alerts = [self._tell(each, now_ms) for each in told]
        return [each for each in alerts if each is not None]

    def warm(self, uses: Sequence[MinuteUse], now_ms: int) -> None:
        """Take in stored history: the same, but nothing is opened or told."""
        self._detector.warm(self._rows(uses), from_epoch(now_ms / 1000))

    def train(self, now_ms: int) -> Mapping[str, Json]:
        """Learn from incident-free history so far; return the record of the training."""
        return self._detector.train(from_epoch(now_ms / 1000)).as_json()

    def not_ready(self, now_ms: int) -> str | None:
        """Return why silence means nothing yet, or `None` when ready (C8)."""
        readiness = self._detector.readiness(from_epoch(now_ms / 1000))
        return None if readiness.ready else readiness.text

    def open_incidents(self) -> Sequence[tuple[str, OpenIncident]]:
        """Return the open incidents with their keys, in order of their opening."""
        return [
            (
                each.key,
                OpenIncident(
                    incident=each.id,
                    version=each.version,
                    cause=each.cause,
                    opened_at_ms=each.opened_at_ms,
                    summary=each.summary,
                    holds_gate=each.holds_gate,
                ),
            )
            for each in sorted(self._incidents.values(), key=lambda i: (i.opened_at_ms, i.id))
        ]

    def restore(self, incidents: Sequence[Incident], now_ms: int) -> None:
        """Take up incidents that were open when the process ended."""
        still = [each for each in incidents if each.closed_at_ms is None]
        self._incidents.update({each.id: each for each in still})
        self._detector.restore([_alert_of(each) for each in still], from_epoch(now_ms / 1000))

    def changed_incidents(self) -> Sequence[Incident]:
        """Return, once, the incidents that changed since the last call."""
        changed = list(self._changed.values())
        self._changed.clear()
        return changed

    def _rows(self, uses: Sequence[MinuteUse]) -> list[UsageRow]:
        places = self._places
        rows = []
        for at, key, version, client, source, gateway, region, route, outcome, reason, requests in uses:
            place = places.get((gateway, region))
            if place is None:
                place = self._name_place(gateway, region)
            rows.append(
                UsageRow(at // 1000, key, version, client, source, place, region, route, outcome, reason, requests)
            )
        return rows

    def _name_place(self, gateway: str, region: str | None) -> str:
        name = gateway if region is None else f"{gateway}@{region}"
        while name in self._place_of:  # only where a gateway's own name ends in @region
            name += "'"
        self._places[gateway, region] = name
        self._place_of[name] = (gateway, region)
        return name

    def _tell(self, told: ModelAlert, now_ms: int) -> Alert | None:
        finding = told.finding
        old = self._incidents.get(told.episode)
        rollover = self._rollover(finding.key, finding.version, now_ms)
        cause = finding.cause
        in_rollover = rollover is not None and self._in_rollover(finding.key, now_ms)
        kind = AlertKind(old.kind) if old is not None else _kind(cause, in_rollover=in_rollover)
        opened_ms = old.opened_at_ms if old is not None else to_ms(finding.started_at)
        closed = told.action is Action.CLOSED
        incident = Incident(
            id=told.episode,
            key=finding.key,
            version=finding.version,
            rollover=old.rollover if old is not None else (rollover.id if rollover and in_rollover else None),
            kind=kind.value,
            cause=cause.value,
            severity=finding.severity.value,
            opened_at_ms=opened_ms,
            closed_at_ms=to_ms(told.ended_at) if closed and told.ended_at is not None else None,
            summary=finding.text,
            holds_gate=cause not in NOT_THE_ROLLOVER,
            evidence=_evidence(finding),
        )
        self._changed[incident.id] = incident
        if closed:
            self._incidents.pop(incident.id, None)
        else:
            self._incidents[incident.id] = incident
        if told.action is Action.ESCALATED:
            return None  # one alert an episode: the incident carries the new severity
        gateway, region = self._place_of.get(finding.gateway or "", (finding.gateway, finding.region))
        return Alert(
            at_ms=now_ms,
            kind=AlertKind.RESOLVED if closed else kind,
            episode=told.episode,
            severity=AlertSeverity.INFO if closed else AlertSeverity(finding.severity.value),
            text=_over(finding, incident) if closed else finding.text,
            rollover=incident.rollover,
            key=finding.key,
            version=finding.version,
            gateway=gateway,
            region=region,
            client=finding.client,
            source=finding.source,
            cause=cause.value,
            evidence={**incident.evidence, "opens": kind.value} if closed else incident.evidence,
        )

    def _rollover(self, key: str, version: int, now_ms: int) -> Rollover | None:
        started = [r for r in self._rollovers.get(key, []) if r.started_at_ms <= now_ms]
        own = [r for r in started if version in {r.from_version, r.to_version}]
        return max(own or started, key=lambda r: r.started_at_ms, default=None)

    def _in_rollover(self, key: str, now_ms: int) -> bool:
        """Tell whether any rollover of the key runs: from its start to 48 h after or its retirement, the later one."""
        return any(
            r.started_at_ms <= now_ms
            and (now_ms <= r.started_at_ms + _ROLLOVER_MS or r.retired_at_ms is None or now_ms <= r.retired_at_ms)
            for r in self._rollovers.get(key, [])
        )


def _kind(cause: Cause, *, in_rollover: bool) -> AlertKind:
    if in_rollover and cause not in NOT_THE_ROLLOVER:
        return AlertKind.FAILED_ROLLOVER
    return AlertKind.FAILURE_SPIKE


def _facts(key: Key, rollovers: Sequence[Rollover]) -> KeyFacts:
    return KeyFacts(
        key=key.key,
        versions=tuple(
            VersionFacts(
                version=v.version,
                created_at=None if v.created_at_ms is None else from_epoch(v.created_at_ms / 1000),
                expires_at=None if v.expires_at_ms is None else from_epoch(v.expires_at_ms / 1000),
            )
            for v in key.versions
        ),
        rollovers=tuple(
            RolloverFacts(
                rollover=r.id,
                from_version=r.from_version,
                to_version=r.to_version,
                started_at=from_epoch(r.started_at_ms / 1000),
                retired_at=None if r.retired_at_ms is None else from_epoch(r.retired_at_ms / 1000),
            )
            for r in rollovers
        ),
    )


def _evidence(finding: Finding) -> dict[str, Json]:
    silent = {"client": finding.client, "source": finding.source} if finding.cause is Cause.CLIENT_OUTAGE else {}
    return {
        **silent,
        "started_at": rfc3339(to_ms(finding.started_at)),
        "reason": finding.reason,
        "failures": finding.failures,
        "requests": finding.requests,
        "callers": finding.callers,
        "gateways": finding.gateways,
        "score": round(finding.score, 4),
        "threshold": round(finding.threshold, 4),
        "scorer": finding.scorer,
        "features": [
            {"name": f.name, "value": round(f.value, 4), "contribution": round(f.contribution, 4)}
            for f in finding.top_features
        ],
    }


def _over(finding: Finding, incident: Incident) -> str:
    if finding.cause is Cause.CLIENT_OUTAGE:
        name = "/".join(part for part in (finding.client, finding.source) if part) or "without a name"
        return f"caller {name} of {finding.key} is heard again, or its rollover is over (was: {incident.cause})"
    until = "" if incident.closed_at_ms is None else f" since {rfc3339(incident.closed_at_ms)}"
    return f"v{finding.version} of {finding.key} is no longer refused{until} (was: {incident.cause})"


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _alert_of(incident: Incident) -> ModelAlert:
    evidence = incident.evidence

    def number(name: str) -> float:
        value = evidence.get(name)
        return float(value) if isinstance(value, int | float) else 0.0

    opened = from_epoch(incident.opened_at_ms / 1000)
    return ModelAlert(
        action=Action.OPENED,
        episode=incident.id,
        at=opened,
        finding=Finding(
            key=incident.key,
            version=incident.version,
            at=opened,
            score=number("score"),
            threshold=number("threshold"),
            scorer=str(evidence.get("scorer", "")),
            cause=Cause(incident.cause),
            severity=Severity(incident.severity),
            started_at=opened,
            text=incident.summary,
            reason=str(evidence.get("reason", "")),
            failures=int(number("failures")),
            requests=int(number("requests")),
            callers=int(number("callers")),
            gateways=int(number("gateways")),
            client=_text(evidence.get("client")),
            source=_text(evidence.get("source")),
            in_rollover=incident.kind == AlertKind.FAILED_ROLLOVER.value,
        ),
    )
