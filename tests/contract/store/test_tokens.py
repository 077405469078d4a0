"""API tokens: by name, hashed, revocable."""

from __future__ import annotations

import pytest

from monitor.errors import Conflict, NotFound
from monitor.ports import Scope, Store
from tests.contract.store.factories import T0


def test_a_token_is_found_by_its_hash_until_it_is_revoked(store: Store) -> None:
    made = store.create_token("ci", scope=Scope.READ, sha256="aa", now_ms=T0)
    assert (made.name, made.scope, made.created_at_ms, made.revoked_at_ms) == ("ci", Scope.READ, T0, None)
    assert store.token("aa") == made
    assert store.token("bb") is None
    store.revoke_token("ci", now_ms=T0 + 5)
    assert store.token("aa") is None
    assert [(each.name, each.revoked_at_ms) for each in store.tokens()] == [("ci", T0 + 5)]


def test_a_name_has_one_live_token_and_can_be_used_again(store: Store) -> None:
    store.create_token("ci", scope=Scope.READ, sha256="aa", now_ms=T0)
    with pytest.raises(Conflict):
        store.create_token("ci", scope=Scope.ADMIN, sha256="bb", now_ms=T0)
    store.revoke_token("ci", now_ms=T0 + 1)
    store.create_token("ci", scope=Scope.ADMIN, sha256="bb", now_ms=T0 + 2)
    found = store.token("bb")
    assert found is not None
    assert found.scope is Scope.ADMIN


@pytest.mark.parametrize("revoked_before", [False, True])
def test_what_is_not_live_cannot_be_revoked(store: Store, revoked_before: bool) -> None:
    if revoked_before:
        store.create_token("ci", scope=Scope.READ, sha256="aa", now_ms=T0)
        store.revoke_token("ci", now_ms=T0)
    with pytest.raises(NotFound):
        store.revoke_token("ci", now_ms=T0)


def test_tokens_come_by_name(store: Store) -> None:
    for name in ("c", "a", "b"):
        store.create_token(name, scope=Scope.OPERATE, sha256=name * 2, now_ms=T0)
    assert [each.name for each in store.tokens()] == ["a", "b", "c"]


def test_who_may_do_what_is_audited_without_the_hash(store: Store) -> None:
    store.create_token("ci", scope=Scope.ADMIN, sha256="deadbeef", now_ms=T0)
    store.revoke_token("ci", now_ms=T0 + 1)
    with store.snapshot() as snapshot:
        entries = snapshot.audit_entries()
    assert [each.body["name"] for each in entries] == ["ci", "ci"]
    assert "deadbeef" not in repr(entries)
