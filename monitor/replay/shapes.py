"""Where an event is counted: looked up once for all events that look alike but for their time and weight."""

from __future__ import annotations

from monitor.core.events import NOT_SERVED, VERSION_REASONS, AuthEvent, Outcome
from monitor.core.registry import Registry
from monitor.ports.detection import MinuteUse
from monitor.replay.history import History
from monitor.replay.tallies import CallerTally, DayTally, GatewayTally, SpanTally

WITHOUT_CREDENTIAL = ""
"""Stands for successes without any credential (see `Telemetry.unregistered`)."""
_MOST_SHAPES = 200_000
"""Beyond that all are forgotten and looked up anew: random client names must not fill the memory."""


class Shape:
    """The counters of events that are alike; `owner` is the key and version of a registered credential."""

    __slots__ = ("accepted", "baselines", "caller", "day", "event", "gateway", "owner", "sampled", "served", "version")

    def __init__(
        self,
        event: AuthEvent,
        *,
        gateway: GatewayTally,
        caller: CallerTally | None,
        owner: tuple[str, int] | None,
        day: DayTally | None,
        baselines: tuple[SpanTally, ...],
    ) -> None:
        """Bind the counters."""
        self.event = event
        self.gateway = gateway
        self.caller = caller
        self.owner = owner
        self.day = day
        self.baselines = baselines
        self.accepted = event.outcome is Outcome.SUCCESS
        self.served = self.accepted and event.reason not in NOT_SERVED
        self.version = event.reason in VERSION_REASONS
        self.sampled = event.sample_rate < 1.0

    def minute_use(self, minute_ms: int, requests: int) -> MinuteUse | None:
        """Return what the detector hears of it; `None` for credentials that nobody registered."""
        if self.owner is None:
            return None
        event = self.event
        return MinuteUse(
            minute_ms=minute_ms,
            key=self.owner[0],
            version=self.owner[1],
            client=event.client,
            source=event.source,
            gateway=event.gateway,
            region=event.region,
            route=event.route,
            outcome=event.outcome.value,
            reason=event.reason.value,
            requests=requests,
        )


class Shapes:
    """All shapes seen lately."""

    def __init__(self, registry: Registry, history: History, *, routes: bool) -> None:
        """Start empty; `routes` tells events on different routes apart (the detector wants that)."""
        self._version_of = registry.version_of
        self._history = history
        self._routes = routes
        self._known: dict[tuple[object, ...], Shape] = {}

    def find(self, event: AuthEvent) -> Shape:
        """Return where the event is counted."""
        name = (
            event.outcome,
            event.reason,
            event.credential,
            event.client,
            event.source,
            event.gateway,
            event.region,
            event.route if self._routes else None,
            event.sample_rate,
        )
        shape = self._known.get(name)
        if shape is None:
            shape = self._made(event)
            if shape.owner is not None or shape.accepted or event.credential is None:
                if len(self._known) >= _MOST_SHAPES:
                    self._known.clear()
                self._known[name] = shape
        return shape

    def _made(self, event: AuthEvent) -> Shape:
        history, credential = self._history, event.credential or WITHOUT_CREDENTIAL
        owner = self._version_of.get(credential)
        accepted = event.outcome is Outcome.SUCCESS
        if owner is None and accepted:
            history.stray(credential, event.gateway)
        return Shape(
            event,
            gateway=history.gateway(event.gateway, event.region, event.ts_ms),
            caller=history.caller(credential, event.client, event.source, event.region)
            if owner is not None or accepted
            else None,
            owner=owner,
            day=history.day(credential),
            baselines=tuple(history.baselines(credential)),
        )
