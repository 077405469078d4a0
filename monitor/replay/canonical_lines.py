"""The quick way for a canonical line: one decode into a struct, and proof that nothing in the line was overlooked.

Whatever is not plain (an escape, an unknown or repeated field, a wrong type, an unusual time) is left to the full
mapping, so both ways give the same events; a test holds it.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from monitor.core.mapping.times import rfc3339_ms


class CanonicalLine(msgspec.Struct, gc=False):
    """The canonical event's fields, as they may be written."""

    ts: int | str
    outcome: str | UnsetType | None = UNSET
    reason: str | UnsetType | None = UNSET
    credential: str | UnsetType | None = UNSET
    client: str | UnsetType | None = UNSET
    source: str | UnsetType | None = UNSET
    gateway: str | UnsetType | None = UNSET
    region: str | UnsetType | None = UNSET
    route: str | UnsetType | None = UNSET
    method: str | UnsetType | None = UNSET
    status: int | UnsetType | None = UNSET
    id: str | UnsetType | None = UNSET
    count: int | UnsetType = UNSET
    arrived_at: int | str | UnsetType = UNSET


_decode = msgspec.json.Decoder(CanonicalLine).decode
_encode = msgspec.json.Encoder().encode

_SHORT, _LONG = len("2026-05-28T20:26:39Z"), len("2026-05-28T20:26:39.123Z")
_MINUTE = len("2026-05-28T20:26:")
_SECONDS = {f"{second:02d}": second * 1_000 for second in range(60)}
_MILLIS = {f".{milli:03d}": milli for milli in range(1_000)}
_MOST_MINUTES = 20_000
_minutes: dict[str, int] = {}


def read_line(value: bytes) -> CanonicalLine | None:
    """Return the line, or `None` where the full mapping has to look."""
    if b"\\" in value:
        return None
    try:
        line = _decode(value)
    except msgspec.MsgspecError:
        return None
    return line if value.count(b'"') == _encode(line).count(b'"') else None


def quick_ms(time: int | str) -> int | None:
    """Return epoch ms of a time in one of the common forms, or `None` where the full mapping has to look."""
    if type(time) is int:
        return time
    size = len(time)  # type: ignore[arg-type]
    if (size != _LONG and size != _SHORT) or time[-1] != "Z":  # type: ignore[index]  # noqa: PLR1714
        return None
    minute = _minutes.get(time[:_MINUTE])  # type: ignore[index]
    if minute is None:
        minute = _minute_ms(time[:_MINUTE])  # type: ignore[index]
        if minute is None:
            return None
    try:
        ms = minute + _SECONDS[time[_MINUTE:19]]  # type: ignore[index]
        return ms if size == _SHORT else ms + _MILLIS[time[19:23]]  # type: ignore[index]
    except KeyError:
        return None


def _minute_ms(text: str) -> int | None:
    found = rfc3339_ms(f"{text}00Z")
    if found is not None:
        if len(_minutes) >= _MOST_MINUTES:
            _minutes.clear()
        _minutes[text] = found
    return found
