"""Logging in to the page: the token in an HttpOnly cookie, and forms that only our own pages can send."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from monitor.api.deps import Deps
from monitor.control import tokens
from monitor.ports import Scope, Token

COOKIE = "rollwatch_session"
LONGEST_TOKEN = 512
_MAX_AGE_SECONDS = 12 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Who looks at the page. `token` is nobody's where the page is open and no one has logged in."""

    token: Token | None = None
    csrf: str = ""

    def may(self, scope: Scope) -> bool:
        """Return whether this session may do what needs that scope."""
        return self.token is not None and tokens.allows(self.token, scope)

    def sealed(self, text: str) -> str:
        """Return a query that shows this text to this session on its next page; nobody else can make one."""
        return urlencode({"notice": text, "seal": self._seal(text)})

    def unsealed(self, request: Request) -> str | None:
        """Return the text of such a query; a link that somebody else made shows nothing."""
        text, seal = request.query_params.get("notice", ""), request.query_params.get("seal", "")
        ours = bool(self.csrf) and hmac.compare_digest(seal.encode(), self._seal(text).encode())
        return text if ours and text else None

    def _seal(self, text: str) -> str:
        return hmac.digest(self.csrf.encode(), text.encode(), "sha256").hex()[:32]


def session_of(request: Request, deps: Deps) -> Session:
    """Return the session of a request's cookie; an unknown or revoked token is nobody. May raise `StoreAway`."""
    given = request.cookies.get(COOKIE, "")
    if not given or len(given) > LONGEST_TOKEN:
        return Session()
    token = deps.store.token(tokens.digest(given))
    return Session() if token is None else Session(token=token, csrf=_csrf(given))


def log_in(response: Response, given: str, request: Request, prefix: str) -> None:
    """Set the cookie: for this site's own requests only, never readable by a script."""
    response.set_cookie(
        COOKIE,
        given,
        max_age=_MAX_AGE_SECONDS,
        path=prefix or "/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def log_out(response: Response, prefix: str) -> None:
    """Take the cookie away."""
    response.delete_cookie(COOKIE, path=prefix or "/", httponly=True, samesite="strict")


def from_here(request: Request) -> bool:
    """Return whether a form was sent from this site, by what the browser says of it.

    `Sec-Fetch-Site` holds behind any proxy; a browser too old for it says `Origin`. Others send no form unasked.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin in (None, "null") or urlsplit(origin or "").netloc == request.headers.get("host")


def is_ours(request: Request, session: Session, given: str) -> bool:
    """Return whether a form was sent by one of our pages to this session: its secret fits, and so does its origin."""
    return from_here(request) and bool(session.csrf) and hmac.compare_digest(given.encode(), session.csrf.encode())


def _csrf(token: str) -> str:
    return hmac.digest(token.encode(), b"rollwatch page form", "sha256").hex()
