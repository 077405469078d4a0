"""Alerts and outbox messages with plain defaults, for tests of what people are told."""

from __future__ import annotations

from typing import Any

from monitor.core.alerts import Alert, AlertKind, AlertSeverity
from monitor.notify import bodies
from monitor.ports import Message, Store
from tests.contract.store.factories import T0

CHANNEL = "#rollovers"


def alert(kind: AlertKind = AlertKind.FAILED_ROLLOVER, **given: Any) -> Alert:
    """Return an alert of rollover `billing-2026-05`."""
    plain: dict[str, Any] = {
        "at_ms": T0,
        "kind": kind,
        "episode": f"{kind.value}:billing-2026-05",
        "severity": AlertSeverity.WARNING,
        "text": "v2 of billing-api is refused at edge-1",
        "rollover": "billing-2026-05",
        "key": "billing-api",
        "version": 2,
    }
    return Alert(**{**plain, **given})


def queued(name: str, *, rollover: str = "billing-2026-05", sender: str = "slack", **given: Any) -> Message:
    """Return an outbox message of one alert, for `#rollovers` unless told otherwise."""
    told = alert(episode=name, rollover=rollover, **given)
    return Message(
        dedup_key=f"{sender}:{name}",
        channel=sender,
        order_key=rollover,
        reason="first",
        body=bodies.alert(channel=CHANNEL, told=told, why="first", thread_of=None),
        created_at_ms=T0,
    )


def enqueue(store: Store, *messages: Message) -> None:
    """Put them into the outbox."""
    with store.snapshot(write=True) as snapshot:
        for each in messages:
            snapshot.enqueue(each)
