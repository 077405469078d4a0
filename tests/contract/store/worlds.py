"""What a test may do with a store beyond its ports: open it twice, and tamper with the ledger behind its back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from monitor.adapters.memory_store import MemoryStore
from monitor.ports import Store

_EMPTY = """
DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
    EXECUTE format('DELETE FROM %I', name);
  END LOOP;
END $$
"""


class World(Protocol):
    """One kind of store."""

    store: Store

    def another(self) -> Store:
        """Return the same store as another process would see it."""
        ...

    def edit_audit(self, seq: int, **columns: Any) -> None:
        """Change a row of the ledger as somebody with access to the database could."""
        ...

    def remove_audit(self, seq: int) -> None:
        """Delete a row of the ledger."""
        ...


class MemoryWorld:
    """The store in memory."""

    def __init__(self) -> None:
        """Start empty."""
        self.store = MemoryStore()

    def another(self) -> Store:
        return self.store

    def edit_audit(self, seq: int, **columns: Any) -> None:
        rows = self.store._contents.audit.rows
        rows[seq - 1] = replace(rows[seq - 1], **columns)

    def remove_audit(self, seq: int) -> None:
        del self.store._contents.audit.rows[seq - 1]

    def close(self) -> None:
        self.store.close()


class SqlWorld:
    """The store on SQLAlchemy."""

    def __init__(self, url: str) -> None:
        """Open a database that has its schema."""
        from monitor.adapters.sql import open_store  # noqa: PLC0415 - tests on the twin alone must not need SQL

        self._open_store = open_store
        self._url = url
        self._opened: list[Store] = []
        self.store = self.another()

    def another(self) -> Store:
        store: Store = self._open_store(self._url)
        self._opened.append(store)
        return store

    def edit_audit(self, seq: int, **columns: Any) -> None:
        if "body" in columns:
            from monitor.core.chain import canonical_json  # noqa: PLC0415 - used here alone

            columns["body"] = canonical_json(columns["body"])
        for name, value in columns.items():
            statement = f"UPDATE audit SET {name} = :value WHERE seq = :seq"  # noqa: S608 - a test's own column
            self._execute(statement, value=value, seq=seq)

    def remove_audit(self, seq: int) -> None:
        self._execute("DELETE FROM audit WHERE seq = :seq", seq=seq)

    def empty(self) -> None:
        """Take every row out of every table, as if the schema had just been made."""
        self._execute(_EMPTY)  # rows, not TRUNCATE: that makes new files for each of thirty tables

    def _execute(self, statement: str, **given: Any) -> None:
        from sqlalchemy import create_engine, text  # noqa: PLC0415 - used here alone

        engine = create_engine(self._url)
        with engine.begin() as connection:
            connection.execute(text(statement), given)
        engine.dispose()

    def close(self) -> None:
        for each in self._opened:
            each.close()
