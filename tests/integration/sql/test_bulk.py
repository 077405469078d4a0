"""Bulk upserts: every text comes back as it was, and merging is free of order."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from monitor.adapters.sql import SqlStore
from monitor.adapters.sql.bulk import Field, Merge, Upsert
from monitor.adapters.sql.identity import digest

_MEMOS = Upsert(
    "memos",
    ("name",),
    (Field("name", "text"), Field("body", "text", sql="excluded.body"), Field("at_ms", "bigint", Merge.MAX)),
)
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")) | st.sampled_from(
    ["NULL", "null", "", "{}", "{a,b}", '"', "\\", '\\"', ",", "'", "%s", ":x", " lead", "\n\t", "\\x00"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=st.lists(_TEXT, min_size=1, max_size=20), names=st.lists(_TEXT, min_size=20, max_size=20, unique=True))
def test_any_text_comes_back_as_it_was(store: SqlStore, bodies: list[str], names: list[str]) -> None:
    rows = [(name, body, -5) for name, body in zip(names, bodies, strict=False)]
    with store._db.writing() as connection:
        connection.execute(text("DELETE FROM memos"))
        _MEMOS.run(connection, rows)
        found = connection.execute(text("SELECT name, body, at_ms FROM memos")).all()
    assert sorted(map(tuple, found)) == sorted(rows)


@given(
    first=st.lists(st.none() | _TEXT, min_size=1, max_size=4),
    second=st.lists(st.none() | _TEXT, min_size=1, max_size=4),
)
def test_different_keys_have_different_digests(first: list[str | None], second: list[str | None]) -> None:
    assert (digest(*first) == digest(*second)) == (first == second)
