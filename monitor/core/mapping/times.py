"""Event times as gateways write them -> epoch milliseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from math import floor, isfinite
from typing import Annotated

import msgspec

from monitor.core.instants import DAY_MS, to_ms

EARLIEST_MS = 946_684_800_000
"""2000-01-01: an earlier time is a unit mistaken, or a clock that was never set."""
LATEST_MS = 253_402_300_799_999
"""The end of the year 9999: no database or language holds more."""
MAX_AHEAD_MS = DAY_MS
"""A time further ahead of its arrival is no time."""

AwareDatetime = Annotated[datetime, msgspec.Meta(tz=True)]

_COLONLESS_OFFSET = re.compile(r"[+-]\d{2}(?:\d{2})?$")
_CLF = re.compile(r"\[?(\d{1,2})/([A-Za-z]{3})/(\d{4}):(\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})\]?")
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
_SECONDS_BELOW, _MILLIS_BELOW, _MICROS_BELOW = 10**11, 10**14, 10**17


class TimeFormat(StrEnum):
    """How a time is written. `ANY` tells numbers apart by their size, and texts by their look."""

    EPOCH_MS = "epoch_ms"
    EPOCH_S = "epoch_s"
    EPOCH_NS = "epoch_ns"
    RFC3339 = "rfc3339"
    CLF = "clf"
    ANY = "any"


_PER_MS = {TimeFormat.EPOCH_MS: Decimal(1), TimeFormat.EPOCH_S: Decimal(1000), TimeFormat.EPOCH_NS: Decimal(1) / 10**6}


def rfc3339_ms(text: str) -> int | None:
    """Return epoch ms of an RFC 3339 time with an offset, rounded down to the microsecond first; `None` if it is none.

    The same parser as the batch path's, so both read the same instant.
    """
    try:
        return to_ms(msgspec.convert(text, AwareDatetime))
    except (msgspec.ValidationError, OverflowError):
        return None


def number_ms(value: float) -> int | None:
    """Return a canonical numeric time (epoch ms, whole or fractional) rounded down; `None` if it is not finite."""
    return value if isinstance(value, int) else floor(value) if isfinite(value) else None


def time_ms(value: object, form: TimeFormat) -> int | None:
    """Return epoch ms of a time as a gateway wrote it; `None` if it is not one. Numbers may come as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return _scaled(value, form)
    if not isinstance(value, str):
        return None
    text = value.strip()
    if form not in (TimeFormat.RFC3339, TimeFormat.CLF):
        scaled = _scaled(text, form)
        if scaled is not None or form is not TimeFormat.ANY:
            return scaled
    if form is not TimeFormat.CLF and (found := rfc3339_ms(_with_colon(text))) is not None:
        return found
    return None if form is TimeFormat.RFC3339 else _clf_ms(text)


def in_range(ts_ms: int, arrival_ms: int | None) -> bool:
    """Return whether an event time can be true: since 2000, at most 24 h after its arrival (where that is judged)."""
    return EARLIEST_MS <= ts_ms <= (LATEST_MS if arrival_ms is None else arrival_ms + MAX_AHEAD_MS)


def _scaled(value: float | str, form: TimeFormat) -> int | None:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    if not number.is_finite() or number.adjusted() > 30:  # noqa: PLR2004 - beyond any epoch, in any unit
        return None
    factor = _PER_MS.get(form)
    if factor is None:
        if form is not TimeFormat.ANY:
            return None
        size = abs(number)
        factor = (
            Decimal(1000)
            if size < _SECONDS_BELOW
            else Decimal(1)
            if size < _MILLIS_BELOW
            else Decimal("0.001")
            if size < _MICROS_BELOW
            else Decimal("0.000001")
        )
    return floor(number * factor)


def _with_colon(text: str) -> str:
    """Return the time with its offset as RFC 3339 wants it; many loggers write `+0200` or `+02`."""
    match = _COLONLESS_OFFSET.search(text)
    if match is None or ":" not in text:
        return text
    digits = match.group()
    return f"{text[: match.start()]}{digits[:3]}:{digits[3:] or '00'}"


def _clf_ms(text: str) -> int | None:
    match = _CLF.fullmatch(text)
    if match is None:
        return None
    day, month, year, hour, minute, second, sign, off_hours, off_minutes = match.groups()
    offset = timedelta(hours=int(off_hours), minutes=int(off_minutes))
    try:
        zone = timezone(-offset if sign == "-" else offset)
        moment = datetime(int(year), _MONTHS[month.lower()], int(day), int(hour), int(minute), int(second), tzinfo=zone)
        return to_ms(moment.astimezone(UTC))
    except (KeyError, ValueError, OverflowError):
        return None
