"""The canonical event, read exactly, one element at a time (contract: DESIGN section 3).

The fast path of `monitor.core.aggregation` must give the same answer for every record that it takes; a property test
compares the two.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

from monitor.core.events import AuthEvent, Outcome, RejectReason
from monitor.core.mapping.outcome import completed, reason_named
from monitor.core.mapping.strict_json import is_clean_text
from monitor.core.mapping.times import BadTime, in_range, number_ms, rfc3339_ms

MAX_TEXT = 256
MAX_COUNT = 10**12
_ABSENT = frozenset({"", "-"})
_MIN_STATUS, _MAX_STATUS = 100, 599


class Refused(Exception):  # noqa: N818 - control flow inside the mapping; it never leaves it
    """An element cannot be an event, for this reason."""

    def __init__(self, reason: RejectReason) -> None:
        """Carry the reason."""
        super().__init__(reason.value)
        self.reason = reason


def text_of(raw: object) -> str | None:
    """Return a field's text, stripped; `None` where it is absent (`null`, `""`, `-`)."""
    if raw is None:
        return None
    if not isinstance(raw, str):
        raise Refused(RejectReason.WRONG_TYPE)
    return bounded(raw)


def bounded(raw: str) -> str | None:
    """Return text that a database can hold: stripped, at most `MAX_TEXT` characters, `None` where it says nothing.

    What is longer keeps its beginning and a digest of the whole, so that two long names never become one.
    """
    text = raw.strip()
    if text in _ABSENT:
        return None
    if not text.isascii() or "\x00" in text:
        if not is_clean_text(text):
            raise Refused(RejectReason.BAD_TEXT)
    if len(text) > MAX_TEXT:
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return f"{text[: MAX_TEXT - 17]}~{digest}"
    return text


def route_of(raw: str | None) -> str | None:
    """Return a path without its query string or fragment; of a whole URL, the path."""
    if raw is None:
        return None
    path = raw.partition("?")[0].partition("#")[0]
    if "://" in path[:12]:
        path = "/" + path.split("://", 1)[1].partition("/")[2]
    return path or None


def status_of(raw: object) -> int | None:
    """Return an HTTP status from a number or its text."""
    if raw is None:
        return None
    if isinstance(raw, str):
        text = raw.strip()
        if text in _ABSENT:
            return None
        if not (text.isascii() and text.isdigit()):
            raise Refused(RejectReason.WRONG_TYPE)
        raw = int(text[:10])
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise Refused(RejectReason.WRONG_TYPE)
    if raw == 0:  # Envoy and AWS write 0 where nothing was answered
        return None
    if not _MIN_STATUS <= raw <= _MAX_STATUS:
        raise Refused(RejectReason.BAD_VALUE)
    return raw


def count_of(raw: object) -> int:
    """Return the weight of a pre-aggregated record."""
    if raw is None:
        return 1
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise Refused(RejectReason.WRONG_TYPE)
    if not 1 <= raw <= MAX_COUNT:
        raise Refused(RejectReason.BAD_VALUE)
    return raw


def sample_rate_of(raw: object) -> float:
    """Return the sampling rate, 0 < r <= 1."""
    if raw is None:
        return 1.0
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise Refused(RejectReason.WRONG_TYPE)
    if not (math.isfinite(raw) and 0 < raw <= 1):
        raise Refused(RejectReason.BAD_VALUE)
    return float(raw)


def event_time(raw: object, arrival_ms: int | None) -> int:
    """Return the canonical `ts` as epoch ms: RFC 3339 with an offset, or a number in milliseconds."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise Refused(RejectReason.WRONG_TYPE)
    try:
        epoch_ms = rfc3339_ms(raw.strip()) if isinstance(raw, str) else number_ms(raw, 1)
    except BadTime as error:
        raise Refused(RejectReason.BAD_TIME) from error
    return checked_time(epoch_ms, arrival_ms)


def checked_time(epoch_ms: int, arrival_ms: int | None) -> int:
    """Return the time if it can be believed."""
    if not in_range(epoch_ms, arrival_ms):
        raise Refused(RejectReason.BAD_TIME)
    return epoch_ms


def read_canonical(
    fields: Mapping[str, Any], *, arrival_ms: int | None, gateway: str | None, region: str | None, skew_ms: int
) -> AuthEvent:
    """Return the event of one canonical object; raises `Refused`.

    gateway, region: what the topic says where the record does not. skew_ms: times further ahead of the arrival are
    marked `ts_suspect` and counted at the arrival.
    """
    raw_ts = fields.get("ts")
    if raw_ts is None or (isinstance(raw_ts, str) and raw_ts.strip() in _ABSENT):
        raise Refused(RejectReason.MISSING_FIELD)
    ts_ms = event_time(raw_ts, arrival_ms)
    status = status_of(fields.get("status"))
    credential = text_of(fields.get("credential"))
    outcome_and_reason = completed(
        _outcome_of(fields.get("outcome")),
        reason_named(text_of(fields.get("reason"))),
        status=status,
        has_credential=credential is not None,
    )
    named_gateway = text_of(fields.get("gateway")) or gateway
    if outcome_and_reason is None or named_gateway is None:
        raise Refused(RejectReason.MISSING_FIELD)
    suspect = arrival_ms is not None and ts_ms > arrival_ms + skew_ms
    return AuthEvent(
        ts_ms=arrival_ms if suspect and arrival_ms is not None else ts_ms,
        outcome=outcome_and_reason[0],
        reason=outcome_and_reason[1],
        gateway=named_gateway,
        credential=credential,
        client=text_of(fields.get("client")),
        source=text_of(fields.get("source")),
        region=text_of(fields.get("region")) or region,
        route=route_of(text_of(fields.get("route"))),
        method=text_of(fields.get("method")),
        status=status,
        event_id=text_of(fields.get("id")),
        count=count_of(fields.get("count")),
        sample_rate=sample_rate_of(fields.get("sample_rate")),
        ts_suspect=suspect,
    )


def _outcome_of(raw: object) -> Outcome | None:
    text = text_of(raw)
    if text is None:
        return None
    try:
        return Outcome(text)
    except ValueError as error:
        raise Refused(RejectReason.BAD_VALUE) from error
