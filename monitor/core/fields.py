"""Typed reading of one mapping of a configuration file: a fault is noted with its line, and the reading goes on.

A method that cannot read what it was asked for notes why and returns a placeholder of the right type; whoever reads a
whole file calls `Faults.raise_if_any` before the result leaves their hands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from monitor.core.instants import DAY_MS, parse_duration, parse_rfc3339
from monitor.core.located import Faults, Fields, Items, Node, Scalar, is_nothing, shown, suggest

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_NAIVE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}", re.ASCII)
_WHOLE = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)
_LONGEST_TEXT = 1_000
_LONGEST_DURATION_MS = 36_500 * DAY_MS
_FIRST_PRINTABLE = 32
UNREAD = -1
"""Stands for a whole number that could not be read."""
_DELETE = 127


class Record:
    """One mapping, read field by field. `where` is its path in the file, as in `keys[0].versions[1]`."""

    def __init__(self, node: Node, where: str, faults: Faults, known: Sequence[str]) -> None:
        """Take the mapping; fields beyond `known` are faults."""
        self.line = node.line
        self.where = where
        self.faults = faults
        self._fields: dict[str, tuple[int, Node]] = {}
        if not isinstance(node, Fields):
            self.fault(f"expected a mapping with {', '.join(known)}; got {shown(node)}")
            return
        for name, (line, value) in node.fields.items():
            if name not in known:
                faults.add(line, f"{self._path(name)}: unknown field{suggest(name, known)}")
            elif not is_nothing(value):
                self._fields[name] = (line, value)

    def __contains__(self, name: str) -> bool:
        """Return whether the field is there and has a value."""
        return name in self._fields

    def line_of(self, name: str) -> int:
        """Return the line of a field; of the mapping where it is absent."""
        return self._fields[name][0] if name in self._fields else self.line

    def fault(self, message: str, name: str | None = None) -> None:
        """Note a fault of a field, or of the whole mapping."""
        path = self.where if name is None else self._path(name)
        self.faults.add(self.line if name is None else self.line_of(name), f"{path}: {message}" if path else message)

    def text(self, name: str) -> str:
        """Return a required text, ends trimmed."""
        return self._required(name, "text") and (self.text_or_none(name) or "")

    def text_or_none(self, name: str) -> str | None:
        """Return an optional text, ends trimmed."""
        return self._text(self._fields[name][1], name) if name in self._fields else None

    def whole(self, name: str, *, least: int) -> int:
        """Return a required whole number; `UNREAD` where it was not understood."""
        if not self._required(name, "a whole number"):
            return UNREAD
        node = self._fields[name][1]
        if not isinstance(node, Scalar) or node.kind != "int" or not _WHOLE.fullmatch(node.text):
            self.fault(f"expected a whole number such as 1, got {shown(node)}", name)
        elif not least <= int(node.text) < 2**31:
            self.fault(f"expected a whole number from {least} to {2**31 - 1}, got {shown(node)}", name)
        else:
            return int(node.text)
        return UNREAD

    def time(self, name: str) -> int:
        """Return a required time as epoch ms."""
        return (self.time_or_none(name) or 0) if self._required(name, "a time such as 2026-05-01T00:00:00Z") else 0

    def time_or_none(self, name: str) -> int | None:
        """Return an optional time as epoch ms."""
        if name not in self._fields:
            return None
        node = self._fields[name][1]
        if not isinstance(node, Scalar):
            self.fault(f"expected a time such as 2026-05-01T00:00:00Z, got {shown(node)}", name)
            return None
        text = node.text.strip()
        try:
            if _RFC3339.fullmatch(text):
                return parse_rfc3339(text.upper())
        except (ValueError, OverflowError) as error:
            self.fault(f"expected a time such as 2026-05-01T00:00:00Z, got {shown(node)} ({error})", name)
            return None
        hint = ""
        if _NAIVE.fullmatch(text):
            hint = ": it has no zone; give an offset, as in 2026-05-01T00:00:00Z or 2026-05-01T02:00:00+02:00"
        elif _DATE.fullmatch(text):
            hint = ": a day is not a moment; write for instance 2026-05-01T00:00:00Z"
        self.fault(f"expected a time such as 2026-05-01T00:00:00Z, got {shown(node)}{hint}", name)
        return None

    def duration_or_none(self, name: str) -> int | None:
        """Return an optional duration in ms."""
        if name not in self._fields:
            return None
        node = self._fields[name][1]
        try:
            if isinstance(node, Scalar):
                duration_ms = parse_duration(node.text.strip())
                if duration_ms <= _LONGEST_DURATION_MS:
                    return duration_ms
        except (ValueError, OverflowError):
            pass
        self.fault(f"expected a duration such as 8d, 26h, 15m or 1h30m, got {shown(node)}", name)
        return None

    def texts(self, name: str, *, required: bool = False) -> tuple[tuple[int, str], ...]:
        """Return a list of texts with their lines, each once where it stands; never empty where it is given."""
        if name not in self._fields:
            if required:
                self._required(name, "a list of texts")
            return ()
        node = self._fields[name][1]
        if not isinstance(node, Items):
            self.fault(f"expected a list, as in [{node.text if isinstance(node, Scalar) else 'a, b'}]", name)
            return ()
        if not node.items:
            self.fault("expected at least one; leave the field out where there is none", name)
        read = ((each.line, self._text(each, f"{name}[{index}]")) for index, each in enumerate(node.items))
        return tuple((line, text) for line, text in read if text is not None)

    def records(self, name: str, known: Sequence[str]) -> Iterator[Record]:
        """Yield a list of mappings; absent is empty."""
        if name not in self._fields:
            return
        node = self._fields[name][1]
        if not isinstance(node, Items):
            self.fault(f"expected a list of mappings, got {shown(node)}", name)
            return
        for index, each in enumerate(node.items):
            yield Record(each, f"{self._path(name)}[{index}]", self.faults, known)

    def record(self, name: str, known: Sequence[str]) -> Record | None:
        """Return a mapping; `None` where it is absent."""
        return Record(self._fields[name][1], self._path(name), self.faults, known) if name in self._fields else None

    def node(self, name: str) -> Node | None:
        """Return a field as it is."""
        return self._fields[name][1] if name in self._fields else None

    def before(self, first: str, last: str, times: tuple[int | None, int | None]) -> None:
        """Note a fault where the time of `last` is not after that of `first`."""
        start, end = times
        if start is not None and end is not None and end <= start:
            self.fault(f"expected a time after {first}", last)

    def _required(self, name: str, what: str) -> str:
        if name not in self._fields:
            self.faults.add(self.line, f"{self._path(name)}: expected {what}, the field is missing")
            return ""
        return name

    def _path(self, name: str) -> str:
        return f"{self.where}.{name}" if self.where else name

    def _text(self, node: Node, name: str) -> str | None:
        place = (node.line, self._path(name))
        if not isinstance(node, Scalar) or node.kind in {"bool", "null"}:
            quote = f"; quote it if it is a name: '{node.text}'" if isinstance(node, Scalar) and node.text else ""
            self.faults.add(place[0], f"{place[1]}: expected text, got {shown(node)}{quote}")
            return None
        text = node.text.strip()
        if not text:
            self.faults.add(place[0], f"{place[1]}: expected text that is not empty; leave the field out otherwise")
        elif len(text) > _LONGEST_TEXT:
            self.faults.add(place[0], f"{place[1]}: expected at most {_LONGEST_TEXT} characters, got {len(text)}")
        elif any(_is_control(each) for each in text):
            self.faults.add(place[0], f"{place[1]}: expected text without control characters, got {shown(node)}")
        else:
            return text
        return None


def _is_control(character: str) -> bool:
    code = ord(character)
    return code < _FIRST_PRINTABLE or _DELETE <= code < 160 or 0xD800 <= code < 0xE000  # noqa: PLR2004 - C1, surrogates
