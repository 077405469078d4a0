"""The first schema."""

from __future__ import annotations

from alembic import op

from monitor.adapters.sql.schema import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create all tables and views."""
    metadata.create_all(op.get_bind())
