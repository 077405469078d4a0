"""Stories of what goes on besides: brownouts, smoke tests, renamed callers, odd loggers, gateways that come and go."""

from __future__ import annotations

from monitor.core.alerts import AlertKind
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, rfc3339
from monitor.simulate.cast import ROLLOVER, Kind, movers, stage
from monitor.simulate.people import LAGGARD
from monitor.simulate.rhythms import every, monthly, nth_weekday, steady
from monitor.simulate.story import Story


def _registered_gateways(story: Story) -> list[dict[str, object]]:
    return story.registry["gateways"]  # type: ignore[return-value]


def _versions(story: Story) -> list[dict[str, object]]:
    return story.registry["keys"][0]["versions"]  # type: ignore[index,no-any-return]


def _aliases(story: Story) -> None:
    """The old version has two credentials; a caller comes with the other one now and then, last of all."""
    stage(story)
    _versions(story)[0]["credentials"] = ["old", "old-b"]
    movers(story, 4)
    moves = story.start_ms + int(story.random.uniform(1, 5) * DAY_MS)
    story.use(LAGGARD, steady(3 * HOUR_MS), moves_ms=moves)
    period = story.random.choice((DAY_MS, 2 * DAY_MS, 5 * DAY_MS))
    story.use(LAGGARD, every(period), old="old-b", moves_ms=moves + 18 * DAY_MS, from_ms=moves - 40 * DAY_MS)


def _regional(story: Story) -> None:
    """One caller of the same name runs in two regions; the second region is moved weeks after the first."""
    stage(story, deadline_days=30)
    movers(story, 4)
    moves = story.start_ms + int(story.random.uniform(0.5, 3) * DAY_MS)
    rhythm = steady(story.random.randrange(30, 300) * MINUTE_MS)
    story.use(LAGGARD, rhythm, moves_ms=moves, gateways=("edge-1",))
    later = moves + int(story.random.uniform(4, 18) * DAY_MS)
    uses = story.use(LAGGARD, rhythm, moves_ms=later, gateways=("edge-2",))
    if any(moves + 8 * HOUR_MS < at for at in uses):
        story.due(AlertKind.FLIP_FLOP, from_ms=moves, within_ms=3 * DAY_MS, caller=LAGGARD)


def _brownout(story: Story) -> None:
    """The old version is refused for hours a day; a daily job's turn always falls into these hours."""
    stage(story)
    movers(story, 4)
    begins = story.start_ms + 7 * DAY_MS
    days = story.random.randrange(3, 9)
    hour = (begins // DAY_MS + 1) * DAY_MS + 10 * HOUR_MS
    until = story.random.choice((begins + (days + 12) * DAY_MS, story.end_ms))
    at = story.begin_ms // DAY_MS * DAY_MS + 10 * HOUR_MS
    while at < story.end_ms:
        when = at + story.random.randrange(30 * MINUTE_MS)
        out = hour <= when < hour + days * DAY_MS
        if when >= until:
            story.add(when, "new", LAGGARD)
        elif when >= story.begin_ms:
            story.add(when, "old", LAGGARD, reason="revoked" if out else "ok")
        at += DAY_MS


def _only_refused(story: Story) -> None:
    """A caller of the old version is refused from early on, and goes on trying: nobody told it of the new one."""
    stage(story)
    movers(story, 4)
    cut = story.start_ms + int(story.random.uniform(1, 5) * DAY_MS)
    rhythm = every(story.random.choice((6, 12, 24)) * HOUR_MS)
    story.use(LAGGARD, rhythm, until_ms=cut)
    for at in rhythm(story.random, cut, story.end_ms):
        story.add(at, "old", LAGGARD, reason="revoked")


def _nth_weekday(story: Story) -> None:
    """A job runs on the first Monday of each month: gaps of four and of five weeks."""
    stage(story, deadline_days=30)
    movers(story, 4)
    moves = story.random.choice((None, story.start_ms + 30 * DAY_MS))
    story.use(LAGGARD, nth_weekday(weekday=story.random.randrange(5), nth=story.random.randrange(1, 4)), moves_ms=moves)


def _clock_behind(story: Story) -> None:
    """A gateway writes local time as UTC: hours behind, while a caller stays on the old version there."""
    stage(story)
    movers(story, 4)
    begins = story.start_ms + int(story.random.uniform(2, 8) * DAY_MS)
    story.use(LAGGARD, steady(2 * HOUR_MS), moves_ms=begins + 6 * DAY_MS, gateways=("edge-2",))
    story.shift_clock("edge-2", begins, begins + 5 * DAY_MS, -story.random.randrange(1, 9) * HOUR_MS)
    story.due(AlertKind.TELEMETRY, from_ms=begins, within_ms=4 * HOUR_MS, gateway="edge-2")
    story.healthy = False


def _resent(story: Story) -> None:
    """A shipper sends days of its log a second time, long after: every record with its old time."""
    stage(story)
    movers(story, 5)
    begins = story.start_ms + int(story.random.uniform(-2, 6) * DAY_MS)
    again = begins + int(story.random.uniform(3, 10) * DAY_MS)
    copies = [
        each._replace(arrival_ms=again, told=True)
        for each in story.calls
        if each.gateway == "edge-2" and begins <= each.ts_ms < begins + DAY_MS
    ]
    story.calls += copies


def _limited_on_old(story: Story) -> None:
    """A caller's last weeks on the old version are rate limited: accepted, not served, and use all the same."""
    stage(story)
    movers(story, 4)
    limited = story.start_ms - int(story.random.uniform(0, 20) * DAY_MS)
    story.use(LAGGARD, every(6 * HOUR_MS), until_ms=limited)
    until = limited + 40 * DAY_MS
    for at in every(12 * HOUR_MS)(story.random, limited, min(until, story.end_ms)):
        story.add(at, "old", LAGGARD, reason="rate_limited")
    story.use(LAGGARD, every(6 * HOUR_MS), old="new", from_ms=until)


def _nameless(story: Story) -> None:
    """Somebody without a client's name uses the old version, though the key lists who may."""
    stage(story, clients=[f"client-{index}" for index in range(4)])
    movers(story, 4)
    begins = story.start_ms + int(story.random.uniform(0.5, 4) * DAY_MS)
    moves = begins + int(story.random.uniform(3, 15) * DAY_MS)
    for at in steady(2 * HOUR_MS)(story.random, begins, story.end_ms):
        story.add(at, "old" if at < moves else "new", (None, "10.0.0.7"))


def _waived_source(story: Story) -> None:
    """One source of a client is waived; its sibling is not, and stays for weeks."""
    waiver = {"rollover": ROLLOVER, "client": LAGGARD[0], "source": "lab", "reason": "goes away", "by": "ana"}
    window = {"from": rfc3339(story.start_ms + DAY_MS), "until": rfc3339(story.end_ms + DAY_MS)}
    stage(story, waivers=[{**waiver, **window}])
    movers(story, 4)
    story.use((LAGGARD[0], "lab"), every(5 * HOUR_MS))
    story.use((LAGGARD[0], "prod"), every(5 * HOUR_MS), moves_ms=story.start_ms + 15 * DAY_MS)


def _renamed(story: Story) -> None:
    """A caller is renamed on the old version: the old name is silent, the new one has no past."""
    stage(story)
    movers(story, 4)
    renamed = story.start_ms + int(story.random.uniform(-3, 4) * DAY_MS)
    story.use(LAGGARD, steady(90 * MINUTE_MS), until_ms=renamed)
    moves = max(renamed, story.start_ms) + 10 * DAY_MS
    story.use((LAGGARD[0], "eu-batch-2"), steady(90 * MINUTE_MS), from_ms=renamed, moves_ms=moves)


def _smoke_test(story: Story) -> None:
    """Somebody tries the new key once by hand under the name of a job, which goes on with the old one."""
    stage(story)
    movers(story, 4)
    tried = story.start_ms + int(story.random.uniform(0.1, 6) * DAY_MS)
    period = story.random.choice((6 * HOUR_MS, DAY_MS, 2 * DAY_MS, 3 * DAY_MS, 7 * DAY_MS))
    story.add(tried, "new", LAGGARD)
    story.use(LAGGARD, every(period), moves_ms=tried + 24 * DAY_MS)


def _missed_run(story: Story) -> None:
    """The run of a monthly job fell into two days without logs: its next one is on the old version again."""
    stage(story)
    movers(story, 4)
    uses = story.use(LAGGARD, monthly(day=story.random.randrange(2, 27)), gateways=("edge-2",))
    lost = max((at for at in uses if at < story.start_ms), default=story.start_ms)
    story.silence("edge-2", lost - DAY_MS, lost + DAY_MS)


def _gateway_retired(story: Story) -> None:
    """A gateway is taken out of service as registered: its silence afterwards is none."""
    stage(story)
    movers(story, 5, gateways=("edge-1",))
    ends = story.start_ms + int(story.random.uniform(-5, 9) * DAY_MS)
    _registered_gateways(story)[1]["until"] = rfc3339(ends)
    story.calls = [each for each in story.calls if each.gateway != "edge-2" or each.ts_ms < ends]


def _gateway_added(story: Story) -> None:
    """A gateway joins after the start, with a caller of the old version that nobody had seen before."""
    stage(story)
    movers(story, 4)
    begins = story.start_ms + int(story.random.uniform(4, 14) * DAY_MS)
    _registered_gateways(story).append({"gateway": "edge-3", "region": "eu", "from": rfc3339(begins)})
    story.heartbeat(("edge-3",), from_ms=begins)
    story.use(LAGGARD, every(4 * HOUR_MS), from_ms=begins, moves_ms=begins + 6 * DAY_MS, gateways=("edge-3",))


def _aggregated(story: Story) -> None:
    """A stream job sends one record an hour and caller, dated at the hour's start, when the hour is over."""
    stage(story, gateways=("edge-1",))
    movers(story, 5)
    _registered_gateways(story).append({"gateway": "edge-2", "region": "us", "max_silence": "3h"})
    at = story.begin_ms // HOUR_MS * HOUR_MS
    moves = story.start_ms + int(story.random.uniform(1, 9) * DAY_MS)
    while at < story.end_ms - 2 * HOUR_MS:
        done = at + HOUR_MS + story.random.randrange(5 * MINUTE_MS)
        story.add(at, "fleet", ("fleet", "fleet"), gateway="edge-2", count=60, arrival_ms=done)
        if story.random.random() < 0.3:  # noqa: PLR2004 - one hour in three
            credential = "old" if at < moves else "new"
            story.add(at, credential, LAGGARD, gateway="edge-2", count=story.random.randrange(1, 90), arrival_ms=done)
        at += HOUR_MS


MISHAPS: dict[str, Kind] = {
    "aliases": Kind(tell=_aliases, about="the old version has two credentials"),
    "regional": Kind(tell=_regional, about="one caller moves region by region"),
    "brownout": Kind(tell=_brownout, about="a daily job meets the old version's planned outages", rollover_days=50),
    "only-refused": Kind(tell=_only_refused, about="a caller of the old version is refused and goes on trying"),
    "nth-weekday": Kind(tell=_nth_weekday, about="a job runs on a weekday of the month", rollover_days=75),
    "clock-behind": Kind(tell=_clock_behind, about="a gateway writes local time as UTC"),
    "resent": Kind(tell=_resent, about="a shipper sends a day of its log twice"),
    "limited-on-old": Kind(tell=_limited_on_old, about="a caller is only rate limited on the old version"),
    "nameless": Kind(tell=_nameless, about="somebody without a name uses the old version"),
    "waived-source": Kind(tell=_waived_source, about="one source is waived, its sibling is not"),
    "renamed": Kind(tell=_renamed, about="a caller gets another name"),
    "smoke-test": Kind(tell=_smoke_test, about="the new key is tried by hand under a job's name"),
    "missed-run": Kind(tell=_missed_run, about="a monthly run fell into a gap of the logs", rollover_days=75),
    "gateway-retired": Kind(tell=_gateway_retired, about="a gateway is taken out of service"),
    "gateway-added": Kind(tell=_gateway_added, about="a gateway joins with a caller of its own"),
    "aggregated": Kind(tell=_aggregated, about="records are summed up by the hour upstream"),
}
