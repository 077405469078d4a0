"""From faults to HTTP answers: one shape, one place."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from monitor.api.schemas import Problem
from monitor.errors import FaultReason, RollwatchError

log = structlog.get_logger()

_STATUS = {
    FaultReason.NOT_FOUND: 404,
    FaultReason.CONFLICT: 409,
    FaultReason.REGISTRY: 422,
    FaultReason.CONFIG: 422,
    FaultReason.STORE_AWAY: 503,
    FaultReason.STORE_REFUSED: 503,
    FaultReason.SOURCE_AWAY: 503,
}
_REASONS = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    422: "invalid",
    503: "unavailable",
}
_MEANINGS = {
    401: "no token, or a wrong one",
    403: "the token's scope is too small",
    404: "there is no such thing",
    409: "the state is another one than was assumed",
    422: "what was sent cannot be read",
    503: "the database is away; nothing was changed",
}


class ProblemError(Exception):
    """An answer that is not what was asked for."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        """Keep what is answered."""
        super().__init__(message)
        self.status = status
        self.reason = reason


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of these answers, for OpenAPI."""
    return {each: {"model": Problem, "description": _MEANINGS[each]} for each in statuses}


def problem(status: int, reason: str, message: str) -> JSONResponse:
    """Return the answer."""
    headers = {"Cache-Control": "no-store"}
    if status == 401:  # noqa: PLR2004 - the status that asks for it
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": {"reason": reason, "message": message}}, status_code=status, headers=headers)


def install(app: FastAPI) -> None:
    """Answer every fault in that shape."""

    @app.exception_handler(ProblemError)
    async def _problem(_request: Request, error: ProblemError) -> Response:
        return problem(error.status, error.reason, str(error))

    @app.exception_handler(RollwatchError)
    async def _fault(_request: Request, error: RollwatchError) -> Response:
        status = _STATUS.get(error.reason, 500)
        return problem(status, error.reason.value, str(error))

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> Response:
        faults = [f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors()]
        return problem(422, "invalid", "; ".join(faults[:20]))

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> Response:
        answer = problem(error.status_code, _REASONS.get(error.status_code, "error"), str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> Response:
        log.error("http_error", route=request.url.path, error=type(error).__name__, exc_info=error)
        return problem(500, "internal", f"an unexpected {type(error).__name__}; see the daemon's log")
