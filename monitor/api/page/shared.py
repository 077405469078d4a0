"""One rendering for all who look at the same page at the same time: twenty open pages cost what one does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable

from starlette.responses import Response

_MOST_PAGES = 64


class _Page:
    """A page being made, or made."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.made: tuple[bytes, int, dict[str, str]] | None = None


class Shared:
    """Pages by what makes them what they are. All are forgotten as soon as `version` gives another text."""

    def __init__(self, version: Callable[[], str]) -> None:
        """Start without any."""
        self._version = version
        self._known: str | None = None
        self._pages: dict[Hashable, _Page] = {}
        self._lock = threading.Lock()

    def get(self, name: Hashable, make: Callable[[], Response]) -> Response:
        """Return the page of that name, made by the first who asks for it; who asks meanwhile waits for it."""
        version = self._version()
        with self._lock:
            if version != self._known or len(self._pages) >= _MOST_PAGES:
                self._pages = {}
                self._known = version
            page = self._pages.setdefault(name, _Page())
        with page.lock:
            if page.made is None:
                response = make()
                headers = {name: value for name, value in response.headers.items() if name != "content-length"}
                page.made = (bytes(response.body), response.status_code, headers)
            body, status, headers = page.made
        return Response(body, status_code=status, headers=headers)
