"""Where an event is counted: everything about it but its time, put right once for each distinct look of a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from monitor.core.events import NOT_SERVED, VERSION_REASONS, AuthEvent, Outcome, Rejected
from monitor.core.instants import DAY_MS
from monitor.core.mapping.times import EARLIEST_MS
from monitor.core.windows import CallerKey

_SURE_LENGTH = 200
_MOST_REMEMBERED = 4_096
_SAMPLE_TIME_MS = EARLIEST_MS + DAY_MS
_encode = msgspec.json.Encoder().encode


class ValueMapping(Protocol):
    """What turns one record into events: `monitor.core.mapping.RecordMapping`."""

    @property
    def is_canonical(self) -> bool:
        """Return whether records are canonical events already."""
        ...

    @property
    def gateway(self) -> str | None:
        """Return the gateway of records that name none."""
        ...

    @property
    def region(self) -> str | None:
        """Return the region of records that name none."""
        ...

    def map_value(self, value: bytes | None, arrival_ms: int | None) -> Sequence[AuthEvent | Rejected]:
        """Return an event or a reject for each element, in order; an arrival of `None` is not judged."""
        ...


class Cell(msgspec.Struct, frozen=True, gc=False):
    """The place of like events. `credential` is `None` where a failure's is absent or unregistered.

    fine: counted by the minute. accepted, served, version_rejected: what the events are to the caller, as in
    `CallerFacts`; `caller` is `None` where there is none to keep. weight: requests that one record stands for.
    """

    credential: str | None
    gateway: str
    region: str | None
    outcome: str
    reason: str
    weight: int
    sampled: bool
    suspect: bool
    fine: bool
    accepted: bool
    served: bool
    version_rejected: bool
    caller: CallerKey | None

    @property
    def detailed(self) -> bool:
        """Return whether routes matter: a failure of a registered credential."""
        return self.caller is not None and not self.accepted


class Places:
    """Knows the cell of an event, given which credentials are registered and which of them are followed closely."""

    def __init__(self, mapping: ValueMapping, registered: frozenset[str], fine: frozenset[str]) -> None:
        """Take the registry's two sets."""
        self._mapping = mapping
        self._registered = registered
        self._fine = fine
        self._verdicts: dict[tuple[object, ...], tuple[str, str] | None] = {}
        self._routes: dict[tuple[str | None, str | None], tuple[str | None, str | None]] = {}

    def of_event(self, event: AuthEvent) -> Cell:
        """Return the cell of a mapped event."""
        return self._cell(
            event.credential,
            event.client,
            event.source,
            event.gateway,
            event.region,
            event.outcome.value,
            event.reason.value,
            event.count,
            sampled=event.sample_rate < 1,
            suspect=event.ts_suspect,
        )

    def of_fields(self, fields: Mapping[str, Any]) -> Cell | None:
        """Return the cell of a canonical record with these fields; `None` where it is no event."""
        credential, client, source = fields.get("credential"), fields.get("client"), fields.get("source")
        gateway, region = fields.get("gateway") or self._mapping.gateway, fields.get("region") or self._mapping.region
        unusual = fields.get("count") is not None or fields.get("sample_rate") is not None
        if unusual or not _sure(credential, client, source, gateway, region):
            event = self._mapped(fields)
            return None if event is None else self.of_event(event)
        verdict = self._verdict(fields.get("outcome"), fields.get("reason"), fields.get("status"), credential)
        if verdict is None or gateway is None:
            return None
        return self._cell(
            credential or None,
            client or None,
            source or None,
            gateway,
            region or None,
            verdict[0],
            verdict[1],
            1,
            sampled=False,
            suspect=False,
        )

    def route_of(self, route: str | None, method: str | None) -> tuple[str | None, str | None]:
        """Return a record's route and method put right."""
        look = (route, method)
        if look not in self._routes:
            if len(self._routes) >= _MOST_REMEMBERED:
                self._routes.clear()
            event = self._mapped({"outcome": "success", "gateway": "any", "route": route, "method": method})
            self._routes[look] = (None, None) if event is None else (event.route, event.method)
        return self._routes[look]

    def _verdict(self, outcome: Any, reason: Any, status: Any, credential: str | None) -> tuple[str, str] | None:  # noqa: ANN401
        look = (outcome, reason, status, not credential)
        if look not in self._verdicts:
            if len(self._verdicts) >= _MOST_REMEMBERED:
                self._verdicts.clear()
            fields = {"outcome": outcome, "reason": reason, "status": status, "gateway": "any"}
            event = self._mapped({**fields, "credential": "any" if credential else None})
            self._verdicts[look] = None if event is None else (event.outcome.value, event.reason.value)
        return self._verdicts[look]

    def _mapped(self, fields: Mapping[str, Any]) -> AuthEvent | None:
        given = {name: value for name, value in fields.items() if value is not None}
        mapped = self._mapping.map_value(_encode({**given, "ts": _SAMPLE_TIME_MS}), None)[0]
        return mapped if isinstance(mapped, AuthEvent) else None

    def _cell(  # noqa: PLR0917 - one argument for each column
        self,
        credential: str | None,
        client: str | None,
        source: str | None,
        gateway: str,
        region: str | None,
        outcome: str,
        reason: str,
        weight: int,
        *,
        sampled: bool,
        suspect: bool,
    ) -> Cell:
        accepted = outcome == _SUCCESS
        registered = credential in self._registered
        if not accepted and not registered:
            credential = None
        return Cell(
            credential=credential,
            gateway=gateway,
            region=region,
            outcome=outcome,
            reason=reason,
            weight=weight,
            sampled=sampled,
            suspect=suspect,
            fine=credential in self._fine,
            accepted=accepted,
            served=accepted and reason not in _NOT_SERVED,
            version_rejected=not accepted and reason in _VERSION_REASONS,
            caller=None if credential is None else CallerKey(credential, client, source, region),
        )


_SUCCESS = Outcome.SUCCESS.value
_NOT_SERVED = frozenset(each.value for each in NOT_SERVED)
_VERSION_REASONS = frozenset(each.value for each in VERSION_REASONS)


def _sure(*texts: str | None) -> bool:
    """Return whether all of these need no putting right. Absent is fine; what merely stands for it is not."""
    joined = "".join(filter(None, texts))
    if len(joined) > _SURE_LENGTH or "-" in texts or not (joined.isascii() and joined.isprintable()):
        return False
    return " " not in joined or all(not text or text.strip() is text for text in texts)
