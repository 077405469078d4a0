"""Single named values of the store."""

from __future__ import annotations

from sqlalchemy import Connection, select

from monitor.adapters.sql.bulk import Field, Upsert
from monitor.adapters.sql.schema import records

_PUT = Upsert("meta", ("name",), (Field("name", "text"), Field("value", "text", sql="excluded.value")))


def get_meta(connection: Connection, name: str) -> str | None:
    """Return a value, or `None`."""
    found: str | None = connection.execute(
        select(records.meta.c.value).where(records.meta.c.name == name)
    ).scalar_one_or_none()
    return found


def put_meta(connection: Connection, name: str, value: str) -> None:
    """Set a value."""
    _PUT.run(connection, [(name, value)])
