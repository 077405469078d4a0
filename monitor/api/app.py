"""The HTTP application: `create_api(deps)` gives an ASGI app: health, `/v1`, and the status page at `/`."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.responses import HTMLResponse, JSONResponse, Response

from monitor.api import acting, decisions, health, reading
from monitor.api.auth import Visitor
from monitor.api.deps import Deps
from monitor.api.middleware import Everywhere
from monitor.api.page import page_router
from monitor.api.problems import install

_DESCRIPTION = """
May the old version of an API key be retired now? `GET /v1/rollovers/{id}/decision` answers **200 only for GO**,
409 for NO_GO and 503 for UNKNOWN, so that `curl -f` fails closed.

Everything under `/v1` needs a bearer token (`rollwatch token create NAME --scope read|operate|admin`).
"""


def create_api(deps: Deps) -> FastAPI:
    """Return the application. Nothing is read before the first request."""
    app = FastAPI(
        title="Rollwatch",
        version=deps.version,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.deps = deps
    install(app)
    app.add_middleware(Everywhere, metrics=deps.metrics, prefix=deps.prefix)
    app.include_router(health.router)
    for router in (decisions.router, reading.router, acting.router):
        app.include_router(router, prefix="/v1")

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi(_visitor: Visitor) -> Response:
        """Describe this interface."""
        described: dict[str, Any] = dict(app.openapi())
        if deps.prefix:
            described["servers"] = [{"url": deps.prefix}]
        return JSONResponse(described)

    @app.get("/docs", include_in_schema=False)
    async def docs(_visitor: Visitor) -> Response:
        """Point to the description: nothing is loaded from other hosts."""
        return HTMLResponse(
            '<!doctype html><title>Rollwatch API</title><p>The interface is described by <a href="openapi.json">'
            "openapi.json</a>; open it with any OpenAPI viewer.</p>"
        )

    # Last: what nothing above answers is a page.
    app.include_router(page_router(deps))
    return app
