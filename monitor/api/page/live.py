"""Live updates: one look at the store for all open pages, and a nudge to each when something changed."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable

import structlog
from starlette.concurrency import run_in_threadpool

from monitor.errors import RollwatchError

log = structlog.get_logger()

_LOOK_SECONDS = 3.0
_HEARTBEAT_LOOKS = 7


class Ticker:
    """Watches a version while somebody listens; costs nothing while nobody does."""

    def __init__(self, version: Callable[[], str], *, every_seconds: float = _LOOK_SECONDS) -> None:
        """`version` returns a text that differs when any page would; it may block and raise `RollwatchError`."""
        self._version = version
        self._every = every_seconds
        self._listeners: set[asyncio.Queue[str]] = set()
        self._task: asyncio.Task[None] | None = None

    async def stream(self) -> AsyncGenerator[str]:
        """Yield server-sent events: one whenever something changed, a comment now and then."""
        queue: asyncio.Queue[str] = asyncio.Queue(maxsize=8)
        self._listeners.add(queue)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())
        try:
            yield ": connected\n\n"
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)

    async def _watch(self) -> None:
        known, quiet = "", 0
        while self._listeners:
            try:
                found = await run_in_threadpool(self._version)
            except RollwatchError as fault:
                log.debug("live_waits", reason=str(fault))
                found = known
            quiet += 1
            if found != known:
                if known:
                    self._tell(f"data: {found}\n\n")
                known, quiet = found, 0
            elif quiet >= _HEARTBEAT_LOOKS:
                self._tell(": still here\n\n")
                quiet = 0
            await asyncio.sleep(self._every)

    def _tell(self, event: str) -> None:
        for queue in self._listeners:
            if not queue.full():
                queue.put_nowait(event)


def digest(*parts: object) -> str:
    """Return a short text that differs when any part does."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
