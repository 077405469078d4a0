"""Changing what people decide: registry, lifecycle, tokens. Each change is audited in its own transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from monitor.core.decision import Json
from monitor.core.evidence import Change
from monitor.core.registry import Key, Registry, Rollover


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import changed. Names are `kind:id`, as in `key:billing-api`, `rollover:billing-2026-05`.

    `revision` rises only if `changed`. `changes` are those that the gate will feel, by key.
    """

    changed: bool
    revision: int
    added: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changes: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)


class RegistryStore(Protocol):
    """The registry as it is stored; lifecycle steps are merged into what `registry` returns."""

    def registry(self) -> tuple[int, Registry]:
        """Return the registry and its revision (it rises with each change, lifecycle steps included)."""
        ...

    def import_registry(self, registry: Registry, *, source: str, by: str, now_ms: int) -> ImportReport:
        """Make everything of this `source` (a file's name, `api`) be as given; what it no longer has goes.

        Idempotent: the same content changes nothing and makes no revision. Entries of other sources stay; an entry
        that another source had is taken over. Lifecycle state survives. The first import of a key or rollover is no
        change for the gate; a policy that differs, or a credential removed from a version or moved to another, is.
        Raises `RegistryError` when a credential would belong to two versions, or a rollover to an unknown key.
        """
        ...

    def put_key(self, key: Key, *, by: str, now_ms: int) -> ImportReport:
        """Add or replace one key (source `api`); the same rules."""
        ...


class Scope(StrEnum):
    """What a token may do; each includes those before it."""

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An API token as stored: never itself, only the SHA-256 of it (hex)."""

    name: str
    scope: Scope
    sha256: str
    created_at_ms: int
    revoked_at_ms: int | None = None


class TokenStore(Protocol):
    """API tokens, hashed at rest."""

    def create_token(self, name: str, *, scope: Scope, sha256: str, now_ms: int) -> Token:
        """Store a token. Raises `Conflict` where a live one of that name exists."""
        ...

    def tokens(self) -> Sequence[Token]:
        """Return all tokens, revoked ones too, by name."""
        ...

    def revoke_token(self, name: str, *, now_ms: int) -> None:
        """Revoke the live token of that name. Raises `NotFound`."""
        ...

    def token(self, sha256: str) -> Token | None:
        """Return the live token with that hash."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloverState:
    """Where a rollover stands. `state` is `planned` or `overlap` by its start until somebody makes a step."""

    rollover: Rollover
    state: str
    since_ms: int
    by: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """A row of the hash chain: `hash` = SHA-256 over the canonical JSON of the row and `prev_hash`."""

    seq: int
    at_ms: int
    kind: str
    rollover: str | None
    body: Mapping[str, Json]
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The latest decision of a rollover: `body` is `Decision.as_json()`."""

    rollover: str
    evaluated_at_ms: int
    verdict: str
    body: Mapping[str, Json]
