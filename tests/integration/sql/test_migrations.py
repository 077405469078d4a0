"""Migrations lead to the schema that the code is written for."""

from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from monitor.adapters.sql import SqlStore, migrate
from monitor.adapters.sql.schema import metadata
from monitor.adapters.sql.views import view_statements


def test_the_newest_migration_makes_the_tables_that_the_code_reads(store: SqlStore) -> None:
    with store._db.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = [each for each in compare_metadata(context, metadata) if not _is_of_sql_alone(each)]
    assert differences == []


def _is_of_sql_alone(difference: object) -> bool:
    """An index on an expression exists in SQL only."""
    return any(name in str(difference) for name in ("ix_usage_points_time", "ix_credential_hours_time"))


def test_the_newest_migration_makes_the_views_of_today(store: SqlStore) -> None:
    sqlite = store._db.is_sqlite
    with store._db.writing() as connection:
        before = _definitions(connection, sqlite=sqlite)
        assert len(before) == len(view_statements(sqlite=sqlite))
        for name in before:
            connection.execute(text(f"DROP VIEW {name}"))
        for statement in view_statements(sqlite=sqlite):
            connection.exec_driver_sql(statement.strip())
        assert _definitions(connection, sqlite=sqlite) == before


def _definitions(connection: object, *, sqlite: bool) -> dict[str, str]:
    query = (
        "SELECT name, sql FROM sqlite_master WHERE type = 'view'"
        if sqlite
        else "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'"
    )
    return {name: " ".join(sql.split()) for name, sql in connection.execute(text(query))}  # type: ignore[attr-defined]


def test_what_counts_as_up_to_date_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).with_name("migrations")))
    assert ScriptDirectory.from_config(config).get_current_head() == migrate.HEAD
