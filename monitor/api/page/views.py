"""What the status page shows, read from the store and put into words and numbers. Templates only lay it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Protocol

from markupsafe import Markup

from monitor.api.page.drain import drain, spark_of
from monitor.api.page.words import until
from monitor.core.decision import CallerState
from monitor.core.evidence import CallerRecord
from monitor.core.instants import DAY_MS, SECOND_MS, format_duration
from monitor.core.registry import Rollover
from monitor.core.rollover import STEPS, Lifecycle
from monitor.core.untrusted import harmless
from monitor.ports import (
    AuditEntry,
    CallerRow,
    Evaluation,
    EvidenceStore,
    Incident,
    Propagation,
    ReadStore,
    RolloverState,
)

ACTIVE_STATES = frozenset({"planned", "overlap", "frozen", "brownout", "disabled"})
_HOLDING = frozenset(
    {
        CallerState.ACTIVE.value,
        CallerState.DUE.value,
        CallerState.OVERDUE.value,
        CallerState.DRAINING.value,
        CallerState.UNKNOWN_CADENCE.value,
    }
)
_STRIP_DAYS = 35
_MOST_HISTORY, _SHOWN_HISTORY = 400, 40
_WALL = 12
"""Up to so many rollovers are drawn in the overview, too."""
_TELLING = {"C8": 0, "C7": 1, "C9": 2}
"""Of several blockers, what a person should hear first: failures, callers by name, vetoes."""
Name = tuple[str | None, str | None]
"""(client, source)."""


class PageStore(ReadStore, EvidenceStore, Protocol):
    """What the page reads of the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A rollover in the overview. `need` says what it wants from somebody; lower `rank` is more urgent."""

    id: str
    key: str
    versions: str
    state: str
    verdict: str
    why: str
    more: int
    need: str
    rank: int
    callers: int
    cleared: int
    moved_share: float | None
    stragglers: int
    incidents: int
    eta: str | None
    eta_state: str
    deadline_ms: int | None
    owner: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewView:
    """All rollovers, the most urgent first. `counts` is by verdict, over those that are not over."""

    rows: Sequence[Row]
    total: int
    page: int
    pages: int
    query: str
    counts: Mapping[str, int]
    sparks: Mapping[str, Markup]
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloverView:
    """One rollover, whole."""

    row: Row
    rollover: Rollover
    stands: RolloverState
    decision: Mapping[str, Any] | None
    evaluated_at_ms: int | None
    stale: bool
    chart: Markup
    chart_step_ms: int
    chart_rows: Sequence[tuple[int, Mapping[str, int]]]
    callers: Sequence[CallerRow]
    callers_hidden: int
    expected: Mapping[Name, str]
    rhythms: Mapping[Name, Sequence[float]]
    incidents: Sequence[Incident]
    propagation: Sequence[Propagation]
    history: Sequence[AuditEntry]
    now_ms: int
    versions: tuple[int, ...] = field(default_factory=tuple)


def overview(
    store: PageStore, *, now_ms: int, stale_after_ms: int, query: str = "", page: int = 1, size: int = 50
) -> OverviewView:
    """Return one page of the overview; `query` filters by id, key, owner, state or verdict.

    An evaluation older than `stale_after_ms` says nothing about now: it is shown as UNKNOWN, as the gate has it.
    """
    with store.snapshot() as snapshot:
        registry = snapshot.registry()
        states = snapshot.states(now_ms)
        evaluations = snapshot.evaluations()
    open_by_key: dict[str, int] = {}
    for incident in store.incidents(open_only=True, limit=1_000):
        open_by_key[incident.key] = open_by_key.get(incident.key, 0) + 1
    rows = [
        _row(
            stands,
            evaluations.get(id_),
            owner=key.owner.team if (key := registry.key_by_name.get(stands.rollover.key)) else None,
            incidents=open_by_key.get(stands.rollover.key, 0),
            now_ms=now_ms,
            stale=_stale(evaluations.get(id_), now_ms, stale_after_ms),
        )
        for id_, stands in states.items()
    ]
    counts: dict[str, int] = {}
    for row in rows:
        if row.state in ACTIVE_STATES:
            counts[row.verdict] = counts.get(row.verdict, 0) + 1
    wanted = query.casefold().split()
    found = [row for row in rows if all(any(word in text.casefold() for text in _searched(row)) for word in wanted)]
    found.sort(key=lambda row: (row.rank, row.deadline_ms or 2**62, row.id))
    pages = max(-(-len(found) // size), 1)
    page = min(max(page, 1), pages)
    shown = found[(page - 1) * size : page * size]
    return OverviewView(
        rows=shown,
        total=len(found),
        page=page,
        pages=pages,
        query=query,
        counts=counts,
        sparks={row.id: spark_of(store, states[row.id], now_ms) for row in shown} if len(found) <= _WALL else {},
        now_ms=now_ms,
    )


def rollover(store: PageStore, id_: str, *, now_ms: int, stale_after_ms: int, most_callers: int = 80) -> RolloverView:
    """Return everything about one rollover. Raises `NotFound`."""
    with store.snapshot() as snapshot:
        stands = snapshot.state(id_, now_ms)
        registry = snapshot.registry()
        evaluation = snapshot.evaluation(id_)
        history = snapshot.audit_entries(rollover=id_, limit=_MOST_HISTORY)
        records = snapshot.key(id_, now_ms).callers
    key = stands.rollover.key
    incidents = store.incidents(key=key, limit=50)
    owner = registry.key_by_name[key].owner.team if key in registry.key_by_name else None
    row = _row(
        stands,
        evaluation,
        owner=owner,
        incidents=sum(1 for each in incidents if each.closed_at_ms is None),
        now_ms=now_ms,
        stale=_stale(evaluation, now_ms, stale_after_ms),
    )
    old = registry.key_by_name[key].version(stands.rollover.from_version) if key in registry.key_by_name else None
    credentials = frozenset(old.credentials if old else ())
    theirs = [each for each in records if each.credential in credentials]
    callers = sorted(store.caller_rows(key, known=theirs), key=_caller_order)
    shown = {(each.client, each.source) for each in callers[:most_callers]}
    drained = drain(store, stands, incidents, history, now_ms)
    blockers = evaluation.body.get("blockers") if evaluation else None
    return RolloverView(
        row=row,
        rollover=stands.rollover,
        stands=stands,
        decision=evaluation.body if evaluation else None,
        evaluated_at_ms=evaluation.evaluated_at_ms if evaluation else None,
        stale=_stale(evaluation, now_ms, stale_after_ms),
        chart=drained.chart,
        chart_step_ms=drained.step_ms,
        chart_rows=drained.by_day,
        callers=callers[:most_callers],
        callers_hidden=max(len(callers) - most_callers, 0),
        expected=_expected(blockers),
        rhythms=_rhythms(theirs, shown, now_ms),
        incidents=incidents,
        propagation=[each for each in store.propagation(key) if each.version == stands.rollover.to_version],
        history=history[:_SHOWN_HISTORY],
        now_ms=now_ms,
        versions=(stands.rollover.from_version, stands.rollover.to_version),
    )


def _row(
    stands: RolloverState,
    evaluation: Evaluation | None,
    *,
    owner: str | None,
    incidents: int,
    now_ms: int,
    stale: bool,
) -> Row:
    body: Mapping[str, Any] = evaluation.body if evaluation else {}
    verdict = "UNKNOWN" if evaluation is None or stale else evaluation.verdict
    progress, eta = body.get("progress") or {}, body.get("eta") or {}
    blockers = body.get("blockers") or []
    stragglers = sum(1 for each in blockers if each["clause"] == "C7" and each["caller"])
    failing = incidents > 0 or any(
        each["id"] == "C8" and each["status"] == "fail" for each in body.get("clauses") or ()
    )
    rank, need = _need(stands, verdict, eta.get("state"), failing=failing, now_ms=now_ms)
    rollover_ = stands.rollover
    return Row(
        id=rollover_.id,
        key=rollover_.key,
        versions=f"v{rollover_.from_version} \u2192 v{rollover_.to_version}",
        state=stands.state,
        verdict=verdict,
        why=_why(stands, evaluation, blockers, now_ms, stale=stale),
        more=0 if stale else max(len(blockers) - 1, 0),
        need=need,
        rank=rank,
        callers=progress.get("callers", 0),
        cleared=progress.get("callers_cleared", 0),
        moved_share=progress.get("requests_moved_share"),
        stragglers=stragglers,
        incidents=incidents,
        eta=eta.get("earliest_go"),
        eta_state=eta.get("state", "waiting"),
        deadline_ms=rollover_.deadline_ms,
        owner=owner,
    )


def _need(  # noqa: PLR0911 - one return a case, the most urgent first
    stands: RolloverState, verdict: str, eta_state: object, *, failing: bool, now_ms: int
) -> tuple[int, str]:
    state, deadline = stands.state, stands.rollover.deadline_ms
    if state not in ACTIVE_STATES:
        return (7, "watched") if state == "retired" else (9, state.replace("_", " "))
    if state == "planned":
        return 8, "not started"
    if failing:
        return 0, "failing: look now"
    if deadline is not None and deadline < now_ms and verdict != "GO":
        return 1, "deadline passed"
    if verdict == "UNKNOWN":
        return 2, "we cannot see enough"
    if verdict == "GO":
        return 3, "may be retired"
    if deadline is not None and deadline - now_ms < 3 * DAY_MS:
        return 4, "deadline is near"
    return {"stalled": (5, "nothing moves"), "waiting": (6, "waiting")}.get(str(eta_state), (6, "moving"))


def _why(
    stands: RolloverState,
    evaluation: Evaluation | None,
    blockers: Sequence[Mapping[str, Any]],
    now_ms: int,
    *,
    stale: bool,
) -> str:
    """Return the one reason that a person should hear first."""
    if not STEPS[Lifecycle(stands.state)]:
        return f"{stands.state.replace('_', ' ')}: it is not decided about any more"
    if evaluation is None:
        return "the first look at it is under way"
    if stale:
        age = format_duration((now_ms - evaluation.evaluated_at_ms) // SECOND_MS * SECOND_MS)
        return f"last evaluated {age} ago: the watch loop is not running"
    if not blockers:
        return "every clause passes"
    first = min(blockers, key=lambda each: _TELLING.get(each["clause"], len(_TELLING)))
    caller = first.get("caller")
    if first["clause"] != "C7" or not caller or not first.get("state"):
        return str(first["summary"])
    name = " / ".join(harmless(caller[part], limit=60) for part in ("client", "source") if caller.get(part))
    last = first.get("last_seen")
    when = f", last use {until(last, now_ms)}" if last else ""
    return f"{name or 'a caller without a name'} is {str(first['state']).replace('_', ' ')}{when}"


def _stale(evaluation: Evaluation | None, now_ms: int, stale_after_ms: int) -> bool:
    return evaluation is not None and now_ms - evaluation.evaluated_at_ms > stale_after_ms


def _searched(row: Row) -> tuple[str, ...]:
    return (row.id, row.key, row.owner or "", row.state, row.verdict, row.need)


def _caller_order(row: CallerRow) -> tuple[int, int]:
    return (0 if row.state in _HOLDING or row.state is None else 1, -(row.last_success_ms or 0))


def _rhythms(records: Sequence[CallerRecord], shown: AbstractSet[Name], now_ms: int) -> dict[Name, list[float]]:
    """Return each caller's uses of the old version by day, the last `_STRIP_DAYS` of them, today last."""
    last = now_ms // DAY_MS
    found: dict[Name, list[float]] = {}
    for record in records:
        name = (record.client, record.source)
        if name not in shown:
            continue
        days = found.setdefault(name, [0.0] * _STRIP_DAYS)
        for day in record.activity.since(last - _STRIP_DAYS + 1):
            if day.day <= last:
                days[day.day - last - 1] += day.uses
    return found


def _expected(blockers: object) -> dict[Name, str]:
    found: dict[Name, str] = {}
    for each in blockers if isinstance(blockers, list) else []:
        if each.get("caller") and each.get("next_expected"):
            found[each["caller"]["client"], each["caller"]["source"]] = each["next_expected"]
    return found
