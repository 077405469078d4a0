"""A small HTTP client for our own API: standard library only, because `gate` must start at once."""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from monitor.core.untrusted import harmless
from monitor.errors import ConfigError

_TIMEOUT_SECONDS = 20.0
_MOST_BYTES = 64 * 1024 * 1024
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104 - what is listened on, to ask there


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Status 0 is no answer at all; then `text` says why."""

    url: str
    status: int
    text: str

    def json(self) -> Mapping[str, Any] | None:
        """Return the JSON object, `None` where there is none."""
        if not self.status:
            return None
        try:
            value = json.loads(self.text)
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    def problem(self) -> str:
        """Return in one line what went wrong."""
        if not self.status:
            return f"{self.url} does not answer: {self.text}"
        body = self.json() or {}
        error = body.get("error")
        message = error.get("message") if isinstance(error, dict) else None
        return f"{self.url} answered {self.status}: {harmless(str(message or self.text), limit=300)}"


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer, not a way: a token must not follow it elsewhere."""

    def redirect_request(self, *_arguments: Any, **_named: Any) -> None:  # noqa: ANN401 - the library's signature
        """Follow none."""


class Client:
    """Asks one daemon."""

    def __init__(self, base: str, *, token: str | None) -> None:
        """Prepare. Raises `ConfigError` for an address that is none."""
        parts = urllib.parse.urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"not an address: {base!r}; write for instance http://127.0.0.1:8780")
        self._base = base.rstrip("/")
        self._token = token
        handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
        if parts.hostname in _LOOPBACK:
            handlers.append(urllib.request.ProxyHandler({}))  # nobody means a proxy for this machine
        self._opener = urllib.request.build_opener(*handlers)

    @classmethod
    def to(cls, url: str | None, *, token: str | None) -> Self:
        """Return a client for `--url`, ROLLWATCH_URL, or the configured API."""
        return cls(url or os.environ.get("ROLLWATCH_URL") or _configured(), token=token)

    @staticmethod
    def quote(text: str) -> str:
        """Return a text as one part of a path."""
        return urllib.parse.quote(text, safe="")

    def get(self, path: str, **query: str | None) -> Answer:
        """Ask; see `send`."""
        given = {name: value for name, value in query.items() if value is not None}
        return self.send("GET", path + (f"?{urllib.parse.urlencode(given)}" if given else ""))

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Send a request; never raises: no answer is an answer with status 0."""
        url = self._base + path
        headers = {"Accept": "application/json", "User-Agent": "rollwatch"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            request = urllib.request.Request(url, data=data, method=method, headers=headers)  # noqa: S310 - checked above
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
                return Answer(url=self._base, status=answer.status, text=_read(answer))
        except urllib.error.HTTPError as error:
            return Answer(url=self._base, status=error.code, text=_read(error))
        except urllib.error.URLError as error:
            return Answer(url=self._base, status=0, text=str(error.reason))
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Answer(url=self._base, status=0, text=str(error) or type(error).__name__)


def _read(answer: Any) -> str:  # noqa: ANN401 - two classes of the standard library
    try:
        return str(answer.read(_MOST_BYTES).decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException):
        return ""


def _configured() -> str:
    from monitor.config import load_settings  # noqa: PLC0415 - only where no address was given

    api = load_settings().api
    host = _ANY.get(api.host, f"[{api.host}]" if ":" in api.host else api.host)
    return f"http://{host}:{api.port}{api.prefix}"
