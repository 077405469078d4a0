"""How the tables are made up: one metadata, and the few kinds of columns that there are.

Times are epoch milliseconds (`…_ms`), absent text is NULL. What is looked up by untrusted text of any length is looked
up by `digest`: 16 bytes of BLAKE2b over the natural key (`identity.py`), because a B-tree of PostgreSQL refuses keys
over 2.7 kB and because 16 bytes cost less than five texts. `cred` is the digest of a credential alone: the joint
between what gateways said and what the registry knows.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, Text
from sqlalchemy.types import TypeEngine

metadata = MetaData(naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s"})

_BIG_KEY = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only where the type is exactly INTEGER."""
ROOMY = {"fillfactor": 70}
"""Rows that every flush touches: room in the page lets PostgreSQL update them in place (HOT)."""


def row_id() -> Column[int]:
    """Return a key that the database numbers."""
    return Column("id", _BIG_KEY, primary_key=True, autoincrement=True)


def digest_of_key(name: str = "digest") -> Column[bytes]:
    """Return 16 bytes that name a row (`identity.digest`)."""
    return Column(name, LargeBinary, nullable=False)


def epoch_ms(name: str, *, null: bool = False) -> Column[int]:
    """Return a whole number: a time in epoch ms, or an offset."""
    return Column(name, BigInteger, nullable=null)


def count(name: str) -> Column[int]:
    """Return a sum, 0 at first."""
    return Column(name, BigInteger, nullable=False, server_default="0")


def text(name: str, *, null: bool = False, key: bool = False) -> Column[str]:
    """Return a text of any length."""
    return Column(name, Text, nullable=null, primary_key=key)


def key(name: str, kind: type[TypeEngine[int]] | TypeEngine[int] = BigInteger) -> Column[int]:
    """Return a part of a primary key that we number ourselves."""
    return Column(name, kind, primary_key=True, autoincrement=False)
