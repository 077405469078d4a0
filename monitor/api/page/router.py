"""Routes of the page: read, log in, act, follow. Blocking reads run in the thread pool; every page has a strict CSP."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response, StreamingResponse

from monitor.api.deps import Deps
from monitor.api.page import actions, keys, telemetry, views
from monitor.api.page.live import Ticker
from monitor.api.page.session import LONGEST_TOKEN, Session, from_here, is_ours, log_in, log_out
from monitor.api.page.site import SEE_OTHER, Site, form_of, number_of, version_of
from monitor.control import tokens
from monitor.errors import RollwatchError
from monitor.ports import Scope

_STATIC = {
    "style.css": "text/css; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_LONGEST_QUERY = 200


def page_router(deps: Deps) -> APIRouter:
    """Return the page's routes; mount them at the root, last."""
    router = APIRouter(include_in_schema=False)
    site = Site(deps)
    _read_routes(router, site)
    _key_routes(router, site)
    _session_routes(router, site)
    _act_routes(router, site)
    _live_routes(router, site)
    return router


def _read_routes(router: APIRouter, site: Site) -> None:
    deps = site.deps

    @router.get("/")
    async def overview(request: Request, q: str = "") -> Response:
        def read() -> Mapping[str, Any]:
            return {
                "view": views.overview(
                    deps.store,
                    now_ms=deps.clock.now_ms(),
                    stale_after_ms=deps.judge.stale_after_ms,
                    query=q[:_LONGEST_QUERY],
                    page=number_of(request, "page"),
                )
            }

        return await site.page(request, "overview.html", "overview", read)

    @router.get("/rollovers/{id_:path}")
    async def rollover(request: Request, id_: str, client: str = "", source: str = "") -> Response:
        def read() -> Mapping[str, Any]:
            now_ms = deps.clock.now_ms()
            view = views.rollover(deps.store, id_, now_ms=now_ms, stale_after_ms=deps.judge.stale_after_ms)
            # Whom the form for a waiver is to name already.
            return {"view": view, "asked": {"client": client[:_LONGEST_QUERY], "source": source[:_LONGEST_QUERY]}}

        return await site.page(request, "rollover.html", "overview", read)

    @router.get("/telemetry")
    async def health(request: Request) -> Response:
        def read() -> Mapping[str, Any]:
            silence_ms = deps.judge.policy.max_silence_ms
            view = telemetry.telemetry(deps.store, now_ms=deps.clock.now_ms(), max_silence_ms=silence_ms)
            return {"view": view, "not_ready": deps.not_ready()}

        return await site.page(request, "telemetry.html", "telemetry", read)


def _key_routes(router: APIRouter, site: Site) -> None:
    deps = site.deps

    @router.get("/keys")
    async def all_keys(request: Request, q: str = "") -> Response:
        def read() -> Mapping[str, Any]:
            view = keys.keys(
                deps.store,
                rule=deps.rotation,
                now_ms=deps.clock.now_ms(),
                query=q[:_LONGEST_QUERY],
                page=number_of(request, "page"),
            )
            return {"view": view}

        return await site.page(request, "keys.html", "keys", read)

    @router.get("/keys/{name:path}")
    async def one_key(request: Request, name: str) -> Response:
        def read() -> Mapping[str, Any]:
            return {"view": keys.key(deps.store, name, rule=deps.rotation, now_ms=deps.clock.now_ms())}

        return await site.page(request, "key.html", "keys", read)


def _session_routes(router: APIRouter, site: Site) -> None:
    deps = site.deps

    def ask(request: Request, next_: str | None, *, status: int = 200, wrong: str | None = None) -> Response:
        return site.show(request, Session(), "login.html", status=status, next=site.inside(next_), wrong=wrong)

    @router.get("/login")
    async def login(request: Request) -> Response:
        return ask(request, request.query_params.get("next"))

    @router.post("/login")
    async def log_in_(request: Request) -> Response:
        form = await form_of(request)
        given, onward = form.get("token", "").strip()[:LONGEST_TOKEN], form.get("next")
        if not from_here(request):
            return ask(request, onward, status=403, wrong="Log in from this page, please.")
        try:
            found = await run_in_threadpool(deps.store.token, tokens.digest(given))
        except RollwatchError as fault:
            return ask(request, onward, status=503, wrong=f"The token cannot be checked now: {fault}")
        if found is None:
            return ask(request, onward, status=401, wrong="That token is unknown or revoked.")
        answer = RedirectResponse(site.inside(onward), status_code=SEE_OTHER)
        log_in(answer, given, request, deps.prefix)
        return answer

    @router.post("/logout")
    async def log_out_(request: Request) -> Response:
        answer = RedirectResponse(site.url(""), status_code=SEE_OTHER)
        if from_here(request):
            log_out(answer, deps.prefix)
        return answer


def _act_routes(router: APIRouter, site: Site) -> None:
    deps = site.deps

    @router.post("/rollovers/{id_:path}/{action}")
    async def act(request: Request, id_: str, action: str) -> Response:
        form = await form_of(request)
        session = Session()
        try:
            session = await site.session(request)
        except RollwatchError as fault:
            return site.error(request, session, 503, "The database is away", str(fault))
        allowed = session.may(Scope.OPERATE) and is_ours(request, session, form.get("csrf", ""))
        if session.token is None or not allowed:
            detail = "Log in with a token of scope operate, and act from the rollover's own page."
            return site.error(request, session, 403, "Not allowed", detail)
        said = await run_in_threadpool(actions.perform, deps, id_, action, form, session.token.name)
        back = f"{site.url('rollovers/')}{quote(id_, safe='')}?{session.sealed(said.text)}"
        return RedirectResponse(back, status_code=SEE_OTHER)


def _live_routes(router: APIRouter, site: Site) -> None:
    statics = {name: files("monitor.api.page").joinpath("static", name).read_bytes() for name in _STATIC}
    tags = {name: f'"{hashlib.sha256(content).hexdigest()[:16]}"' for name, content in statics.items()}
    ticker = Ticker(partial(version_of, site.deps))

    @router.get("/live")
    async def live(request: Request) -> Response:
        try:
            session = await site.session(request)
        except RollwatchError:
            return Response(status_code=503)
        if not site.may_read(session):
            return Response(status_code=401)
        return StreamingResponse(ticker.stream(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    @router.get("/static/{name}")
    async def static(request: Request, name: str) -> Response:
        if name not in statics:
            return Response(status_code=404)
        headers = {"Cache-Control": "no-cache", "ETag": tags[name]}
        if request.headers.get("if-none-match") == tags[name]:
            return Response(status_code=304, headers=headers)
        return Response(statics[name], media_type=_STATIC[name], headers=headers)
