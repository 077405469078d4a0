"""Undoing: every change of what people decide goes through a journal, so that a failed snapshot leaves no trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Journal:
    """Makes changes and remembers how to take them back."""

    def __init__(self) -> None:
        """Start with nothing to take back."""
        self._undo: list[Callable[[], None]] = []
        self._depth = 0

    def put(self, table: dict[K, V], key: K, value: V) -> None:
        """Set an entry."""
        if key in table:
            old = table[key]
            self._undo.append(lambda: table.__setitem__(key, old))
        else:
            self._undo.append(lambda: table.__delitem__(key))
        table[key] = value

    def drop(self, table: dict[K, V], key: K) -> None:
        """Remove an entry; the order of the others is kept, and restored."""
        before = dict(table)

        def restore() -> None:
            table.clear()
            table.update(before)

        self._undo.append(restore)
        del table[key]

    def append(self, rows: list[V], row: V) -> None:
        """Add a row at the end."""
        self._undo.append(lambda: rows.__delitem__(-1))
        rows.append(row)

    def assign(self, target: object, name: str, value: object) -> None:
        """Set an attribute."""
        old = getattr(target, name)
        self._undo.append(lambda: setattr(target, name, old))
        setattr(target, name, value)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Let what is done inside stand, or take it back when it fails; a step within is part of it."""
        mark = len(self._undo)
        self._depth += 1
        try:
            yield
        except BaseException:
            while len(self._undo) > mark:
                self._undo.pop()()
            raise
        finally:
            self._depth -= 1
            if not self._depth:
                self._undo.clear()
