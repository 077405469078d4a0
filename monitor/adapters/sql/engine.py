"""Connections and transactions: the one place that knows drivers, time-outs, pragmas and what their errors mean."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, Executable, create_engine, event, text
from sqlalchemy import exc as sa_exc
from sqlalchemy.engine import URL, make_url

from monitor.errors import ConfigError, StoreAway, StoreRefused, ValueRefused

_BUSY_MS = 10_000
_PG_OPTIONS = (
    "-c timezone=UTC -c lock_timeout=10000 -c idle_in_transaction_session_timeout=60000 -c statement_timeout=120000"
)
_AWAY_CLASSES = ("08", "53", "57", "40", "55", "58", "25006")
"""SQLSTATEs that pass by themselves: connection, resources, shutdown, deadlock, lock time-out, system, a fail-over."""
_VALUE_CLASSES = ("22", "54", "SQLITE_TOOBIG", "SQLITE_MISMATCH")
"""Data exceptions and exceeded limits: a row is at fault, not the schema or the permissions."""
_SQLITE_AWAY = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_FULL", "SQLITE_PROTOCOL")


def fetch(connection: Connection, query: Executable) -> list[tuple[Any, ...]]:
    """Return all rows as plain tuples, straight from the driver.

    Three times as fast as iterating over SQLAlchemy's rows: for reads of thousands of numbers and texts, in which no
    column needs converting.
    """
    cursor: Any = connection.execute(query).cursor
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    cursor.close()
    return rows


class Database:
    """A database behind an SQLAlchemy URL. Lazy: nothing is connected until it is used.

    Every failure leaves as `StoreAway` (may pass by itself) or `StoreRefused` (will not), without SQL and without
    values: both could hold text from logs.
    """

    def __init__(self, url: str) -> None:
        """Prepare the engine. Raises `ConfigError` for a URL of another database."""
        parsed = parsed_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.engine: Engine = _sqlite(parsed) if self.is_sqlite else _postgres(parsed)
        self._shown = parsed.render_as_string(hide_password=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open one consistent view; nothing may be written in it."""
        with self._transaction(read_only=True, options={"isolation_level": "REPEATABLE READ"}) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that commits at its end, unless an error leaves it."""
        with self._transaction(read_only=False, options={}) as connection:
            yield connection

    @contextmanager
    def in_turn(self, *, repeatable: bool = True) -> Iterator[Connection]:
        """Open a writing transaction; such ones stand in line, one after the other.

        `repeatable` gives it one consistent view. Without, it may also write rows that flushes write.
        """
        options = {"isolation_level": "REPEATABLE READ"} if repeatable else {}
        with self._transaction(read_only=False, options=options) as connection:
            if not self.is_sqlite:
                # LOCK TABLE takes no snapshot: what the one before us wrote is seen, once the lock is ours.
                connection.exec_driver_sql("LOCK TABLE turns IN EXCLUSIVE MODE")
            yield connection

    @contextmanager
    def _transaction(self, *, read_only: bool, options: dict[str, Any]) -> Iterator[Connection]:
        settings: dict[str, Any] = {"write": not read_only} if self.is_sqlite else options
        if read_only and not self.is_sqlite:
            settings = settings | {"postgresql_readonly": True}
        with self.translated(), self.engine.connect() as connection:
            connection.execution_options(**settings)
            with connection.begin():
                yield connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the driver's errors into ours."""
        try:
            yield
        except sa_exc.DBAPIError as error:
            raise self._fault(error.orig) from error
        except sa_exc.TimeoutError as error:
            raise StoreAway(f"no connection to {self._shown} became free: is the database slow?") from error
        except (psycopg.Error, sqlite3.Error) as error:
            raise self._fault(error) from error

    def _fault(self, error: BaseException | None) -> StoreAway | StoreRefused:
        if isinstance(error, psycopg.Error):
            state = error.sqlstate or ""
            said = error.diag.message_primary or type(error).__name__
            away = state.startswith(_AWAY_CLASSES) or (not state and isinstance(error, psycopg.OperationalError))
            if not state and away:
                said = str(error).splitlines()[0] if str(error) else said
        else:
            state = getattr(error, "sqlite_errorname", "") or type(error).__name__
            said = str(error)
            away = state.startswith(_SQLITE_AWAY)
        if away:
            return StoreAway(f"{self._shown} cannot be used now: {said} ({state or 'no answer'})")
        advice = "; run `rollwatch db upgrade`" if _schema_is_old(state, said) else ""
        refusal = ValueRefused if state.startswith(_VALUE_CLASSES) else StoreRefused
        return refusal(f"{self._shown} refused: {_without_values(state, said)} ({state}){advice}")

    def wait(self) -> None:
        """Block until the database answers. Raises `StoreRefused`."""
        pause = 0.2
        while True:
            try:
                with self.reading() as connection:
                    connection.execute(text("SELECT 1"))
            except StoreAway:
                time.sleep(pause)
                pause = min(pause * 2, 5.0)
            else:
                return

    def dispose(self) -> None:
        """Close all connections that are not in use."""
        self.engine.dispose()


def _schema_is_old(state: str, said: str) -> bool:
    return state in {"42P01", "42703"} or "no such table" in said or "no such column" in said


def _without_values(state: str, said: str) -> str:
    """Return the message, except where a database quotes the value that it could not hold (class 22)."""
    return "a value that the column cannot hold" if state.startswith("22") else said


def parsed_url(url: str) -> URL:
    """Return what a URL says, without connecting. Raises `ConfigError` for one that is no store's."""
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1) if url.startswith("postgres://") else url)
    except sa_exc.ArgumentError as error:
        raise ConfigError("the store's URL cannot be read; write sqlite:////path/to/file or postgresql://…") from error
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if parsed.database in {None, "", ":memory:"}:
            raise ConfigError("the store needs a SQLite file: what is in memory is lost, with its offsets")
        return parsed
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    raise ConfigError(f"the store runs on SQLite or PostgreSQL, not on {backend!r}")


def _sqlite(url: URL) -> Engine:
    engine = create_engine(url, pool_size=5, max_overflow=20, connect_args={"timeout": _BUSY_MS / 1000})

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own
        # The driver must not begin transactions by itself: it would do so too late, and never for reading.
        connection.isolation_level = None
        _use_wal(connection)
        for pragma in ("synchronous=FULL", "cache_size=-16000", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begins(connection: Connection) -> None:
        write = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _use_wal(connection: Any) -> None:  # noqa: ANN401 - the driver's own
    """Switch a new file over, in turn with others that do: SQLite does not wait for this lock by itself."""
    deadline = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as error:
            if not getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY") or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _postgres(url: URL) -> Engine:
    return create_engine(
        url,
        pool_size=5,
        max_overflow=20,
        pool_timeout=10,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": 5,
            "options": _PG_OPTIONS,
            "application_name": "rollwatch",
            "keepalives_idle": 15,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
        },
    )
