"""What is true of every answer: never stored, never sniffed, measured; and what is asked is never too large."""

from __future__ import annotations

import time

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor.adapters.metrics import HTTP_SECONDS, Metrics
from monitor.api.problems import problem

_MOST_BYTES = 1_048_576
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}


class _TooLargeError(HTTPException):
    """More was sent than is read; of this class, since the reading of a body passes on nothing else."""

    def __init__(self) -> None:
        super().__init__(413, f"at most {_MOST_BYTES} bytes are read")


class Everywhere:
    """A plain ASGI middleware, so that it also covers streams and answers made by handlers of exceptions."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, prefix: str = "") -> None:
        """Wrap the application. `prefix` is cut off a path where the proxy has left it on."""
        self._app = app
        self._metrics = metrics
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._prefix:
            scope["root_path"] = self._prefix
        began = time.monotonic()
        status = 500
        started = False

        async def send_marked(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        received = 0

        async def receive_bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > _MOST_BYTES:
                raise _TooLargeError
            return message

        try:
            await self._app(scope, receive_bounded, send_marked)
        except _TooLargeError as too_large:
            if not started:
                await problem(413, "too_large", too_large.detail)(scope, receive, send_marked)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.time(
                HTTP_SECONDS, time.monotonic() - began, route=route, method=_method(scope), status=str(status)
            )


def _method(scope: Scope) -> str:
    """Return the method, from a bounded set: it becomes a label."""
    method = str(scope["method"])
    return method if method in {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"} else "other"
