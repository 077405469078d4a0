"""Brings a database to the schema of this version, one process at a time."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import inspect, text

from monitor.adapters.sql.engine import Database
from monitor.errors import StoreRefused

_LOCK = 0x526F_6C6C_7761_7463
_FOLDER = Path(__file__).with_name("migrations")
HEAD = "0003"
"""The newest migration in that folder."""


def upgrade(url: str) -> None:
    """Run the migrations that are missing. Several processes may start at once: the others wait, and find it done.

    One transaction, all or nothing. Raises `StoreAway`, `StoreRefused`.
    """
    database = Database(url)
    try:
        if not _is_up_to_date(database):
            _migrate(database)
    finally:
        database.dispose()


def _is_up_to_date(database: Database) -> bool:
    """Return whether there is nothing to do, as at nearly every start: then Alembic need not be loaded."""
    if database.is_sqlite and not Path(database.engine.url.database or "").exists():
        return False
    with database.reading() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [HEAD]


def _migrate(database: Database) -> None:
    from alembic import command  # noqa: PLC0415 - a third of a second and 15 MB, for the first start alone
    from alembic.config import Config  # noqa: PLC0415 - as above
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - as above
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - as above

    if database.is_sqlite and database.engine.url.database:
        Path(database.engine.url.database).parent.mkdir(parents=True, exist_ok=True)
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
