"""Additive upserts of many rows: raw tuples on SQLite, `insert … select from unnest(…)` on PostgreSQL.

Both are 2-3 times faster than statements with named parameters. Rows are sorted by their key first, so that two
flushes that meet lock rows in one order and never wait for each other in a circle. Only names of our own tables and
columns are put into statements; values always travel beside them.
"""
# ruff: noqa: S608 - see above: no value ever becomes part of a statement

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import msgspec
from sqlalchemy import Connection

from monitor.adapters.sql.identity import DIGEST_BYTES

_encode = msgspec.json.Encoder().encode
_NEXT_BYTES = '","\\\\x'


class Merge(Enum):
    """How a column meets what is stored; every one is free of order."""

    SUM = "{t}.{c} + excluded.{c}"
    OR = "{t}.{c} | excluded.{c}"
    MIN = "min({t}.{c}, excluded.{c})"
    MAX = "max({t}.{c}, excluded.{c})"
    FIRST = ""
    """Part of the natural key: never changes."""


@dataclass(frozen=True, slots=True)
class Field:
    """One column of an upsert: its array type on PostgreSQL, and how it merges."""

    name: str
    kind: str
    merge: Merge = Merge.FIRST
    nullable: bool = False
    sql: str = ""
    """An expression in place of `merge`, for both databases; `least`/`greatest` are written `min`/`max`."""


@dataclass(frozen=True)
class Upsert:
    """Rows of one table. `key` names the conflict; `parent` (table, its id as which column) resolves a digest.

    With a parent, the first value of each row is the parent's digest, in place of the id.
    """

    table: str
    key: tuple[str, ...]
    fields: tuple[Field, ...]
    parent: tuple[str, str] | None = None

    @cached_property
    def sqlite(self) -> str:
        """Return the statement for `executemany`."""
        names = [each.name for each in self.fields]
        marks = ", ".join("?" for _ in names)
        if self.parent is None:
            return f"INSERT INTO {self.table} ({_list(names)}) VALUES ({marks}) {self._conflict(sqlite=True)}"
        table, column = self.parent
        return (
            f"INSERT INTO {self.table} ({_list([*names, column])}) SELECT {marks}, parent.id "
            f"FROM {table} AS parent WHERE parent.digest = ? {self._conflict(sqlite=True)}"
        )

    @cached_property
    def postgres(self) -> str:
        """Return the statement that takes one array a column."""
        names = [each.name for each in self.fields]
        arrays = ", ".join(f"%s::{each.kind}[]" for each in self.fields)
        if self.parent is None:
            return (
                f"INSERT INTO {self.table} ({_list(names)}) SELECT * FROM unnest({arrays}) "
                f"AS given({_list(names)}) ORDER BY {_list(list(self.key))} {self._conflict(sqlite=False)}"
            )
        table, column = self.parent
        given = _list([f"given.{name}" for name in names], quote=False)
        return (
            f"INSERT INTO {self.table} ({_list([*names, column])}) SELECT {given}, parent.id "
            f"FROM unnest({arrays}, %s::bytea[]) AS given({_list([*names, 'parent_digest'])}) "
            f"JOIN {table} AS parent ON parent.digest = given.parent_digest ORDER BY parent.id, {self.key[0]} "
            f"{self._conflict(sqlite=False)}"
        )

    def _conflict(self, *, sqlite: bool) -> str:
        changes = [
            f"{each.name} = {_merged(self.table, each, sqlite=sqlite)}"
            for each in self.fields
            if each.merge is not Merge.FIRST or each.sql
        ]
        what = "UPDATE SET " + ", ".join(changes) if changes else "NOTHING"
        return f"ON CONFLICT ({_list(list(self.key))}) DO {what}"

    def run(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write the rows; each key once. Values stand in the order of `fields`, then the parent's digest."""
        if not rows:
            return
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(self.sqlite, list(rows))
        else:
            kinds = [each.kind for each in self.fields] + (["bytea"] if self.parent else [])
            columns = zip(kinds, zip(*rows, strict=True), strict=True)
            connection.exec_driver_sql(self.postgres, tuple(_array(kind, column) for kind, column in columns))


def _array(kind: str, values: Sequence[Any]) -> str:
    """Return a PostgreSQL array literal: ten times as fast as the driver's own for lists of this length."""
    if kind == "bytea":
        return _bytes_array(values)
    # JSON is the same but for the brackets, as long as nothing is escaped in it: `null` may be written small.
    literal = _encode(values)
    if b"\\" in literal:
        cells = ["NULL" if each is None else f'"{_escaped(each)}"' for each in values]
        return f"{{{','.join(cells)}}}"
    return f"{{{literal[1:-1].decode()}}}"


def _bytes_array(values: Sequence[bytes | None]) -> str:
    try:
        digests = set(map(len, values)) == {DIGEST_BYTES}  # type: ignore[arg-type]
    except TypeError:  # there is a None among them
        digests = False
    if digests:
        digits = b"".join(values).hex(",", DIGEST_BYTES)  # type: ignore[arg-type]
        return f'{{"\\\\x{digits.replace(",", _NEXT_BYTES)}"}}'
    cells = ["NULL" if each is None else f'"\\\\x{each.hex()}"' for each in values]
    return f"{{{','.join(cells)}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _list(names: list[str], *, quote: bool = True) -> str:
    return ", ".join(f'"{name}"' if quote else name for name in names)


def _merged(table: str, each: Field, *, sqlite: bool) -> str:
    if each.sql:
        return each.sql if sqlite else each.sql.replace("min(", "least(").replace("max(", "greatest(")
    if each.merge in {Merge.MIN, Merge.MAX}:
        if not sqlite:  # LEAST and GREATEST pass over NULL
            name = "least" if each.merge is Merge.MIN else "greatest"
            return f"{name}({table}.{each.name}, excluded.{each.name})"
        if each.nullable:  # SQLite's min and max do not
            ours, theirs = f"{table}.{each.name}", f"excluded.{each.name}"
            return f"{each.merge.name.lower()}(coalesce({ours}, {theirs}), coalesce({theirs}, {ours}))"
    return each.merge.value.format(t=table, c=each.name)
