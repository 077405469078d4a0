"""Stories about callers: how they move, hide, come back, or go."""

from __future__ import annotations

from monitor.core.alerts import AlertKind
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, rfc3339
from monitor.simulate.cast import GATEWAYS, ROLLOVER, Kind, movers, stage
from monitor.simulate.rhythms import Rhythm, every, monthly, office, steady, without
from monitor.simulate.story import Caller, Story

LAGGARD: Caller = ("laggard", "eu-batch")


def _ordinary(story: Story) -> None:
    stage(story, deadline_days=30)
    movers(story, story.random.randrange(4, 12))


def _one_gateway(story: Story) -> None:
    stage(story, gateways=("edge-1",))
    movers(story, story.random.randrange(1, 4), gateways=("edge-1",))


def _instant(story: Story) -> None:
    stage(story)
    movers(story, 6, within_days=0.3)


def _pods(story: Story) -> None:
    """Each caller is several pods, replaced one after the other over minutes or hours."""
    stage(story)
    for index in range(story.random.randrange(3, 8)):
        moves = story.start_ms + int(story.random.uniform(0.1, 6) * DAY_MS)
        gap = story.random.choice((10 * MINUTE_MS, HOUR_MS, 5 * HOUR_MS))
        for pod in range(story.random.randrange(2, 5)):
            later = pod * story.random.randrange(5 * MINUTE_MS, 2 * HOUR_MS)
            story.use((f"client-{index}", "k8s"), steady(gap), moves_ms=moves + later, gateways=GATEWAYS)


def _laggard(story: Story, rhythm: Rhythm, *, moves_days: float | None, deadline_days: float = 30) -> list[int]:
    """Add one caller that moves late or never, and say which reminders are due."""
    stage(story, deadline_days=deadline_days)
    movers(story, 5)
    moves = None if moves_days is None else story.start_ms + int(moves_days * DAY_MS)
    uses = story.use(LAGGARD, rhythm, moves_ms=moves, gateways=GATEWAYS)
    deadline = story.start_ms + int(deadline_days * DAY_MS)
    for before in (7 * DAY_MS, 3 * DAY_MS, DAY_MS, HOUR_MS, 0):
        mark = deadline - before
        if (moves is None or moves > mark) and any(at < mark for at in uses) and mark + HOUR_MS < story.end_ms:
            story.due(AlertKind.STRAGGLER, from_ms=mark, within_ms=2 * HOUR_MS, caller=LAGGARD)
    return uses


def _weekly(story: Story) -> None:
    _laggard(story, every(7 * DAY_MS), moves_days=story.random.choice((12, 19, None)))


def _biweekly(story: Story) -> None:
    _laggard(story, every(14 * DAY_MS), moves_days=story.random.choice((20, None)))


def _monthly(story: Story) -> None:
    _laggard(story, monthly(day=story.random.randrange(1, 28)), moves_days=story.random.choice((25, 50, None)))


def _quarterly(story: Story) -> None:
    _laggard(story, monthly(day=story.random.randrange(1, 28), months=3), moves_days=None)


def _never(story: Story) -> None:
    _laggard(story, steady(40 * MINUTE_MS), moves_days=None)


def _late(story: Story) -> None:
    _laggard(story, steady(30 * MINUTE_MS), moves_days=story.random.uniform(20, 33))


def _month_end_steps(story: Story) -> None:
    """A month-end run has two steps a day apart; the second is forgotten at the move."""
    stage(story)
    movers(story, 4)
    moves = story.start_ms + 3 * DAY_MS
    day = story.random.randrange(2, 26)
    story.use(LAGGARD, monthly(day=day, hour=2), moves_ms=moves)
    story.use(LAGGARD, monthly(day=day + 1, hour=1), moves_ms=moves + 33 * DAY_MS)


def _hidden_daily(story: Story) -> None:
    """A second process under the same name stays behind for a while."""
    stage(story, deadline_days=30)
    movers(story, 4)
    moves = story.start_ms + int(story.random.uniform(1, 5) * DAY_MS)
    period = story.random.choice((6 * HOUR_MS, DAY_MS, 2 * DAY_MS))
    story.use(LAGGARD, steady(HOUR_MS), moves_ms=moves)
    uses = story.use(LAGGARD, every(period), moves_ms=moves + int(story.random.uniform(5, 20) * DAY_MS))
    back = next((at for at in uses if at > moves + 8 * HOUR_MS), None)
    if back is not None:
        story.due(AlertKind.FLIP_FLOP, from_ms=moves, within_ms=back - moves + DAY_MS, caller=LAGGARD)


def _hidden_weekly(story: Story) -> None:
    """The second process is nearly as slow as the quiet window."""
    stage(story)
    movers(story, 4)
    moves = story.start_ms + int(story.random.uniform(1, 3) * DAY_MS)
    story.use(LAGGARD, office(HOUR_MS), moves_ms=moves)
    uses = story.use(LAGGARD, every(7 * DAY_MS), moves_ms=moves + 16 * DAY_MS)
    # The caller's longest pause is a weekend. Only a use that follows its first success on the new version tells of a
    # second process: soon enough, and not so soon that it looks like the move's own straggler (ADR 0021).
    moved = min(each.ts_ms for each in story.calls if each.credential == "new" and each.client == LAGGARD[0])
    story.beyond_design = not any(moved + 16 * HOUR_MS <= at <= moved + 3 * DAY_MS for at in uses)


def _hidden_monthly(story: Story) -> None:
    """Slower than the quiet window: DESIGN's known limit."""
    stage(story)
    movers(story, 4)
    moves = story.start_ms + 2 * DAY_MS
    story.use(LAGGARD, steady(HOUR_MS), moves_ms=moves)
    story.use(LAGGARD, monthly(), moves_ms=None)
    story.beyond_design = True


def _stale_pod(story: Story) -> None:
    """One pod of a pool keeps the old key until it is restarted."""
    stage(story, deadline_days=25)
    movers(story, 4)
    moves = story.start_ms + int(story.random.uniform(1, 4) * DAY_MS)
    story.use(LAGGARD, steady(20 * MINUTE_MS), moves_ms=moves)
    uses = story.use(LAGGARD, steady(5 * HOUR_MS), moves_ms=moves + int(story.random.uniform(3, 15) * DAY_MS))
    if any(at > moves + HOUR_MS for at in uses):
        story.due(AlertKind.FLIP_FLOP, from_ms=moves, within_ms=3 * DAY_MS, caller=LAGGARD)


def _gone_regular(story: Story) -> None:
    stage(story)
    movers(story, 4)
    ends = story.start_ms + int(story.random.uniform(-10, 8) * DAY_MS)
    story.use(LAGGARD, every(DAY_MS), until_ms=ends)


def _gone_irregular(story: Story) -> None:
    stage(story)
    movers(story, 4)
    ends = story.start_ms + int(story.random.uniform(-10, 5) * DAY_MS)
    story.use(LAGGARD, steady(2 * DAY_MS), until_ms=ends)


def _gone_few(story: Story) -> None:
    """Seen twice, months ago: nobody knows its rhythm."""
    stage(story)
    movers(story, 4)
    first = story.begin_ms + int(story.random.uniform(1, 30) * DAY_MS)
    for at in (first, first + int(story.random.uniform(2, 20) * DAY_MS)):
        story.add(at, "old", LAGGARD)


def _holiday(story: Story) -> None:
    """A caller is away for weeks around the start, and comes back as it left."""
    stage(story)
    movers(story, 4)
    leaves = story.start_ms + int(story.random.uniform(-6, 4) * DAY_MS)
    back = leaves + int(story.random.uniform(9, 24) * DAY_MS)
    story.use(LAGGARD, without(office(2 * HOUR_MS), leaves, back), moves_ms=back + 3 * DAY_MS)


def _rollback(story: Story) -> None:
    """A caller moves, goes back for days, and moves again."""
    stage(story)
    movers(story, 4)
    first = story.start_ms + int(story.random.uniform(1, 3) * DAY_MS)
    back = first + int(story.random.uniform(0.3, 9) * DAY_MS)
    again = back + int(story.random.uniform(1, 4) * DAY_MS)
    story.beyond_design = back - first > DAY_MS  # it had moved; that it would be taken back, nobody could know
    rhythm = steady(45 * MINUTE_MS)
    story.use(LAGGARD, rhythm, moves_ms=first, until_ms=back)
    uses = story.use(LAGGARD, rhythm, moves_ms=again, from_ms=back)
    if uses:
        story.due(AlertKind.FLIP_FLOP, from_ms=uses[0], within_ms=3 * HOUR_MS, caller=LAGGARD)


def _new_adopter(story: Story) -> None:
    stage(story)
    movers(story, 4)
    begins = story.start_ms + int(story.random.uniform(1, 20) * DAY_MS)
    uses = story.use(
        LAGGARD, steady(HOUR_MS), from_ms=begins, moves_ms=begins + int(story.random.uniform(2, 9) * DAY_MS)
    )
    story.due(AlertKind.NEW_ADOPTER, from_ms=uses[0], within_ms=2 * HOUR_MS, caller=LAGGARD)


def _suspect(story: Story) -> None:
    stage(story, clients=[f"client-{index}" for index in range(5)])
    movers(story, 5)
    begins = story.start_ms + int(story.random.uniform(0.5, 12) * DAY_MS)
    outsider = ("outsider", "vpn")
    uses = story.use(outsider, steady(90 * MINUTE_MS), from_ms=begins)
    story.due(AlertKind.SUSPECT, from_ms=uses[0], within_ms=2 * HOUR_MS, caller=outsider)


def _fails_on_new(story: Story) -> None:
    """A caller tries the new version, is refused, and waits for its owner."""
    stage(story)
    movers(story, 4)
    moves = story.start_ms + 2 * DAY_MS
    story.use(LAGGARD, every(6 * HOUR_MS), moves_ms=moves, until_ms=moves + DAY_MS, new_reason="forbidden")
    story.use(LAGGARD, every(6 * HOUR_MS), moves_ms=story.end_ms - 6 * DAY_MS, from_ms=story.end_ms - 8 * DAY_MS)


def _only_limited(story: Story) -> None:
    """What is rate limited on the new version is no proof of it."""
    stage(story)
    movers(story, 4)
    moves = story.start_ms + 2 * DAY_MS
    story.use(LAGGARD, every(6 * HOUR_MS), moves_ms=moves, until_ms=moves + 9 * DAY_MS, new_reason="rate_limited")
    story.use(LAGGARD, every(6 * HOUR_MS), moves_ms=None, from_ms=moves + 10 * DAY_MS)


def _sources(story: Story) -> None:
    """One client, several sources: one that moved must not hide its sibling."""
    stage(story, deadline_days=30)
    movers(story, 3)
    for index, source in enumerate(("eu", "us", "lab", "batch")):
        story.use(("many", source), every(12 * HOUR_MS), moves_ms=story.start_ms + (1 + 5 * index) * DAY_MS)


def _bursts(story: Story) -> None:
    """Irregular bursts with long pauses between."""
    stage(story)
    movers(story, 4)
    at = story.begin_ms
    moves = story.start_ms + int(story.random.uniform(8, 25) * DAY_MS)
    while at < story.end_ms:
        for _ in range(story.random.randrange(1, 30)):
            when = at + story.random.randrange(2 * HOUR_MS)
            story.add(when, "old" if when < moves else "new", LAGGARD, count=story.random.randrange(1, 9))
        at += int(story.random.paretovariate(1.5) * DAY_MS)


def _noise(story: Story) -> None:
    """A probe stays on the old version, as registered; now and then above its cap."""
    over = story.random.random() < 0.5  # noqa: PLR2004 - a coin
    noise = [
        {"client": "probe", "reason": "synthetic", "by": "ana", "until": rfc3339(story.end_ms), "max_per_day": 300}
    ]
    stage(story, noise=noise)
    movers(story, 4)
    story.use(("probe", "synthetic"), every(10 * MINUTE_MS, jitter_ms=MINUTE_MS))
    if over:
        story.use(("probe", "synthetic"), every(5 * MINUTE_MS), from_ms=story.start_ms + 5 * DAY_MS)


def _waived(story: Story) -> None:
    until = story.start_ms + 35 * DAY_MS
    waiver = {"rollover": ROLLOVER, "client": LAGGARD[0], "reason": "goes away", "by": "ana"}
    window = {"from": rfc3339(story.start_ms + 2 * DAY_MS), "until": rfc3339(until)}
    stage(story, waivers=[{**waiver, **window}])
    movers(story, 4)
    story.use(LAGGARD, every(8 * HOUR_MS))


def _pinned(story: Story) -> None:
    until = story.start_ms + int(story.random.uniform(12, 25) * DAY_MS)
    pin = {"key": "billing-api", "version": 1, "reason": "audit", "by": "ana", "until": rfc3339(until)}
    stage(story, pins=[pin])
    movers(story, 4)


def _impatient(story: Story) -> None:
    """A shorter policy: gone_after 0 and a short window."""
    stage(story, policy={"quiet_window": "3d", "gone_after": "7d", "lookback": "40d", "longest_cadence": "40d"})
    movers(story, 4)
    ends = story.start_ms + int(story.random.uniform(-3, 6) * DAY_MS)
    story.use(LAGGARD, every(DAY_MS), until_ms=ends)


def _after_retirement(story: Story) -> None:
    """Retired by hand although one caller had not moved."""
    retired = story.start_ms + int(story.random.uniform(12, 20) * DAY_MS)
    stage(story, retired_ms=retired)
    movers(story, 4)
    rhythm = every(12 * HOUR_MS)
    story.use(LAGGARD, rhythm, until_ms=retired)
    first = None
    for at in rhythm(story.random, retired, story.end_ms):
        first = first or at
        story.add(at, "old", LAGGARD, reason="revoked")
    if first is not None:
        story.due(AlertKind.POST_RETIREMENT_USE, from_ms=first, within_ms=2 * HOUR_MS, caller=LAGGARD)


PEOPLE: dict[str, Kind] = {
    "ordinary": Kind(tell=_ordinary, about="everybody moves within a week"),
    "one-gateway": Kind(tell=_one_gateway, about="few callers, one gateway"),
    "instant": Kind(tell=_instant, about="everybody moves within hours"),
    "pods": Kind(tell=_pods, about="callers of several pods, replaced one after the other"),
    "weekly": Kind(tell=_weekly, about="one caller calls once a week"),
    "biweekly": Kind(tell=_biweekly, about="one caller calls every other week"),
    "monthly": Kind(tell=_monthly, about="one caller calls once a month", rollover_days=75),
    "quarterly": Kind(tell=_quarterly, about="one caller calls once a quarter", history_days=200),
    "never": Kind(tell=_never, about="one caller never moves"),
    "late": Kind(tell=_late, about="one caller moves around the deadline", rollover_days=45),
    "month-end-steps": Kind(
        tell=_month_end_steps, about="the second step of a monthly run is forgotten", rollover_days=75
    ),
    "hidden-daily": Kind(tell=_hidden_daily, about="a second process of a caller stays behind"),
    "hidden-weekly": Kind(tell=_hidden_weekly, about="a second, weekly process stays behind"),
    "hidden-monthly": Kind(tell=_hidden_monthly, about="a second, monthly process: cannot be known", rollover_days=60),
    "stale-pod": Kind(tell=_stale_pod, about="one pod keeps the old key for days"),
    "gone-regular": Kind(tell=_gone_regular, about="a daily job is decommissioned", rollover_days=45),
    "gone-irregular": Kind(tell=_gone_irregular, about="an irregular caller is decommissioned", rollover_days=60),
    "gone-few": Kind(tell=_gone_few, about="a caller was seen twice, months ago"),
    "holiday": Kind(tell=_holiday, about="a caller is away for weeks and comes back"),
    "rollback": Kind(tell=_rollback, about="a caller moves, goes back, and moves again"),
    "new-adopter": Kind(tell=_new_adopter, about="a new caller begins on the old version"),
    "suspect": Kind(tell=_suspect, about="somebody who may not hold the key uses it"),
    "fails-on-new": Kind(tell=_fails_on_new, about="a caller is refused on the new version and waits"),
    "only-limited": Kind(tell=_only_limited, about="a caller is only rate limited on the new version"),
    "sources": Kind(tell=_sources, about="one client moves source by source"),
    "bursts": Kind(tell=_bursts, about="irregular bursts with long pauses"),
    "noise": Kind(tell=_noise, about="a registered probe stays, within its cap or not"),
    "waived": Kind(tell=_waived, about="one caller is waived for a month"),
    "pinned": Kind(tell=_pinned, about="the old version is pinned for weeks"),
    "impatient": Kind(tell=_impatient, about="a shorter policy, a decommissioned job", history_days=60),
    "after-retirement": Kind(tell=_after_retirement, about="retired too early; a caller is rejected"),
}
