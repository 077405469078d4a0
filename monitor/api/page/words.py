"""Times and sentences as people read them."""

from __future__ import annotations

import re

from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, from_ms, parse_rfc3339
from monitor.core.untrusted import harmless

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\d(?:\.\d+)?Z")
_STEPS = (("d", DAY_MS), ("h", HOUR_MS), ("min", MINUTE_MS), ("s", SECOND_MS))


def said(text: str | None, limit: int = 300) -> str:
    """Return one of our sentences, harmless, its times and verdicts as people read them.

    >>> said("last use 2026-11-28T03:17:31.025Z, 4 sightings")
    'last use 2026-11-28 03:17, 4 sightings'
    """
    return _TIME.sub(r"\1 \2", harmless(text, limit=limit)).replace("NO_GO", "NO-GO")


def moment(at: int | str) -> str:
    """Return a time as people read it, in UTC; takes epoch ms or RFC 3339."""
    return f"{from_ms(_ms(at)):%Y-%m-%d %H:%M} UTC"


def until(at: int | str, now_ms: int) -> str:
    """Return how far a time is from now.

    >>> until(7_200_000, 0), until(0, 90_000)
    ('in 2 h', '1 min ago')
    """
    distance = _ms(at) - now_ms
    for unit, size in _STEPS:
        count = abs(distance) // size
        if count:
            return f"in {count} {unit}" if distance > 0 else f"{count} {unit} ago"
    return "now"


def _ms(at: int | str) -> int:
    return at if isinstance(at, int) else parse_rfc3339(at)
