"""Acting routes: start, step, retire, waive, pin, keys, tokens, acknowledge. Each is written down with who did it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from starlette.responses import JSONResponse, Response

from monitor.api import schemas, shapes
from monitor.api.auth import Admin, Given, Operator, Reader
from monitor.api.decisions import STATUS_OF, RolloverId
from monitor.api.deps import Deps
from monitor.api.problems import ProblemError, described
from monitor.api.reading import find
from monitor.control import steps, tokens
from monitor.control.brownouts import Limits, begin_brownout, brownout_measured, brownout_plan
from monitor.core.decision import Json
from monitor.core.instants import parse_rfc3339, rfc3339
from monitor.core.policy import PolicyError
from monitor.core.registry import Pin, Rollover, Waiver
from monitor.core.registry_file import parse_key
from monitor.core.registry_writing import waiver_as_json
from monitor.ports import Scope, Snapshot

router = APIRouter(responses=described(401, 403, 404, 409, 422, 503))


@contextmanager
def writing(deps: Deps) -> Iterator[Snapshot]:
    """Yield one snapshot to write in; an error takes everything back."""
    with deps.store.snapshot(write=True) as snapshot:
        yield snapshot


def _time(text: str | None, field: str) -> int | None:
    if text is None:
        return None
    try:
        return parse_rfc3339(text)
    except (ValueError, OverflowError) as error:
        raise ProblemError(422, "invalid", f"{field}: expected a time such as 2026-05-01T00:00:00Z") from error


@router.post(
    "/rollovers", status_code=201, response_model=schemas.RolloverBody, tags=["rollovers"], responses=described(409)
)
def start_rollover(deps: Given, operator: Operator, given: schemas.StartRollover) -> Response:
    """Begin a rollover. The same one again is answered with 200 and changes nothing."""
    now_ms = deps.clock.now_ms()
    started_ms = _time(given.started_at, "started_at")
    rollover = Rollover(
        id=given.id,
        key=given.key,
        from_version=given.from_version,
        to_version=given.to_version,
        started_at_ms=now_ms if started_ms is None else started_ms,
        deadline_ms=_time(given.deadline, "deadline"),
        channel=given.channel,
        policy=tuple(
            (name, tuple(raw) if isinstance(raw, list) else raw) for name, raw in sorted(given.policy.items())
        ),
    )
    _check(deps, rollover)
    with writing(deps) as snapshot:
        known = snapshot.registry().rollover_by_id.get(rollover.id)
        if known is not None and given.started_at is None:
            rollover = _started_as(rollover, known)
        fresh = steps.start(snapshot, rollover, by=operator.named(None), now_ms=now_ms)
        body = shapes.rollover(snapshot.state(rollover.id, now_ms), None, now_ms=now_ms, stale_after_ms=0)
    return JSONResponse(body, status_code=201 if fresh else 200)


def _started_as(rollover: Rollover, known: Rollover) -> Rollover:
    """Return the rollover with the start of the known one: who repeats a request without a time means the first."""
    return Rollover(
        id=rollover.id,
        key=rollover.key,
        from_version=rollover.from_version,
        to_version=rollover.to_version,
        started_at_ms=known.started_at_ms,
        deadline_ms=rollover.deadline_ms,
        channel=rollover.channel,
        policy=rollover.policy,
    )


def _check(deps: Deps, rollover: Rollover) -> None:
    if rollover.from_version == rollover.to_version:
        raise ProblemError(422, "invalid", "from and to are the same version")
    if rollover.deadline_ms is not None and rollover.deadline_ms <= rollover.started_at_ms:
        raise ProblemError(422, "invalid", "deadline: expected a time after started_at")
    try:
        deps.judge.policy_of(rollover)
    except (PolicyError, OverflowError) as error:
        raise ProblemError(422, "invalid", str(error)) from error


@router.post(
    "/rollovers/{rollover}/retire",
    response_model=schemas.Stepped,
    tags=["lifecycle"],
    responses={
        200: {"model": schemas.Stepped, "description": "retired, on the GO in the answer"},
        409: {
            "model": schemas.DecisionBody | schemas.Problem,
            "description": "NO_GO (the decision), or the state does not allow it",
        },
        503: {
            "model": schemas.DecisionBody | schemas.Problem,
            "description": "UNKNOWN (the decision), or the database is away",
        },
    },
)
def retire(
    deps: Given, operator: Operator, rollover: RolloverId, given: Annotated[schemas.Retire | None, Body()] = None
) -> Response:
    """Retire the old version: evaluated anew in the transaction that records it. Of many at once, one succeeds."""
    asked = given or schemas.Retire()
    with writing(deps) as snapshot:
        done = steps.retire(
            snapshot,
            deps.judge,
            rollover,
            by=operator.named(asked.by),
            reason=asked.reason,
            now_ms=deps.clock.now_ms(),
            evidence_hash=asked.evidence_hash,
        )
    if done.done or done.decision is None:
        return JSONResponse(done.as_json())
    return JSONResponse(done.decision.as_json(), status_code=STATUS_OF[done.decision.verdict.value])


def _step(deps: Deps, operator: Operator, rollover: str, what: steps.Action, given: schemas.Step | None) -> Response:
    asked = given or schemas.Step()
    with writing(deps) as snapshot:
        done = steps.step(
            snapshot,
            deps.judge,
            rollover,
            what,
            by=operator.named(asked.by),
            reason=asked.reason,
            now_ms=deps.clock.now_ms(),
        )
    return JSONResponse(done.as_json())


StepBody = Annotated[schemas.Step | None, Body()]


@router.post("/rollovers/{rollover}/freeze", response_model=schemas.Stepped, tags=["lifecycle"])
def freeze(deps: Given, operator: Operator, rollover: RolloverId, given: StepBody = None) -> Response:
    """Freeze: from now on nobody may take the old version up."""
    return _step(deps, operator, rollover, steps.Action.FREEZE, given)


@router.get("/rollovers/{rollover}/brownout", response_model=schemas.Rows, tags=["lifecycle"])
def plan_brownout(deps: Given, _reader: Reader, rollover: RolloverId) -> dict[str, Json]:
    """Plan short refusals of the old version in the stragglers' own hours: who is reached, and who is not."""
    with deps.store.snapshot() as snapshot:
        return brownout_plan(snapshot, deps.judge, rollover, now_ms=deps.clock.now_ms())


@router.get("/rollovers/{rollover}/brownout/measured", response_model=schemas.Rows, tags=["lifecycle"])
def measure_brownout(
    deps: Given,
    _reader: Reader,
    rollover: RolloverId,
    since: Annotated[str | None, Query(description="The window's start; default: the last step to `brownout`.")] = None,
    accept: Annotated[int | None, Query(ge=0, description="How many refused callers are accepted.")] = None,
) -> dict[str, Json]:
    """Measure a window while it runs: who was refused, whom nobody expected, and in `abort` why it must end now."""
    now_ms, since_ms = deps.clock.now_ms(), _time(since, "since")
    with deps.store.snapshot() as snapshot:
        return brownout_measured(snapshot, deps.judge, rollover, now_ms=now_ms, since_ms=since_ms, accept=accept)


@router.post("/rollovers/{rollover}/brownout", response_model=schemas.Stepped, tags=["lifecycle"])
def brownout(
    deps: Given,
    operator: Operator,
    rollover: RolloverId,
    given: Annotated[schemas.BeginBrownout | None, Body()] = None,
) -> Response:
    """Note that a planned outage of the old version has begun (the gateway makes it), and when it must end."""
    asked = given or schemas.BeginBrownout()
    now_ms, until_ms = deps.clock.now_ms(), _time(asked.until, "until")
    if until_ms is not None and until_ms <= now_ms:
        raise ProblemError(422, "invalid", "until: expected a time to come")
    with writing(deps) as snapshot:
        done = begin_brownout(
            snapshot,
            deps.judge,
            rollover,
            by=operator.named(asked.by),
            reason=asked.reason,
            now_ms=now_ms,
            limits=Limits(accept=asked.accept, until_ms=until_ms),
        )
    return JSONResponse(done.as_json())


@router.post("/rollovers/{rollover}/disable", response_model=schemas.Stepped, tags=["lifecycle"])
def disable(deps: Given, operator: Operator, rollover: RolloverId, given: StepBody = None) -> Response:
    """Note that the old version is switched off, and can be switched on again."""
    return _step(deps, operator, rollover, steps.Action.DISABLE, given)


@router.post("/rollovers/{rollover}/enable", response_model=schemas.Stepped, tags=["lifecycle"])
def enable(deps: Given, operator: Operator, rollover: RolloverId, given: StepBody = None) -> Response:
    """Note that the old version is switched on again."""
    return _step(deps, operator, rollover, steps.Action.ENABLE, given)


@router.post("/rollovers/{rollover}/rollback", response_model=schemas.Stepped, tags=["lifecycle"])
def rollback(deps: Given, operator: Operator, rollover: RolloverId, given: StepBody = None) -> Response:
    """Give the rollover up: callers go back to the old version."""
    return _step(deps, operator, rollover, steps.Action.ROLLBACK, given)


@router.post("/rollovers/{rollover}/complete", response_model=schemas.Stepped, tags=["lifecycle"])
def complete(deps: Given, operator: Operator, rollover: RolloverId, given: StepBody = None) -> Response:
    """Close a retired rollover: it is no longer watched."""
    return _step(deps, operator, rollover, steps.Action.COMPLETE, given)


@router.post("/rollovers/{rollover}/emergency", response_model=schemas.Stepped, tags=["lifecycle"])
def emergency(deps: Given, admin: Admin, rollover: RolloverId, given: schemas.Emergency) -> Response:
    """Retire a compromised version whatever the gate says; the answer shows who will break."""
    with writing(deps) as snapshot:
        done = steps.emergency(
            snapshot,
            deps.judge,
            rollover,
            by=admin.named(given.by),
            reason=given.reason,
            override_pin=given.override_pin,
            approved_by=given.approved_by,
            now_ms=deps.clock.now_ms(),
        )
    return JSONResponse(done.as_json())


@router.post("/rollovers/{rollover}/waivers", status_code=201, response_model=schemas.Rows, tags=["waivers"])
def waive(deps: Given, operator: Operator, rollover: RolloverId, given: schemas.Waive) -> dict[str, Json]:
    """Accept a caller as a blocker, by name and for a time."""
    waiver = Waiver(
        rollover=rollover,
        client=given.client,
        source=given.source,
        reason=given.reason,
        by=operator.named(given.by),
        from_ms=_time(given.from_, "from"),
        until_ms=_time(given.until, "until"),
    )
    if waiver.from_ms is not None and waiver.until_ms is not None and waiver.until_ms <= waiver.from_ms:
        raise ProblemError(422, "invalid", "until: expected a time after from")
    with writing(deps) as snapshot:
        find(snapshot, rollover)
        snapshot.waive(waiver, now_ms=deps.clock.now_ms())
    return waiver_as_json(waiver)


@router.post("/rollovers/{rollover}/pins", status_code=201, response_model=schemas.Rows, tags=["pins"])
def pin(deps: Given, operator: Operator, rollover: RolloverId, given: schemas.PinVersion) -> dict[str, Json]:
    """Veto the retirement of a version."""
    with writing(deps) as snapshot:
        found = find(snapshot, rollover)
        made = Pin(
            key=found.key,
            version=found.from_version if given.version is None else given.version,
            reason=given.reason,
            by=operator.named(given.by),
            until_ms=_time(given.until, "until"),
        )
        snapshot.pin(made, now_ms=deps.clock.now_ms())
    return shapes.pin(made)


@router.delete("/rollovers/{rollover}/pins", response_model=schemas.Rows, tags=["pins"])
def unpin(
    deps: Given,
    admin: Admin,
    rollover: RolloverId,
    reason: Annotated[str, Query(min_length=1, max_length=1_000)],
    version: Annotated[int | None, Query(ge=0)] = None,
) -> dict[str, Json]:
    """Take all pins off a version (the rollover's old one, unless given)."""
    with writing(deps) as snapshot:
        found = find(snapshot, rollover)
        chosen = found.from_version if version is None else version
        snapshot.unpin(found.key, chosen, by=admin.named(None), reason=reason, now_ms=deps.clock.now_ms())
    return {"pins": []}


@router.post("/rollovers/{rollover}/never-used", response_model=schemas.Rows, tags=["lifecycle"])
def acknowledge_never_used(
    deps: Given, operator: Operator, rollover: RolloverId, given: schemas.NeverUsed
) -> dict[str, Json]:
    """Acknowledge by name that the old version was never used (C1 then needs no sight of it)."""
    by = operator.named(given.by)
    with writing(deps) as snapshot:
        snapshot.acknowledge_never_used(rollover, by=by, reason=given.reason, now_ms=deps.clock.now_ms())
    return {"rollover": rollover, "by": by, "reason": given.reason}


@router.put("/keys/{key}", response_model=schemas.Rows, tags=["keys"])
def put_key(deps: Given, operator: Operator, key: str, given: schemas.KeyBody) -> dict[str, Json]:
    """Add or replace a key with its versions, in the words of `keys.yaml`."""
    if given.key not in (None, key):
        raise ProblemError(422, "invalid", "key: expected the same name as in the path")
    body: dict[str, Any] = given.model_dump(exclude_none=True) | {"key": key}
    parsed = parse_key(body, name="body")
    report = deps.store.put_key(parsed, by=operator.named(None), now_ms=deps.clock.now_ms())
    return {"key": key, "changed": report.changed, "revision": report.revision}


@router.get("/tokens", response_model=schemas.Rows, tags=["tokens"])
def list_tokens(deps: Given, _admin: Admin) -> dict[str, Json]:
    """Names and scopes of the tokens, never themselves."""
    return {
        "tokens": [
            {
                "name": each.name,
                "scope": each.scope.value,
                "created_at": rfc3339(each.created_at_ms),
                "revoked_at": shapes.time(each.revoked_at_ms),
            }
            for each in deps.store.tokens()
        ]
    }


@router.post("/tokens", status_code=201, response_model=schemas.Rows, tags=["tokens"])
def create_token(deps: Given, _admin: Admin, given: schemas.NewToken) -> dict[str, Json]:
    """Make a token; it is in this answer and nowhere else."""
    made = tokens.create(deps.store, given.name, scope=Scope(given.scope), now_ms=deps.clock.now_ms())
    return {"name": given.name, "scope": given.scope, "token": made}


@router.delete("/tokens/{name}", response_model=schemas.Rows, tags=["tokens"])
def revoke_token(deps: Given, _admin: Admin, name: str) -> dict[str, Json]:
    """Revoke a token."""
    deps.store.revoke_token(name, now_ms=deps.clock.now_ms())
    return {"name": name, "revoked": True}


@router.post("/alerts/acknowledge", response_model=schemas.Rows, tags=["alerts"])
def acknowledge(deps: Given, operator: Operator, given: schemas.Acknowledge) -> dict[str, Json]:
    """Take an episode on: its reminders rest until it gets worse."""
    by = operator.named(given.by)
    with writing(deps) as snapshot:
        if not deps.notifier.acknowledge(snapshot, given.episode, by=by, now_ms=deps.clock.now_ms()):
            raise ProblemError(404, "not_found", "nobody was told of such an episode")
    return {"episode": given.episode, "acknowledged_by": by}


@router.post("/alerts/snooze", response_model=schemas.Rows, tags=["alerts"])
def snooze(deps: Given, operator: Operator, given: schemas.Snooze) -> dict[str, Json]:
    """Hold an episode's messages back until then."""
    until_ms = _time(given.until, "until") or 0
    by = operator.named(given.by)
    with writing(deps) as snapshot:
        if not deps.notifier.snooze(snapshot, given.episode, by=by, until_ms=until_ms, now_ms=deps.clock.now_ms()):
            raise ProblemError(404, "not_found", "nobody was told of such an episode")
    return {"episode": given.episode, "snoozed_until": given.until}
