"""Archived logs are taken in once, however often and however interrupted they are given."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard

from monitor.adapters.sql import SqlStore, open_store, upgrade
from monitor.core.mapping import compile_mapping
from monitor.errors import SourceChanged
from monitor.ingest import Clock, IngestSettings
from monitor.ingest.backfill import Backfill, FileReport, found_files
from monitor.ports import Applied

NOW = 1_780_000_000_000
HOUR = 3_600_000


def line(number: int, **fields: object) -> bytes:
    event = {"ts": NOW - 40 * 24 * HOUR + number * 1_000, "outcome": "success", "gateway": "edge-1"}
    return json.dumps({**event, "credential": "cred-a1", "client": "acme", **fields}).encode()


def lines(count: int, first: int = 0) -> bytes:
    return b"".join(line(number) + b"\n" for number in range(first, first + count))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    upgrade(url)
    opened = open_store(url)
    yield opened
    opened.close()


def backfill(store: SqlStore, path: Path, **settings: int) -> FileReport:
    return Backfill(
        store=store,
        mapping=compile_mapping("canonical", pepper=b"pepper"),
        settings=IngestSettings(**settings),
        clock=Clock(now_ms=lambda: NOW),
        name="test",
    ).file(path)


def requests(store: SqlStore) -> int:
    return sum(count for _, count in store.usage_cells(from_ms=0, to_ms=NOW))


@pytest.mark.parametrize("packed", ["plain", "gzip", "zstd", "renamed"])
def test_the_same_records_given_again_are_known_however_they_are_packed(
    store: SqlStore, tmp_path: Path, packed: str
) -> None:
    path = tmp_path / "access.jsonl"
    path.write_bytes(lines(3_000))
    assert backfill(store, path, flush_records=1_000).records == 3_000
    again = tmp_path / "again.log"
    content = path.read_bytes()
    again.write_bytes({"gzip": gzip.compress(content), "zstd": zstandard.compress(content)}.get(packed, content))
    report = backfill(store, path if packed == "plain" else again)
    assert (report.known, report.records, requests(store)) == (3_000, 0, 3_000)


def test_what_was_interrupted_goes_on_where_it_stood(store: SqlStore, tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    path.write_bytes(lines(9_000))

    class Interrupted(SqlStore):
        applied = 0

        def apply(self, applied: Applied) -> None:
            if self.applied == 2:
                raise KeyboardInterrupt
            super().apply(applied)
            self.applied += 1

    failing = Interrupted(f"sqlite:///{tmp_path / 'store.sqlite'}")
    with pytest.raises(KeyboardInterrupt):
        backfill(failing, path, flush_records=2_000)
    failing.close()
    assert requests(store) == 4_000
    report = backfill(store, path)
    assert (report.known, report.records, requests(store)) == (4_000, 5_000, 9_000)
    ledger = [(row.from_offset, row.to_offset, row.backfill) for row in store.ledger()]
    assert ledger[0][0] == 0
    assert all(before[1] == after[0] for before, after in pairwise(ledger))
    assert all(each[2] for each in ledger), "the ledger knows what was backfilled"


def test_of_a_file_that_has_grown_only_the_new_records_are_taken_in(store: SqlStore, tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    path.write_bytes(lines(100))
    backfill(store, path)
    path.write_bytes(lines(130))
    report = backfill(store, path)
    assert (report.known, report.records, requests(store)) == (100, 30, 130)


def test_two_files_that_begin_alike_are_two_files(store: SqlStore, tmp_path: Path) -> None:
    for name, second in (("a", 1), ("b", 2)):
        (tmp_path / name).write_bytes(line(0) + b"\n" + lines(50, first=second * 1_000))
    for name in ("a", "b", "a", "b"):
        backfill(store, tmp_path / name)
    assert requests(store) == 102


def test_a_backfilled_use_arrives_at_its_own_time(store: SqlStore, tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    path.write_bytes(lines(10) + line(0, ts=NOW + 48 * HOUR))
    report = backfill(store, path)
    with store.snapshot() as snapshot:
        telemetry = snapshot.telemetry(NOW, fine_window_ms=8 * 24 * HOUR, lookback_ms=100 * 24 * HOUR)
    caller = telemetry.unregistered[0]
    assert caller.facts.last_arrival_ms == caller.facts.last_accepted_ms
    assert caller.facts.last_accepted_ms == NOW - 40 * 24 * HOUR + 9_000
    assert report.rejected == 1, "a time in the future is no time, in an archive too"


def test_a_wrong_preset_takes_nothing_in_and_says_so(store: SqlStore, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(b"".join(b'{"started_at": %d}\n' % number for number in range(50)))
    with pytest.raises(SourceChanged, match="--preset"):
        backfill(store, path)
    assert store.ledger() == []


def test_folders_and_patterns_are_the_files_in_them(tmp_path: Path) -> None:
    for name in ("b/2.gz", "b/1.jsonl", "a.jsonl", "b/.hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = found_files([tmp_path / "b", tmp_path / "*.jsonl", tmp_path / "b" / "1.jsonl"])
    assert [str(path.relative_to(tmp_path)) for path in found] == ["b/1.jsonl", "b/2.gz", "a.jsonl"]
    with pytest.raises(FileNotFoundError):
        found_files([tmp_path / "none*"])
