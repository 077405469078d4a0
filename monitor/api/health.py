"""Health, readiness and metrics: answered without asking the database."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from monitor.adapters.metrics import CONTENT_TYPE, READY
from monitor.api.auth import Given, MetricsReader
from monitor.api.problems import described
from monitor.api.schemas import Health

router = APIRouter(tags=["health"])


@router.get("/healthz", response_model=Health)
async def healthz() -> Response:
    """Say that the process lives: 200 also while Kafka or the database is away."""
    return JSONResponse({"status": "ok", "reasons": []})


@router.get("/readyz", response_model=Health, responses={503: {"model": Health, "description": "not ready, and why"}})
async def readyz(deps: Given) -> Response:
    """Say whether everything does its job now; if not, why not."""
    reasons = list(deps.not_ready())
    deps.metrics.set(READY, not reasons)
    body = {"status": "not ready" if reasons else "ready", "reasons": reasons}
    return JSONResponse(body, status_code=503 if reasons else 200)


@router.get("/metrics", responses={200: {"content": {"text/plain": {}}}, **described(401, 403)})
async def metrics(deps: Given, _reader: MetricsReader) -> Response:
    """Prometheus' text format."""
    deps.metrics.set(READY, not deps.not_ready())
    return Response(deps.metrics.text(), media_type=CONTENT_TYPE)
