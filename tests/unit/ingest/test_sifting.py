"""One value that a database refuses costs one record, not its partition."""

from __future__ import annotations

import json
from typing import Any

import pytest

from monitor.adapters.memory_source import MemoryBroker, MemorySource
from monitor.adapters.memory_store import MemoryStore
from monitor.core.aggregation import Aggregator
from monitor.core.mapping import compile_mapping
from monitor.errors import StoreRefused, ValueRefused
from monitor.ingest import IngestSettings, Worker
from monitor.ports import Applied

T = 1_780_000_000_000


class Squeamish(MemoryStore):
    """A store that refuses what a client of that name has done, as a database might refuse a value."""

    fault: type[StoreRefused] = ValueRefused
    transactions = 0

    def apply(self, applied: Applied) -> None:
        self.transactions += 1
        if any(each.client == "cursed" for each in applied.aggregate.callers):
            raise self.fault("a value that the column cannot hold")
        super().apply(applied)


def value(number: int, client: str) -> bytes:
    made = {"ts": T + number, "outcome": "success", "gateway": "edge-1", "credential": "cred-a1", "client": client}
    return json.dumps(made).encode()


def counted(store: MemoryStore) -> int:
    return sum(row.records for row in store.ledger())


def worked(store: MemoryStore, values: list[bytes], **settings: Any) -> Worker:
    broker = MemoryBroker()
    broker.create_topic("gw")
    broker.append("gw", values, arrival_ms=T)
    mapping = compile_mapping("canonical", pepper=b"pepper")
    worker = Worker(
        source=MemorySource(broker, topics=["gw"], chunk=64),
        store=store,
        accumulators=lambda _, registered, fine: Aggregator(mapping, registered=registered, fine=fine),
        settings=IngestSettings(flush_interval_seconds=0, poll_seconds=0, **settings),
        name="w",
    )
    for _ in range(400):
        worker.tick()
        if counted(store) == len(values):
            break
    return worker


@pytest.mark.parametrize(
    ("cursed", "why"),
    [
        ([100], "in the middle"),
        ([0], "the first"),
        ([199], "the last"),
        ([5, 6, 130], "two neighbours and another"),
        ([], "none"),
    ],
)
def test_what_is_refused_becomes_rejects_and_everything_else_is_counted(cursed: list[int], why: str) -> None:
    store = Squeamish()
    worked(store, [value(number, "cursed" if number in cursed else "acme") for number in range(200)])
    rows = store.ledger()
    assert sum(row.records for row in rows) == 200, why
    assert sum(row.rejected for row in rows) == len(cursed), why
    assert sum(row.aggregated + row.unmapped for row in rows) == 200 - len(cursed), why
    rejects = store.rejects(limit=10)
    assert sorted((each.offset, each.reason, each.sample) for each in rejects) == [
        (offset, "bad_value", "") for offset in cursed
    ]
    ends = sorted((row.from_offset, row.to_offset) for row in rows)
    assert [start for start, _ in ends] == [0, *[end for _, end in ends[:-1]]], "the ledger tiles"
    assert store.transactions < 20 + 40 * len(cursed), "by halves, not one by one"


def test_a_store_that_refuses_us_loses_nothing() -> None:
    store = Squeamish()
    store.fault = StoreRefused
    with pytest.raises(StoreRefused):
        worked(store, [value(0, "cursed")])
    assert counted(store) == 0
