"""The keys file is followed by its content; a wrong one leaves the last good in force, and the decision says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.adapters.memory_store import MemoryStore
from monitor.adapters.metrics import Metrics
from monitor.control.memos import KEYS_FILE_MEMO
from monitor.daemon.keys_file import KeysFile
from monitor.errors import StoreAway
from monitor.ingest import Clock

GOOD = "keys: [{key: billing-api, versions: [{version: 1, credentials: [cred-a1]}]}]\n"
MORE = GOOD.replace("cred-a1]", "cred-a1, cred-a1b]")


class World:
    """A file and a store."""

    def __init__(self, folder: Path, store: MemoryStore | None = None) -> None:  # noqa: D107 - the class says it
        self.path = folder / "keys.yaml"
        self.store = store or MemoryStore()
        self.metrics = Metrics()
        self.keys = KeysFile(path=self.path, store=self.store, clock=Clock(now_ms=lambda: 1), metrics=self.metrics)

    def credentials(self) -> set[str]:
        """Return the credentials in force."""
        return set(self.store.registry()[1].version_of)

    def error(self) -> object:
        """Return what the decisions say of the file."""
        with self.store.snapshot() as snapshot:
            return (snapshot.memo(KEYS_FILE_MEMO) or {}).get("error")


def test_it_is_read_at_start_on_change_and_not_otherwise(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.path.write_text(GOOD)
    assert [world.keys.look(), world.keys.look()] == [True, False]
    assert world.credentials() == {"cred-a1"}
    world.path.write_text(MORE)
    assert world.keys.look()
    assert world.credentials() == {"cred-a1", "cred-a1b"}


def test_a_mounted_file_that_is_replaced_by_a_link_is_followed(tmp_path: Path) -> None:
    world = World(tmp_path)
    for version, text in (("v1", GOOD), ("v2", MORE)):
        target = tmp_path / version
        target.write_text(text)
        link = tmp_path / "next"
        link.symlink_to(target)
        link.replace(world.path)
        assert world.keys.look()
    assert "cred-a1b" in world.credentials()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (b"keys:\n  - key: billing-api\n    versons: []\n", "keys.yaml:3"),
        (b"keys: [", "keys.yaml:"),
        (b"", "keys.yaml:1"),
        (b"\xff\xfe", "not UTF-8"),
        (None, "No such file"),
    ],
    ids=["unknown field", "no YAML", "being written", "not UTF-8", "gone"],
)
def test_a_wrong_file_is_refused_and_the_last_good_stays_in_force(
    tmp_path: Path, wrong: bytes | None, says: str
) -> None:
    world = World(tmp_path)
    world.path.write_text(GOOD)
    world.keys.look()
    if wrong is None:
        world.path.unlink()
    else:
        world.path.write_bytes(wrong)
    assert [world.keys.look(), world.keys.look()] == [True, False]
    assert says in str(world.error())
    assert world.credentials() == {"cred-a1"}
    assert b"rollwatch_keys_file_refused 1.0" in world.metrics.text()
    world.path.write_text(GOOD)
    world.keys.look()
    assert world.error() is None
    assert b"rollwatch_keys_file_refused 0.0" in world.metrics.text()


class Away(MemoryStore):
    """A store that is away at first."""

    is_away = True

    def import_registry(self, *args: object, **named: object) -> object:  # type: ignore[override]
        """Be away."""
        if self.is_away:
            raise StoreAway("connection refused")
        return super().import_registry(*args, **named)  # type: ignore[arg-type]


def test_a_file_that_could_not_be_stored_is_read_again(tmp_path: Path) -> None:
    store = Away()
    world = World(tmp_path, store)
    world.path.write_text(GOOD)
    with pytest.raises(StoreAway):
        world.keys.look()
    store.is_away = False
    assert world.keys.look()
    assert world.credentials() == {"cred-a1"}
