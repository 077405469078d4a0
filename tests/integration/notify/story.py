"""A rollover from start to end in a few seconds: real gate, real rules, real slack-sdk, a clock that is turned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from monitor.adapters.memory_store import MemoryStore
from monitor.adapters.metrics import Metrics
from monitor.adapters.slack.courier import SlackCourier
from monitor.adapters.slack.render import Renderer
from monitor.control.judge import Judge
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS
from monitor.core.policy import Policy
from monitor.core.registry import Owner
from monitor.ingest import Clock
from monitor.notify.desk import AlertDesk
from monitor.notify.notifier import Notifier
from monitor.notify.sender import Sender
from monitor.notify.settings import NotifySettings
from monitor.ports import Probe
from monitor.watch.detection import Detected
from monitor.watch.loop import Watch
from tests.contract.store.factories import NEW, OLD, P0, T0, Feed, event, key, registered, rollover
from tests.slack_server import Posted, SlackServer

ROLLOVER = "billing-2026-05"
STRAGGLER = ("globex", "batch")
OWNER = Owner(
    team="payments",
    slack="#payments",
    timezone="Europe/Berlin",
    working_hours="09:00-17:00",
    escalation="@head-of-payments",
)
SETTINGS = NotifySettings(slack=True, slack_channel="#rollovers", security_channel="#security")
_LEAD_IN_DAYS = 12


class Scripted:
    """A detector that finds what it is told to."""

    def __init__(self) -> None:  # noqa: D107 - the class says it
        self.next = Detected()

    def look(self, _registry: Any, _now_ms: int) -> Detected:
        found, self.next = self.next, Detected()
        return found


class Story:
    """`acme` works every ten minutes and moves with the start; `globex` every six hours, and moves when it is told to.

    The rollover begins at T0; `run_to` turns the clock, an hour a step, and lets everybody do their work.
    """

    def __init__(
        self,
        slack: SlackServer,
        *,
        deadline_ms: int | None = None,
        settings: NotifySettings = SETTINGS,
        owner: Owner = OWNER,
        interactive: bool = False,
    ) -> None:
        """Begin twelve days before the start."""
        self.slack = slack
        self.now_ms = T0 - _LEAD_IN_DAYS * DAY_MS
        self.globex = OLD
        self.others: list[tuple[int, dict[str, Any]]] = []
        self.store = MemoryStore()
        registered(
            self.store,
            keys=(replace(key(), owner=owner),),
            rollovers=(rollover(started_at_ms=T0, deadline_ms=deadline_ms),),
        )
        self.feed = Feed(self.store)
        self.judge = Judge(
            policy=Policy(lookback_ms=10 * DAY_MS, quiet_window_ms=2 * DAY_MS), stale_after_ms=3 * HOUR_MS
        )
        clock = Clock(now_ms=lambda: self.now_ms)
        self.notifier = Notifier(settings)
        self.detector = Scripted()
        self.watch = Watch(
            store=self.store,
            judge=self.judge,
            detection=self.detector,
            notifier=self.notifier,
            metrics=Metrics(),
            clock=clock,
        )
        self.desk = AlertDesk(store=self.store, notifier=self.notifier, now_ms=clock.now_ms)
        self.sender = Sender(
            store=self.store,
            couriers={
                "slack": SlackCourier(
                    token="xoxb-1",
                    renderer=Renderer(interactive=interactive),
                    base_url=slack.base_url,
                    fallback_channel=settings.slack_channel,
                )
            },
            now_ms=clock.now_ms,
        )
        self._traffic(T0 - DAY_MS)
        self.run_to(T0 - HOUR_MS)

    def run_to(self, at_ms: int) -> None:
        """Turn the clock."""
        while self.now_ms < at_ms:
            self._traffic(self.now_ms + HOUR_MS)
            self.look()

    def look(self) -> None:
        """Probe Kafka, look, and send what is due."""
        self.store.probed([Probe(partition=P0, end_offset=self.feed.next, probed_at_ms=self.now_ms)], {P0.topic: 1})
        assert self.watch.look(), self.watch.fault
        while self.sender.tick():
            self.sender.settle()

    def _traffic(self, until_ms: int) -> None:
        events = []
        for at_ms in range(self.now_ms, until_ms, 10 * MINUTE_MS):
            events.append(event(at_ms, credential=NEW if at_ms >= T0 + HOUR_MS else OLD))
            if at_ms % (6 * HOUR_MS) == 0:
                events.append(event(at_ms + 1, credential=self.globex, client=STRAGGLER[0], source=STRAGGLER[1]))
        events += [event(at_ms, **given) for at_ms, given in self.others if self.now_ms <= at_ms < until_ms]
        self.feed.flush(events, fine=frozenset({OLD, NEW}))
        self.now_ms = until_ms

    def reminders(self, channel: str) -> list[Posted]:
        """Return the reminders in a channel, in order."""
        return [
            each for each in self.slack.posted if each.channel == channel and (each.dedup_key or "").startswith("rem")
        ]

    def acknowledge(self, *, by: str = "ada") -> str:
        """Acknowledge every straggler's episode that was told."""
        with self.store.snapshot() as snapshot:
            rows = snapshot.audit_entries(kind="alert", limit=1_000)
        told = {str(each.body["alert"]["episode"]) for each in rows if each.body["alert"]["kind"] == "straggler"}  # type: ignore[index,call-overload] # an object
        return self.desk.acknowledge(sorted(told), by=by)

    def reasons(self, kind: str) -> list[str]:
        """Return why alerts of a kind were told or not, oldest first."""
        with self.store.snapshot() as snapshot:
            rows = snapshot.audit_entries(kind="alert", limit=1_000)
        return [str(each.body["reason"]) for each in reversed(rows) if each.body["alert"]["kind"] == kind]  # type: ignore[index,call-overload] # as above
