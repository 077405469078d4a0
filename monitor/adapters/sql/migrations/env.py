"""Alembic's entry: runs the migrations on the connection that `upgrade` has opened and locked."""

from __future__ import annotations

from alembic import context

from monitor.adapters.sql.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
