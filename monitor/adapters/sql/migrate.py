"""Brings a database to the schema of this version, one process at a time."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from monitor.adapters.sql.engine import Database
from monitor.errors import StoreRefused

_LOCK = 0x526F_6C6C_7761_7463
_FOLDER = Path(__file__).with_name("migrations")


def upgrade(url: str) -> None:
    """Run the migrations that are missing. Several processes may start at once: the others wait, and find it done.

    One transaction, all or nothing. Raises `StoreAway`, `StoreRefused`.
    """
    database = Database(url)
    if database.is_sqlite and database.engine.url.database:
        Path(database.engine.url.database).parent.mkdir(parents=True, exist_ok=True)
    try:
        with database.writing() as connection:
            if not database.is_sqlite:  # on SQLite the transaction itself is the lock
                connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            config = Config()
            config.set_main_option("script_location", str(_FOLDER))
            script = ScriptDirectory.from_config(config)
            current = MigrationContext.configure(connection).get_current_revision()
            known = {each.revision for each in script.walk_revisions()}
            if current is not None and current not in known:
                raise StoreRefused(
                    f"the database has schema {current}, which this version does not know: it was made by a newer one"
                )
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        database.dispose()
