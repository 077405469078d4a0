"""Records from JSONL files: one line a record, followed as `tail -F` does, through rotation and truncation.

Offsets are byte positions of line starts, so any of them can be sought. A file is known by device, inode and its first
line: a log that was cut to nothing and written anew (copytruncate) is another stream, not a continuation.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

import structlog

from monitor.errors import SourceAway
from monitor.ports import (
    Bounds,
    Identity,
    Partition,
    PartitionsAssigned,
    PartitionsRevoked,
    PositionLost,
    RecordBatch,
    SourceEvent,
    Tail,
)

log = structlog.get_logger()

_READ_BYTES = 1024 * 1024
_MOST_LINE_BYTES = 16 * 1024 * 1024
_LOOK_EVERY_SECONDS = 0.1
_FIRST_LINE_BYTES = 65_536
_NO_ARRIVAL = -1


@dataclass(slots=True)
class _Followed:
    """One configured path and the file that is read for it now (after a rotation still the old one, to its end).

    stream: what is read, by identity, from `start` on. finished: the stream that was read to its end before.
    """

    path: Path
    reading: Path
    position: int | None = None
    paused: bool = False
    stream: str | None = None
    finished: str | None = None


class FileSource:
    """A `RecordSource` on files; each file name is a topic with one partition. There are no groups: it gets them all.

    A rotated file (renamed beside its successor, uncompressed) is read to its end first, also when it was rotated
    while nobody watched. Blank lines are no records.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        """Prepare; the files need not exist yet. Two paths of one name are refused with `ValueError`."""
        self._files = {path.name: _Followed(path=path, reading=path) for path in paths}
        if len(self._files) != len(paths):
            raise ValueError("two files of one name: a file's name is its topic, give each its own")
        self._events: deque[SourceEvent] = deque()
        self._joined: set[str] = set()

    def poll(self, timeout_seconds: float) -> Sequence[SourceEvent]:
        """See `RecordSource`."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            self._join()
            found: list[SourceEvent] = list(self._events)
            self._events.clear()
            if not found:
                for topic, file in self._files.items():
                    found.extend(self._read(Partition(topic, 0), file))
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            time.sleep(min(left, _LOOK_EVERY_SECONDS))

    def _join(self) -> None:
        fresh = [topic for topic, file in self._files.items() if topic not in self._joined and file.path.exists()]
        if fresh:
            self._joined.update(fresh)
            self._events.append(PartitionsAssigned(partitions=frozenset(Partition(topic, 0) for topic in fresh)))

    def _read(self, partition: Partition, file: _Followed) -> list[SourceEvent]:
        if file.position is None or file.paused:
            return []
        try:
            with file.reading.open("rb") as opened:
                size = os.fstat(opened.fileno()).st_size
                if size < file.position:
                    lost, file.position = file.position, None
                    return [PositionLost(partition=partition, position=lost)]
                batch = _lines(partition, opened, file.position) if size > file.position else None
        except FileNotFoundError:
            batch = None  # rotated away, its successor is not there yet
        except OSError as error:
            raise _away(file.reading, error) from error
        if batch is not None:
            file.position = batch.next_offset
            return [batch]
        return self._rotated(partition, file)

    def _rotated(self, partition: Partition, file: _Followed) -> list[SourceEvent]:
        """Move on to the successor once a file that was renamed has been read to its end."""
        known = file.stream
        if known is None or file.position is None:
            return []
        now = _identity(file.path)
        if now is None or _same(now, known):
            return []
        still = _sibling(file.path, known)
        if still is not None and still != file.reading:
            file.reading = still  # renamed after our last look: whatever was still written into it comes first
            return []
        if still is None and file.reading == file.path:
            # Neither here nor beside: it was cut to nothing, or replaced. The claim will find that out.
            lost, file.position = file.position, None
            return [PositionLost(partition=partition, position=lost)]
        log.info("rotated", topic=partition.topic)
        file.reading, file.position, file.stream, file.finished = file.path, None, None, known
        return [
            PartitionsRevoked(partitions=frozenset({partition})),
            PartitionsAssigned(partitions=frozenset({partition})),
        ]

    def start(self, partition: Partition, offset: int) -> None:
        """See `RecordSource`."""
        file = self._files[partition.topic]
        file.position, file.paused = offset, False
        file.stream = _identity(file.reading)

    def pause(self, partitions: Iterable[Partition]) -> None:
        """See `RecordSource`."""
        for partition in partitions:
            self._files[partition.topic].paused = True

    def resume(self, partitions: Iterable[Partition]) -> None:
        """See `RecordSource`."""
        for partition in partitions:
            self._files[partition.topic].paused = False

    def bounds(self, partitions: Iterable[Partition]) -> Mapping[Partition, Bounds]:
        """See `RecordSource`. Offsets are bytes; the end of a file that has a successor already is one byte further."""
        found: dict[Partition, Bounds] = {}
        for partition in partitions:
            file = self._files.get(partition.topic)
            if file is None or partition.partition != 0:
                continue
            try:
                with file.reading.open("rb") as opened:
                    size = os.fstat(opened.fileno()).st_size
                    readable = _after_last_line(opened, size)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise _away(file.reading, error) from error
            succeeded = file.reading != file.path and file.path.exists()
            found[partition] = Bounds(0, size + succeeded, readable)
        return found

    def partitions(self) -> Mapping[str, int | None]:
        """See `RecordSource`."""
        return {topic: 1 if file.path.exists() else None for topic, file in self._files.items()}

    def identity(self, topic: str, known: str | None = None) -> Identity | None:
        """See `RecordSource`. The value is `device/inode/SHA-256 of the first line`, with `-` while there is none."""
        file = self._files.get(topic)
        if file is None:
            return None
        if known is not None and known != file.finished:
            still = _sibling(file.path, known)
            if still is not None:
                file.reading = still
        now = _identity(file.reading)
        if now is None:
            return None
        goes_on = known == file.finished or (known is not None and _same(now, known))
        return Identity(now, follows=known is not None and now != known and goes_on)

    def tail(self, partition: Partition, offset: int) -> Tail | None:
        """See `RecordSource`."""
        file = self._files[partition.topic]
        try:
            with file.reading.open("rb") as opened:
                batch = _lines(partition, opened, offset)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _away(file.reading, error) from error
        if batch is None or not batch.offsets or batch.offsets[0] != offset:
            return None
        return Tail.of(offset, batch.arrivals_ms[0], batch.values[0])

    def committed(self, offsets: Mapping[Partition, int]) -> None:
        """See `RecordSource`. Files have no lag tools."""

    def close(self) -> None:
        """See `RecordSource`."""
        self._joined.clear()
        self._events.clear()
        for file in self._files.values():
            file.position = None


def _lines(partition: Partition, opened: BinaryIO, position: int) -> RecordBatch | None:
    """Return the complete lines from a position on, about a megabyte of them; `None` where there is none yet."""
    opened.seek(position)
    block = opened.read(_READ_BYTES)
    cut = block.rfind(b"\n")
    if cut >= 0:
        return _batch(partition, block[:cut].split(b"\n"), position)
    # A line longer than a block: its beginning is enough to say that it is too long, but its end has to be found.
    line, length = block, len(block)
    while more := opened.read(_READ_BYTES):
        feed = more.find(b"\n")
        if len(line) < _MOST_LINE_BYTES:
            line += more if feed < 0 else more[:feed]
        length += len(more) if feed < 0 else feed
        if feed >= 0:
            return RecordBatch(
                partition=partition,
                offsets=[position],
                values=[line],
                arrivals_ms=[_NO_ARRIVAL],
                next_offset=position + length + 1,
            )
    return None


def _batch(partition: Partition, lines: Sequence[bytes], position: int) -> RecordBatch:
    starts = list(accumulate((len(line) + 1 for line in lines), initial=position))
    kept = [(start, line) for start, line in zip(starts, lines, strict=False) if line and not line.isspace()]
    return RecordBatch(
        partition=partition,
        offsets=[start for start, _ in kept],
        values=[line for _, line in kept],
        arrivals_ms=[_NO_ARRIVAL] * len(kept),
        next_offset=starts[-1],
    )


def _after_last_line(opened: BinaryIO, size: int) -> int:
    """Return the offset after the last line feed."""
    end = size
    while end > 0:
        start = max(end - _FIRST_LINE_BYTES, 0)
        opened.seek(start)
        found = opened.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _identity(path: Path) -> str | None:
    """Return what tells this file from another of its name; `None` if there is none."""
    try:
        with path.open("rb") as opened:
            status = os.fstat(opened.fileno())
            line, feed, _ = opened.read(_FIRST_LINE_BYTES).partition(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _away(path, error) from error
    whole = feed or len(line) == _FIRST_LINE_BYTES
    return f"{status.st_dev}/{status.st_ino}/{hashlib.sha256(line).hexdigest() if whole else '-'}"


def _same(now: str, known: str) -> bool:
    """Return whether these are one file: the first line may have been written since."""
    return now == known or (known.endswith("/-") and now.rpartition("/")[0] == known.rpartition("/")[0])


def _sibling(path: Path, known: str) -> Path | None:
    """Return where a file is now, after it was renamed within its folder."""
    inode = known.split("/")[1]
    try:
        beside = [each for each in path.parent.iterdir() if each.name.startswith(path.stem.split(".")[0])]
    except OSError as error:
        raise _away(path.parent, error) from error
    for each in beside:
        try:
            if str(each.stat().st_ino) == inode and each.is_file() and _same(_identity(each) or "", known):
                return each
        except FileNotFoundError:
            continue
    return None


def _away(path: Path, error: OSError) -> SourceAway:
    return SourceAway(f"{path} cannot be read ({error.strerror or type(error).__name__}). Trying again.")
