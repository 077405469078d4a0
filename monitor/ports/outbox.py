"""What goes out and what the detector found: incidents, the outbox of messages, model runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from monitor.core.decision import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One episode of odd failures. `kind` is `failed_rollover` or `failure_spike`; open while `closed_at_ms` is `None`.

    `holds_gate` says whether C8 must feel it; `summary` is a sentence with the numbers; `evidence` its JSON.
    """

    id: str
    key: str
    version: int
    rollover: str | None = None
    kind: str
    cause: str
    severity: str
    opened_at_ms: int
    closed_at_ms: int | None = None
    summary: str
    holds_gate: bool
    evidence: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Something to be sent, once per `dedup_key`. `channel` is the sender (`slack`, `webhook`).

    Messages of one `order_key` (a key, a rollover) leave in the order in which they were added. `reason` says why it
    is sent: first, escalated, repeat, resolved.
    """

    dedup_key: str
    channel: str
    order_key: str
    reason: str
    body: Mapping[str, Json]
    created_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedMessage:
    """A message taken from the outbox; it is ours until the lease ends."""

    id: int
    attempts: int
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A row of the notification log: written only after it was sent."""

    sent_at_ms: int
    dedup_key: str
    channel: str
    order_key: str
    reason: str
    receipt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadMessage:
    """A message that was given up, and what the other side said last."""

    message: Message
    attempts: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRun:
    """One training of the detector; `body` holds its numbers, `artifact` what is needed to score again."""

    trained_at_ms: int
    kind: str
    body: Mapping[str, Json]
    artifact: bytes | None = None


class OutboxStore(Protocol):
    """Messages waiting to be sent: at least once, in order per `order_key`."""

    def take_messages(
        self, *, limit: int, lease_ms: int, now_ms: int, channel: str | None = None
    ) -> Sequence[QueuedMessage]:
        """Take due messages (of one sender, if named), at most one of each (channel, order_key): its oldest not done.

        Nobody else gets them for `lease_ms`; then they are due again.
        """
        ...

    def message_sent(self, message_id: int, *, receipt: str, now_ms: int) -> None:
        """Mark it as done, and write the notification log."""
        ...

    def message_failed(self, message_id: int, *, retry_at_ms: int | None, error: str, now_ms: int) -> None:
        """Try again at that time; `None` gives up (it is kept, as dead, and no longer holds back those after it)."""
        ...

    def notifications(self, *, limit: int = 100) -> Sequence[Notification]:
        """Return what was sent, newest first."""
        ...

    def dead_messages(self, *, limit: int = 100) -> Sequence[DeadMessage]:
        """Return what was given up, newest first."""
        ...

    def outbox_size(self) -> int:
        """Return how many messages wait."""
        ...

    def put_model_run(self, run: ModelRun) -> None:
        """Keep a training; the last ten of each kind stay."""
        ...

    def latest_model_run(self, kind: str) -> ModelRun | None:
        """Return the newest training of that kind."""
        ...
