"""Brings the schema up to date as soon as the database answers, and knows ever after whether it does."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from monitor.errors import RollwatchError
from monitor.ports import UpkeepStore

log = structlog.get_logger()

_EVERY_SECONDS = 2.0


class StoreKeeper:
    """A thread that asks the database for nothing every two seconds; it may be away at any time, at the start too."""

    def __init__(self, *, store: UpkeepStore, upgrade: Callable[[], None]) -> None:
        """Prepare; `start` begins. `upgrade` migrates the schema and may be called again."""
        self._store = store
        self._upgrade = upgrade
        self._stop = threading.Event()
        self._migrated = threading.Event()
        self._fault: str | None = "the database has not answered yet"
        self._thread = threading.Thread(target=self._run, name="rollwatch-store", daemon=True)

    @property
    def fault(self) -> str | None:
        """Return why the database cannot be used now, `None` when it can."""
        return self._fault

    @property
    def usable(self) -> bool:
        """Return whether the schema is there and the database answered when it was last asked."""
        return self._migrated.is_set() and self._fault is None

    def wait_migrated(self, seconds: float) -> bool:
        """Wait for the schema; return whether it is there."""
        return self._migrated.wait(seconds)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the question that is being asked; waits for it only a moment."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(0.2)

    def look(self) -> None:
        """Migrate if that is still to be done, else ask; keep what came of it."""
        try:
            if not self._migrated.is_set():
                self._upgrade()
                self._migrated.set()
            self._store.ping()
        except RollwatchError as fault:
            self._note(str(fault))
        except Exception as error:
            log.exception("store_error", error=type(error).__name__)
            self._note(f"the database: an unexpected {type(error).__name__}; see the log")
        else:
            self._note(None)

    def _note(self, fault: str | None) -> None:
        if fault != self._fault:
            if fault is None:
                log.info("store_connected")
            else:
                log.warning("store_away", reason=fault)
        self._fault = fault

    def _run(self) -> None:
        while not self._stop.is_set():
            self.look()
            self._stop.wait(_EVERY_SECONDS)
