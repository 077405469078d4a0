"""Out of the outbox, to the couriers: at least once, in order per rollover, nobody held up by another's trouble."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import structlog

from monitor.core.decision import Json
from monitor.errors import RollwatchError, StoreAway, Undelivered
from monitor.ports import EvidenceStore, OutboxStore, QueuedMessage, UpkeepStore

log = structlog.get_logger()

_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 300.0
_PLACE = "notify:place:"


class Courier(Protocol):
    """Hands one message to the other side. Raises `Undelivered` (try again) or `Undeliverable`, nothing else."""

    def deliver(
        self, body: Mapping[str, Json], *, key: str, places: Mapping[str, Mapping[str, Json]]
    ) -> Mapping[str, Json]:
        """Deliver; return where it stands now, so that a later message can replace it or answer in its thread.

        `key` is the message's dedup key. `places` holds what was returned for the handles that the body names
        (`handle`, `thread_of`), where they are known.
        """
        ...


class SenderStore(OutboxStore, EvidenceStore, UpkeepStore, Protocol):
    """What the sender needs of the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSettings:
    """lease_seconds must outlast the slowest delivery; an ambiguous end (a crash) repeats the message after it."""

    workers: int = 4
    batch: int = 50
    lease_seconds: float = 60.0
    idle_seconds: float = 1.0


class Sender:
    """One loop for all couriers. Of several processes only the leader sends; the others stand by."""

    def __init__(
        self,
        *,
        store: SenderStore,
        couriers: Mapping[str, Courier],
        now_ms: Callable[[], int],
        settings: SenderSettings | None = None,
        dice: random.Random | None = None,
    ) -> None:
        """Prepare; `run` begins."""
        self._store = store
        self._couriers = couriers
        self._now_ms = now_ms
        self._settings = settings or SenderSettings()
        self._dice = dice or random.Random()  # noqa: S311 - jitter, not a secret

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set. The store may go away meanwhile; messages wait in it."""
        with ThreadPoolExecutor(self._settings.workers, thread_name_prefix="rollwatch-sender") as pool:
            while not stop.is_set():
                try:
                    sent = self.tick(pool)
                except StoreAway as away:
                    log.warning("sender_waits", reason=str(away))
                    sent = 0
                except Exception as error:
                    log.exception("sender_error", error=type(error).__name__)
                    sent = 0
                if not sent:
                    stop.wait(self._settings.idle_seconds)

    def tick(self, pool: ThreadPoolExecutor) -> int:
        """Take what is due and hand it over; return how many were taken."""
        if not self._store.lead("sender"):
            return 0
        settings = self._settings
        taken = self._store.take_messages(
            limit=settings.batch, lease_ms=int(settings.lease_seconds * 1000), now_ms=self._now_ms()
        )
        list(pool.map(self._send, taken))
        return len(taken)

    def _send(self, queued: QueuedMessage) -> None:
        message = queued.message
        courier = self._couriers.get(message.channel)
        if courier is None:
            self._failed(queued, f"no sender is configured for {message.channel!r}", again=False, wait=None)
            return
        try:
            place = courier.deliver(message.body, key=message.dedup_key, places=self._places(message.body))
        except Undelivered as fault:
            self._failed(queued, str(fault), again=fault.retryable, wait=fault.retry_after_seconds)
            return
        except RollwatchError as fault:
            self._failed(queued, str(fault), again=fault.retryable, wait=None)
            return
        except Exception as error:
            log.exception("courier_error", courier=message.channel, error=type(error).__name__)
            self._failed(queued, f"an unexpected {type(error).__name__}", again=True, wait=None)
            return
        now_ms = self._now_ms()
        handle = message.body.get("handle")
        if isinstance(handle, str) and place:
            with self._store.snapshot(write=True) as snapshot:
                snapshot.put_memo(_PLACE + handle, place, now_ms=now_ms)
        self._store.message_sent(queued.id, receipt=str(place.get("receipt", "")), now_ms=now_ms)
        log.info("alert_sent", courier=message.channel, reason=message.reason, dedup_key=message.dedup_key)

    def _places(self, body: Mapping[str, Json]) -> dict[str, Mapping[str, Json]]:
        handles = [each for name in ("handle", "thread_of") if isinstance(each := body.get(name), str)]
        if not handles:
            return {}
        with self._store.snapshot() as snapshot:
            known = {handle: snapshot.memo(_PLACE + handle) for handle in handles}
        return {handle: place for handle, place in known.items() if place}

    def _failed(self, queued: QueuedMessage, error: str, *, again: bool, wait: float | None) -> None:
        now_ms = self._now_ms()
        retry_at_ms = now_ms + int(self._wait(queued.attempts, wait) * 1000) if again else None
        log.warning(
            "alert_not_sent",
            courier=queued.message.channel,
            dedup_key=queued.message.dedup_key,
            attempts=queued.attempts,
            error=error,
            retried=again,
        )
        self._store.message_failed(queued.id, retry_at_ms=retry_at_ms, error=error, now_ms=now_ms)

    def _wait(self, attempts: int, asked: float | None) -> float:
        """Return seconds to wait: what was asked for, or doubling with full jitter, so that senders do not meet."""
        if asked is not None:
            return min(max(asked, 0.0), 3600.0) + self._dice.random()
        ceiling = min(_FIRST_WAIT_SECONDS * 2.0 ** min(attempts, 20), _LONGEST_WAIT_SECONDS)
        return ceiling * (0.5 + self._dice.random() / 2)
