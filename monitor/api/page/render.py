"""Templates and the filters they use. Everything is escaped by the engine; text from logs is made harmless besides."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from monitor.api.page.charts import bar, strip
from monitor.api.page.words import moment, said, until
from monitor.core.instants import (
    format_duration,
    rfc3339,
)
from monitor.core.untrusted import harmless
from monitor.ports import AuditEntry

_VERDICTS = {"GO": "GO", "NO_GO": "NO-GO", "UNKNOWN": "UNKNOWN"}


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
        beside_its_name=beside_its_name,
        sh=lambda value: shlex.quote(str(value)),
    )
    made.globals.update(bar=bar, strip=strip)
    return made


def entry(row: AuditEntry) -> str:
    """Return a row of the ledger in words."""
    body = row.body
    if row.kind == "decision":
        return f"decision {_VERDICTS.get(str(body.get('decision')), 'UNKNOWN')}"
    if row.kind == "alert" and isinstance(told := body.get("alert"), Mapping):
        done = "told" if body.get("notified") else "not told"
        kind = harmless(str(told.get("kind", "")).replace("_", " "), limit=60)
        return f"{done} ({harmless(str(body.get('reason')), limit=60)}): {kind}, {said(str(told.get('text')), 160)}"
    who = f" by {harmless(str(body['by']), limit=60)}" if body.get("by") else ""
    why = f": {harmless(str(body['reason']), limit=160)}" if body.get("reason") else ""
    return f"{harmless(row.kind.replace('_', ' '), limit=60)}{who}{why}"


def beside_its_name(blocker: Mapping[str, Any]) -> str:
    """Return what holds it, without the caller and state that stand before it on the page.

    >>> who = {"client": "acme", "source": "eu"}
    >>> beside_its_name({"caller": who, "state": "due", "summary": "acme/eu is due on v1: last use yesterday"})
    'last use yesterday'
    """
    summary = str(blocker["summary"])
    if not (blocker.get("caller") and blocker.get("state")):
        return summary
    found = re.search(rf" is {re.escape(str(blocker['state']))} on v\d+: ", summary)
    return summary if found is None else summary[found.end() :]
