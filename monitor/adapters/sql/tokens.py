"""API tokens, hashed at rest; each change with its row of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, insert, select, update

from monitor.adapters.sql.chain import append_audit
from monitor.adapters.sql.engine import Database
from monitor.adapters.sql.schema import records
from monitor.errors import Conflict, NotFound
from monitor.ports import Scope, Token

_TOKENS = records.tokens.c


class TokenSide:
    """`TokenStore` on SQL."""

    _db: Database

    def create_token(self, name: str, *, scope: Scope, sha256: str, now_ms: int) -> Token:
        """Store a token. Raises `Conflict` where a live one of that name exists."""
        made = Token(name=name, scope=scope, sha256=sha256, created_at_ms=now_ms)
        live = select(_TOKENS.id).where(_TOKENS.name == name, _TOKENS.revoked_at_ms.is_(None))
        with self._db.in_turn() as connection:
            if connection.execute(live).first() is not None:
                raise Conflict(f"there is a token {name!a} already: revoke it first, or take another name")
            connection.execute(
                insert(records.tokens).values(name=name, scope=scope.value, sha256=sha256, created_at_ms=now_ms)
            )
            append_audit(
                connection,
                kind="token_created",
                rollover=None,
                body={"name": name, "scope": scope.value},
                at_ms=now_ms,
            )
        return made

    def tokens(self) -> Sequence[Token]:
        """Return all tokens, revoked ones too, by name."""
        with self._db.reading() as connection:
            rows = connection.execute(select(records.tokens).order_by(_TOKENS.name, _TOKENS.id)).all()
        return [_token(row) for row in rows]

    def revoke_token(self, name: str, *, now_ms: int) -> None:
        """Revoke the live token of that name."""
        with self._db.in_turn() as connection:
            gone = connection.execute(
                update(records.tokens)
                .where(_TOKENS.name == name, _TOKENS.revoked_at_ms.is_(None))
                .values(revoked_at_ms=now_ms)
            )
            if not gone.rowcount:
                raise NotFound(f"there is no live token {name!a}")
            append_audit(connection, kind="token_revoked", rollover=None, body={"name": name}, at_ms=now_ms)

    def token(self, sha256: str) -> Token | None:
        """Return the live token with that hash."""
        query = select(records.tokens).where(_TOKENS.sha256 == sha256, _TOKENS.revoked_at_ms.is_(None))
        with self._db.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _token(row)


def _token(row: Row[Any]) -> Token:
    return Token(
        name=row.name,
        scope=Scope(row.scope),
        sha256=row.sha256,
        created_at_ms=row.created_at_ms,
        revoked_at_ms=row.revoked_at_ms,
    )
