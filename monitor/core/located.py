"""Text of a configuration file as a tree whose every node knows its line, and a reader that reports all faults at once.

YAML in, as people write it (JSON is YAML too); nothing here knows what the file is about. Nothing is constructed: a
scalar stays the text that stands in the file, so `0123`, `no` or a time never become something else on the way.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias

import yaml

_MAX_CHARACTERS = 16_000_000
_MAX_DEPTH = 20
_MAX_NODES = 1_000_000
_MAX_SHOWN = 20
_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_SCALAR_TAGS = frozenset(_TAG + each for each in ("str", "int", "float", "bool", "null", "timestamp", "value"))


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value: its text as it stands in the file, and what YAML takes it for (`str`, `int`, `bool` …)."""

    line: int
    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    line: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping: each field's line, and its value."""

    line: int
    fields: dict[str, tuple[int, Node]]


Node: TypeAlias = Scalar | Items | Fields


class FileRefusedError(Exception):
    """A file that was not understood: one line a fault, `file:line: what was expected`."""


@dataclass(slots=True)
class Faults:
    """What is wrong with a file, gathered while it is read."""

    name: str
    found: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, message: str) -> None:
        """Note a fault."""
        if (line, message) not in self.found:
            self.found.append((line, message))

    def raise_if_any(self) -> None:
        """Raise `FileRefusedError` with all of them, in order of lines."""
        if self.found:
            ordered = sorted(self.found, key=lambda each: each[0])
            lines = [f"{self.name}:{line}: {message}" for line, message in ordered[:_MAX_SHOWN]]
            if len(ordered) > _MAX_SHOWN:
                lines.append(f"{self.name}: and {len(ordered) - _MAX_SHOWN} more")
            raise FileRefusedError("\n".join(lines))

    def refuse(self, line: int, message: str) -> NoReturn:
        """Raise at once: what follows cannot be understood."""
        self.add(line, message)
        self.raise_if_any()
        raise AssertionError("unreachable")


def suggest(given: str, known: Iterable[str]) -> str:
    """Return ` (did you mean …?)` where something known is close, else what is known.

    >>> suggest("credental", ["credentials", "scopes"])
    '; did you mean credentials?'
    """
    names = list(known)
    close = difflib.get_close_matches(given, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known are {', '.join(names)}" if 0 < len(names) <= _MAX_SHOWN else ""


def parse_tree(text: str, faults: Faults) -> Node | None:
    """Return the tree of a YAML text, `None` where there is nothing but comments.

    Raises `FileRefusedError` for what is not YAML, two documents, too deep or too large a text (aliases are counted as
    often as they are used), tags, and recursion. A field that stands twice is noted and the reading goes on.
    """
    if len(text) > _MAX_CHARACTERS:
        faults.refuse(1, f"expected at most {_MAX_CHARACTERS:,} characters, got {len(text):,}")
    text = text.removeprefix("\ufeff")
    try:
        _check_depth(text, faults)
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        faults.refuse(mark.line + 1 if mark else 1, f"expected YAML; {what}")
    except yaml.reader.ReaderError as error:
        faults.refuse(text.count("\n", 0, error.position) + 1, f"expected readable text; {error.reason}")
    except UnicodeError as error:
        faults.refuse(1, f"expected UTF-8 text; {error}")
    return None if root is None else _Grower(faults).grow(root)


def _check_depth(text: str, faults: Faults) -> None:
    """Go through the events first: composing recurses, so depth must be bounded before."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                line = event.start_mark.line + 1 if event.start_mark else 1
                faults.refuse(line, f"expected at most {_MAX_DEPTH} levels of nesting")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


@dataclass(slots=True)
class _Grower:
    """Turns YAML's graph into a tree; an alias is counted each time, which bounds what aliases of aliases can cost."""

    faults: Faults
    nodes: int = 0
    open: set[int] = field(default_factory=set)

    def grow(self, node: yaml.Node) -> Node:
        line = node.start_mark.line + 1
        self.nodes += 1
        if self.nodes > _MAX_NODES:
            self.faults.refuse(
                line, f"expected at most {_MAX_NODES:,} values (aliases count as often as they are used)"
            )
        if isinstance(node, yaml.ScalarNode):
            if node.tag not in _SCALAR_TAGS and node.tag != _MERGE:
                self.faults.add(line, f"expected a plain value, got the tag {node.tag!r}: tags are not supported")
            return Scalar(line, node.value, node.tag.removeprefix(_TAG))
        if id(node) in self.open:
            self.faults.refuse(line, "expected a finite value: this anchor contains itself")
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
                return Items(line, tuple(self.grow(each) for each in node.value))
            if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
                return Fields(line, self._fields(node))
            self.faults.refuse(line, f"expected a plain list or mapping, got the tag {node.tag!r}")
        finally:
            self.open.discard(id(node))

    def _fields(self, node: yaml.MappingNode) -> dict[str, tuple[int, Node]]:
        own: dict[str, tuple[int, Node]] = {}
        merged: dict[str, tuple[int, Node]] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self.faults.add(line, "expected a field name, got a list or mapping")
                continue
            grown = self.grow(value)
            if key.tag == _MERGE:
                for each in grown.items if isinstance(grown, Items) else (grown,):
                    if isinstance(each, Fields):
                        merged = {**each.fields, **merged}
                    else:
                        self.faults.add(line, "expected a mapping to merge (`<<: *anchor`)")
            elif key.value in own:
                self.faults.add(line, f"{key.value}: given twice, first in line {own[key.value][0]}")
            else:
                own[key.value] = (line, grown)
        return {**merged, **own}


def as_plain(node: Node) -> object:
    """Return the Python value: whole numbers, fractions, true/false, text, lists, dicts; a time stays text."""
    if isinstance(node, Items):
        return [as_plain(each) for each in node.items]
    if isinstance(node, Fields):
        return {name: as_plain(value) for name, (_, value) in node.fields.items()}
    if node.kind == "null":
        return None
    if node.kind == "bool":
        return node.text.lower() in {"true", "yes", "on"}
    if node.kind in {"int", "float"}:
        return _number(node.text)
    return node.text


def _number(text: str) -> int | float | str:
    """Return a decimal number; YAML's other notations (octal, base 60 …) stay text, to be refused by the reader."""
    digits = text.removeprefix("-")
    try:
        if digits.isascii() and digits.isdigit():
            return text if len(digits) > 1 and digits[0] == "0" else int(text)
        return float(text)
    except ValueError:
        return text


def shown(node: Node) -> str:
    """Return a value as a fault quotes it: short, and harmless in a terminal."""
    if isinstance(node, Items):
        return "a list"
    if isinstance(node, Fields):
        return "a mapping"
    if node.kind == "null":
        return "nothing"
    return ascii(node.text if len(node.text) <= 60 else node.text[:57] + "...")  # noqa: PLR2004 - a line's width


def is_nothing(node: Node) -> bool:
    """Return whether a field was left without a value."""
    return isinstance(node, Scalar) and node.kind == "null"


def joined(names: Sequence[str]) -> str:
    """Return `a, b or c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
