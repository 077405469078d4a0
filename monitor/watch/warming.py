"""Lets the detector begin anew while its history is still arriving: a topic's backlog, or a backfill.

A detector takes its history up once. At the start of a daemon the history may lie in Kafka still, so what it took up
was a part, or nothing. Until it says that it is ready, it is made anew from the store, ever more patiently, as long as
more has arrived meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from monitor.core.evidence import PartitionStatus
from monitor.core.instants import MINUTE_MS, SECOND_MS
from monitor.core.registry import Registry
from monitor.watch.detection import Detected, Detection

log = structlog.get_logger()

_FIRST_WAIT_MS = 5 * SECOND_MS
_LONGEST_WAIT_MS = 30 * MINUTE_MS


class Progress(Protocol):
    """The part of `ReadStore` that says how far history has come."""

    def partition_states(self) -> Sequence[PartitionStatus]:
        """See `ReadStore`."""
        ...


class Warming:
    """A `Detection` that is made again by `make` while it is not ready and more history has come."""

    def __init__(self, make: Callable[[], Detection], store: Progress) -> None:
        """Prepare; nothing is made before the first look."""
        self._make = make
        self._store = store
        self._inner: Detection | None = None
        self._ready = False
        self._read = -1
        self._again_ms = 0
        self._wait_ms = _FIRST_WAIT_MS

    def look(self, registry: Registry, now_ms: int) -> Detected:
        """See `Detection`."""
        if self._inner is None or not self._ready:
            self._renew(now_ms)
        inner = self._inner
        if inner is None:  # `_renew` makes one whenever there is none
            raise RuntimeError("there is no detector")
        found = inner.look(registry, now_ms)
        if found.not_ready is None and not self._ready:
            log.info("detector_ready")
        self._ready = self._ready or found.not_ready is None
        return found

    def _renew(self, now_ms: int) -> None:
        read = sum(each.next_offset or 0 for each in self._store.partition_states())
        if self._inner is not None and (now_ms < self._again_ms or read == self._read):
            return
        self._inner, self._read = self._make(), read
        self._again_ms = now_ms + self._wait_ms
        self._wait_ms = min(2 * self._wait_ms, _LONGEST_WAIT_MS)
