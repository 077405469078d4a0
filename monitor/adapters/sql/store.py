"""All sides of the store in one object."""

from __future__ import annotations

from monitor.adapters.sql.engine import Database
from monitor.adapters.sql.ingest import IngestSide
from monitor.adapters.sql.registry import RegistryCache, RegistrySide


class SqlStore(IngestSide, RegistrySide):
    """The production store. Safe to share between threads; lazy: construction touches no database."""

    def __init__(self, url: str) -> None:
        """Prepare; nothing is connected yet. Raises `ConfigError` for a URL that names no such database."""
        self._db = Database(url)
        self._registry_cache = RegistryCache()

    def close(self) -> None:
        """Give back connections, files and leaderships."""
        self._db.dispose()


def open_store(url: str, *, wait: bool = False) -> SqlStore:
    """Return the store at an SQLAlchemy URL; `wait` blocks until the database answers.

    Without it a database that is away raises `StoreAway` when it is used, never here.
    """
    store = SqlStore(url)
    if wait:
        store._db.wait()  # noqa: SLF001 - our own
    return store
