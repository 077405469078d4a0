"""What a process that only ingests answers over HTTP: health, readiness and metrics, without a web framework.

The same three answers as the API's (`monitor/api/health.py`), from a plain ASGI application: a framework is most of
what such a process would have to load.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from monitor.adapters.metrics import CONTENT_TYPE, READY, Metrics
from monitor.control import tokens
from monitor.errors import RollwatchError
from monitor.ports import Scope, TokenStore

_LONGEST_TOKEN = 512
_PATIENCE_SECONDS = 2.0
"""With a database that hangs, for a token that was let in before: Prometheus gives up after ten."""
_JSON = "application/json"
_HEADERS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))

_Answer = tuple[int, str, bytes]
"""Status, content type, body."""


class Health:
    """An ASGI application. `/healthz` and `/readyz` are for everyone, `/metrics` as the API's."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        not_ready: Callable[[], Sequence[str]],
        store: TokenStore,
        needs_token: bool,
        prefix: str,
        timeout_seconds: float,
    ) -> None:
        """Prepare. `needs_token`: metrics ask for a token that may read, which is looked up within the time-out."""
        self._metrics = metrics
        self._not_ready = not_ready
        self._store = store
        self._needs_token = needs_token
        self._prefix = prefix
        self._timeout_seconds = timeout_seconds
        self._readers = tokens.Readers()

    async def __call__(
        self,
        scope: Mapping[str, Any],
        _receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        status, kind, body = await self._answer(scope)
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode()), *_HEADERS]
        if status == HTTPStatus.UNAUTHORIZED:
            headers.append((b"www-authenticate", b"Bearer"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: Mapping[str, Any]) -> _Answer:
        path = str(scope["path"])
        if self._prefix and path.startswith(self._prefix + "/"):
            path = path.removeprefix(self._prefix)
        if path not in {"/healthz", "/readyz", "/metrics"}:
            return _problem(404, "not_found", "this process ingests: ask one that runs with the role `api` or `all`")
        if scope["method"] not in {"GET", "HEAD"}:
            return _problem(405, "method_not_allowed", "this can only be read")
        if path == "/healthz":
            return 200, _JSON, _encoded({"status": "ok", "reasons": []})
        if path == "/metrics":
            refused = await self._refusal(scope) if self._needs_token else None
            if refused is not None:
                return refused
        reasons = list(self._not_ready())
        self._metrics.set(READY, not reasons)
        if path == "/metrics":
            return 200, CONTENT_TYPE, self._metrics.text()
        body = _encoded({"status": "not ready" if reasons else "ready", "reasons": reasons})
        return 503 if reasons else 200, _JSON, body

    async def _refusal(self, scope: Mapping[str, Any]) -> _Answer | None:
        """Return why the one who asks may not read, `None` where he may."""
        kind, _, given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1").partition(" ")
        given = given.strip()
        if kind.lower() != "bearer" or not given or len(given) > _LONGEST_TOKEN:
            return _problem(401, "unauthorized", "a bearer token is needed: `rollwatch token create NAME --scope read`")
        known = self._readers.name_of(given) is not None
        try:
            look = asyncio.to_thread(self._store.token, tokens.digest(given))
            found = await asyncio.wait_for(look, _PATIENCE_SECONDS if known else self._timeout_seconds)
        except (RollwatchError, TimeoutError):
            if known:
                return None
            return _problem(503, "store_away", "the database does not answer: the token cannot be checked")
        if found is None or not tokens.allows(found, Scope.READ):
            self._readers.forget(given)
            return _problem(401, "unauthorized", "the token is unknown or revoked")
        self._readers.let_in(given, found.name)
        return None


def _encoded(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def _problem(status: int, reason: str, message: str) -> _Answer:
    """Return the shape of `monitor.api.problems.problem`."""
    return status, _JSON, _encoded({"error": {"reason": reason, "message": message}})
