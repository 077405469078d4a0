"""Callers that were read before, kept by this process, so that a look reads what changed instead of everything.

A kept caller is never believed: each snapshot reads the marks of all callers of a key (a few numbers each), and takes
what is kept only where the marks are the same. Whoever wrote, in whatever order it was committed, and whichever of two
snapshots is the older one: a caller whose row differs is read again in that snapshot.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection, select

from monitor.adapters.sql.caller_rows import callers_of_keys, chunks, read_callers
from monitor.adapters.sql.engine import fetch
from monitor.adapters.sql.schema import records, traffic
from monitor.core.evidence import CallerRecord

_MOST_BYTES = 1024 * 1024 * 1024
"""Room for the 200,000 callers of 1,000 rollovers, with 120 days of each."""
_BYTES_A_CALLER, _BYTES_A_DAY = 700, 40
_CALLER = traffic.callers.c
_ALL_ANEW = 0.5
"""From this share of changed callers on, reading all of them costs less than looking them up."""
_ID_CHUNK = 500

Mark = tuple[int | None, ...]
"""What differs after every event of a caller: its two sums only grow. Times tell a database that was replaced."""


class _Kept(NamedTuple):
    mark: Mark
    record: CallerRecord


class _Shelf(NamedTuple):
    callers: Mapping[int, _Kept]
    ordered: tuple[CallerRecord, ...]
    size: int


class KeptCallers:
    """Safe to share between threads. Bounded: what does not fit is read from the database each time."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        """Keep nothing yet."""
        self._most_bytes = most_bytes
        self._shelves: dict[str, _Shelf] = {}
        self._size = 0
        self._lock = threading.Lock()

    def of_keys(self, connection: Connection, keys: list[str]) -> dict[str, tuple[CallerRecord, ...]]:
        """Return what `callers_of_keys` returns; the same tuple as last time where nothing has changed."""
        marks = _marks(connection, keys)
        known = {key: self._shelves.get(key) for key in keys}
        stale: set[int] = set()
        anew: set[str] = set()
        for key, of in marks.items():
            shelf = known[key]
            kept = shelf.callers if shelf is not None else {}
            changed = [caller for caller, mark in of.items() if caller not in kept or kept[caller].mark != mark]
            if len(changed) > _ALL_ANEW * len(of):
                anew.add(key)
            else:
                stale.update(changed)
        read = callers_of_keys(connection, anew)
        fresh: dict[int, CallerRecord] = {}
        ordered = sorted(stale)
        for start in range(0, len(ordered), _ID_CHUNK):
            fresh.update(read_callers(connection, ordered[start : start + _ID_CHUNK]))
        found: dict[str, tuple[CallerRecord, ...]] = {}
        for key, of in marks.items():
            shelf = known[key]
            if key in anew:
                callers = dict(zip(of, read[key], strict=True))
            elif shelf is None:
                callers = {}
            elif not stale.isdisjoint(of) or len(of) != len(shelf.callers):
                callers = {caller: fresh.get(caller) or shelf.callers[caller].record for caller in of}
            else:
                found[key] = shelf.ordered
                continue
            found[key] = tuple(callers.values())
            self._keep(key, of, callers, found[key])
        return found

    def _keep(
        self,
        key: str,
        marks: Mapping[int, Mark],
        callers: Mapping[int, CallerRecord],
        ordered: tuple[CallerRecord, ...],
    ) -> None:
        size = sum(_BYTES_A_CALLER + _BYTES_A_DAY * len(each.activity) for each in ordered)
        shelf = _Shelf({caller: _Kept(marks[caller], each) for caller, each in callers.items()}, ordered, size)
        with self._lock:
            before = self._shelves.pop(key, None)
            self._size -= before.size if before is not None else 0
            # Nothing is put away for it: a look goes through all keys in turn, and would find each just put away.
            if self._size + size <= self._most_bytes:
                self._shelves[key] = shelf
                self._size += size


def _marks(connection: Connection, keys: list[str]) -> dict[str, dict[int, Mark]]:
    table = records.credentials
    query = (
        select(
            table.c.key,
            _CALLER.id,
            _CALLER.accepted,
            _CALLER.rejected,
            _CALLER.last_arrival_ms,
            _CALLER.last_rejected_ms,
            _CALLER.first_accepted_ms,
        )
        .select_from(table.join(traffic.callers, _CALLER.cred == table.c.cred))
        .order_by(_CALLER.id)
    )
    found: dict[str, dict[int, Mark]] = {key: {} for key in keys}
    for some in chunks(keys):
        for key, caller, *mark in fetch(connection, query.where(table.c.key.in_(some))):
            found[key][caller] = tuple(mark)
    return found
