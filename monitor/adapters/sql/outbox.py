"""The outbox: leases of due messages, the log of what was sent; and the detector's trainings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, desc, exists, func, insert, select, update

from monitor.adapters.sql.engine import Database
from monitor.adapters.sql.identity import digest
from monitor.adapters.sql.schema import records
from monitor.core.chain import canonical_json
from monitor.errors import NotFound
from monitor.ports import DeadMessage, Message, ModelRun, Notification, QueuedMessage

_RUNS_KEPT = 10
_OUTBOX = records.outbox.c


def enqueue(connection: Connection, message: Message) -> bool:
    """Add a message unless its dedup key was there before."""
    name = digest(message.dedup_key)
    if connection.execute(select(_OUTBOX.id).where(_OUTBOX.digest == name)).first() is not None:
        return False
    connection.execute(
        insert(records.outbox).values(
            digest=name,
            dedup_key=message.dedup_key,
            channel=message.channel,
            order_key=message.order_key,
            reason=message.reason,
            body=canonical_json(message.body),
            created_at_ms=message.created_at_ms,
            state="waiting",
            due_at_ms=message.created_at_ms,
        )
    )
    return True


class OutboxSide:
    """`OutboxStore` on SQL."""

    _db: Database

    def take_messages(
        self, *, limit: int, lease_ms: int, now_ms: int, channel: str | None = None
    ) -> Sequence[QueuedMessage]:
        """Lease the oldest waiting message of each (channel, order_key), where that is due."""
        earlier = records.outbox.alias()
        first = ~exists().where(
            earlier.c.state == "waiting",
            earlier.c.channel == _OUTBOX.channel,
            earlier.c.order_key == _OUTBOX.order_key,
            earlier.c.id < _OUTBOX.id,
        )
        due = (
            select(_OUTBOX.id)
            .where(_OUTBOX.state == "waiting", _OUTBOX.due_at_ms <= now_ms, first)
            .order_by(_OUTBOX.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        if channel is not None:
            due = due.where(_OUTBOX.channel == channel)
        with self._db.writing() as connection:
            ids = connection.execute(due).scalars().all()
            if not ids:
                return []
            taken = connection.execute(
                update(records.outbox)
                .where(_OUTBOX.id.in_(ids))
                .values(due_at_ms=now_ms + lease_ms, attempts=_OUTBOX.attempts + 1)
                .returning(records.outbox)
            ).all()
        return [_queued(row) for row in sorted(taken, key=lambda row: int(row.id))]

    def message_sent(self, message_id: int, *, receipt: str, now_ms: int) -> None:
        """Mark it as done, and write the notification log; one that is done already stays done."""
        with self._db.writing() as connection:
            row = _finish(connection, message_id, state="sent", error=None)
            if row is not None:
                connection.execute(
                    insert(records.notifications).values(
                        sent_at_ms=now_ms,
                        dedup_key=row.dedup_key,
                        channel=row.channel,
                        order_key=row.order_key,
                        reason=row.reason,
                        receipt=receipt,
                    )
                )

    def message_failed(self, message_id: int, *, retry_at_ms: int | None, error: str, now_ms: int) -> None:  # noqa: ARG002 - the port
        """Try again at that time; `None` gives up."""
        with self._db.writing() as connection:
            if retry_at_ms is None:
                _finish(connection, message_id, state="dead", error=error)
            else:
                _finish(connection, message_id, state="waiting", error=error, due_at_ms=retry_at_ms)

    def notifications(self, *, limit: int = 100) -> Sequence[Notification]:
        """Return what was sent, newest first."""
        table = records.notifications
        with self._db.reading() as connection:
            rows = connection.execute(select(table).order_by(desc(table.c.id)).limit(limit)).all()
        return [
            Notification(
                sent_at_ms=row.sent_at_ms,
                dedup_key=row.dedup_key,
                channel=row.channel,
                order_key=row.order_key,
                reason=row.reason,
                receipt=row.receipt,
            )
            for row in rows
        ]

    def dead_messages(self, *, limit: int = 100) -> Sequence[DeadMessage]:
        """Return what was given up, newest first."""
        query = select(records.outbox).where(_OUTBOX.state == "dead").order_by(desc(_OUTBOX.id)).limit(limit)
        with self._db.reading() as connection:
            rows = connection.execute(query).all()
        return [DeadMessage(message=_message(row), attempts=row.attempts, error=row.error or "") for row in rows]

    def outbox_size(self) -> int:
        """Return how many messages wait."""
        with self._db.reading() as connection:
            return int(
                connection.execute(
                    select(func.count()).select_from(records.outbox).where(_OUTBOX.state == "waiting")
                ).scalar_one()
            )

    def put_model_run(self, run: ModelRun) -> None:
        """Keep a training; the last ten of each kind stay."""
        table = records.model_runs.c
        with self._db.writing() as connection:
            connection.execute(
                insert(records.model_runs).values(
                    trained_at_ms=run.trained_at_ms,
                    kind=run.kind,
                    body=canonical_json(run.body),
                    artifact=run.artifact,
                )
            )
            newest = (
                select(table.id)
                .where(table.kind == run.kind)
                .order_by(desc(table.trained_at_ms), desc(table.id))
                .limit(_RUNS_KEPT)
            )
            kept = connection.execute(newest).scalars().all()
            connection.execute(delete(records.model_runs).where(table.kind == run.kind, table.id.not_in(kept)))

    def latest_model_run(self, kind: str) -> ModelRun | None:
        """Return the newest training of that kind."""
        table = records.model_runs
        query = select(table).where(table.c.kind == kind).order_by(desc(table.c.trained_at_ms), desc(table.c.id))
        with self._db.reading() as connection:
            row = connection.execute(query.limit(1)).one_or_none()
        if row is None:
            return None
        return ModelRun(
            trained_at_ms=row.trained_at_ms, kind=row.kind, body=json.loads(row.body), artifact=row.artifact
        )


def _finish(connection: Connection, message_id: int, *, state: str, error: str | None, **more: int) -> Row[Any] | None:
    """Change a waiting message and return it; `None` where it waits no longer. Raises `NotFound`."""
    row = connection.execute(
        update(records.outbox)
        .where(_OUTBOX.id == message_id, _OUTBOX.state == "waiting")
        .values(state=state, error=error, **more)
        .returning(records.outbox)
    ).one_or_none()
    if row is None and connection.execute(select(_OUTBOX.id).where(_OUTBOX.id == message_id)).first() is None:
        raise NotFound(f"there is no message {message_id} in the outbox")
    return row


def _queued(row: Row[Any]) -> QueuedMessage:
    return QueuedMessage(id=row.id, attempts=row.attempts, message=_message(row))


def _message(row: Row[Any]) -> Message:
    return Message(
        dedup_key=row.dedup_key,
        channel=row.channel,
        order_key=row.order_key,
        reason=row.reason,
        body=json.loads(row.body),
        created_at_ms=row.created_at_ms,
    )
