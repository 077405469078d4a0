"""Small hand-made histories for the detector's tests: minute rows with plain defaults."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from models.cause import Cause
from models.causes import StructureModel, Surroundings, Verdict, judge
from models.detector import Detector
from models.episodes import Alert
from models.observations import NOT_SERVED, OK, KeyFacts, RolloverFacts, UsageRow, VersionFacts
from models.reranker import default_reranker
from models.state import FleetState

START = datetime(2026, 5, 1, tzinfo=UTC)
REGION = {"e1": "eu", "e2": "eu", "e3": "eu", "u1": "us", "u2": "us"}
DAY = 1440


def use(
    minute: int,
    *,
    reason: str = OK,
    client: str | None = "acme",
    source: str | None = "prod",
    gateway: str = "e1",
    version: int = 1,
    n: int = 1,
    route: str | None = "/r",
    key: str = "billing",
) -> UsageRow:
    """One aggregate of the minute so many after `START`."""
    return UsageRow(
        int(START.timestamp()) + minute * 60,
        key,
        version,
        client,
        source,
        gateway,
        REGION.get(gateway),
        route,
        "success" if reason == OK or reason in NOT_SERVED else "failure",
        reason,
        n,
    )


def facts(
    *,
    started_minute: int = 2 * DAY,
    retired_minute: int | None = None,
    expires_minute: int | None = None,
    key: str = "billing",
) -> KeyFacts:
    """A key whose version 1 is left for version 2."""
    return KeyFacts(
        key=key,
        versions=(
            VersionFacts(version=1, expires_at=None if expires_minute is None else at(expires_minute)),
            VersionFacts(version=2),
        ),
        rollovers=(
            RolloverFacts(
                rollover="r",
                from_version=1,
                to_version=2,
                started_at=at(started_minute),
                retired_at=None if retired_minute is None else at(retired_minute),
            ),
        ),
    )


def at(minute: int) -> datetime:
    """The time so many minutes after `START`."""
    return START + timedelta(minutes=minute)


def healthy(
    minutes: range,
    *,
    clients: Iterable[str] = ("acme", "globex", "initech"),
    version: int = 1,
    every: int = 5,
    gateways: Iterable[str] = ("e1", "e2", "u1"),
) -> list[UsageRow]:
    """Callers that succeed at every gateway every few minutes."""
    return [
        use(minute, client=client, gateway=gateway, version=version)
        for minute in minutes
        if minute % every == 0
        for client in clients
        for gateway in gateways
    ]


def watch(
    rows: Iterable[UsageRow],
    *,
    key: KeyFacts | None = None,
    until: int,
    detector: Detector | None = None,
    since: int = 0,
) -> list[Alert]:
    """Let a detector look every minute up to `until`; return what it told."""
    detector = detector or Detector(reranker=default_reranker())
    if key is not None:
        detector.register([key])
    by_minute: dict[int, list[UsageRow]] = {}
    for row in rows:
        by_minute.setdefault((row.bucket - int(START.timestamp())) // 60, []).append(row)
    told: list[Alert] = []
    for minute in range(since, until):
        told.extend(detector.observe(by_minute.get(minute, []), at(minute + 1)))
    return told


def verdict(rows: Iterable[UsageRow], *, key: KeyFacts, now: int, model: StructureModel | None = None) -> Verdict:
    """Judge version rows as of a minute, by the rules alone without a model."""
    state = FleetState()
    state.register([key])
    ordered = sorted(rows)
    state.add(ordered)
    found = state.look((int(START.timestamp()) // 60) + now, frozenset())
    chosen = max(found, key=lambda c: sum(f.count for f in c.evidence.failures))
    return judge(
        state.keys[chosen.key],
        chosen.version,
        chosen.evidence,
        chosen.life,
        around=Surroundings(
            region_of=lambda gateway: state.regions.get(gateway, ""),
            hides_reasons=state.hides_reasons,
            namelessness=state.namelessness,
        ),
        now=chosen.minute,
        features=chosen.features,
        model=model,
    )


__all__ = ["DAY", "START", "Cause", "at", "facts", "healthy", "use", "verdict", "watch"]
