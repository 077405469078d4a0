"""The first schema."""

from __future__ import annotations

from alembic import op

from monitor.adapters.sql.schema import metadata
from monitor.adapters.sql.views import INDEX_POSTGRES, view_statements

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create all tables and views."""
    connection = op.get_bind()
    metadata.create_all(connection)
    sqlite = connection.dialect.name == "sqlite"
    if not sqlite:
        connection.exec_driver_sql(INDEX_POSTGRES)
        connection.exec_driver_sql("ALTER TABLE caller_history ALTER COLUMN days SET STORAGE EXTERNAL")
    for statement in view_statements(sqlite=sqlite):
        connection.exec_driver_sql(statement)
