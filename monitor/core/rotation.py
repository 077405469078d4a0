"""Rotation schedules: which key is due for a new version, from the age and expiry of its newest one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from monitor.core.instants import DAY_MS
from monitor.core.registry import Key, KeyVersion, Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationRule:
    """How old a version may get, and how long before that (or before it expires) a rollover should begin."""

    max_age_ms: int = 90 * DAY_MS
    lead_ms: int = 30 * DAY_MS


class RotationState(StrEnum):
    """Where a key stands. `UNDATED`: its newest version has neither a creation nor an expiry date."""

    FRESH = "fresh"
    DUE = "due"
    OVERDUE = "overdue"
    ROLLING = "rolling"
    UNDATED = "undated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """A key's schedule. due_ms: begin by then; overdue_ms: it must be over by then."""

    key: str
    version: int
    state: RotationState
    age_ms: int | None
    due_ms: int | None
    overdue_ms: int | None
    rollover: str | None = None


def rotations(registry: Registry, rule: RotationRule, *, now_ms: int) -> tuple[Rotation, ...]:
    """Return the schedule of every key with a version, the most urgent first."""
    found = [_rotation(key, registry, rule, now_ms) for key in registry.keys if key.versions]
    order = [
        RotationState.OVERDUE,
        RotationState.DUE,
        RotationState.ROLLING,
        RotationState.UNDATED,
        RotationState.FRESH,
    ]
    return tuple(sorted(found, key=lambda each: (order.index(each.state), each.due_ms or 0, each.key)))


def _rotation(key: Key, registry: Registry, rule: RotationRule, now_ms: int) -> Rotation:
    version = _newest(key, now_ms)
    limits = [] if version.created_at_ms is None else [version.created_at_ms + rule.max_age_ms]
    limits += [] if version.expires_at_ms is None else [version.expires_at_ms]
    overdue = min(limits, default=None)
    due = None if overdue is None else overdue - rule.lead_ms
    rolling = next((each.id for each in registry.rollovers if each.key == key.key and each.retired_at_ms is None), None)
    return Rotation(
        key=key.key,
        version=version.version,
        state=_state(due, overdue, rolling, now_ms),
        age_ms=None if version.created_at_ms is None else now_ms - version.created_at_ms,
        due_ms=due,
        overdue_ms=overdue,
        rollover=rolling,
    )


def _newest(key: Key, now_ms: int) -> KeyVersion:
    """Return the newest version that exists already; of a key whose versions all lie ahead, the first."""
    made = [each for each in key.versions if each.created_at_ms is None or each.created_at_ms <= now_ms]
    return max(made, key=lambda each: each.version) if made else min(key.versions, key=lambda each: each.version)


def _state(due: int | None, overdue: int | None, rolling: str | None, now_ms: int) -> RotationState:
    if overdue is not None and now_ms >= overdue:
        return RotationState.OVERDUE
    if rolling is not None:
        return RotationState.ROLLING
    if due is None:
        return RotationState.UNDATED
    return RotationState.DUE if now_ms >= due else RotationState.FRESH
