"""The canonical event, read exactly, one element at a time (contract: DESIGN section 3), and what a field may hold.

The direct way of `monitor.core.aggregation` must give the same answer for each record that it takes; a property test
compares the two.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

from monitor.core.events import AuthEvent, Outcome, Reason, RejectReason
from monitor.core.mapping.paths import is_absent
from monitor.core.mapping.times import in_range, number_ms, rfc3339_ms

MAX_TEXT = 256
MAX_COUNT = 10**12
MIN_STATUS, MAX_STATUS = 100, 599
_DIGEST = 16
_UNAUTHORIZED, _FORBIDDEN, _TOO_MANY, _SERVER_ERROR = 401, 403, 429, 500
_REASONS: dict[str, Reason] = {each.value: each for each in Reason}


class Refused(Exception):  # noqa: N818 - never leaves the mapping: a short way out of nested reads
    """An element cannot be an event, for this reason."""

    def __init__(self, reason: RejectReason) -> None:
        """Keep why."""
        super().__init__(reason.value)
        self.reason = reason


# --- outcome and reason --------------------------------------------------------------------------------------------


def reason_of(outcome: Outcome, status: int | None) -> Reason:
    """Return the reason of an outcome that came without one."""
    if status == _FORBIDDEN:
        return Reason.FORBIDDEN
    if status == _TOO_MANY:
        return Reason.RATE_LIMITED
    if status is not None and status >= _SERVER_ERROR:
        return Reason.GATEWAY_ERROR
    return Reason.OK if outcome is Outcome.SUCCESS else Reason.OTHER


def judged_by_status(status: int, *, has_credential: bool) -> tuple[Outcome, Reason]:
    """Return outcome and reason where only an HTTP status says something: an upstream's 500 is a success."""
    if status == _UNAUTHORIZED:
        return Outcome.FAILURE, Reason.UNKNOWN_CREDENTIAL if has_credential else Reason.MISSING_CREDENTIAL
    if status == _FORBIDDEN:
        return Outcome.FAILURE, Reason.FORBIDDEN
    return Outcome.SUCCESS, Reason.RATE_LIMITED if status == _TOO_MANY else Reason.OK


# --- fields --------------------------------------------------------------------------------------------------------


def bad_text(text: str) -> bool:
    """Return whether a text cannot be stored: NUL, or half of a surrogate pair."""
    if "\0" in text:
        return True
    return not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text)


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """Return a text within the limit; a longer one keeps its beginning and a digest, so that two never become one."""
    if len(text) <= limit:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{text[: limit - _DIGEST - 1]}~{digest}"


def text_of(raw: object) -> str | None:
    """Return a field's text, ends trimmed; `None` where it is absent."""
    if raw is None:
        return None
    if not isinstance(raw, str):
        raise Refused(RejectReason.WRONG_TYPE)
    text = raw.strip()
    if text in ("", "-"):
        return None
    if bad_text(text):
        raise Refused(RejectReason.BAD_TEXT)
    return cut(text)


def clean_route(raw: str | None) -> str | None:
    """Return the path of a route, a URL or a request line, without its query."""
    if raw is None:
        return None
    text = raw.strip()
    if text.count(" ") == 2:  # noqa: PLR2004 - `GET /orders HTTP/1.1`
        text = text.split(" ")[1]
    path = text.partition("?")[0]
    if "://" in path[:12]:
        path = "/" + path.split("://", 1)[1].partition("/")[2]
    return cut(path) or None


def status_of(raw: object) -> int | None:
    """Return an HTTP status from a number or its text; gateways write 0 where nothing was answered."""
    if is_absent(raw):
        return None
    if isinstance(raw, str):
        text = raw.strip()
        if not (text.isascii() and text.isdigit()):
            raise Refused(RejectReason.WRONG_TYPE)
        raw = int(text[:10])
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise Refused(RejectReason.WRONG_TYPE)
    if raw == 0:
        return None
    if not MIN_STATUS <= raw <= MAX_STATUS:
        raise Refused(RejectReason.BAD_VALUE)
    return raw


def count_of(raw: object) -> int:
    """Return the weight of a pre-aggregated record."""
    if is_absent(raw):
        return 1
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise Refused(RejectReason.WRONG_TYPE)
    if not 1 <= raw <= MAX_COUNT:
        raise Refused(RejectReason.BAD_VALUE)
    return raw


def sample_rate_of(raw: object) -> float:
    """Return the sampling rate, 0 < r <= 1."""
    if is_absent(raw):
        return 1.0
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise Refused(RejectReason.WRONG_TYPE)
    if not (math.isfinite(raw) and 0 < raw <= 1):
        raise Refused(RejectReason.BAD_VALUE)
    return float(raw)


def placed(ts_ms: int | None, arrival_ms: int | None, max_clock_skew_ms: int) -> tuple[int, bool]:
    """Return the time at which an event counts, and whether it is suspect: ahead of its arrival by more than the skew.

    Raises `Refused` for a time that cannot be true.
    """
    if ts_ms is None or not in_range(ts_ms, arrival_ms):
        raise Refused(RejectReason.BAD_TIME)
    if arrival_ms is not None and ts_ms > arrival_ms + max_clock_skew_ms:
        return arrival_ms, True
    return ts_ms, False


def _time(raw: object) -> int | None:
    if is_absent(raw):
        raise Refused(RejectReason.MISSING_FIELD)
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise Refused(RejectReason.WRONG_TYPE)
    return rfc3339_ms(raw.strip()) if isinstance(raw, str) else number_ms(raw)


def _outcome(raw: object) -> Outcome | None:
    text = text_of(raw)
    if text is None:
        return None
    try:
        return Outcome(text)
    except ValueError:
        raise Refused(RejectReason.BAD_VALUE) from None


def event_of(
    fields: Mapping[str, Any],
    arrival_ms: int | None,
    *,
    gateway: str | None,
    region: str | None,
    max_clock_skew_ms: int,
) -> AuthEvent:
    """Return the event of one canonical object; raises `Refused`.

    `gateway` and `region` are what the topic says where the record does not. Unknown fields are ignored.
    """
    ts_ms, suspect = placed(_time(fields.get("ts")), arrival_ms, max_clock_skew_ms)
    outcome = _outcome(fields.get("outcome"))
    reason = _REASONS.get(text_of(fields.get("reason")) or "")
    status = status_of(fields.get("status"))
    credential = text_of(fields.get("credential"))
    if outcome is None:
        if status is None:
            raise Refused(RejectReason.MISSING_FIELD)
        outcome, by_status = judged_by_status(status, has_credential=credential is not None)
        reason = reason or by_status
    named_gateway = text_of(fields.get("gateway")) or gateway
    if named_gateway is None:
        raise Refused(RejectReason.MISSING_FIELD)
    return AuthEvent(
        ts_ms=ts_ms,
        outcome=outcome,
        reason=reason or reason_of(outcome, status),
        gateway=named_gateway,
        credential=credential,
        client=text_of(fields.get("client")),
        source=text_of(fields.get("source")),
        region=text_of(fields.get("region")) or region,
        route=clean_route(text_of(fields.get("route"))),
        method=text_of(fields.get("method")),
        status=status,
        event_id=text_of(fields.get("id")),
        count=count_of(fields.get("count")),
        sample_rate=sample_rate_of(fields.get("sample_rate")),
        ts_suspect=suspect,
    )
