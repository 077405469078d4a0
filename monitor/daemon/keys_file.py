"""Follows `ROLLWATCH_KEYS_FILE`: imported at start and on each change; a refused one leaves the last good in force.

The content is compared, not the time of change: mounted files (ConfigMaps, network shares) tell neither reliably.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import structlog

from monitor.adapters.metrics import KEYS_FILE_REFUSED, Metrics
from monitor.control.memos import KEYS_FILE_MEMO
from monitor.core.registry_file import parse_registry
from monitor.errors import RegistryError, StoreAway
from monitor.ingest import Clock
from monitor.ports import Store

log = structlog.get_logger()

_EVERY_SECONDS = 1.0


class KeysFile:
    """A thread that looks at the file every second. `error` says why the present file is not in force."""

    def __init__(self, *, path: Path, store: Store, clock: Clock, metrics: Metrics) -> None:
        """Prepare; `start` begins."""
        self._path = path
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._done: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rollwatch-keys", daemon=True)
        self.error: str | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(0.5)

    def look(self) -> bool:
        """Import the file if its content is another than last time; return whether it was imported or refused now.

        Raises `StoreAway`: then the next look does it.
        """
        try:
            content = self._path.read_bytes()
        except OSError as error:
            mark = f"{self._path}: {error.strerror or type(error).__name__}"
            if mark != self._done:
                self._refuse(mark)
        else:
            mark = hashlib.sha256(content).hexdigest()
            if mark != self._done:
                self._take(content)
        known, self._done = self._done, mark
        return mark != known

    def _take(self, content: bytes) -> None:
        now_ms = self._clock.now_ms()
        try:
            registry = parse_registry(content.decode("utf-8"), name=str(self._path))
            report = self._store.import_registry(
                registry, source=str(self._path.resolve()), by="keys file", now_ms=now_ms
            )
        except UnicodeDecodeError as error:
            self._refuse(f"{self._path}: not UTF-8 at byte {error.start}")
        except RegistryError as error:
            self._refuse("; ".join(str(error).splitlines()))
        else:
            self._remember(None)
            log.info(
                "keys_file_read",
                path=str(self._path),
                changed=report.changed,
                revision=report.revision,
                added=list(report.added),
                updated=list(report.updated),
                removed=list(report.removed),
            )

    def _refuse(self, why: str) -> None:
        log.error("keys_file_refused", path=str(self._path), reason=why, advice="the last good one is in force")
        self._remember(why)

    def _remember(self, error: str | None) -> None:
        now_ms = self._clock.now_ms()
        with self._store.snapshot(write=True) as snapshot:
            snapshot.put_memo(KEYS_FILE_MEMO, {"error": error, "at_ms": now_ms}, now_ms=now_ms)
        self.error = error
        self._metrics.set(KEYS_FILE_REFUSED, error is not None)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.look()
            except StoreAway:
                pass  # the store's keeper says so; the next look does it
            except Exception as error:
                log.exception("keys_file_error", error=type(error).__name__)
            self._stop.wait(_EVERY_SECONDS)
