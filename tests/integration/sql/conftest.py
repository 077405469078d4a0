"""An empty, migrated store on each of the two databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.adapters.sql import SqlStore, open_store, upgrade


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'rollwatch.db'}"
    given: str = request.getfixturevalue("postgres_url")
    return given


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    """Return a store with the newest schema."""
    upgrade(url)
    opened = open_store(url)
    yield opened
    opened.close()
