"""API tokens: made once, shown once, kept as a SHA-256."""

from __future__ import annotations

import hashlib
import secrets

from monitor.ports import Scope, Token, TokenStore

PREFIX = "rwt_"
"""So that secret scanners and our own log redaction know one when they see it."""
_BYTES = 32
_RANK = {Scope.READ: 0, Scope.OPERATE: 1, Scope.ADMIN: 2}


def digest(token: str) -> str:
    """Return what is stored of a token. It has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def create(store: TokenStore, name: str, *, scope: Scope, now_ms: int) -> str:
    """Make a token, store its hash, return it. Raises `Conflict` where a live one of that name exists."""
    token = PREFIX + secrets.token_urlsafe(_BYTES)
    store.create_token(name, scope=scope, sha256=digest(token), now_ms=now_ms)
    return token


def allows(token: Token, needed: Scope) -> bool:
    """Return whether a token may do what needs that scope; each scope includes those before it."""
    return _RANK[token.scope] >= _RANK[needed]


class Readers:
    """Who was let in to read metrics: they go on reading while the database cannot be asked, when it matters most.

    For metrics alone: they show no caller and no credential, and no decision trusts this. In memory, as hashes.
    """

    _MOST = 64

    def __init__(self) -> None:
        """Know nobody."""
        self._names: dict[str, str] = {}

    def name_of(self, token: str) -> str | None:
        """Return the name of a token that was let in before."""
        return self._names.get(digest(token))

    def let_in(self, token: str, name: str) -> None:
        """Remember one that the database knows; the oldest makes room."""
        self._names[digest(token)] = name
        if len(self._names) > self._MOST:
            del self._names[next(iter(self._names))]

    def forget(self, token: str) -> None:
        """Forget one that the database does not know any more."""
        self._names.pop(digest(token), None)
