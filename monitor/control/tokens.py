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
