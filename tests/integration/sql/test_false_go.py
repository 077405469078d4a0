"""Ways to a false GO that concern the database itself."""

from __future__ import annotations

from contextlib import closing

import pytest

from monitor.adapters.sql import SqlStore, open_store, upgrade
from monitor.api.decisions import decide_and_write
from monitor.api.deps import Deps
from monitor.control.judge import Judge
from monitor.core.instants import DAY_MS, HOUR_MS
from monitor.core.policy import Policy
from monitor.demo.parts.postgres import PostgresServer
from monitor.errors import StoreRefused
from tests.contract.store.factories import OLD, T0, Feed, event, registered

ROLLOVER = "billing-2026-05"
JUDGE = Judge(policy=Policy(), stale_after_ms=HOUR_MS)


def test_28_no_crowd_of_credentials_swallows_the_old_versions_use(store: SqlStore) -> None:
    """There is no cap behind which a credential becomes "other": twenty thousand strangers come before the one."""
    registered(store)
    feed = Feed(store)
    for crowd in range(4):
        strangers = [event(T0, credential=f"stranger-{crowd}-{n}", client=f"c-{n}") for n in range(5_000)]
        feed.flush(strangers, registered=frozenset({OLD}), fine=frozenset())
    feed.flush([event(T0 + DAY_MS, client="last-of-all")])
    with store.snapshot() as snapshot:
        decision = JUDGE.decide_one(snapshot, ROLLOVER, now_ms=T0 + 2 * DAY_MS)
    named = [each.caller.client for each in decision.blockers if each.caller is not None and each.clause == "C7"]
    assert named == ["last-of-all"]


def test_29_a_standby_is_not_asked() -> None:
    """Its lag is invisible to whoever reads it, so that nothing it holds is looked at."""
    with PostgresServer() as server:
        url = server.create_database()
        upgrade(url)
        with closing(open_store(url)) as store:
            registered(store)
            Feed(store).flush([event(T0)])
            assert decide_and_write(Deps(store=store, judge=JUDGE), ROLLOVER, None)["decision"] == "UNKNOWN"
        server.stop()
        (server.folder / "data" / "standby.signal").touch()
        server.start()
        with closing(open_store(url)) as store:
            with pytest.raises(StoreRefused, match="is a standby"), store.snapshot():
                pass
            with pytest.raises(StoreRefused, match="is a standby"):
                decide_and_write(Deps(store=store, judge=JUDGE), ROLLOVER, None)
