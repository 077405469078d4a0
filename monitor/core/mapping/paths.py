r"""Dotted paths into a JSON document, compiled once into closures.

`request.headers.host` walks objects (and arrays, by a number); `\.` is a literal dot; `header:x-client-id` looks the
request header up wherever the mapping says that headers are. Absent are a missing field, `null`, `""` and `-`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Getter = Callable[[Any], Any]

HEADER_PREFIX = "header:"
_STEP = re.compile(r"(?:[^.\\]|\\.)+")


@dataclass(frozen=True, slots=True)
class Path:
    """A parsed path: the steps to take, or the request header to look for (lower case, hyphens)."""

    text: str
    steps: tuple[str, ...] = ()
    header: str | None = None


def parse_path(text: str) -> Path:
    """Return the parsed path; raises `ValueError` with what was expected."""
    if text.startswith(HEADER_PREFIX):
        name = text[len(HEADER_PREFIX) :].strip()
        if not name:
            raise ValueError("header: and the name of a request header")
        return Path(text, header=header_name(name))
    steps = _STEP.findall(text)
    if not steps or ".".join(steps) != text:
        raise ValueError(r"a dotted path such as request.headers.host (write a literal dot as \.)")
    return Path(text, steps=tuple(re.sub(r"\\(.)", r"\1", step) for step in steps))


def header_name(name: str) -> str:
    """Return a header's name in the one form in which names are compared."""
    return name.strip().lower().replace("_", "-")


def is_absent(value: object) -> bool:
    """Return whether a value says that there is none."""
    return value is None or (isinstance(value, str) and value.strip() in ("", "-"))


def compile_steps(steps: tuple[str, ...]) -> Getter:
    """Return a function from a document to the value at these steps; `None` where there is none."""
    if len(steps) == 1:
        only = steps[0]
        return lambda node: node.get(only) if type(node) is dict else _step(node, only)
    if len(steps) == 2:  # noqa: PLR2004 - by far the most frequent depth
        outer, inner = steps

        def two(node: Any) -> Any:  # noqa: ANN401
            child = node.get(outer) if type(node) is dict else _step(node, outer)
            return child.get(inner) if type(child) is dict else _step(child, inner)

        return two

    def walk(node: Any) -> Any:  # noqa: ANN401
        for step in steps:
            node = node.get(step) if type(node) is dict else _step(node, step)
            if node is None:
                return None
        return node

    return walk


def _step(node: object, step: str) -> Any:  # noqa: ANN401
    if isinstance(node, dict):
        return node.get(step)
    if isinstance(node, list) and step.isdecimal() and int(step) < len(node):
        return node[int(step)]
    return None
