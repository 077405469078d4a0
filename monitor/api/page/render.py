"""Templates and the filters they use. Everything is escaped by the engine; text from logs is made harmless besides."""

from __future__ import annotations

import json
import re
import shlex

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from monitor.api.page.charts import bar, strip
from monitor.core.instants import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    SECOND_MS,
    format_duration,
    from_ms,
    parse_rfc3339,
    rfc3339,
)
from monitor.core.untrusted import harmless
from monitor.ports import AuditEntry

_VERDICTS = {"GO": "GO", "NO_GO": "NO-GO", "UNKNOWN": "UNKNOWN"}
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\d(?:\.\d+)?Z")
_STEPS = (("d", DAY_MS), ("h", HOUR_MS), ("min", MINUTE_MS), ("s", SECOND_MS))


def environment() -> Environment:
    """Return the engine; an undefined name in a template is an error, never an empty string."""
    made = Environment(
        loader=PackageLoader("monitor.api.page"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        text=lambda value, limit=120: harmless(None if value is None else str(value), limit=limit),
        said=said,
        iso=rfc3339,
        moment=moment,
        until=until,
        duration=format_duration,
        verdict=lambda value: _VERDICTS[value],
        pretty=lambda value: json.dumps(value, indent=2, ensure_ascii=True, default=str)[:6_000],
        entry=entry,
        sh=lambda value: shlex.quote(str(value)),
    )
    made.globals.update(bar=bar, strip=strip)
    return made


def said(text: str | None, limit: int = 300) -> str:
    """Return one of our sentences, harmless, its times as people read them.

    >>> said("last use 2026-11-28T03:17:31.025Z, 4 sightings")
    'last use 2026-11-28 03:17, 4 sightings'
    """
    return _TIME.sub(r"\1 \2", harmless(text, limit=limit))


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


def entry(row: AuditEntry) -> str:
    """Return a row of the ledger in words."""
    body = row.body
    if row.kind == "decision":
        return f"decision {_VERDICTS.get(str(body.get('decision')), 'UNKNOWN')}"
    who = f" by {harmless(str(body['by']), limit=60)}" if body.get("by") else ""
    why = f": {harmless(str(body['reason']), limit=160)}" if body.get("reason") else ""
    return f"{harmless(row.kind.replace('_', ' '), limit=60)}{who}{why}"


def _ms(at: int | str) -> int:
    return at if isinstance(at, int) else parse_rfc3339(at)
