"""What Grafana makes of a query before PostgreSQL sees it: variables put in, then the macros of its own datasource.

A retelling of its `macros.go` (without TimescaleDB). An argument must hold no closing parenthesis there, nor here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from monitor.core.instants import SECOND_MS, parse_duration

_CALL = re.compile(r"\$([_a-zA-Z0-9]+)\(([^)]*)\)")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")


def interpolated(sql: str, variables: Mapping[str, str | list[str]], since: datetime, until: datetime) -> str:
    """Return the query as it is sent. Raises `LookupError` for an unknown variable or macro."""

    def macro(found: re.Match[str]) -> str:
        followed_by = found.string[found.end() : found.end() + 1]
        return _macro(found[1], [each.strip() for each in found[2].split(",")], followed_by, since, until)

    return _CALL.sub(macro, _VARIABLE.sub(lambda found: _value(found, variables), sql))


def _value(found: re.Match[str], variables: Mapping[str, str | list[str]]) -> str:
    """Return a variable's value: of several each is quoted, of one alone the quotes stand in the query."""
    name = found[1] or found[2]
    if name.startswith("__") and name not in variables:
        return found[0]
    value = variables[name]
    if isinstance(value, str):
        return value.replace("'", "''")
    return ",".join("'" + each.replace("'", "''") + "'" for each in value)


def _macro(name: str, arguments: list[str], followed_by: str, since: datetime, until: datetime) -> str:
    if name == "__timeGroup" and followed_by == ",":
        name = "__timeGroupAlias"
    begin, end = (f"'{each.isoformat()}'" for each in (since, until))
    match name:
        case "__timeFilter":
            return f"{arguments[0]} BETWEEN {begin} AND {end}"
        case "__timeFrom":
            return begin
        case "__timeTo":
            return end
        case "__timeGroup" | "__timeGroupAlias":
            seconds = parse_duration(arguments[1].strip("'")) // SECOND_MS
            if arguments[2:] and arguments[2] not in {"NULL", "previous"}:
                float(arguments[2])
            group = f"floor(extract(epoch from {arguments[0]})/{seconds})*{seconds}"
            return f'{group} AS "time"' if name.endswith("Alias") else group
    raise LookupError(f"unknown macro {name}")
