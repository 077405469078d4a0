"""Out of the outbox, to the couriers: at least once, in order per rollover, nobody held up by another's trouble."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
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
    """`workers` are each courier's. The lease must outlast the slowest delivery: a crash repeats a message after it."""

    workers: int = 4
    lease_seconds: float = 180.0
    idle_seconds: float = 0.5


class _Lane:
    """One courier's workers: a receiver that hangs keeps its own, nobody else's."""

    def __init__(self, name: str, courier: Courier, workers: int) -> None:
        self.name = name
        self.courier = courier
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=f"rollwatch-sender-{name}")
        self._room = workers
        self._changed = threading.Condition()

    @property
    def room(self) -> int:
        """Return how many workers are free."""
        with self._changed:
            return self._room

    def hand(self, work: Callable[[], None], done: Callable[[], None]) -> None:
        """Let a worker do it."""
        with self._changed:
            self._room -= 1

        def do() -> None:
            try:
                work()
            finally:
                with self._changed:
                    self._room += 1
                    self._changed.notify_all()
                done()

        self._pool.submit(do)

    def settle(self, workers: int) -> None:
        """Wait until all workers are free."""
        with self._changed:
            self._changed.wait_for(lambda: self._room == workers)

    def close(self) -> None:
        """Take nothing more; what is under way may end."""
        self._pool.shutdown(wait=False, cancel_futures=True)


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
        self._now_ms = now_ms
        self._settings = settings or SenderSettings()
        self._dice = dice or random.Random()  # noqa: S311 - jitter, not a secret
        self._lanes = [_Lane(name, each, self._settings.workers) for name, each in couriers.items()]
        self._wake = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set. The store may go away meanwhile; messages wait in it."""
        while not stop.is_set():
            self._wake.clear()
            try:
                taken = self.tick()
            except StoreAway as away:
                log.warning("sender_waits", reason=str(away))
                taken = 0
            except Exception as error:
                log.exception("sender_error", error=type(error).__name__)
                taken = 0
            if not taken:
                self._wake.wait(self._settings.idle_seconds)
        self.close()

    def tick(self) -> int:
        """Take what is due, for as many workers as are free, and hand it to them; return how many were taken."""
        if not self._store.lead("sender"):
            return 0
        taken = 0
        lease_ms = int(self._settings.lease_seconds * 1000)
        for lane in self._lanes:
            if room := lane.room:
                for queued in self._store.take_messages(
                    limit=room, lease_ms=lease_ms, now_ms=self._now_ms(), channel=lane.name
                ):
                    lane.hand(partial(self._guarded, lane.courier, queued), self._wake.set)
                    taken += 1
        return taken

    def settle(self) -> None:
        """Wait until nothing is under way."""
        for lane in self._lanes:
            lane.settle(self._settings.workers)

    def close(self) -> None:
        """Let the workers go; what they have in hand is either written down, or leased and sent again."""
        for lane in self._lanes:
            lane.close()

    def _guarded(self, courier: Courier, queued: QueuedMessage) -> None:
        try:
            self._send(courier, queued)
        except RollwatchError as fault:
            # The store is away: the lease ends by itself, and the message is sent again.
            log.warning("sender_waits", reason=str(fault), dedup_key=queued.message.dedup_key)
        except Exception as error:
            log.exception("sender_error", error=type(error).__name__, dedup_key=queued.message.dedup_key)

    def _send(self, courier: Courier, queued: QueuedMessage) -> None:
        message = queued.message
        places = self._places(message.body)
        try:
            place = courier.deliver(message.body, key=message.dedup_key, places=places)
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
