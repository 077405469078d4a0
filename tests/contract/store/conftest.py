"""The three stores, each empty and with its schema: every test of this folder runs on all of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.demo.parts.postgres import PostgresServer
from monitor.ports import Store
from tests.contract.store.worlds import MemoryWorld, SqlWorld, World


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the schema, to be copied: migrations are tried elsewhere."""
    from monitor.adapters.sql import upgrade  # noqa: PLC0415 - tests on the twin alone must not need SQL

    path = tmp_path_factory.mktemp("sqlite") / "empty.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: PostgresServer) -> Iterator[str]:
    """One database with the schema for all tests of this folder, emptied after each (a new one each takes a second)."""
    from monitor.adapters.sql import upgrade  # noqa: PLC0415 - as above

    url = postgres_server.create_database()
    upgrade(url)
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    made: Any
    match request.param:
        case "memory":
            made = MemoryWorld()
        case "sqlite":
            path = tmp_path / "rollwatch.db"
            shutil.copy(request.getfixturevalue("empty_sqlite"), path)
            made = SqlWorld(f"sqlite:///{path}")
        case _:
            made = SqlWorld(request.getfixturevalue("migrated_postgres"))
    yield made
    made.close()
    if request.param == "postgres":
        made.empty()


@pytest.fixture
def store(world: World) -> Store:
    return world.store
