"""All sides of the store in one object."""

from __future__ import annotations

from monitor.adapters.sql.engine import Database
from monitor.adapters.sql.ingest import IngestSide
from monitor.adapters.sql.kept_callers import KeptCallers
from monitor.adapters.sql.outbox import OutboxSide
from monitor.adapters.sql.reading import ReadingSide
from monitor.adapters.sql.registry import RegistryCache, RegistrySide
from monitor.adapters.sql.snapshot import EvidenceSide
from monitor.adapters.sql.tokens import TokenSide
from monitor.adapters.sql.upkeep import Leading, UpkeepSide


class SqlStore(IngestSide, EvidenceSide, RegistrySide, TokenSide, OutboxSide, ReadingSide, UpkeepSide):
    """The production store. Safe to share between threads; lazy: construction touches no database."""

    def __init__(self, url: str) -> None:
        """Prepare; nothing is connected yet. Raises `ConfigError` for a URL that names no such database."""
        self._db = Database(url)
        self._registry_cache = RegistryCache()
        self._kept_callers = KeptCallers()
        self._leading = Leading(self._db)

    def wait(self) -> None:
        """Block until the database answers."""
        self._db.wait()

    def close(self) -> None:
        """Give back connections, files and leaderships."""
        self._leading.close()
        self._db.dispose()


def open_store(url: str, *, wait: bool = False) -> SqlStore:
    """Return the store at an SQLAlchemy URL; `wait` blocks until the database answers.

    Without it a database that is away raises `StoreAway` when it is used, never here.
    """
    store = SqlStore(url)
    if wait:
        store.wait()
    return store
