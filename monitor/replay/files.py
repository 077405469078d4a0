"""Recorded events as lines of bytes: plain, gzip or Zstandard, in the order in which they are given."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from monitor.errors import ConfigError

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_BUFFER_BYTES = 1 << 20


class CountedFile(io.RawIOBase):
    """A file that says how many of its bytes have been read, for a progress bar."""

    def __init__(self, path: Path, told: Callable[[int], None]) -> None:
        """Open it."""
        self._file = path.open("rb", buffering=0)
        self._told = told

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: object) -> int:
        """Read into the buffer; tell how much."""
        count = self._file.readinto(buffer) or 0  # type: ignore[arg-type]
        self._told(count)
        return count

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def chunks_of_lines(
    paths: Sequence[Path], *, size: int, told: Callable[[int], None] = lambda _: None
) -> Iterator[list[bytes]]:
    """Yield the lines of all files, one file after the other, in lists of up to `size`; blank lines are no records.

    What a file is packed with is seen from its first bytes, not from its name. The lists do not depend on how the
    lines are spread over files. Raises `ConfigError` for a file that cannot be read.
    """
    lines = _lines(paths, told)
    while chunk := list(islice(lines, size)):
        yield chunk


def _lines(paths: Sequence[Path], told: Callable[[int], None]) -> Iterator[bytes]:
    for path in paths:
        try:
            with CountedFile(path, told) as raw, _unpacked(raw) as stream:
                for line in stream:
                    if stripped := line.strip():
                        yield stripped
        except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
            raise ConfigError(f"{path}: cannot be read ({error})") from error


def _unpacked(raw: CountedFile) -> BinaryIO:
    buffered = io.BufferedReader(raw, _BUFFER_BYTES)
    start = buffered.peek(4)[:4]
    if start.startswith(_GZIP):
        return cast(BinaryIO, io.BufferedReader(gzip.GzipFile(fileobj=buffered), _BUFFER_BYTES))
    if start == _ZSTD:
        reader = zstandard.ZstdDecompressor().stream_reader(buffered, read_across_frames=True)
        return cast(BinaryIO, io.BufferedReader(reader, _BUFFER_BYTES))
    return buffered
