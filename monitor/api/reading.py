"""Reading routes: rollovers, stragglers, use, incidents, keys, alerts. Nothing here decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Query

from monitor.api import shapes
from monitor.api.auth import Given, Reader
from monitor.api.decisions import RolloverId
from monitor.api.deps import Deps
from monitor.api.problems import ProblemError, described
from monitor.api.schemas import RolloverBody, RolloverList, Rows
from monitor.core.decision import Json
from monitor.core.instants import DAY_MS, MINUTE_MS, parse_duration, parse_rfc3339
from monitor.core.registry import Rollover
from monitor.core.registry_writing import key_as_json, waiver_as_json
from monitor.core.rotation import rotations
from monitor.errors import NotFound
from monitor.ports import Evaluation, Snapshot

router = APIRouter(responses=described(401, 403, 404, 422, 503))

_MOST_STEPS = 20_000
OptionalRollover = Annotated[str | None, Query(max_length=1_000)]
OptionalKey = Annotated[str | None, Query(max_length=1_000)]
Limit = Annotated[int, Query(ge=1, le=1_000)]
OptionalTime = Annotated[str | None, Query(max_length=64, examples=["2026-05-01T00:00:00Z"])]


@contextmanager
def reading(deps: Deps) -> Iterator[Snapshot]:
    """Yield one snapshot to read in."""
    with deps.store.snapshot() as snapshot:
        yield snapshot


def find(snapshot: Snapshot, rollover: str) -> Rollover:
    """Return a rollover. Raises `NotFound`."""
    found = snapshot.registry().rollover_by_id.get(rollover)
    if found is None:
        raise NotFound(f"no rollover {rollover!r}")
    return found


@router.get("/rollovers", response_model=RolloverList, tags=["rollovers"])
def list_rollovers(deps: Given, _reader: Reader) -> dict[str, Json]:
    """All rollovers: where each stands, and its latest verdict."""
    now_ms, stale_after_ms = deps.clock.now_ms(), deps.judge.stale_after_ms
    with reading(deps) as snapshot:
        states, evaluations = snapshot.states(now_ms), snapshot.evaluations()
    return {
        "rollovers": [
            shapes.rollover(state, evaluations.get(name), now_ms=now_ms, stale_after_ms=stale_after_ms)
            for name, state in sorted(states.items())
        ]
    }


@router.get("/rollovers/{rollover}", response_model=RolloverBody, tags=["rollovers"])
def show_rollover(deps: Given, _reader: Reader, rollover: RolloverId) -> dict[str, Json]:
    """Show one rollover."""
    now_ms = deps.clock.now_ms()
    with reading(deps) as snapshot:
        return shapes.rollover(
            snapshot.state(rollover, now_ms),
            snapshot.evaluation(rollover),
            now_ms=now_ms,
            stale_after_ms=deps.judge.stale_after_ms,
        )


@router.get("/rollovers/{rollover}/decisions", response_model=Rows, tags=["decision"])
def list_decisions(deps: Given, _reader: Reader, rollover: RolloverId, limit: Limit = 100) -> dict[str, Json]:
    """Return the ledger's newest rows on a rollover: decisions and steps, newest first."""
    with reading(deps) as snapshot:
        find(snapshot, rollover)
        return {"entries": [shapes.audit(each) for each in snapshot.audit_entries(rollover=rollover, limit=limit)]}


@router.get("/rollovers/{rollover}/stragglers", response_model=Rows, tags=["rollovers"])
def list_stragglers(deps: Given, _reader: Reader, rollover: RolloverId) -> dict[str, Json]:
    """List the callers of the old version that have not proven themselves on the new one."""
    return {"stragglers": _stragglers(deps, rollover)}


@router.get("/stragglers", response_model=Rows, tags=["rollovers"])
def list_all_stragglers(deps: Given, _reader: Reader, rollover: OptionalRollover = None) -> dict[str, Json]:
    """List the stragglers of one rollover, or of all that are not retired."""
    if rollover is not None:
        return {"stragglers": _stragglers(deps, rollover)}
    with reading(deps) as snapshot:
        names = [each.id for each in snapshot.registry().rollovers if each.retired_at_ms is None]
    return {"stragglers": [row for name in names for row in _stragglers(deps, name)]}


def _stragglers(deps: Deps, rollover: str) -> list[Json]:
    with reading(deps) as snapshot:
        found, evaluation = find(snapshot, rollover), snapshot.evaluation(rollover)
    blockers = _blockers(evaluation)
    return [
        {"rollover": rollover, **shapes.straggler(row, blockers.get((row.client, row.source)))}
        for row in deps.store.caller_rows(found.key)
        if row.version == found.from_version and row.successes + row.failures > 0 and shapes.is_straggler(row)
    ]


def _blockers(evaluation: Evaluation | None) -> dict[tuple[object, object], Mapping[str, Json]]:
    """Return the latest decision's blockers by caller."""
    listed = evaluation.body.get("blockers") if evaluation is not None else None
    found: dict[tuple[object, object], Mapping[str, Json]] = {}
    for each in listed if isinstance(listed, list) else []:
        if isinstance(each, Mapping) and isinstance(caller := each.get("caller"), Mapping):
            found[(caller.get("client"), caller.get("source"))] = each
    return found


@router.get("/rollovers/{rollover}/usage", response_model=Rows, tags=["usage"])
def rollover_usage(
    deps: Given,
    _reader: Reader,
    rollover: RolloverId,
    from_: Annotated[OptionalTime, Query(alias="from")] = None,
    until: OptionalTime = None,
    step: Annotated[str, Query(max_length=20, examples=["1h"])] = "1h",
) -> dict[str, Json]:
    """Use per version, outcome and region over time: the drain curve."""
    with reading(deps) as snapshot:
        key = find(snapshot, rollover).key
    return _usage(deps, key, from_, until, step)


@router.get("/usage", response_model=Rows, tags=["usage"])
def key_usage(
    deps: Given,
    _reader: Reader,
    key: Annotated[str, Query(max_length=1_000)],
    from_: Annotated[OptionalTime, Query(alias="from")] = None,
    until: OptionalTime = None,
    step: Annotated[str, Query(max_length=20, examples=["1h"])] = "1h",
) -> dict[str, Json]:
    """Use of a key per version, outcome and region over time."""
    with reading(deps) as snapshot:
        if key not in snapshot.registry().key_by_name:
            raise NotFound(f"no key {key!r}")
    return _usage(deps, key, from_, until, step)


def _usage(deps: Deps, key: str, from_: str | None, until: str | None, step: str) -> dict[str, Json]:
    try:
        to_ms = parse_rfc3339(until) if until else deps.clock.now_ms()
        from_ms = parse_rfc3339(from_) if from_ else to_ms - 7 * DAY_MS
        step_ms = parse_duration(step)
    except (ValueError, OverflowError) as error:
        raise ProblemError(422, "invalid", str(error)) from error
    if step_ms < MINUTE_MS or step_ms % MINUTE_MS:
        raise ProblemError(422, "invalid", "step: expected whole minutes, as in 1m, 1h or 1d")
    if not 0 < (to_ms - from_ms) <= _MOST_STEPS * step_ms:
        raise ProblemError(422, "invalid", f"expected `from` before `until`, and at most {_MOST_STEPS} steps")
    points = deps.store.usage_series(key, from_ms=from_ms, to_ms=to_ms, step_ms=step_ms)
    return {"key": key, "step_seconds": step_ms // 1_000, "usage": [shapes.usage(each) for each in points]}


@router.get("/rollovers/{rollover}/incidents", response_model=Rows, tags=["incidents"])
def rollover_incidents(deps: Given, _reader: Reader, rollover: RolloverId, limit: Limit = 100) -> dict[str, Json]:
    """Return the incidents on a rollover's key, newest first."""
    with reading(deps) as snapshot:
        key = find(snapshot, rollover).key
    return {"incidents": [shapes.incident(each) for each in deps.store.incidents(key=key, limit=limit)]}


@router.get("/incidents", response_model=Rows, tags=["incidents"])
def list_incidents(
    deps: Given,
    _reader: Reader,
    key: OptionalKey = None,
    limit: Limit = 100,
    open_only: Annotated[bool, Query(alias="open")] = False,
) -> dict[str, Json]:
    """Incidents, newest first."""
    found = deps.store.incidents(key=key, open_only=open_only, limit=limit)
    return {"incidents": [shapes.incident(each) for each in found]}


@router.get("/rollovers/{rollover}/propagation", response_model=Rows, tags=["usage"])
def rollover_propagation(deps: Given, _reader: Reader, rollover: RolloverId) -> dict[str, Json]:
    """When each gateway first accepted and first rejected each version."""
    with reading(deps) as snapshot:
        key = find(snapshot, rollover).key
    return {"propagation": [shapes.propagation(each) for each in deps.store.propagation(key)]}


@router.get("/rollovers/{rollover}/waivers", response_model=Rows, tags=["waivers"])
def rollover_waivers(deps: Given, _reader: Reader, rollover: RolloverId) -> dict[str, Json]:
    """Return the waivers of a rollover, past ones too."""
    with reading(deps) as snapshot:
        find(snapshot, rollover)
        found = [each for each in snapshot.registry().waivers if each.rollover == rollover]
    return {"waivers": [waiver_as_json(each) for each in found]}


@router.get("/waivers", response_model=Rows, tags=["waivers"])
def list_waivers(deps: Given, _reader: Reader) -> dict[str, Json]:
    """All waivers."""
    with reading(deps) as snapshot:
        return {"waivers": [waiver_as_json(each) for each in snapshot.registry().waivers]}


@router.get("/rollovers/{rollover}/pins", response_model=Rows, tags=["pins"])
def rollover_pins(deps: Given, _reader: Reader, rollover: RolloverId) -> dict[str, Json]:
    """Return the pins on a rollover's old version."""
    with reading(deps) as snapshot:
        found = find(snapshot, rollover)
        pins = shapes.pins_of(snapshot.registry(), found.key, found.from_version)
    return {"pins": [shapes.pin(each) for each in pins]}


@router.get("/pins", response_model=Rows, tags=["pins"])
def list_pins(deps: Given, _reader: Reader) -> dict[str, Json]:
    """All pins."""
    with reading(deps) as snapshot:
        return {"pins": [shapes.pin(each) for each in snapshot.registry().pins]}


@router.get("/keys", response_model=Rows, tags=["keys"])
def list_keys(deps: Given, _reader: Reader) -> dict[str, Json]:
    """All keys with their versions."""
    with reading(deps) as snapshot:
        return {"keys": [key_as_json(each) for each in snapshot.registry().keys]}


@router.get("/keys/{key}", response_model=Rows, tags=["keys"])
def show_key(deps: Given, _reader: Reader, key: str) -> dict[str, Json]:
    """One key."""
    with reading(deps) as snapshot:
        found = snapshot.registry().key_by_name.get(key)
    if found is None:
        raise NotFound(f"no key {key!r}")
    return key_as_json(found)


@router.get("/rotations", response_model=Rows, tags=["keys"])
def list_rotations(deps: Given, _reader: Reader) -> dict[str, Json]:
    """Which keys are due for a new version, the most urgent first."""
    with reading(deps) as snapshot:
        found = rotations(snapshot.registry(), deps.rotation, now_ms=deps.clock.now_ms())
    return {"rotations": [shapes.rotation(each) for each in found]}


@router.get("/alerts", response_model=Rows, tags=["alerts"])
def list_alerts(deps: Given, _reader: Reader, rollover: OptionalRollover = None, limit: Limit = 100) -> dict[str, Json]:
    """Return alerts, newest first: what happened, whether somebody was told, and why or why not."""
    with reading(deps) as snapshot:
        rows = snapshot.audit_entries(rollover=rollover, kind="alert", limit=limit)
    return {"alerts": [{"seq": each.seq, **each.body} for each in rows]}
