"""Callers' older days, folded beside their history: a process that starts need not fold a hundred days of each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table; upkeep fills it."""
    op.create_table(
        "caller_folds",
        sa.Column("caller_id", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
    )
