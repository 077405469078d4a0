"""`StoreDetection`: what grew in the store since the last look, once; history at the start; open incidents taken up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from monitor.core.alerts import Alert
from monitor.core.decision import Json
from monitor.core.evidence import OpenIncident
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS
from monitor.core.registry import Key, KeyVersion, Registry, Rollover
from monitor.core.windows import CallerGatewayKey, FailureKey, Span, UsageKey
from monitor.ports.detection import MinuteUse
from monitor.ports.outbox import Incident
from monitor.watch.detector_feed import StoreDetection

NOW = 1_777_600_800_000 // HOUR_MS * HOUR_MS
REGISTRY = Registry(
    keys=(
        Key(key="k", versions=(KeyVersion(version=1, credentials=("c1",)), KeyVersion(version=2, credentials=("c2",)))),
        Key(key="calm", versions=(KeyVersion(version=1, credentials=("q1",)),)),
    ),
    rollovers=(Rollover(id="r", key="k", from_version=1, to_version=2, started_at_ms=NOW - DAY_MS),),
)


@dataclass
class Shelf:
    """The detector's part of a store, in memory."""

    usage: dict[UsageKey, int] = field(default_factory=dict)
    failures: dict[FailureKey, int] = field(default_factory=dict)
    spans: dict[CallerGatewayKey, Span] = field(default_factory=dict)
    opened: list[Incident] = field(default_factory=list)

    def usage_cells(
        self, *, from_ms: int, to_ms: int, credentials: Sequence[str] | None = None
    ) -> list[tuple[UsageKey, int]]:
        return [(k, n) for k, n in self.usage.items() if from_ms <= k.bucket_ms < to_ms]

    def failure_cells(
        self, *, from_ms: int, to_ms: int, credentials: Sequence[str] | None = None
    ) -> list[tuple[FailureKey, int]]:
        return [(k, n) for k, n in self.failures.items() if from_ms <= k.minute_ms < to_ms]

    def caller_gateway_spans(self, *, since_ms: int) -> list[tuple[CallerGatewayKey, Span]]:
        return [(k, s) for k, s in self.spans.items() if s.last_ms >= since_ms]

    def incidents(self, *, key: str | None = None, open_only: bool = False, limit: int = 100) -> list[Incident]:
        return self.opened


@dataclass
class Recorder:
    """A detector that remembers what it was fed."""

    fed: list[MinuteUse] = field(default_factory=list)
    warmed: list[MinuteUse] = field(default_factory=list)
    restored: list[Incident] = field(default_factory=list)
    trainings: int = 0

    def register(self, registry: Registry) -> None:
        pass

    def observe(self, uses: Sequence[MinuteUse], now_ms: int) -> Sequence[Alert]:
        self.fed = list(uses)
        return ()

    def warm(self, uses: Sequence[MinuteUse], now_ms: int) -> None:
        self.warmed.extend(uses)

    def train(self, now_ms: int) -> Mapping[str, Json]:
        self.trainings += 1
        return {"rows": 0}

    def not_ready(self, now_ms: int) -> str | None:
        return None

    def open_incidents(self) -> Sequence[tuple[str, OpenIncident]]:
        return ()

    def restore(self, incidents: Sequence[Incident], now_ms: int) -> None:
        self.restored.extend(incidents)

    def changed_incidents(self) -> Sequence[Incident]:
        return ()


def failure(minute_ms: int, credential: str = "c2") -> FailureKey:
    return FailureKey(minute_ms, credential, "acme", None, "e1", "eu", "/r", "GET", "wrong_secret")


def place(credential: str = "c2") -> CallerGatewayKey:
    return CallerGatewayKey(credential, "acme", None, "e1", "eu")


def looked(shelf: Shelf) -> tuple[Recorder, StoreDetection]:
    recorder = Recorder()
    feed = StoreDetection(recorder, shelf)
    feed.look(REGISTRY, NOW)
    return recorder, feed


def test_history_is_taken_up_at_the_first_look_and_nothing_is_told() -> None:
    shelf = Shelf()
    shelf.failures[failure(NOW - 3 * HOUR_MS)] = 4
    shelf.usage[UsageKey(NOW - 5 * HOUR_MS, 3600, "q1", "e1", "eu", "success", "ok")] = 900
    shelf.spans[place()] = Span(NOW - DAY_MS, NOW - HOUR_MS, 50)
    recorder, _ = looked(shelf)
    assert sorted((u.key, u.outcome, u.requests) for u in recorder.warmed) == [
        ("calm", "success", 900),
        ("k", "failure", 4),
        ("k", "success", 50),
    ]
    assert recorder.fed == []


def test_a_cell_that_grows_is_fed_by_its_growth_and_once() -> None:
    shelf = Shelf()
    recorder, feed = looked(shelf)
    at = failure(NOW)
    shelf.failures[at] = 2
    feed.look(REGISTRY, NOW + MINUTE_MS)
    assert [u.requests for u in recorder.fed] == [2]
    shelf.failures[at] = 5
    feed.look(REGISTRY, NOW + 2 * MINUTE_MS)
    assert [u.requests for u in recorder.fed] == [3]
    feed.look(REGISTRY, NOW + 3 * MINUTE_MS)
    assert recorder.fed == []


def test_successes_come_from_the_growth_of_a_callers_use_of_a_gateway() -> None:
    shelf = Shelf(spans={place(): Span(NOW - DAY_MS, NOW - HOUR_MS, 50)})
    recorder, feed = looked(shelf)
    shelf.spans[place()] = Span(NOW - DAY_MS, NOW + 30_000, 57)
    feed.look(REGISTRY, NOW + MINUTE_MS)
    (use,) = recorder.fed
    assert (use.client, use.gateway, use.outcome, use.requests, use.minute_ms) == ("acme", "e1", "success", 7, NOW)


def test_volume_of_keys_outside_a_rollover_comes_from_their_buckets() -> None:
    shelf = Shelf()
    bucket = UsageKey(NOW, 3600, "q1", "e1", "eu", "success", "ok")
    recorder, feed = looked(shelf)
    shelf.usage[bucket] = 10
    feed.look(REGISTRY, NOW + 5 * MINUTE_MS)
    shelf.usage[bucket] = 25
    feed.look(REGISTRY, NOW + 10 * MINUTE_MS)
    (use,) = recorder.fed
    assert (use.key, use.requests, use.client) == ("calm", 15, None)
    assert NOW + 5 * MINUTE_MS <= use.minute_ms < NOW + 10 * MINUTE_MS


def test_rate_limiting_is_felt_and_the_volume_of_followed_callers_is_not_counted_twice() -> None:
    shelf = Shelf()
    recorder, feed = looked(shelf)
    shelf.usage[UsageKey(NOW, 60, "c2", "e1", "eu", "success", "rate_limited")] = 6
    shelf.usage[UsageKey(NOW, 60, "c2", "e1", "eu", "success", "ok")] = 90
    feed.look(REGISTRY, NOW + MINUTE_MS)
    assert [(u.reason, u.requests) for u in recorder.fed] == [("rate_limited", 6)]


def test_what_is_not_in_the_registry_is_not_fed() -> None:
    shelf = Shelf()
    recorder, feed = looked(shelf)
    shelf.failures[failure(NOW, "stranger")] = 9
    feed.look(REGISTRY, NOW + MINUTE_MS)
    assert recorder.fed == []


def test_open_incidents_are_taken_up() -> None:
    incident = Incident(
        id="k/v2/1", key="k", version=2, kind="failed_rollover", cause="unknown", severity="warning",
        opened_at_ms=NOW - HOUR_MS, summary="…", holds_gate=True,
    )  # fmt: skip
    recorder, _ = looked(Shelf(opened=[incident]))
    assert recorder.restored == [incident]


def test_it_trains_once_a_day() -> None:
    recorder, feed = looked(Shelf())
    feed.look(REGISTRY, NOW + MINUTE_MS)
    assert recorder.trainings == 1
    feed.look(REGISTRY, NOW + DAY_MS)
    assert recorder.trainings == 2


def test_what_is_refused_on_purpose_is_not_told_to_the_detector_and_what_comes_after_is() -> None:
    shelf, refused = Shelf(), {("k", 1): NOW + MINUTE_MS}
    recorder = Recorder()
    feed = StoreDetection(recorder, shelf, refused=lambda _now_ms: dict(refused))

    def told(minute: int, at: int) -> list[tuple[int, int]]:
        for version in (1, 2):
            shelf.failures[failure(NOW + minute * MINUTE_MS, f"c{version}")] = 3
        feed.look(REGISTRY, NOW + at * MINUTE_MS)
        return [(use.version, (use.minute_ms - NOW) // MINUTE_MS) for use in recorder.fed]

    feed.look(REGISTRY, NOW)
    assert told(0, 2) == [(1, 0), (2, 0)], "before it began"
    assert told(2, 3) == [(2, 2)], "the new version is never refused on purpose"
    refused.clear()
    assert told(4, 5) == [(2, 4)], "it ended since the last look"
    assert told(3, 6) == [(2, 3)], "what comes late was meant too"
    assert told(7, 8) == [(1, 7), (2, 7)], "it is over"
