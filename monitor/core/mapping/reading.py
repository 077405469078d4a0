"""From a record's bytes to JSON elements, exactly: every way in which a record is no event before its fields are read.

Two ways give the same answer: a quick one in C, whose quote and bracket counts prove that it was safe, and a slow one
that looks at every object. JSON parsers keep the last of two equal fields without a word, so a duplicate shows only
in the bytes: a document and its re-encoding have the same number of quotation marks if and only if nothing was lost.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec

from monitor.core.events import RejectReason

MAX_DEPTH = 64
"""Objects and arrays inside each other, the outermost included."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a record (or one element of it) cannot be read."""

    reason: RejectReason


class _Duplicated(dict[str, Any]):
    """An object that had one field twice."""


def quotes(raw: bytes) -> int:
    r"""Return the number of quotation marks that delimit strings: those escaped inside of one (`\"`) do not count.

    Escaped backslashes are taken out first, from the left as a parser reads them; what is left of `\"` is escaped.
    """
    total = raw.count(b'"')
    if b"\\" in raw:
        total -= raw.replace(b"\\\\", b"").count(b'\\"')
    return total


def read(value: bytes | None, *, max_bytes: int) -> list[Any] | Unreadable:
    """Return the record's elements (those of an array, else the one document), or why there are none.

    An element that itself has a duplicate field comes back as `Unreadable` in its place.
    """
    if value is None:
        return Unreadable(RejectReason.NOT_JSON)
    if len(value) > max_bytes:
        return Unreadable(RejectReason.OVERSIZE)
    document = _quick(value)
    return (document if isinstance(document, list) else [document]) if document is not None else _slow(value)


def parse_text(text: str) -> Any | Unreadable:  # noqa: ANN401 - any JSON
    """Return the JSON document in a text that came out of another one, by the same rules."""
    try:
        value = text.encode()
    except UnicodeEncodeError:
        return Unreadable(RejectReason.BAD_TEXT)
    document = _quick(value)
    if document is not None:
        return document
    found = _slow(value)
    if isinstance(found, Unreadable):
        return found
    if text.lstrip()[:1] == "[":
        return found
    return found[0]


def _quick(value: bytes) -> Any | None:  # noqa: ANN401 - any JSON
    """Return the document if counts prove it free of duplicates and shallow enough; `None` says: look closely."""
    if value.count(b"{") + value.count(b"[") > MAX_DEPTH:
        return None
    try:
        document = _decode(value)
        if quotes(value) != quotes(_encode(document)):
            return None
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return document


def _slow(value: bytes) -> list[Any] | Unreadable:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return Unreadable(RejectReason.NOT_UTF8)
    duplicated = False

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal duplicated
        made = dict(pairs)
        if len(made) != len(pairs):
            duplicated = True
            return _Duplicated(made)
        return made

    try:
        document = json.loads(text, object_pairs_hook=object_of, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return Unreadable(RejectReason.NOT_JSON)
    if _depth(document) > MAX_DEPTH:
        return Unreadable(RejectReason.NOT_JSON)
    elements = document if isinstance(document, list) else [document]
    if not duplicated:
        return elements
    return [Unreadable(RejectReason.DUPLICATE_FIELD) if _has_duplicates(each) else each for each in elements]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _children(node: object) -> list[Any]:
    if isinstance(node, dict):
        return [each for each in node.values() if isinstance(each, (dict, list))]
    if isinstance(node, list):
        return [each for each in node if isinstance(each, (dict, list))]
    return []


def _depth(document: object) -> int:
    """Return how deep objects and arrays are nested; stops counting just beyond what is allowed."""
    level = [document] if isinstance(document, (dict, list)) else []
    depth = 0
    while level and depth <= MAX_DEPTH:
        depth += 1
        level = [child for node in level for child in _children(node)]
    return depth


def _has_duplicates(element: object) -> bool:
    level = [element]
    while level:
        if any(isinstance(node, _Duplicated) for node in level):
            return True
        level = [child for node in level for child in _children(node)]
    return False
