"""Backfill: archived logs go through the same mapping into the same store, exactly once however often it is repeated.

A file is a partition of its own in the ledger, named after its first record; offsets count records. The digest of all
that was read goes in with each transaction, so a file is known again by its content: whole, interrupted in the middle,
under another name, packed otherwise, or grown since. There is no arrival: an event arrives at its own time, so that
last month's uses never look like live ones; only the present says which times lie in the future.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from monitor.core.aggregation import Aggregator
from monitor.core.cells import ValueMapping
from monitor.core.evidence import PartitionStatus
from monitor.core.wire import WireReader
from monitor.errors import SourceChanged
from monitor.ingest.lane import RejectWindow, reject_ordinals
from monitor.ingest.settings import Clock, IngestSettings
from monitor.ports import Applied, Claim, IngestStore, Partition, Tail
from monitor.replay.files import chunks_of_lines

_CHUNK_LINES = 2_000
_TOPIC = "backfill:"
_NAME_DIGITS = 32
_ENOUGH_TO_TELL = 10
"""So many records, and none of them an event: the mapping must be the wrong one."""


class BackfillStore(IngestStore, Protocol):
    """What a backfill needs of the store."""

    def partition_states(self) -> Sequence[PartitionStatus]:
        """See `ReadStore`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What became of a file. `known` records had been taken in before."""

    path: Path
    known: int = 0
    records: int = 0
    aggregated: int = 0
    unmapped: int = 0
    rejected: int = 0


class Backfill:
    """Takes files in, one after the other. Two at work on the same file fence each other: one ends with `Fenced`."""

    def __init__(
        self,
        *,
        store: BackfillStore,
        mapping: ValueMapping,
        settings: IngestSettings,
        clock: Clock,
        name: str,
        told: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Prepare. `told` is called with the number of (packed) bytes read, as it goes on."""
        self._store = store
        self._mapping = mapping
        self._settings = settings
        self._clock = clock
        self._name = name
        self._told = told

    def file(self, path: Path) -> FileReport:
        """Take one file in. Raises `ConfigError` if it cannot be read, `SourceChanged` if it holds other things."""
        first = next(chunks_of_lines([path], size=1), None)
        if first is None:
            return FileReport(path=path)
        claim = self._claim(path, first[0])
        known = claim.next_offset or 0
        if claim.next_offset is None:
            identity = f"first record {hashlib.sha256(first[0]).hexdigest()}"
            self._store.begin(claim, offset=0, identity=identity, now_ms=self._clock.now_ms())
        return self._take_in(path, claim, known)

    def _claim(self, path: Path, first: bytes) -> Claim:
        """Claim the partition of this content: the one whose records it begins with, else a new one."""
        topic = f"{_TOPIC}{hashlib.sha256(first).hexdigest()[:_NAME_DIGITS]}"
        read = {each.partition: each.next_offset or 0 for each in self._store.partition_states() if each.topic == topic}
        digests = _digests_at(path, {count for count in read.values() if count})
        for number in range(len(read) + 1):
            digest = digests.get(read.get(number, 0))
            if read.get(number) and digest is None:
                continue  # this file is shorter than what was read there: another one
            claim = self._store.claim(Partition(topic, number), worker=self._name, now_ms=self._clock.now_ms())
            if not claim.next_offset or (claim.tail is not None and claim.tail.sha256 == digest):
                return claim
        raise SourceChanged(f"{path}: another backfill of it is at work; let that one end")

    def _take_in(self, path: Path, claim: Claim, known: int) -> FileReport:
        registered, fine = self._registry()
        reader, window = (
            WireReader(),
            RejectWindow(*self._settings.rejects_allowed),
        )
        digest = hashlib.sha256()
        at = applied_to = known
        report = FileReport(path=path, known=known)
        gathered = self._aggregator(registered, fine, reader)
        for start, lines in _numbered(chunks_of_lines([path], size=_CHUNK_LINES, told=self._told)):
            fresh = lines[max(known - start, 0) :]
            _feed(digest, lines)
            if not fresh:
                continue
            gathered.add(fresh, None, range(at, at + len(fresh)))
            at += len(fresh)
            if at - applied_to >= self._settings.flush_records or gathered.rows >= self._settings.flush_rows:
                report = self._apply(claim, gathered, (applied_to, at), digest.hexdigest(), window, report)
                applied_to = at
        if at > applied_to:
            report = self._apply(claim, gathered, (applied_to, at), digest.hexdigest(), window, report)
        return report

    def _aggregator(self, registered: frozenset[str], fine: frozenset[str], reader: WireReader) -> Aggregator:
        return Aggregator(
            self._mapping,
            registered=registered,
            fine=fine,
            max_record_bytes=self._settings.max_record_bytes,
            max_clock_skew_ms=self._settings.max_clock_skew_ms,
            reader=reader,
            judged_at_ms=self._clock.now_ms(),
        )

    def _registry(self) -> tuple[frozenset[str], frozenset[str]]:
        _, registry = self._store.registry()
        return frozenset(registry.version_of), registry.fine_credentials

    def _apply(  # noqa: PLR0917 - what a transaction is made of
        self,
        claim: Claim,
        gathered: Aggregator,
        span: tuple[int, int],
        digest: str,
        window: RejectWindow,
        report: FileReport,
    ) -> FileReport:
        aggregate, rejects, elements = gathered.take()
        applied = Applied(
            partition=claim.partition,
            epoch=claim.epoch,
            from_offset=span[0],
            to_offset=span[1],
            records=elements,
            aggregate=aggregate,
            rejects=rejects,
            tail=Tail(offset=span[1] - 1, timestamp_ms=-1, sha256=digest),
            applied_at_ms=self._clock.now_ms(),
            backfill=True,
        )
        nothing = len(rejects) == elements >= _ENOUGH_TO_TELL
        if window.feed(elements, reject_ordinals(rejects, applied)) or nothing:
            raise SourceChanged(
                f"{report.path}: too many records are no events (the latest: {rejects[-1].reason.value}, "
                f"{rejects[-1].sample}). Records {span[0]} to {span[1] - 1} were not taken in. Are --preset and "
                "--gateway right? `rollwatch mapping test` shows what becomes of each record"
            )
        self._store.apply(applied)
        return FileReport(
            path=report.path,
            known=report.known,
            records=report.records + elements,
            aggregated=report.aggregated + aggregate.aggregated,
            unmapped=report.unmapped + aggregate.unmapped,
            rejected=report.rejected + len(rejects),
        )


def found_files(given: Iterable[Path]) -> list[Path]:
    """Return the files that are meant: themselves, those in a folder (all below it), those that a pattern fits.

    In the order given, a folder's by name; each once. Hidden files are left out of folders. Raises `FileNotFoundError`.
    """
    found: dict[Path, None] = {}
    for each in given:
        if each.is_dir():
            below = sorted(path for path in each.rglob("*") if path.is_file())
            files = [path for path in below if not any(part.startswith(".") for part in path.relative_to(each).parts)]
        elif each.is_file():
            files = [each]
        else:
            anchor = Path(each.anchor) if each.is_absolute() else Path()
            pattern = str(each.relative_to(each.anchor)) if each.is_absolute() else str(each)
            files = sorted(path for path in anchor.glob(pattern) if path.is_file()) if pattern not in ("", ".") else []
        if not files:
            raise FileNotFoundError(str(each))
        found.update(dict.fromkeys(files))
    return list(found)


def _numbered(chunks: Iterable[list[bytes]]) -> Iterator[tuple[int, list[bytes]]]:
    start = 0
    for chunk in chunks:
        yield start, chunk
        start += len(chunk)


def _feed(digest: hashlib._Hash, lines: Sequence[bytes]) -> None:
    for line in lines:
        digest.update(line)
        digest.update(b"\n")


def _digests_at(path: Path, counts: set[int]) -> dict[int, str]:
    """Return the digest of the first n records for each n asked for that the file has."""
    found: dict[int, str] = {}
    if not counts:
        return found
    digest, most = hashlib.sha256(), max(counts)
    for start, lines in _numbered(chunks_of_lines([path], size=_CHUNK_LINES)):
        done = 0
        for count in sorted(each for each in counts if start < each <= start + len(lines)):
            _feed(digest, lines[done : count - start])
            done = count - start
            found[count] = digest.hexdigest()
        _feed(digest, lines[done:])
        if start + len(lines) >= most:
            break
    return found
