"""Requests of many keys in stretches of time, summed by the database from `credential_hours`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from monitor.core.evidence import RequestCounts
from monitor.core.instants import DAY_MS, HOUR_MS

_CHUNK = 400
_BASELINE_MS = 7 * DAY_MS
_QUERY = """
SELECT span.name, c.credential, sum(h.accepted), sum(h.rejected)
FROM span
JOIN credentials c ON c.key = span.key
JOIN credential_hours h ON h.cred = c.cred AND h.hour_ms >= span.from_ms AND h.hour_ms < span.to_ms
GROUP BY span.name, c.credential
"""


class Stretch(NamedTuple):
    """A stretch of time [from, to) of one key, under a name."""

    name: str
    key: str
    from_ms: int
    to_ms: int

    @classmethod
    def last_day(cls, key: str, now_ms: int) -> Stretch:
        """Return the 24 hours before now, in whole hours; the one that has just begun is included."""
        return cls(key, key, now_ms - DAY_MS - now_ms % HOUR_MS, now_ms + 1)

    @classmethod
    def week_before(cls, name: str, key: str, start_ms: int) -> Stretch:
        """Return the seven days before a rollover's start, in whole hours."""
        hour_ms = start_ms - start_ms % HOUR_MS
        return cls(name, key, hour_ms - _BASELINE_MS, hour_ms)


def count_requests(connection: Connection, stretches: Sequence[Stretch]) -> dict[str, dict[str, RequestCounts]]:
    """Return requests by name and credential, of hours that begin in the stretch. Names must differ."""
    found: dict[str, dict[str, RequestCounts]] = {each.name: {} for each in stretches}
    for start in range(0, len(stretches), _CHUNK):
        given: dict[str, str | int] = {}
        rows: list[str] = []
        for at, each in enumerate(stretches[start : start + _CHUNK]):
            rows.append(f"(CAST(:n{at} AS TEXT), CAST(:k{at} AS TEXT), CAST(:f{at} AS BIGINT), CAST(:t{at} AS BIGINT))")
            given |= {f"n{at}": each.name, f"k{at}": each.key, f"f{at}": each.from_ms, f"t{at}": each.to_ms}
        statement = f"WITH span(name, key, from_ms, to_ms) AS (VALUES {', '.join(rows)}) {_QUERY}"
        for name, credential, accepted, rejected in connection.execute(text(statement), given):
            found[name][credential] = RequestCounts(accepted=int(accepted), rejected=int(rejected))
    return found
