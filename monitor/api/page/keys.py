"""The keys: a list with each one's schedule, and a page for one with its versions, callers and rollovers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from monitor.api.page.views import PageStore
from monitor.core.registry import Key, Registry
from monitor.core.rotation import Rotation, RotationRule, rotations
from monitor.errors import NotFound
from monitor.ports import CallerRow, Propagation, RolloverState

_MOST_CALLERS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """A key with the ids of its rollovers, and when a new version is due (`None` for a key without a version)."""

    key: Key
    rollovers: Sequence[str]
    rotation: Rotation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysView:
    """One page of the keys, those first whose rotation is the most urgent."""

    rows: Sequence[KeyRow]
    page: int
    pages: int
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyView:
    """One key, whole. `callers` are by version, the latest first; `pinned` holds versions under a veto."""

    row: KeyRow
    rollovers: Sequence[RolloverState]
    callers: Mapping[int, Sequence[CallerRow]]
    hidden: Mapping[int, int]
    propagation: Sequence[Propagation]
    pinned: frozenset[int]


def keys(
    store: PageStore, *, rule: RotationRule, now_ms: int, query: str = "", page: int = 1, size: int = 40
) -> KeysView:
    """Return one page of the keys whose name or owner fits."""
    with store.snapshot() as snapshot:
        registry = snapshot.registry()
    wanted = query.casefold()
    found = [
        each
        for each in _rows(registry, rule, now_ms)
        if wanted in each.key.key.casefold() or wanted in (each.key.owner.team or "").casefold()
    ]
    pages = max(-(-len(found) // size), 1)
    page = min(max(page, 1), pages)
    return KeysView(rows=found[(page - 1) * size : page * size], page=page, pages=pages, query=query)


def key(store: PageStore, name: str, *, rule: RotationRule, now_ms: int) -> KeyView:
    """Return everything about one key. Raises `NotFound`."""
    with store.snapshot() as snapshot:
        registry = snapshot.registry()
        states = snapshot.states(now_ms)
    row = next((each for each in _rows(registry, rule, now_ms) if each.key.key == name), None)
    if row is None:
        raise NotFound(f"no key {name!r}; `rollwatch keys list` shows those that are known")
    by_version: dict[int, list[CallerRow]] = {}
    for each in sorted(store.caller_rows(name), key=lambda caller: -(caller.last_success_ms or 0)):
        by_version.setdefault(each.version, []).append(each)
    return KeyView(
        row=row,
        rollovers=[states[each] for each in row.rollovers if each in states],
        callers={version: found[:_MOST_CALLERS] for version, found in sorted(by_version.items(), reverse=True)},
        hidden={version: max(len(found) - _MOST_CALLERS, 0) for version, found in by_version.items()},
        propagation=store.propagation(name),
        pinned=frozenset(
            each.version
            for each in registry.pins
            if each.key == name and (each.until_ms is None or each.until_ms > now_ms)
        ),
    )


def _rows(registry: Registry, rule: RotationRule, now_ms: int) -> list[KeyRow]:
    by_key: dict[str, list[str]] = {}
    for each in registry.rollovers:
        by_key.setdefault(each.key, []).append(each.id)
    scheduled = rotations(registry, rule, now_ms=now_ms)
    dated = [
        KeyRow(key=registry.key_by_name[each.key], rollovers=by_key.get(each.key, []), rotation=each)
        for each in scheduled
    ]
    known = {each.key for each in scheduled}
    return dated + [
        KeyRow(key=each, rollovers=by_key.get(each.key, []), rotation=None)
        for each in registry.keys
        if each.key not in known
    ]
