"""The loop's seam to the detector: one look a tick, with all that follows from it as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from monitor.core.alerts import Alert
from monitor.core.registry import Registry
from monitor.ports import Incident


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """What one look came to: alerts, the incidents that changed, and why silence means nothing yet (`None`: ready)."""

    alerts: Sequence[Alert] = ()
    incidents: Sequence[Incident] = ()
    not_ready: str | None = None


class Detection(Protocol):
    """Feeds the detector from the store. Belongs to the watch loop's thread."""

    def look(self, registry: Registry, now_ms: int) -> Detected:
        """Take in what is new in the store since the last look; train where that is due.

        The first look of a leader takes up stored history and the incidents that were open. Raises faults of the store.
        """
        ...


class NoDetection:
    """Switched off by `[watch] detector = false`: C8's plain comparison judges alone."""

    def look(self, registry: Registry, now_ms: int) -> Detected:  # noqa: ARG002 - the port's signature
        """See `Detection`."""
        return Detected()
