"""When things are done: APScheduler, in memory, in UTC; nothing is skipped silently, nothing runs twice at once.

`misfire_grace_time=None` because the default of one second drops late jobs with no more than a log line; state is in
the store, so a job that comes late does what has become due. One leader among all processes: `store.lead`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from monitor.collector import resting, spare_what_stays
from monitor.config.sections import RetentionSection, WatchSection
from monitor.core.instants import DAY_MS
from monitor.errors import RollwatchError
from monitor.ingest import Clock
from monitor.ports import Retention, UpkeepStore
from monitor.watch.loop import LEADER_NAME, Watch

log = structlog.get_logger()

_LOOK_AGAIN_SECONDS = 3.0
_REST_FACTOR = 10
"""In a hurry too, a look is followed by at least ten times as long without one."""


class Schedule:
    """The daemon's jobs. `usable` says whether the store can be used now; until then nothing is tried."""

    def __init__(
        self,
        *,
        watch: Watch,
        store: UpkeepStore,
        settings: WatchSection,
        retention: RetentionSection,
        clock: Clock,
        usable: Callable[[], bool],
    ) -> None:
        """Plan the jobs; `start` begins."""
        self._watch = watch
        self._store = store
        self._settings = settings
        self._retention = Retention(
            fine_ms=retention.fine_days * DAY_MS,
            coarse_ms=retention.coarse_days * DAY_MS,
            failures_ms=retention.failures_days * DAY_MS,
            rejects_ms=retention.rejects_days * DAY_MS,
            gateways_ms=retention.gateways_days * DAY_MS,
        )
        self._clock = clock
        self._usable = usable
        self._looked_at: float | None = None
        self._has_looked = False
        self._took = 0.0
        self._stopped = threading.Event()
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(2)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            daemon=True,
        )
        # Looked for often, done when due: so that a store that returns is used at once, not at the next interval.
        self._scheduler.add_job(
            self._look_if_due,
            "interval",
            seconds=min(_LOOK_AGAIN_SECONDS, settings.interval),
            next_run_time=datetime.now(UTC),
            id="watch",
        )
        self._scheduler.add_job(self._prune, "interval", seconds=settings.prune_every, id="prune")

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """Start nothing any more; a look that runs ends with its transaction, or with the process."""
        self._stopped.set()
        self._scheduler.shutdown(wait=False)

    def _look_if_due(self) -> None:
        now = self._clock.monotonic()
        # While the detector's history is arriving, every look may be the one from which on a GO is possible.
        hurry = max(_LOOK_AGAIN_SECONDS, _REST_FACTOR * self._took)
        interval = self._settings.interval if self._watch.detector_ready else min(hurry, self._settings.interval)
        due = self._looked_at is None or now - self._looked_at >= interval
        if self._stopped.is_set() or not due or not self._usable():
            return
        with nullcontext() if self._has_looked else resting():
            looked = self._watch.look() and self._watch.leads
        if looked and not self._has_looked:
            self._has_looked = True
            spare_what_stays()
        self._looked_at = now if looked else None
        self._took = self._clock.monotonic() - now

    def _prune(self) -> None:
        if self._stopped.is_set() or not self._usable():
            return
        try:
            if not self._store.lead(LEADER_NAME):
                return
            removed = self._store.prune(self._retention, now_ms=self._clock.now_ms())
        except RollwatchError as fault:
            log.warning("prune_waits", reason=str(fault))
        except Exception as error:
            log.exception("prune_error", error=type(error).__name__)
        else:
            log.info("pruned", rows=removed)
        spare_what_stays()
