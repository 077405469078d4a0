"""Samples of rejected elements: what one may keep of a record without keeping what it says.

Kept are the structure, field names that look like words, booleans and nulls, the numbers of a few well-known fields,
and a closed set of words (outcomes, reasons, methods). Everything else is told by its type and length alone.
"""

from __future__ import annotations

import json
import re
from typing import Any

from monitor.core.events import Outcome, Reason, RejectReason

MAX_SAMPLE = 400
_MAX_FIELDS = 40
_MAX_ITEMS = 3
_MAX_DEPTH = 5
_MAX_NUMBER = 10**15

_FIELD = re.compile(r"[A-Za-z@_][A-Za-z@_.:-]{0,31}")
_NUMBERS = frozenset(
    {"ts", "status", "count", "sample_rate", "time", "timestamp", "@timestamp", "started_at", "start_time", "msec"}
    | {"requestTimeEpoch", "response_code", "upstream_status", "DownstreamStatus", "OriginStatus", "class_uid"}
    | {"status_id", "duration", "latency"}
)
_WORDS = frozenset(
    {each.value for each in Outcome}
    | {each.value for each in Reason}
    | {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "kong", "upstream", "via_upstream", "-", ""}
)
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:?\d{2})?")


def sample_of(element: object) -> str:
    """Return a redacted sample of an element that was JSON, at most 400 characters."""
    text = json.dumps(_shape(element, None, 0), separators=(",", ":"))
    return text if len(text) <= MAX_SAMPLE else text[: MAX_SAMPLE - 1] + "\u2026"


def sample_of_bytes(value: bytes | None, reason: RejectReason) -> str:
    """Return what may be said of a record that was not JSON (or too long to look at)."""
    if value is None:
        return "<null value>"
    return f"<{len(value)} bytes: {reason.value}>"


def _shape(node: object, name: str | None, depth: int) -> Any:  # noqa: ANN401, PLR0911 - JSON in, JSON out; a case each
    if node is None or isinstance(node, bool):
        return node
    if isinstance(node, (int, float)):
        return node if name in _NUMBERS and abs(node) < _MAX_NUMBER else "<number>"
    if isinstance(node, str):
        if node in _WORDS or (name in _NUMBERS and _MOMENT.fullmatch(node)):
            return node
        return f"<text {len(node)}>"
    if isinstance(node, dict):
        if depth >= _MAX_DEPTH:
            return f"<object of {len(node)}>"
        return {
            _name(key, at): _shape(value, key, depth + 1)
            for at, (key, value) in enumerate(list(node.items())[:_MAX_FIELDS])
        }
    if isinstance(node, list):
        if depth >= _MAX_DEPTH:
            return f"<array of {len(node)}>"
        return [_shape(each, name, depth + 1) for each in node[:_MAX_ITEMS]]
    return f"<{type(node).__name__}>"


def _name(key: str, at: int) -> str:
    """Return a field's name if it looks like one: a secret may stand where a name should."""
    return key if _FIELD.fullmatch(key) else f"<field {at}>"
