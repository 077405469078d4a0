"""The drain curve of a rollover: old against new since shortly before the start, with what happened beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from monitor.api.page.charts import Line, Mark, Spell, drain_chart, spark
from monitor.core.instants import DAY_MS, HOUR_MS, format_duration
from monitor.core.untrusted import harmless
from monitor.ports import AuditEntry, Incident, ReadStore, RolloverState, UsagePoint

_LEAD_IN_MS = 2 * DAY_MS
_STEPS_MS = (HOUR_MS, 3 * HOUR_MS, 6 * HOUR_MS, DAY_MS, 7 * DAY_MS)
_MOST_POINTS = 180
_MOST_DAYS = 120
_SPARK_MS = 14 * DAY_MS
_STATES = {"brownout": "brownout", "frozen": "frozen", "disabled": "disabled", "rolled_back": "rolled back"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """The drawing, and its numbers by day (oldest first) for those who read better than they look.

    step_ms: a point of the curve is what was requested in so long.
    """

    chart: Markup
    step_ms: int
    by_day: Sequence[tuple[int, Mapping[str, int]]]


def drain(
    store: ReadStore,
    stands: RolloverState,
    incidents: Sequence[Incident],
    history: Sequence[AuditEntry],
    now_ms: int,
) -> Drain:
    """Draw the curve; `history` is the rollover's ledger, newest first, as far back as it was read."""
    each = stands.rollover
    from_ms = each.started_at_ms - _LEAD_IN_MS
    to_ms = max(now_ms, from_ms + DAY_MS)
    step = next((step for step in _STEPS_MS if (to_ms - from_ms) / step <= _MOST_POINTS), _STEPS_MS[-1])
    from_ms -= from_ms % step
    points = store.usage_series(each.key, from_ms=from_ms, to_ms=to_ms, step_ms=step)
    old, new = each.from_version, each.to_version

    def line(name: str, css: str, version: int, *, outcome: str = "success") -> Line:
        found: dict[int, float] = {}
        for point in points:
            if point.version == version and point.outcome == outcome:
                found[point.bucket_ms] = found.get(point.bucket_ms, 0.0) + point.requests
        # A step without a point had no request; the last step is not over, and would always look like a fall.
        steps = range(from_ms, to_ms - step + 1, step) if found else range(0)
        return Line(name=name, css=css, points=[(at_ms, found.get(at_ms, 0.0)) for at_ms in steps])

    chart = drain_chart(
        [
            line(f"v{old} (old)", "old", old),
            line(f"v{new} (new)", "new", new),
            line(f"v{new} rejected", "failed", new, outcome="failure"),
        ],
        _marks(stands, incidents, history, to_ms, now_ms),
        _spells(history, now_ms),
        span=(from_ms, to_ms),
        title=f"Requests per {format_duration(step)} on v{old} and v{new} of {harmless(each.key)}",
    )
    return Drain(chart=chart, step_ms=step, by_day=_by_day(points, old, new)[-_MOST_DAYS:])


def spark_of(store: ReadStore, stands: RolloverState, now_ms: int) -> Markup:
    """Draw old and new small: from two days before the start to now, two weeks at most."""
    each = stands.rollover
    from_ms = max(each.started_at_ms - _LEAD_IN_MS, now_ms - _SPARK_MS)
    to_ms = max(now_ms, from_ms + DAY_MS)
    step = 6 * HOUR_MS
    from_ms -= from_ms % step
    points = store.usage_series(each.key, from_ms=from_ms, to_ms=to_ms, step_ms=step)
    count = max((to_ms - from_ms) // step, 1)

    def line(css: str, version: int) -> tuple[str, list[float]]:
        values = [0.0] * count
        for point in points:
            at = (point.bucket_ms - from_ms) // step
            if point.version == version and point.outcome == "success" and 0 <= at < count:
                values[at] += point.requests
        return css, values

    old, new = each.from_version, each.to_version
    return spark([line("old", old), line("new", new)], title=f"Requests on v{old} and on v{new} since the start")


def _marks(
    stands: RolloverState, incidents: Sequence[Incident], history: Sequence[AuditEntry], to_ms: int, now_ms: int
) -> list[Mark]:
    each = stands.rollover
    marks = [Mark(name="start", css="start", at_ms=each.started_at_ms)]
    if each.deadline_ms is not None and each.deadline_ms <= to_ms:
        marks.append(Mark(name="deadline", css="deadline", at_ms=each.deadline_ms))
    if each.retired_at_ms is not None:
        marks.append(Mark(name="retired", css="retired", at_ms=each.retired_at_ms))
    marks += [
        Mark(name=_STATES[str(row.body["to"])], css="step", at_ms=row.at_ms)
        for row in history
        if str(row.body.get("to")) in _STATES
    ]
    marks += [
        Mark(
            name=incident.cause.replace("_", " "),
            css="incident",
            at_ms=incident.opened_at_ms,
            until_ms=incident.closed_at_ms or now_ms,
        )
        for incident in incidents
    ]
    return marks


def _spells(history: Sequence[AuditEntry], now_ms: int) -> list[Spell]:
    """Return how the verdict went: one spell from each written decision to the next one that differs."""
    spells: list[Spell] = []
    until_ms = now_ms
    for row in history:
        if row.kind != "decision" or row.body.get("region") is not None:
            continue
        verdict = str(row.body.get("decision"))
        if spells and spells[-1].verdict == verdict:
            spells[-1] = Spell(verdict=verdict, from_ms=row.at_ms, to_ms=spells[-1].to_ms)
        else:
            spells.append(Spell(verdict=verdict, from_ms=row.at_ms, to_ms=until_ms))
        until_ms = row.at_ms
    return spells[::-1]


def _by_day(points: Sequence[UsagePoint], old: int, new: int) -> list[tuple[int, Mapping[str, int]]]:
    by_day: dict[int, dict[str, int]] = {}
    for point in points:
        if point.version not in (old, new):
            continue
        name = "rejected" if point.outcome == "failure" else "old" if point.version == old else "new"
        day = by_day.setdefault(point.bucket_ms // DAY_MS * DAY_MS, {"old": 0, "new": 0, "rejected": 0})
        day[name] += point.requests
    return sorted(by_day.items())
