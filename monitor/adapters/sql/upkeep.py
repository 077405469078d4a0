"""Keeping the store small and well: retention, leadership, an answer to "are you there?"."""

from __future__ import annotations

import threading
import time
import uuid
from hashlib import blake2b

from sqlalchemy import Connection, delete, select, text, update
from sqlalchemy.sql.dml import Delete

from monitor.adapters.sql.engine import Database
from monitor.adapters.sql.folding import Step, fill_folds, fold_days, fold_hours, fold_usage, merge_ledger, renew_gaps
from monitor.adapters.sql.metadata import get_meta, put_meta
from monitor.adapters.sql.schema import records, traffic
from monitor.adapters.sql.telemetry import MINUTES_KEPT_SINCE, REACH_MS
from monitor.core.instants import DAY_MS, HOUR_MS
from monitor.errors import StoreAway
from monitor.ports import Retention

_HOT_DAYS = 2
"""Days of callers that stay rows of their own: late arrivals belong to them."""
_LEASE_MS = 30_000


class UpkeepSide:
    """`UpkeepStore` on SQL, but for `close`."""

    _db: Database
    _leading: Leading

    def prune(self, retention: Retention, *, now_ms: int) -> dict[str, int]:
        """Fold and drop what is too old, merge neighbours in the ledger; return rows removed by table."""
        coarse_ms = _hour(now_ms - retention.coarse_ms)
        failures_ms = now_ms - retention.failures_ms
        points, series = traffic.failure_points.c, traffic.failure_series.c
        rejects = traffic.rejects.c.arrival_ms < now_ms - retention.rejects_ms
        removed = {
            "usage": self._all(fold_usage(_hour(now_ms - retention.fine_ms)))
            + self._drop(delete(traffic.usage_points).where(traffic.usage_points.c.bucket_ms < coarse_ms)),
            "failures": self._drop(delete(traffic.failure_points).where(points.minute_ms < failures_ms)),
            "rejects": self._drop(delete(traffic.rejects).where(rejects)),
            "gateways": self._forget_minutes(now_ms - retention.gateways_ms)
            + self._all(fold_hours(_hour(now_ms - retention.gateways_ms) - REACH_MS)),
            "caller_days": self._all(fold_days(now_ms // DAY_MS - _HOT_DAYS)),
            "ledger": self._once(merge_ledger),
        }
        # A flush that needs such a series now raises its last minute first, and this then passes it over.
        self._drop(delete(traffic.failure_series).where(series.last_minute_ms < failures_ms - HOUR_MS))
        self._drop(delete(traffic.credential_hours).where(traffic.credential_hours.c.hour_ms < coarse_ms))
        self._drop(delete(traffic.reject_hours).where(traffic.reject_hours.c.hour_ms < coarse_ms))
        self._all(renew_gaps)
        self._all(fill_folds)
        return removed

    def _all(self, step: Step) -> int:
        total = 0
        while gone := self._once(step):
            total += gone
        return total

    def _once(self, step: Step) -> int:
        with self._db.in_turn(repeatable=False) as connection:
            return step(connection)

    def _drop(self, statement: Delete) -> int:
        with self._db.writing() as connection:
            return connection.execute(statement).rowcount

    def _forget_minutes(self, before_ms: int) -> int:
        hours, before_ms = traffic.gateway_hours.c, _hour(before_ms)

        def step(connection: Connection) -> int:
            kept_since_ms = max(before_ms, int(get_meta(connection, MINUTES_KEPT_SINCE) or 0))
            old = update(traffic.gateway_hours).where(hours.hour_ms < before_ms, hours.minutes.is_not(None))
            gone = connection.execute(old.values(minutes=None)).rowcount
            if gone:
                put_meta(connection, MINUTES_KEPT_SINCE, str(kept_since_ms))
            return gone

        return self._once(step)

    def ping(self) -> None:
        """Ask the database for nothing."""
        with self._db.reading() as connection:
            connection.execute(select(records.meta.c.name).limit(1)).first()

    def lead(self, name: str) -> bool:
        """Try to be (or stay) the one leader of that name among all processes; never blocks."""
        return self._leading.lead(name)


def _hour(at_ms: int) -> int:
    return at_ms - at_ms % HOUR_MS


class Leading:
    """Leaderships of this store object: advisory locks on PostgreSQL, leases in a table on SQLite."""

    def __init__(self, database: Database) -> None:
        """Lead nothing yet."""
        self._db = database
        self._holder = uuid.uuid4().hex
        self._held: dict[str, Connection] = {}
        self._leased = False
        self._lock = threading.Lock()

    def lead(self, name: str) -> bool:
        """Try to lead; asks the database each time, so that a lost connection is a lost leadership."""
        with self._lock:
            return self._lease(name) if self._db.is_sqlite else self._advise(name)

    def _lease(self, name: str) -> bool:
        now_ms = time.time_ns() // 1_000_000
        with self._db.writing() as connection:
            taken = connection.execute(
                text(
                    "INSERT INTO leaders (name, holder, until_ms) VALUES (:name, :holder, :until) "
                    "ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_ms = excluded.until_ms "
                    "WHERE leaders.holder = excluded.holder OR leaders.until_ms < :now"
                ),
                {"name": name, "holder": self._holder, "until": now_ms + _LEASE_MS, "now": now_ms},
            )
            won = taken.rowcount > 0
        self._leased = self._leased or won
        return won

    def _advise(self, name: str) -> bool:
        held = self._held.get(name)
        if held is not None:
            try:
                with self._db.translated():
                    held.exec_driver_sql("SELECT 1")
            except StoreAway:
                del self._held[name]
                held.invalidate()
                held.close()
            else:
                return True
        number = int.from_bytes(blake2b(f"rollwatch:{name}".encode(), digest_size=8).digest(), "big", signed=True)
        with self._db.translated():
            connection = self._db.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            try:
                connection.detach()  # it must not go back to the pool with the lock
                won = bool(connection.exec_driver_sql("SELECT pg_try_advisory_lock(%s)", (number,)).scalar_one())
            except BaseException:
                connection.close()
                raise
            if won:
                self._held[name] = connection
            else:
                connection.close()
            return won

    def close(self) -> None:
        """Give up everything that is led."""
        with self._lock:
            for connection in self._held.values():
                connection.close()
            self._held.clear()
            if self._leased:
                try:
                    with self._db.writing() as connection:
                        connection.execute(delete(records.leaders).where(records.leaders.c.holder == self._holder))
                except StoreAway:
                    return  # the lease ends by itself
