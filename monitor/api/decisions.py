"""The verdict over HTTP: 200 only for GO, 409 for NO_GO, 503 for UNKNOWN, so that `curl -f` fails closed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.security import HTTPAuthorizationCredentials
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from monitor.api.auth import Given, bearer, needs
from monitor.api.deps import Deps
from monitor.api.problems import described
from monitor.api.schemas import DecisionBody
from monitor.control.ledger import is_written, keep_answered
from monitor.control.unknown import unknown_body
from monitor.core.decision import Json, Verdict
from monitor.errors import NotFound, RollwatchError
from monitor.ports import Scope

log = structlog.get_logger()
router = APIRouter(tags=["decision"])

STATUS_OF = {Verdict.GO.value: 200, Verdict.NO_GO.value: 409, Verdict.UNKNOWN.value: 503}
RolloverId = Annotated[str, Path(max_length=1_000, examples=["billing-2026-05"])]
Region = Annotated[str | None, Query(max_length=1_000, description="decide one region's gateways alone")]
DOCUMENTED: dict[int | str, dict[str, Any]] = {
    200: {"model": DecisionBody, "description": "GO (or, with `always_ok`, any decision)"},
    409: {"model": DecisionBody, "description": "NO_GO: evidence against"},
    503: {"model": DecisionBody, "description": "UNKNOWN: evidence missing"},
    **described(401, 403, 404, 422),
}


def decide_and_write(deps: Deps, rollover: str, region: str | None) -> dict[str, Json]:
    """Decide in one snapshot, write it into the ledger, return its JSON. Raises `NotFound` and faults of the store."""
    now_ms = deps.clock.now_ms()
    with deps.store.snapshot() as snapshot:
        decision = deps.judge.decide_one(snapshot, rollover, now_ms=now_ms, region=region)
        written = is_written(snapshot, decision)
    if not written:
        with deps.store.snapshot(write=True) as snapshot:
            keep_answered(snapshot, decision)
    return decision.as_json()


async def answer(deps: Deps, rollover: str, region: str | None) -> Mapping[str, Json]:
    """Return the decision's JSON; whatever goes wrong is UNKNOWN with its name. Raises `NotFound` only."""
    work = partial(decide_and_write, deps, rollover, region)
    try:
        return await asyncio.wait_for(run_in_threadpool(work), deps.decision_timeout_seconds)
    except NotFound:
        raise
    except TimeoutError:
        why = f"the evidence could not be read within {deps.decision_timeout_seconds:g} s"
    except RollwatchError as fault:
        why = f"the evidence could not be read: {fault}"
    except Exception as error:
        log.exception("decision_error", rollover=rollover, error=type(error).__name__)
        why = f"the decision failed with {type(error).__name__}"
    return unanswered(deps, rollover, region, why)


def unanswered(deps: Deps, rollover: str, region: str | None, why: str) -> Mapping[str, Json]:
    """Return UNKNOWN in the contract's shape."""
    now_ms = deps.clock.now_ms()
    return unknown_body(rollover, registry=deps.judge.last_registry, region=region, why=why, now_ms=now_ms)


@router.get("/rollovers/{rollover}/decision", responses=DOCUMENTED, response_model=DecisionBody)
async def get_decision(  # noqa: PLR0917 - the framework passes them by name
    request: Request,
    deps: Given,
    rollover: RolloverId,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    region: Region = None,
    always_ok: Annotated[bool, Query(description="200 for every decision, as Argo's web metric needs it")] = False,
) -> Response:
    """May the old version be retired now? Evaluated at the moment of asking, and written into the ledger."""
    try:
        await needs(Scope.READ)(request, given)
    except RollwatchError as fault:
        # Nobody can be let in while tokens cannot be read, and nobody is told anything but UNKNOWN.
        why = f"the database is away: {fault}" if fault.retryable else f"the database refused: {fault}"
        body = unknown_body(rollover, registry=None, region=region, why=why, now_ms=deps.clock.now_ms())
        return JSONResponse(body, status_code=200 if always_ok else 503)
    found = await answer(deps, rollover, region)
    return JSONResponse(found, status_code=200 if always_ok else STATUS_OF[str(found["decision"])])
