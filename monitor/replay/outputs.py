"""What a replay writes: one JSON object a line."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import orjson

from monitor.core.alerts import Alert
from monitor.core.decision import Decision
from monitor.errors import ConfigError


class JsonLines:
    """A file of JSON lines; its bytes are a function of what is written."""

    def __init__(self, path: Path) -> None:
        """Open it anew. Raises `ConfigError` where that is not possible."""
        try:
            self._file: BinaryIO = path.open("wb")
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written ({error})") from error
        self.lines = 0

    def write(self, item: Decision | Alert) -> None:
        """Append one."""
        self._file.write(orjson.dumps(item.as_json(), default=_plain))
        self._file.write(b"\n")
        self.lines += 1

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()


def _plain(value: object) -> object:
    """Return what orjson does not know as something that it does: read-only mappings of the core."""
    if hasattr(value, "items"):
        return dict(value.items())
    raise TypeError(f"not JSON: {type(value).__name__}")
