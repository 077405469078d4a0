"""Reading JSON strictly: what `json` lets pass in silence (duplicate names, NaN, any depth) is told apart here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from monitor.core.events import RejectReason

MAX_DEPTH = 64


class DuplicateField(dict[str, Any]):
    """An object in which a name stands twice; the element that holds it is rejected, its neighbours are not."""


class _NotStandard(ValueError):
    """NaN or an infinity."""


def read_json(value: bytes) -> Any | RejectReason:  # noqa: ANN401 - JSON
    """Return the document, or why there is none: `NOT_UTF8` or `NOT_JSON`.

    Objects with duplicate names come back as `DuplicateField`, so that the caller can blame one element of an array.
    """
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return RejectReason.NOT_UTF8
    return read_json_text(text)


def read_json_text(text: str) -> Any | RejectReason:  # noqa: ANN401 - JSON
    """Like `read_json`, from text."""
    try:
        document = json.loads(text, object_pairs_hook=_pairs, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):  # JSONDecodeError is a ValueError; so is an integer of 4,300 digits
        return RejectReason.NOT_JSON
    # A level costs at least one bracket: most documents need no walk.
    if text.count("[") + text.count("{") > MAX_DEPTH and depth(document) > MAX_DEPTH:
        return RejectReason.NOT_JSON
    return document


def depth(document: object) -> int:
    """Return how deeply arrays and objects are nested; a scalar has depth 0."""
    deepest = 0
    stack: list[tuple[object, int]] = [(document, 0)]
    while stack:
        node, level = stack.pop()
        deepest = max(deepest, level)
        stack.extend((child, level + 1) for child in _children(node))
        if isinstance(node, dict | list):
            deepest = max(deepest, level + 1)
    return deepest


def has_duplicate(document: object) -> bool:
    """Return whether any object inside has a name twice."""
    stack = [document]
    while stack:
        node = stack.pop()
        if isinstance(node, DuplicateField):
            return True
        stack.extend(_children(node))
    return False


def is_clean_text(text: str) -> bool:
    """Return whether a database can hold the text: no NUL, no lone surrogate."""
    if "\x00" in text:
        return False
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _children(node: object) -> Iterator[object]:
    if isinstance(node, dict):
        yield from node.values()
    elif isinstance(node, list):
        yield from node


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    return made if len(made) == len(pairs) else DuplicateField(pairs)


def _refuse_constant(name: str) -> float:
    raise _NotStandard(name)
