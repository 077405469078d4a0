"""Calls somebody where a rollover stays in a state for longer than was foreseen (its deadline has its own rule)."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.core.alerts import Alert, AlertKind, AlertSeverity
from monitor.core.decision import Json
from monitor.core.rollover import overstayed
from monitor.ports import RolloverState


def follow_holds(
    memory: Mapping[str, Json], states: Mapping[str, RolloverState], now_ms: int
) -> tuple[list[Alert], Mapping[str, Json]]:
    """Return one alert for each stay that has become too long, its end when it is left, and what to remember."""
    alerts: list[Alert] = []
    after: dict[str, Json] = {}
    for name, state in sorted(states.items()):
        sentence = overstayed(state.state, since_ms=state.since_ms, deadline_ms=None, now_ms=now_ms)
        if sentence is None:
            continue
        after[name] = state.since_ms
        if memory.get(name) != state.since_ms:
            alerts.append(_alert(name, state.since_ms, now_ms, state, f"{name}: {sentence}"))
    for name, since_ms in memory.items():
        if after.get(name) != since_ms and isinstance(since_ms, int):
            found = states.get(name)
            alerts.append(_alert(name, since_ms, now_ms, found, f"{name} goes on", over=True))
    return alerts, after


def _alert(
    name: str, since_ms: int, now_ms: int, state: RolloverState | None, text: str, *, over: bool = False
) -> Alert:
    it = state.rollover if state is not None else None
    return Alert(
        at_ms=now_ms,
        kind=AlertKind.RESOLVED if over else AlertKind.DEADLINE,
        episode=f"hold:{name}:{since_ms}",
        severity=AlertSeverity.INFO if over else AlertSeverity.WARNING,
        text=text,
        rollover=name,
        key=it.key if it is not None else None,
        version=it.from_version if it is not None else None,
        evidence={} if state is None else {"state": state.state, "since_ms": since_ms},
    )
