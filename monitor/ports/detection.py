"""The detector's seam: minutes of use in, alerts and open incidents out. `monitor.adapters.detector` joins `models`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from monitor.core.alerts import Alert
from monitor.core.decision import Json
from monitor.core.evidence import OpenIncident
from monitor.core.registry import Registry
from monitor.ports.outbox import Incident


class MinuteUse(NamedTuple):
    """Like authentications of one minute; `minute_ms` is its start. `route` may be `None` where it is not kept."""

    minute_ms: int
    key: str
    version: int
    client: str | None
    source: str | None
    gateway: str
    region: str | None
    route: str | None
    outcome: str
    reason: str
    requests: int


class FailureDetector(Protocol):
    """Finds failed rollovers. Has no clock; the same input gives the same alerts."""

    def register(self, registry: Registry) -> None:
        """Take in the registry; call it again whenever that changes."""
        ...

    def observe(self, uses: Sequence[MinuteUse], now_ms: int) -> Sequence[Alert]:
        """Take in what arrived since the last look; return alerts (opened, corrected, resolved) in a fixed order."""
        ...

    def warm(self, uses: Sequence[MinuteUse], now_ms: int) -> None:
        """Take in stored history: the same, but nothing is opened or told."""
        ...

    def train(self, now_ms: int) -> Mapping[str, Json]:
        """Learn from incident-free history so far; the old model is kept where the new one fails its checks.

        Returns the record of the training (`model_runs`): rows, seed, versions, thresholds, blind features.
        """
        ...

    def not_ready(self, now_ms: int) -> str | None:
        """Return why silence means nothing yet, or `None` when ready (C8)."""
        ...

    def open_incidents(self) -> Sequence[tuple[str, OpenIncident]]:
        """Return the open incidents with their keys."""
        ...

    def restore(self, incidents: Sequence[Incident], now_ms: int) -> None:
        """Take up incidents that were open when the process ended: they are not opened again, and will be resolved."""
        ...

    def changed_incidents(self) -> Sequence[Incident]:
        """Return, once, the incidents opened, corrected, escalated or closed since the last call: to be stored."""
        ...
