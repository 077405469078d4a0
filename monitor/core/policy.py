"""A rollover's policy: the numbers that the gate goes by, with their defaults (contract: DESIGN section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, format_duration, parse_duration


class PolicyError(ValueError):
    """A policy that cannot be read: names the field and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How patient and how strict the gate is.

    Fields ending in `_ms` are durations; files write them without that ending, as `8d`, `26h`, `15m`.
    """

    quiet_window_ms: int = 8 * DAY_MS
    lookback_ms: int = 100 * DAY_MS
    gone_after_ms: int = 28 * DAY_MS
    gap_factor: float = 1.5
    min_sightings: int = 3
    allow_short_lookback: bool = False
    longest_cadence_ms: int = 100 * DAY_MS
    min_overlap_ms: int = 24 * HOUR_MS
    settle_ms: int = 26 * HOUR_MS
    max_residual: int = 0
    max_silence_ms: int = 15 * MINUTE_MS
    max_ingest_age_ms: int = 60 * SECOND_MS
    max_clock_skew_ms: int = 5 * MINUTE_MS
    decision_ttl_ms: int = 10 * MINUTE_MS
    false_episodes_per_1000_key_days: float = 5.0
    brownout_steps_ms: tuple[int, ...] = field(default=(5 * MINUTE_MS, HOUR_MS, 12 * HOUR_MS))
    watch_after_retire_ms: int = 2 * HOUR_MS

    def overridden(self, given: Mapping[str, object]) -> Policy:
        """Return this policy with the given fields (names and forms as in files) in place of its own.

        Raises `PolicyError` for an unknown name or a value of the wrong form.
        """
        return replace(self, **dict(_read(name, raw) for name, raw in given.items()))  # type: ignore[arg-type]

    def as_written(self) -> dict[str, object]:
        """Return the policy as a file would write it: durations as text."""
        written: dict[str, object] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, tuple):
                written[each.name.removesuffix("_ms")] = [format_duration(item) for item in value]
            elif each.name.endswith("_ms"):
                written[each.name.removesuffix("_ms")] = format_duration(value)
            else:
                written[each.name] = value
        return written


_ATTRIBUTE_OF = {each.name.removesuffix("_ms"): each.name for each in fields(Policy)}


def _read(name: str, raw: object) -> tuple[str, object]:
    attribute = _ATTRIBUTE_OF.get(name)
    if attribute is None:
        raise PolicyError(f"unknown policy field {name!r}; known are {', '.join(sorted(_ATTRIBUTE_OF))}")
    try:
        return attribute, _value(attribute, raw)
    except (ValueError, TypeError) as error:
        raise PolicyError(f"policy field {name!r}: {error}") from error


def _value(attribute: str, raw: object) -> object:
    default = getattr(Policy(), attribute)
    if isinstance(default, tuple):
        if not isinstance(raw, list | tuple):
            raise TypeError("expected a list of durations, as in [5m, 1h]")
        return tuple(parse_duration(str(item)) for item in raw)
    if attribute.endswith("_ms"):
        if not isinstance(raw, str):
            raise TypeError(f"expected a duration such as 8d or 15m, got {raw!r}")
        return parse_duration(raw)
    if isinstance(default, bool):
        if not isinstance(raw, bool):
            raise TypeError(f"expected true or false, got {raw!r}")
        return raw
    return _number(raw, whole=isinstance(default, int))


def _number(raw: object, *, whole: bool) -> int | float:
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise TypeError(f"expected a number, got {raw!r}")
    if not 0 <= raw < float("inf"):
        raise ValueError(f"expected a finite number that is not negative, got {raw!r}")
    if whole and raw != int(raw):
        raise ValueError(f"expected a whole number, got {raw!r}")
    return int(raw) if whole else float(raw)
