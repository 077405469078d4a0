"""Points in time: epoch milliseconds (int) inside the core, RFC 3339 in UTC at its borders."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

SECOND_MS = 1_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_IN_UTC = _EPOCH.replace(tzinfo=None)
_MILLISECOND = timedelta(milliseconds=1)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_UNIT_MS = {"ms": 1, "s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}


def to_ms(moment: datetime) -> int:
    """Return epoch milliseconds of an aware datetime, rounded down; a naive one raises `ValueError`."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone: give an offset, as in 2026-05-01T00:00:00Z")
    return (moment - _EPOCH) // _MILLISECOND


def from_ms(epoch_ms: int) -> datetime:
    """Return the aware UTC datetime of epoch milliseconds."""
    return _EPOCH + timedelta(milliseconds=epoch_ms)


@lru_cache(maxsize=32_768)
def rfc3339(epoch_ms: int) -> str:
    """Return RFC 3339 in UTC: whole seconds without a fraction, otherwise milliseconds. The latest are remembered.

    >>> rfc3339(1_779_999_999_123)
    '2026-05-28T20:26:39.123Z'
    """
    moment = _EPOCH_IN_UTC + timedelta(milliseconds=epoch_ms)
    return f"{moment.isoformat(timespec='milliseconds' if epoch_ms % SECOND_MS else 'seconds')}Z"


def parse_rfc3339(text: str) -> int:
    """Return epoch milliseconds of an RFC 3339 time with an offset; anything else raises `ValueError`."""
    return to_ms(datetime.fromisoformat(text))


def parse_duration(text: str) -> int:
    """Return milliseconds of a duration such as `8d`, `1h30m`, `90s`, `0s`; anything else raises `ValueError`.

    Go's style plus `d` (24 h) and `w` (7 d), which Go lacks and which every rotation policy needs.

    >>> parse_duration("1h30m")
    5400000
    """
    parts = list(_DURATION_PART.finditer(text))
    if not parts or "".join(part.group(0) for part in parts) != text:
        raise ValueError(f"not a duration: {text!r}; write for instance 8d, 26h, 15m, 1h30m or 0s")
    return sum(int(float(part.group(1)) * _UNIT_MS[part.group(2)]) for part in parts)


def format_duration(duration_ms: int) -> str:
    """Return a duration as a person would write it, two units at most.

    >>> format_duration(93_600_000)
    '1d2h'
    """
    if duration_ms < SECOND_MS:
        return f"{duration_ms}ms" if duration_ms else "0s"
    parts: list[str] = []
    rest = duration_ms
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, _UNIT_MS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2])
