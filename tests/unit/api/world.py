"""A daemon's HTTP interface on the store in memory, with a rollover that is due to be retired (or not)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi.testclient import TestClient

from monitor.adapters.memory_store import MemoryStore
from monitor.api.app import create_api
from monitor.api.deps import Deps
from monitor.control import tokens
from monitor.control.judge import Judge
from monitor.control.memos import WATCH_MEMO
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS
from monitor.core.policy import Policy
from monitor.ingest import Clock
from monitor.ports import Probe, Scope
from tests.contract.store.factories import NEW, OLD, P0, T0, Feed, event, registered, registry, rollover

NOW = T0 + 12 * DAY_MS
ROLLOVER = "billing-2026-05"
POLICY = Policy(lookback_ms=10 * DAY_MS, quiet_window_ms=8 * DAY_MS)


@dataclass
class Time:
    """The clock of a test."""

    now_ms: int = NOW

    def clock(self) -> Clock:
        return Clock(now_ms=lambda: self.now_ms)


class Api:
    """The interface and everything behind it. `token` is an admin's."""

    def __init__(  # noqa: D107 - the class says it
        self, store: Any = None, *, moved: bool = True, watched: bool = True, **deps: Any
    ) -> None:
        self.store = store if store is not None else MemoryStore()
        self.time = Time()
        self.judge = Judge(policy=POLICY, stale_after_ms=3 * MINUTE_MS)
        registered(self.store, rollovers=(rollover(started_at_ms=T0),))
        self.feed = Feed(self.store)
        self._fill(moved=moved)
        if watched:
            self.watched()
        self.deps = Deps(store=self.store, judge=self.judge, clock=self.time.clock(), **deps)
        self.client = TestClient(create_api(self.deps), raise_server_exceptions=False)
        self.tokens = {each: tokens.create(self.store, f"t-{each}", scope=each, now_ms=T0) for each in Scope}
        self.token = self.tokens[Scope.ADMIN]

    def _fill(self, *, moved: bool) -> None:
        """Acme every five minutes for 24 days, on the old version until an hour after the start."""
        events = []
        for at_ms in range(T0 - 12 * DAY_MS, NOW, 5 * MINUTE_MS):
            new = at_ms >= T0 + HOUR_MS
            events.append(event(at_ms, credential=NEW if new else OLD))
            if not moved and at_ms % DAY_MS == 0:
                events.append(event(at_ms + 1, credential=OLD, client="globex", source="batch"))
        self.feed.flush(events, fine=frozenset({OLD, NEW}))
        self.probed()

    def probed(self) -> None:
        """Kafka's end was asked for just now, and everything up to it is applied."""
        self.store.probed(
            [Probe(partition=P0, end_offset=self.feed.next, probed_at_ms=self.time.now_ms)], {P0.topic: 1}
        )

    def watched(self, detector: str | None = None) -> None:
        """Leave behind what the watch loop does."""
        with self.store.snapshot(write=True) as snapshot:
            snapshot.put_memo(WATCH_MEMO, {"at_ms": self.time.now_ms, "detector": detector}, now_ms=self.time.now_ms)

    def ask(self, method: str, path: str, *, token: str | None = Scope.ADMIN, **given: Any) -> Any:
        """Send a request with the admin's token, a scope's, one of its own, or (`None`) without."""
        named = {scope.value: value for scope, value in self.tokens.items()}
        headers = {} if token is None else {"authorization": f"Bearer {named.get(token, token)}"}
        return self.client.request(method, path, headers=headers, **given)

    def decision(self, **given: Any) -> Any:
        """Ask for the decision."""
        return self.ask("GET", f"/v1/rollovers/{ROLLOVER}/decision", **given)


__all__ = ["NEW", "NOW", "OLD", "POLICY", "ROLLOVER", "T0", "Api", "registry"]
