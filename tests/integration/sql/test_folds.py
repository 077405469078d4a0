"""The folds that upkeep keeps beside callers' histories save work, and never change an answer."""

from __future__ import annotations

from contextlib import closing

from sqlalchemy import text

from monitor.adapters.sql import SqlStore, open_store
from monitor.control.judge import Judge
from monitor.core.decision import Decision
from monitor.core.evidence import CallerRecord
from monitor.core.instants import DAY_MS, HOUR_MS
from monitor.core.policy import Policy
from monitor.core.rhythm import Folded
from monitor.ports import Retention
from tests.contract.store.factories import NEW, T0, Feed, event, registered

NOW = T0 + 40 * DAY_MS
ROLLOVER = "billing-2026-05"


def filled(store: SqlStore) -> Feed:
    """Two callers a day for forty days; one of them has moved."""
    registered(store)
    feed = Feed(store)
    daily = [event(T0 + day * DAY_MS + 9 * HOUR_MS) for day in range(40)]
    moved = [event(T0 + day * DAY_MS, client="globex", source=None) for day in range(30)]
    feed.flush([*daily, *moved, event(T0 + 31 * DAY_MS, client="globex", source=None, credential=NEW)])
    return feed


def of_acme(url: str) -> CallerRecord:
    """Read acme's record, as a process that has just begun."""
    with closing(open_store(url)) as store, store.snapshot() as snapshot:
        return next(each for each in snapshot.key(ROLLOVER, NOW).callers if each.client == "acme")


def decided(url: str) -> Decision:
    """Decide, as a process that has just begun."""
    with closing(open_store(url)) as store, store.snapshot() as snapshot:
        return Judge(policy=Policy(), stale_after_ms=HOUR_MS).decide_one(snapshot, ROLLOVER, now_ms=NOW)


def what_callers_decide(decision: Decision) -> list[object]:
    """Return all of a decision but what the clock has a part in."""
    c7 = next(each for each in decision.clauses if each.id == "C7")
    return [decision.verdict, c7, decision.blockers, decision.blast_radius, decision.eta, decision.progress]


def held(record: CallerRecord) -> Folded | None:
    fold = record.stored_fold()
    return fold if fold is not None and fold.holds([record.activity]) else None


def test_a_decision_is_the_same_before_and_after_its_callers_were_folded(store: SqlStore, url: str) -> None:
    filled(store)
    before = decided(url)
    assert held(of_acme(url)) is None
    store.prune(Retention(), now_ms=NOW)
    fold = held(of_acme(url))
    assert fold is not None
    assert fold.until_day == NOW // DAY_MS - 2
    assert what_callers_decide(decided(url)) == what_callers_decide(before)


def test_days_that_are_put_away_later_join_the_fold(store: SqlStore, url: str) -> None:
    filled(store)
    store.prune(Retention(), now_ms=NOW - 20 * DAY_MS)
    store.prune(Retention(), now_ms=NOW)
    record = of_acme(url)
    fold = held(record)
    assert fold == Folded.nothing().until(fold.until_day if fold else 0, [record.activity])


def test_a_fold_is_not_believed_once_use_arrived_late_and_is_made_anew(store: SqlStore, url: str) -> None:
    feed = filled(store)
    store.prune(Retention(), now_ms=NOW)
    feed.flush([event(T0 + 3 * DAY_MS)])
    assert held(of_acme(url)) is None
    store.prune(Retention(), now_ms=NOW)
    record = of_acme(url)
    fold = held(record)
    assert fold == Folded.nothing().until(fold.until_day if fold else 0, [record.activity])


def test_upkeep_folds_what_an_older_release_put_away(store: SqlStore, url: str) -> None:
    filled(store)
    store.prune(Retention(), now_ms=NOW)
    for told in ("DELETE FROM caller_folds", "UPDATE meta SET value = '0' WHERE name = 'caller_folds_format'"):
        with store._db.writing() as connection:
            assert connection.execute(text(told)).rowcount > 0
        store.prune(Retention(), now_ms=NOW)
        assert held(of_acme(url)) is not None
