"""What all routes of the page share: the session, the templates, the headers, and what is shown when reading fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from monitor.api.deps import Deps
from monitor.api.page.live import digest
from monitor.api.page.render import environment
from monitor.api.page.session import Session, session_of
from monitor.api.page.shared import Shared
from monitor.control.memos import WATCH_MEMO
from monitor.core.instants import MINUTE_MS
from monitor.errors import NotFound, RollwatchError, StoreAway
from monitor.ports import Scope

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    # A form's origin must be told to ourselves, so that we can see that it is ours; nothing is told to others.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
SEE_OTHER = 303
_SHARED_MS = 2_000
"""A page that many look at is made once in so long, as long as nothing was decided or done meanwhile."""
_MOST_FORM_BYTES = 16_384
_MOST_FIELDS = 50


class Site:
    """The page as one thing: made once, used by every request."""

    def __init__(self, deps: Deps) -> None:
        """Compile the templates' environment."""
        self.deps = deps
        self._engine = environment()
        self._shared = Shared(partial(version_of, deps))

    def url(self, path: str) -> str:
        """Return the address of one of our paths, as the browser must ask for it."""
        return f"{self.deps.prefix}/{path}"

    def may_read(self, session: Session) -> bool:
        """Return whether the page may be shown."""
        return session.may(Scope.READ) or (self.deps.loopback and not self.deps.require_token)

    async def session(self, request: Request) -> Session:
        """Return who asks."""
        return await run_in_threadpool(session_of, request, self.deps)

    def show(
        self,
        request: Request,
        session: Session,
        template: str,
        *,
        here: str = "",
        status: int = 200,
        **context: Any,  # noqa: ANN401 - each template's own
    ) -> Response:
        """Render a template."""
        deps = self.deps
        shown = self._engine.get_template(template).render(
            url=self.url,
            here=here,
            now_ms=deps.clock.now_ms(),
            who=session.token,
            csrf=session.csrf,
            can={"operate": session.may(Scope.OPERATE)},
            origin=f"{request.url.scheme}://{request.headers.get('host', '')}{deps.prefix}",
            notice=session.unsealed(request),
            live=self.may_read(session),
            **context,
        )
        return HTMLResponse(shown, status_code=status, headers=HEADERS)

    def error(self, request: Request, session: Session, status: int, title: str, detail: str) -> Response:
        """Say what keeps a page from being shown."""
        return self.show(request, session, "error.html", status=status, title=title, detail=detail)

    async def page(self, request: Request, template: str, here: str, read: Callable[[], Mapping[str, Any]]) -> Response:
        """Answer with a page, or with what keeps it from being shown."""
        session = Session()
        try:
            session = await self.session(request)
            if not self.may_read(session):
                wanted = request.url.path.removeprefix(self.deps.prefix).lstrip("/")
                query = urlencode({"next": self.url(wanted)})
                return RedirectResponse(f"{self.url('login')}?{query}", status_code=SEE_OTHER)

            def made() -> Response:
                return self._shared.get(
                    (str(request.url), session.csrf, self.deps.clock.now_ms() // _SHARED_MS),
                    lambda: self.show(request, session, template, here=here, **read()),
                )

            return await run_in_threadpool(made)
        except NotFound as fault:
            return self.error(request, session, 404, "Not found", str(fault))
        except StoreAway as fault:
            return self.error(request, session, 503, "The database is away", str(fault))
        except RollwatchError as fault:
            return self.error(request, session, 503, "This cannot be shown", str(fault))

    def inside(self, path: str | None) -> str:
        """Return a path of our own to go on to; anything that leads elsewhere becomes the overview."""
        parts = urlsplit(path or "")
        ours = (
            path is not None
            and path.isprintable()
            and not (parts.scheme or parts.netloc or "\\" in path)
            and path.startswith("/")
            and not path.startswith("//")
        )
        return path if ours and path is not None else self.url("")


def version_of(deps: Deps) -> str:
    """Return a text that differs when any page would: the ledger grew; or the watch loop looked, minute by minute."""
    with deps.store.snapshot() as snapshot:
        last = snapshot.audit_entries(limit=1)
        looked = snapshot.memo(WATCH_MEMO) or {}
    # What a look finds that is news stands in the ledger; for the rest a minute is soon enough.
    at_ms = looked.get("at_ms")
    return digest(last[0].seq if last else 0, at_ms // MINUTE_MS if isinstance(at_ms, int) else 0)


async def form_of(request: Request) -> dict[str, str]:
    """Return a form's fields; what is too large or no form is empty."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_FORM_BYTES:
            return {}
    try:
        parsed = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return {}
    return {name: values[0] for name, values in parsed.items()}


def number_of(request: Request, name: str) -> int:
    """Return a page's number from the query; anything odd is the first page."""
    given = request.query_params.get(name, "1")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 7 else 1  # noqa: PLR2004 - digits
