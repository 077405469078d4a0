"""Where an event is counted, found once for all events that look alike: by whom, at which gateway, with what result.

The three are kept apart, so that their number is a sum and not a product: ten thousand callers at fifty gateways cost
ten thousand and fifty entries.
"""

from __future__ import annotations

from monitor.core.events import NOT_SERVED, VERSION_REASONS, AuthEvent, Outcome
from monitor.core.registry import Registry
from monitor.ports.detection import MinuteUse
from monitor.replay.history import History
from monitor.replay.tallies import CallerTally, DayTally, GatewayTally, SpanTally

WITHOUT_CREDENTIAL = ""
"""Stands for successes without any credential (see `Telemetry.unregistered`)."""
_MOST_PLACES = 300_000
"""Beyond that all are forgotten and looked up anew: random names must not fill the memory."""


class Place:
    """A caller with a credential. `owner` is the key and version of a registered one.

    Without a rollover of its key nobody will ask for its `tally`; that of an unregistered credential waits for a
    first success.
    """

    __slots__ = ("bare", "baselines", "client", "credential", "day", "owner", "region", "source", "tally")

    def __init__(
        self,
        event: AuthEvent,
        *,
        owner: tuple[str, int] | None,
        tally: CallerTally | None,
        day: DayTally | None,
        baselines: tuple[SpanTally, ...],
    ) -> None:
        """Bind the counters."""
        self.bare = event.credential is None
        self.credential = event.credential or WITHOUT_CREDENTIAL
        self.client = event.client
        self.source = event.source
        self.region = event.region
        self.owner = owner
        self.tally = tally
        self.day = day
        self.baselines = baselines


class Kind:
    """A result: outcome and reason, and what they mean. Sampled records say that others were left out."""

    __slots__ = ("accepted", "outcome", "reason", "sampled", "served", "version")

    def __init__(self, event: AuthEvent) -> None:
        """Read it off an event."""
        self.outcome = event.outcome.value
        self.reason = event.reason.value
        self.accepted = event.outcome is Outcome.SUCCESS
        self.served = self.accepted and event.reason not in NOT_SERVED
        self.version = event.reason in VERSION_REASONS
        self.sampled = event.sample_rate < 1.0


class Places:
    """All that were seen lately, by what the events say."""

    def __init__(self, registry: Registry, history: History) -> None:
        """Start empty."""
        self._version_of = registry.version_of
        self._history = history
        self._rolling = frozenset(each.key for each in registry.rollovers)
        self._known: dict[tuple[str | None, ...], Place] = {}
        self._kinds: dict[tuple[object, ...], Kind] = {}

    def place(self, event: AuthEvent) -> Place:
        """Return where the event's caller is counted."""
        name = (event.credential, event.client, event.source, event.region)
        place = self._known.get(name)
        if place is None:
            credential = event.credential or WITHOUT_CREDENTIAL
            owner = self._version_of.get(credential)
            place = Place(
                event,
                owner=owner,
                tally=self.tally(credential, event.client, event.source, event.region)
                if owner is not None and owner[0] in self._rolling
                else None,
                day=self._history.day(credential),
                baselines=tuple(self._history.baselines(credential)),
            )
            if is_kept(event, place):
                if len(self._known) >= _MOST_PLACES:
                    self._known.clear()
                self._known[name] = place
        return place

    def tally(self, credential: str, client: str | None, source: str | None, region: str | None) -> CallerTally:
        """Return the counter of a caller."""
        return self._history.caller(credential, client, source, region)

    def gateway(self, event: AuthEvent) -> GatewayTally:
        """Return the counter of the event's gateway."""
        return self._history.gateway(event.gateway, event.region, event.ts_ms)

    def kind(self, event: AuthEvent) -> Kind:
        """Return the event's result."""
        name = (event.outcome, event.reason, event.sample_rate < 1.0)
        kind = self._kinds.get(name)
        if kind is None:
            kind = self._kinds[name] = Kind(event)
        return kind


def is_kept(event: AuthEvent, place: Place) -> bool:
    """Return whether it is worth remembering: ten million guessed keys are not."""
    return place.owner is not None or place.bare or event.outcome is Outcome.SUCCESS


def minute_use(  # noqa: PLR0917 - the parts of one key
    minute_ms: int, place: Place, gateway: GatewayTally, kind: Kind, route: str | None, requests: int
) -> MinuteUse | None:
    """Return what the detector hears; `None` for credentials that nobody registered."""
    if place.owner is None:
        return None
    return MinuteUse(
        minute_ms=minute_ms,
        key=place.owner[0],
        version=place.owner[1],
        client=place.client,
        source=place.source,
        gateway=gateway.gateway,
        region=gateway.region,
        route=route,
        outcome=kind.outcome,
        reason=kind.reason,
        requests=requests,
    )
