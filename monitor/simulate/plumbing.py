"""Stories about telemetry: what is lost, late, unreadable, sampled or wrong between a gateway and us."""

from __future__ import annotations

from monitor.core.alerts import AlertKind
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, rfc3339
from monitor.simulate.cast import GATEWAYS, KEY, Kind, movers, stage
from monitor.simulate.people import LAGGARD
from monitor.simulate.rhythms import every, steady
from monitor.simulate.story import Story


def _silent_gateway(story: Story) -> None:
    """A shipper stops for hours; a caller uses the old version there meanwhile."""
    stage(story)
    movers(story, 5)
    begins = story.start_ms + int(story.random.uniform(2, 14) * DAY_MS)
    ends = begins + int(story.random.uniform(0.6, 30) * HOUR_MS)
    story.silence("edge-2", begins, ends)
    story.due(AlertKind.TELEMETRY, from_ms=begins + 15 * MINUTE_MS, within_ms=2 * HOUR_MS, gateway="edge-2")
    story.healthy = False


def _dead_gateway(story: Story) -> None:
    """A shipper stops for good, and hides a caller that stays on the old version."""
    stage(story)
    movers(story, 4)
    begins = story.start_ms + int(story.random.uniform(1, 5) * DAY_MS)
    story.use(LAGGARD, steady(2 * HOUR_MS), gateways=("edge-2",))
    story.silence("edge-2", begins, story.end_ms)
    story.due(AlertKind.TELEMETRY, from_ms=begins + 15 * MINUTE_MS, within_ms=2 * HOUR_MS, gateway="edge-2")
    story.healthy = False


def _outage(story: Story) -> None:
    """Nothing is logged anywhere for hours."""
    stage(story)
    movers(story, 5)
    begins = story.start_ms + int(story.random.uniform(1, 12) * DAY_MS)
    ends = begins + int(story.random.uniform(1, 12) * HOUR_MS)
    for gateway in GATEWAYS:
        story.silence(gateway, begins, ends)
        story.due(AlertKind.TELEMETRY, from_ms=begins, within_ms=2 * HOUR_MS, gateway=gateway)
    story.healthy = False


def _old_outage(story: Story) -> None:
    """A day was lost weeks before the start: a monthly run may have fallen into it."""
    stage(story)
    movers(story, 5)
    begins = story.start_ms - int(story.random.uniform(15, 60) * DAY_MS)
    story.silence("edge-1", begins, begins + DAY_MS)


def _late_logs(story: Story) -> None:
    """One gateway's logs arrive hours late, all at once."""
    stage(story)
    movers(story, 5)
    begins = story.start_ms + int(story.random.uniform(8, 20) * DAY_MS)
    ends = begins + int(story.random.uniform(2, 10) * HOUR_MS)
    if story.random.random() < 0.5:  # noqa: PLR2004 - a coin
        newcomer = ("newcomer", "late")
        story.add(begins + HOUR_MS, "old", newcomer, gateway="edge-2")
        story.due(AlertKind.NEW_ADOPTER, from_ms=ends, within_ms=2 * HOUR_MS, caller=newcomer)
    else:
        story.use(LAGGARD, every(3 * HOUR_MS), moves_ms=ends - HOUR_MS, gateways=("edge-2",))
    story.delay("edge-2", begins, ends)
    story.due(AlertKind.TELEMETRY, from_ms=begins + 15 * MINUTE_MS, within_ms=2 * HOUR_MS, gateway="edge-2")
    story.healthy = False


def _disorder(story: Story) -> None:
    """Records of two gateways arrive some minutes out of order."""
    stage(story)
    movers(story, 6)
    story.calls = [
        each._replace(arrival_ms=each.ts_ms + story.random.randrange(5 * MINUTE_MS), told=True) for each in story.calls
    ]


def _rejects(story: Story) -> None:
    """Some records cannot be read."""
    stage(story)
    movers(story, 5)
    begins = story.start_ms + int(story.random.uniform(3, 12) * DAY_MS)
    for _ in range(story.random.randrange(1, 20)):
        story.broken.append(
            (begins + story.random.randrange(3 * HOUR_MS), b'{"ts": "2026-01-01T00:00:00", "outcome": "success"}')
        )
    story.due(AlertKind.TELEMETRY, from_ms=min(at for at, _ in story.broken), within_ms=5 * HOUR_MS)
    story.healthy = False


def _sampled(story: Story) -> None:
    """A gateway logs a tenth of its requests for some days."""
    stage(story)
    movers(story, 5)
    begins = story.start_ms + int(story.random.uniform(0, 6) * DAY_MS)
    for hour in range(story.random.randrange(3, 60)):
        story.add(begins + hour * HOUR_MS, "fleet", ("fleet", "fleet"), gateway="edge-2", sample_rate=0.1)
    story.due(AlertKind.TELEMETRY, from_ms=begins, within_ms=3 * HOUR_MS)
    story.healthy = False


def _unmapped(story: Story) -> None:
    """A credential that nobody registered succeeds."""
    stage(story)
    movers(story, 5)
    begins = story.start_ms + int(story.random.uniform(2, 8) * DAY_MS)
    story.use(("ghost", "eu"), every(6 * HOUR_MS), old="0ld", from_ms=begins, until_ms=begins + 3 * DAY_MS)
    story.due(AlertKind.TELEMETRY, from_ms=begins, within_ms=DAY_MS)
    story.healthy = False


def _unmanaged(story: Story) -> None:
    """The same, and somebody knows of it."""
    entry = {"credential": "legacy", "reason": "not under rotation", "by": "ana", "until": rfc3339(story.end_ms)}
    stage(story, unmanaged=[entry])
    movers(story, 5)
    story.use(("legacy", "cron"), every(DAY_MS), old="legacy")


def _stuffing(story: Story) -> None:
    """Random keys are tried by the thousand: they cost nothing and say nothing."""
    stage(story)
    movers(story, 5)
    begins = story.start_ms + 2 * DAY_MS
    for index in range(5_000):
        at = begins + story.random.randrange(2 * DAY_MS)
        story.add(at, f"guess-{index}", (f"bot-{index}", None), reason="unknown_credential")


def _skew(story: Story) -> None:
    """A gateway's clock is ahead, while somebody uses the old version there."""
    stage(story)
    movers(story, 4)
    begins = story.start_ms + 6 * DAY_MS
    story.use(LAGGARD, every(3 * HOUR_MS), moves_ms=begins + DAY_MS, gateways=("edge-2",))
    story.shift_clock("edge-2", begins, begins + DAY_MS, 12 * MINUTE_MS)
    story.due(AlertKind.TELEMETRY, from_ms=begins, within_ms=5 * HOUR_MS)
    story.healthy = False


def _unregistered_gateway(story: Story) -> None:
    """A gateway that was never onboarded turns up."""
    stage(story)
    movers(story, 5)
    begins = story.start_ms + int(story.random.uniform(1, 9) * DAY_MS)
    for at in every(HOUR_MS)(story.random, begins, begins + 5 * HOUR_MS):
        story.add(at, "fleet", ("fleet", "fleet"), gateway="edge-9")
    story.due(AlertKind.TELEMETRY, from_ms=begins, within_ms=4 * HOUR_MS, gateway="edge-9")
    story.healthy = False


def _short_history(story: Story) -> None:
    """The history is shorter than the look-back."""
    stage(story)
    movers(story, 5)
    story.healthy = False


def _failed_region(story: Story) -> None:
    """The new version is rejected in one region for hours; callers fall back."""
    stage(story)
    movers(story, 6)
    begins = story.start_ms + DAY_MS
    ends = begins + int(story.random.uniform(2, 12) * HOUR_MS)
    story.calls = [
        each._replace(accepted=False, reason="unknown_credential")
        if each.credential == "new" and each.gateway == "edge-2" and begins <= each.ts_ms < ends
        else each
        for each in story.calls
    ]


def _two_steps(story: Story) -> None:
    """Version 3 comes before everybody has left 1; some go there directly."""
    stage(story)
    registry = story.registry
    versions = registry["keys"][0]["versions"]  # type: ignore[index]
    versions.append({"version": 3, "credentials": ["newer"], "created_at": rfc3339(story.start_ms + 4 * DAY_MS)})
    second = {"id": "billing-2", "key": KEY, "from": 2, "to": 3, "started_at": rfc3339(story.start_ms + 5 * DAY_MS)}
    registry["rollovers"].append(second)  # type: ignore[attr-defined]
    movers(story, 3)
    story.use(LAGGARD, steady(HOUR_MS), new="newer", moves_ms=story.start_ms + 6 * DAY_MS)
    story.use(
        ("stepper", "eu"), steady(HOUR_MS), moves_ms=story.start_ms + 2 * DAY_MS, until_ms=story.start_ms + 9 * DAY_MS
    )
    story.use(("stepper", "eu"), steady(HOUR_MS), old="newer", from_ms=story.start_ms + 9 * DAY_MS)


def _never_used(story: Story) -> None:
    """The old version was registered with an id that no log has ever shown."""
    stage(story)
    story.use(("client-0", "eu"), steady(HOUR_MS), old="o1d", moves_ms=story.start_ms + 2 * DAY_MS)
    story.healthy = False


PLUMBING: dict[str, Kind] = {
    "silent-gateway": Kind(tell=_silent_gateway, about="a shipper stops for hours"),
    "dead-gateway": Kind(tell=_dead_gateway, about="a shipper stops for good and hides a caller"),
    "outage": Kind(tell=_outage, about="nothing is logged for hours"),
    "old-outage": Kind(tell=_old_outage, about="a day of logs was lost weeks before"),
    "late-logs": Kind(tell=_late_logs, about="one gateway's logs arrive hours late"),
    "disorder": Kind(tell=_disorder, about="records arrive minutes out of order"),
    "rejects": Kind(tell=_rejects, about="some records cannot be read"),
    "sampled": Kind(tell=_sampled, about="a gateway samples its log for a while"),
    "unmapped": Kind(tell=_unmapped, about="an unregistered credential succeeds"),
    "unmanaged": Kind(tell=_unmanaged, about="the same, registered as unmanaged"),
    "stuffing": Kind(tell=_stuffing, about="thousands of random keys are tried"),
    "skew": Kind(tell=_skew, about="a gateway's clock is ahead"),
    "unregistered-gateway": Kind(tell=_unregistered_gateway, about="a gateway nobody onboarded"),
    "short-history": Kind(tell=_short_history, about="less history than the look-back", history_days=30),
    "failed-region": Kind(tell=_failed_region, about="the new version fails in one region for hours"),
    "two-steps": Kind(tell=_two_steps, about="a third version comes meanwhile", rollover_days=35),
    "never-used": Kind(tell=_never_used, about="the old version's id is wrong"),
}
