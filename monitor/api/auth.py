"""Who asks: bearer tokens, hashed at rest, with scopes; health is for everyone, the rest by where we listen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from monitor.api.deps import Deps
from monitor.api.problems import ProblemError
from monitor.control import tokens
from monitor.errors import StoreAway
from monitor.ports import Scope, Token

_LONGEST_TOKEN = 512
_PATIENCE_SECONDS = 2.0
"""For a database that hangs: Prometheus gives up after ten."""
bearer = HTTPBearer(auto_error=False, description="A token of `rollwatch token create NAME --scope read|operate|admin`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks: the token's name, or nobody where none is needed."""

    name: str | None = None

    def named(self, given: str | None) -> str:
        """Return the name under which something is recorded: a token's beats what the request says."""
        return self.name or given or "anonymous"


def deps_of(request: Request) -> Deps:
    """Return what `create_api` was given."""
    deps: Deps = request.app.state.deps
    return deps


async def _check(request: Request, given: HTTPAuthorizationCredentials | None, scope: Scope) -> Principal:
    if given is None or not given.credentials or len(given.credentials) > _LONGEST_TOKEN:
        raise ProblemError(401, "unauthorized", "a bearer token is needed: `rollwatch token create NAME --scope read`")
    deps = deps_of(request)
    found = await _found(deps, given.credentials)
    if found is None:
        raise ProblemError(401, "unauthorized", "the token is unknown or revoked")
    if not tokens.allows(found, scope):
        raise ProblemError(403, "forbidden", f"this needs a token with the scope {scope}; this one has {found.scope}")
    return Principal(name=found.name)


async def _found(deps: Deps, token: str) -> Token | None:
    look = partial(deps.store.token, tokens.digest(token))
    try:
        return await asyncio.wait_for(run_in_threadpool(look), deps.decision_timeout_seconds)
    except TimeoutError as error:
        raise StoreAway("the database does not answer: the token cannot be checked") from error


def needs(scope: Scope) -> Callable[..., Awaitable[Principal]]:
    """Return a dependency that lets a token with that scope in."""

    async def dependency(
        request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
    ) -> Principal:
        return await _check(request, given, scope)

    return dependency


async def open_on_loopback(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> Principal:
    """Let everyone in on loopback (unless tokens are required there too); elsewhere a token that may read."""
    deps = deps_of(request)
    if deps.loopback and not deps.require_token:
        return Principal()
    return await _check(request, given, Scope.READ)


async def may_read_metrics(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> Principal:
    """Let those in whom `open_on_loopback` does, and whom it let in before while the database cannot be asked."""
    deps = deps_of(request)
    token = given.credentials if given is not None else ""
    known = deps.readers.name_of(token)
    try:
        async with asyncio.timeout(None if known is None else _PATIENCE_SECONDS):
            principal = await open_on_loopback(request, given)
    except ProblemError:
        deps.readers.forget(token)
        raise
    except (StoreAway, TimeoutError):
        if known is None:
            raise
        return Principal(name=known)
    if principal.name is not None:
        deps.readers.let_in(token, principal.name)
    return principal


Reader = Annotated[Principal, Depends(needs(Scope.READ))]
Operator = Annotated[Principal, Depends(needs(Scope.OPERATE))]
Admin = Annotated[Principal, Depends(needs(Scope.ADMIN))]
MetricsReader = Annotated[Principal, Depends(may_read_metrics)]
Visitor = Annotated[Principal, Depends(open_on_loopback)]
Given = Annotated[Deps, Depends(deps_of)]
