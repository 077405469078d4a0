"""Faults, as exceptions: each says whether trying again helps and carries a reason from a bounded set.

Bad data is not here: a bad record is a value (`monitor.core.events.Rejected`), counted and felt by the gate.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class FaultReason(StrEnum):
    """Why something failed; small and fixed, because it becomes a metric label."""

    CONFIG = "config"
    REGISTRY = "registry"
    STORE_AWAY = "store_away"
    STORE_REFUSED = "store_refused"
    FENCED = "fenced"
    SOURCE_AWAY = "source_away"
    SOURCE_CHANGED = "source_changed"
    OFFSET_GAP = "offset_gap"
    LINE_STOPPED = "line_stopped"
    STALLED = "stalled"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    DELIVERY = "delivery"


class RollwatchError(Exception):
    """A fault with a message that says what to do.

    `retryable` is true when the same call may succeed later without anyone changing anything.
    """

    reason: ClassVar[FaultReason]
    retryable: ClassVar[bool] = False


class ConfigError(RollwatchError):
    """The configuration cannot be used as it is."""

    reason = FaultReason.CONFIG


class RegistryError(RollwatchError):
    """A registry or policy file was refused; the message carries file, line and what was expected."""

    reason = FaultReason.REGISTRY


class StoreAway(RollwatchError):  # noqa: N818 - a state of the world, as in "the store is away"
    """The database cannot be reached now; nothing was written."""

    reason = FaultReason.STORE_AWAY
    retryable = True


class StoreRefused(RollwatchError):  # noqa: N818
    """The database answered, and refused (permissions, wrong schema, a value that it cannot hold)."""

    reason = FaultReason.STORE_REFUSED


class ValueRefused(StoreRefused):
    """The database refused a value, not us: without the record that holds it, the same flush would be taken."""


class Fenced(RollwatchError):  # noqa: N818
    """Another worker has claimed the partition since; the batch was not written and must be dropped."""

    reason = FaultReason.FENCED


class SourceAway(RollwatchError):  # noqa: N818
    """Kafka (or the file) cannot be reached now."""

    reason = FaultReason.SOURCE_AWAY
    retryable = True


class SourceChanged(RollwatchError):  # noqa: N818
    """The topic or file is not the one that was read before: recreated, truncated, or another cluster."""

    reason = FaultReason.SOURCE_CHANGED


class LineStopped(RollwatchError):  # noqa: N818
    """Too many rejects on a partition: it stands still until an operator resumes it."""

    reason = FaultReason.LINE_STOPPED


class Stalled(RollwatchError):  # noqa: N818
    """A partition has lag and no progress: the process ends so that a supervisor starts it anew."""

    reason = FaultReason.STALLED


class NotFound(RollwatchError):  # noqa: N818
    """There is no such key, rollover or token."""

    reason = FaultReason.NOT_FOUND


class Conflict(RollwatchError):  # noqa: N818
    """The state is another one than the caller assumed (compare-and-set failed)."""

    reason = FaultReason.CONFLICT


class Undelivered(RollwatchError):  # noqa: N818
    """A message did not arrive, or nobody knows whether it did.

    `retry_after_seconds` is what the other side asked for.
    """

    reason = FaultReason.DELIVERY
    retryable = True

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        """Keep what the sender goes by."""
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Undeliverable(Undelivered):
    """The other side will never take this message as it is: an unknown channel, a shape that it refuses."""

    retryable = False
