"""What a process keeps of callers never differs from what a snapshot would read, whoever writes meanwhile."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from typing import Any

from monitor.adapters.sql import SqlStore, open_store
from monitor.adapters.sql.caller_rows import callers_of_keys
from monitor.adapters.sql.kept_callers import KeptCallers
from monitor.core.events import AuthEvent
from monitor.core.evidence import CallerRecord
from monitor.core.instants import DAY_MS, HOUR_MS
from monitor.errors import StoreAway
from monitor.ports import Partition, Retention
from tests.contract.store.factories import NEW, OLD, T0, Feed, event, failure, key, registered, registry, rollover

_KEY, _OTHER = "billing-api", "other"
_NAMES = ["billing-2026-05", "other-move"]
_KEYS = (key(), key(_OTHER, old=["o1"], new=["o2"]))


def two_keys(store: SqlStore) -> None:
    registered(store, keys=_KEYS, rollovers=(rollover(), rollover("other-move", key=_OTHER)))


def some_events(dice: random.Random, count: int = 12) -> list[AuthEvent]:
    made = []
    for _ in range(count):
        make = dice.choice([event, event, event, failure])
        at_ms = T0 + dice.randrange(6 * DAY_MS)
        who = {"credential": dice.choice([OLD, NEW, "o1", "o2"]), "client": f"client-{dice.randrange(8)}"}
        made.append(make(at_ms, **who, count=dice.randrange(1, 4)))
    return made


def flush(feed: Feed, events: list[AuthEvent], registered: frozenset[str]) -> None:
    """Apply as a worker does: what a database rolls back (a deadlock with upkeep) is applied again."""
    while True:
        try:
            feed.flush(events, registered=registered)
        except StoreAway:
            continue
        return


def both(store: SqlStore, snapshot: Any) -> tuple[dict[str, tuple[CallerRecord, ...]], ...]:
    """Return the callers as the snapshot tells them, and as they are read anew in the very same transaction."""
    told = {each.key: each.callers for each in snapshot.keys(_NAMES, T0 + 9 * DAY_MS).values()}
    read = {name: tuple(each) for name, each in callers_of_keys(snapshot._connection, [_KEY, _OTHER]).items()}
    return told, read


def test_while_others_write_every_snapshot_tells_what_it_would_have_read(store: SqlStore, url: str) -> None:
    two_keys(store)
    failed: list[BaseException] = []
    fields = frozenset({OLD, NEW, "o1", "o2"})

    def write(number: int) -> None:
        theirs = open_store(url)
        try:
            dice = random.Random(number)
            feed = Feed(theirs, Partition("gw", number))
            for _ in range(25):
                flush(feed, some_events(dice), fields)
        except BaseException as error:  # noqa: BLE001 - the reader raises it
            failed.append(error)
        finally:
            theirs.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for each in threads:
        each.start()
    looks = 0
    while any(each.is_alive() for each in threads) or looks == 0:
        with store.snapshot() as snapshot:
            told, read = both(store, snapshot)
        assert told == read
        looks += 1
        if looks % 5 == 0:
            with suppress(StoreAway):  # a deadlock with a flush: whoever is rolled back tries again
                store.prune(Retention(), now_ms=T0 + 9 * DAY_MS)  # days are folded meanwhile
    for each in threads:
        each.join()
    assert failed == []
    with store.snapshot() as snapshot:
        told, read = both(store, snapshot)
    assert told == read
    assert sum(each.facts.accepted for each in told[_KEY]) > 0


def test_an_older_snapshot_is_not_told_what_a_newer_one_has_left(store: SqlStore) -> None:
    two_keys(store)
    feed = Feed(store)
    feed.flush([event()])
    with store.snapshot() as older:
        before = both(store, older)[1]
        feed.flush([event(T0 + HOUR_MS), event(client="globex")])
        with store.snapshot() as newer:
            told, read = both(store, newer)
            assert told == read
            assert len(told[_KEY]) == 2
        assert both(store, older) == (before, before)


def test_what_has_not_changed_is_the_very_same(store: SqlStore) -> None:
    two_keys(store)
    feed = Feed(store)
    feed.flush([event(client=name) for name in "abcd"])
    found = []
    for events in ([], [event(T0 + HOUR_MS, client="a")]):
        if events:
            feed.flush(events)
        with store.snapshot() as snapshot:
            found.append(snapshot.key(_NAMES[0], T0).callers)
    with store.snapshot() as snapshot:
        assert snapshot.key(_NAMES[0], T0).callers is found[1], "nothing was written since"
    assert {old.client for old, new in zip(*found, strict=True) if old is not new} == {"a"}


def test_what_does_not_fit_is_read_each_time(store: SqlStore) -> None:
    two_keys(store)
    feed = Feed(store)
    feed.flush([event(), event(credential="o1")])
    store._kept_callers = KeptCallers(most_bytes=800)  # one caller and its day
    for _ in range(2):
        with store.snapshot() as snapshot:
            told, read = both(store, snapshot)
        assert told == read
        feed.flush([event(T0 + HOUR_MS), event(T0 + HOUR_MS, credential="o1")])
    assert len(store._kept_callers._shelves) == 1


def test_a_credential_that_goes_to_another_key_takes_its_callers_along(store: SqlStore) -> None:
    two_keys(store)
    Feed(store).flush([event(), event(credential="o1", client="globex")])
    for keys in (_KEYS, (key(old=["o1"]), key(_OTHER, old=[OLD], new=["o2"]))):
        plans = (rollover(), rollover("other-move", key=_OTHER))
        store.import_registry(registry(keys=keys, rollovers=plans), source="keys.yaml", by="ana", now_ms=T0)
        with store.snapshot() as snapshot:
            told, read = both(store, snapshot)
        assert told == read
    assert {each.client for each in told[_KEY]} == {"globex"}
