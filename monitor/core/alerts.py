"""What people are told: one alert is one line of `alerts.jsonl` and one message of the outbox (contract: DESIGN §7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from monitor.core.decision import Json
from monitor.core.instants import rfc3339


class AlertKind(StrEnum):
    """What happened. `RESOLVED` ends the episode of another alert."""

    FAILED_ROLLOVER = "failed_rollover"
    FAILURE_SPIKE = "failure_spike"
    STRAGGLER = "straggler"
    NEW_ADOPTER = "new_adopter"
    FLIP_FLOP = "flip_flop"
    SUSPECT = "suspect"
    TELEMETRY = "telemetry"
    DEADLINE = "deadline"
    DECISION_CHANGED = "decision_changed"
    POST_RETIREMENT_USE = "post_retirement_use"
    RESOLVED = "resolved"


class AlertSeverity(StrEnum):
    """How soon somebody must look."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert. `episode` ties it to its corrections (same kind, new cause) and to its `RESOLVED`.

    Names of clients, sources and gateways come from logs: untrusted text, to be made harmless where it is shown.
    """

    at_ms: int
    kind: AlertKind
    episode: str
    severity: AlertSeverity
    text: str
    rollover: str | None = None
    key: str | None = None
    version: int | None = None
    gateway: str | None = None
    region: str | None = None
    client: str | None = None
    source: str | None = None
    cause: str | None = None
    evidence: Mapping[str, Json] = field(default_factory=dict)

    def as_json(self) -> dict[str, Json]:
        """Return the contract's shape, every field always there."""
        return {
            "at": rfc3339(self.at_ms),
            "kind": self.kind.value,
            "episode": self.episode,
            "rollover": self.rollover,
            "key": self.key,
            "version": self.version,
            "gateway": self.gateway,
            "region": self.region,
            "client": self.client,
            "source": self.source,
            "cause": self.cause,
            "severity": self.severity.value,
            "text": self.text,
            "evidence": dict(self.evidence),
        }
