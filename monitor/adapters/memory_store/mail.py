"""The outbox in memory: due messages in order, leases, the log of what was sent; and the detector's trainings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.adapters.memory_store.journal import Journal
from monitor.errors import NotFound
from monitor.ports.outbox import DeadMessage, Message, ModelRun, Notification, QueuedMessage

_RUNS_KEPT = 10


@dataclass(slots=True)
class _Queued:
    message: Message
    due_ms: int
    attempts: int = 0
    error: str | None = None


class Mail:
    """Messages by id, in the order in which they were added."""

    def __init__(self, journal: Journal) -> None:
        """Start empty."""
        self._journal = journal
        self._waiting: dict[int, _Queued] = {}
        self.dead: dict[int, DeadMessage] = {}
        """What was given up, with the last error."""
        self._known: dict[str, bool] = {}
        self._last_id = 0
        self.sent: list[Notification] = []
        self._runs: dict[str, list[ModelRun]] = {}

    def enqueue(self, message: Message) -> bool:
        """Add a message unless its dedup key was there before."""
        if message.dedup_key in self._known:
            return False
        journal = self._journal
        journal.put(self._known, message.dedup_key, True)
        journal.assign(self, "_last_id", self._last_id + 1)
        journal.put(self._waiting, self._last_id, _Queued(message=message, due_ms=message.created_at_ms))
        return True

    def take(self, *, limit: int, lease_ms: int, now_ms: int, channel: str | None) -> list[QueuedMessage]:
        """Lease the oldest message of each (channel, order key), where that is due."""
        taken: list[QueuedMessage] = []
        seen: set[tuple[str, str]] = set()
        for number, queued in self._waiting.items():
            lane = (queued.message.channel, queued.message.order_key)
            if lane in seen or len(taken) >= limit or channel not in (None, queued.message.channel):
                continue
            seen.add(lane)
            if queued.due_ms <= now_ms:
                queued.due_ms = now_ms + lease_ms
                queued.attempts += 1
                taken.append(QueuedMessage(id=number, attempts=queued.attempts, message=queued.message))
        return taken

    def done(self, message_id: int, *, receipt: str, now_ms: int) -> None:
        """Write the notification log; a message that is done already stays done."""
        queued = self._waiting.pop(message_id, None)
        if queued is None:
            self._refuse_unknown(message_id)
            return
        message = queued.message
        self.sent.append(
            Notification(
                sent_at_ms=now_ms,
                dedup_key=message.dedup_key,
                channel=message.channel,
                order_key=message.order_key,
                reason=message.reason,
                receipt=receipt,
            )
        )

    def failed(self, message_id: int, *, retry_at_ms: int | None, error: str) -> None:
        """Make it due again, or give it up."""
        queued = self._waiting.get(message_id)
        if queued is None:
            self._refuse_unknown(message_id)
        elif retry_at_ms is None:
            del self._waiting[message_id]
            self.dead[message_id] = DeadMessage(message=queued.message, attempts=queued.attempts, error=error)
        else:
            queued.due_ms = retry_at_ms
            queued.error = error

    def _refuse_unknown(self, message_id: int) -> None:
        if not 0 < message_id <= self._last_id:
            raise NotFound(f"there is no message {message_id} in the outbox")

    @property
    def waiting(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def keep(self, run: ModelRun) -> None:
        """Keep a training; the last ten of each kind stay."""
        runs = self._runs.setdefault(run.kind, [])
        runs.append(run)
        runs.sort(key=lambda each: each.trained_at_ms)
        del runs[:-_RUNS_KEPT]

    def latest(self, kind: str) -> ModelRun | None:
        """Return the newest training."""
        runs: Sequence[ModelRun] = self._runs.get(kind, ())
        return runs[-1] if runs else None
