"""Reminders of stragglers from the first mark to the end: when, to whom, and when no more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from monitor.core.instants import DAY_MS, HOUR_MS, rfc3339
from monitor.notify.settings import Digest, Route
from tests.contract.store.factories import NEW, T0
from tests.integration.notify.story import OWNER, SETTINGS, Story
from tests.slack_server import SlackServer

DEADLINE = T0 + 9 * DAY_MS
"""A Sunday, two in the morning in Berlin."""
AFTER = DEADLINE + 6 * HOUR_MS
PERSON = "@head-of-payments"


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer() as listening:
        yield listening


def times(story: Story, channel: str) -> list[str]:
    """Return when reminders came to a channel, to the minute."""
    return [str(each.dedup_key).rpartition(f"@{channel}:")[2][:16] for each in story.reminders(channel)]


def test_at_each_mark_the_owner_hears_in_working_hours_unless_that_would_be_too_late(slack: SlackServer) -> None:
    story = Story(slack, deadline_ms=DEADLINE)
    story.run_to(AFTER)
    assert times(story, "#payments") == [
        "2026-05-04T07:00",  # the mark of seven days is a Sunday: Monday at nine in Berlin
        "2026-05-07T07:00",  # three days: that morning at nine
        "2026-05-09T00:00",  # one day: the next working day would be after the deadline
        "2026-05-09T23:00",  # one hour is urgent at any time
        "2026-05-10T00:00",  # and so is the deadline itself
    ]
    assert all("Deadline: 2026-05-10 00:00 UTC" in each.text for each in story.reminders("#payments"))


def test_what_is_ignored_goes_up_owner_then_channel_then_person(slack: SlackServer) -> None:
    story = Story(slack, deadline_ms=DEADLINE)
    story.run_to(AFTER)
    assert [len(times(story, each)) for each in ("#payments", "#rollovers", PERSON)] == [5, 4, 3]
    parent = slack.in_channel("#rollovers")
    assert len(parent) == 1, "in the rollover's own channel it stands in the thread"
    assert {each.thread_ts for each in story.reminders("#rollovers")} == {parent[0].ts}


def test_who_acknowledged_hears_only_when_it_gets_worse_and_nobody_above_hears_of_it(slack: SlackServer) -> None:
    story = Story(slack, deadline_ms=DEADLINE)
    story.run_to(T0 + 4 * DAY_MS)
    for until in (DEADLINE - 2 * DAY_MS, DEADLINE - 12 * HOUR_MS):
        story.acknowledge()
        story.run_to(until)
    assert times(story, "#payments") == ["2026-05-04T07:00", "2026-05-07T07:00"]
    assert times(story, "#rollovers") == times(story, PERSON) == []
    assert story.reasons("straggler") == ["first", "escalated", "acknowledged"]


def test_a_snooze_holds_everything_back_until_it_ends(slack: SlackServer) -> None:
    story = Story(slack, deadline_ms=DEADLINE)
    story.run_to(T0 + 4 * DAY_MS)
    with story.store.snapshot() as snapshot:
        rows = snapshot.audit_entries(kind="alert", limit=1_000)
    episodes = {str(each.body["alert"]["episode"]) for each in rows if each.body["alert"]["kind"] == "straggler"}  # type: ignore[index,call-overload] # an object
    story.desk.snooze(sorted(episodes), by="ada", for_ms=DEADLINE - 2 * HOUR_MS - story.now_ms)
    story.run_to(AFTER)
    assert times(story, "#payments")[1:] == ["2026-05-09T23:00", "2026-05-10T00:00"]
    assert story.reasons("straggler") == ["first", "snoozed", "snoozed", "escalated", "repeat"]


def test_who_moved_is_reminded_no_more_and_the_reminder_is_struck_out(slack: SlackServer) -> None:
    story = Story(slack, deadline_ms=DEADLINE)
    story.run_to(T0 + 4 * DAY_MS)
    story.globex = NEW
    story.run_to(AFTER)
    (told,) = story.reminders("#payments")
    assert told.text.startswith("\u2705 Nobody of these is on an old version any more")
    assert told.edits, "the message itself was edited"
    assert story.reminders(PERSON) == []


def test_who_moves_over_the_weekend_never_gets_the_reminder_that_waited_for_monday(slack: SlackServer) -> None:
    friday_evening = T0 + 7 * DAY_MS + 16 * HOUR_MS
    story = Story(slack, deadline_ms=friday_evening + 7 * DAY_MS)
    story.run_to(friday_evening + HOUR_MS)
    assert story.reasons("straggler") == ["first"]
    story.globex = NEW
    story.run_to(friday_evening + 3 * DAY_MS)
    assert set(story.reasons("resolved")) == {"resolved"}
    assert story.reminders("#payments") == []


@pytest.mark.parametrize(
    ("digest", "expected"),
    [
        pytest.param(Digest.DAILY, ["2026-05-04T07:00", "2026-05-07T07:00"], id="the next morning"),
        pytest.param(Digest.WEEKLY, ["2026-05-04T07:00"], id="the next Monday, or at once where that is too late"),
    ],
)
def test_digests_wait_for_the_morning_or_for_monday(slack: SlackServer, digest: Digest, expected: list[str]) -> None:
    story = Story(slack, deadline_ms=DEADLINE, settings=replace(SETTINGS, digest=digest))
    story.run_to(DEADLINE - 2 * DAY_MS)
    found = times(story, "#payments")
    assert found[: len(expected)] == expected
    assert all(each[11:] == "07:00" or digest is Digest.WEEKLY for each in found)


def test_what_has_not_left_yet_was_ignored_by_nobody(slack: SlackServer) -> None:
    tuesday = T0 + 11 * DAY_MS
    story = Story(slack, deadline_ms=tuesday, settings=replace(SETTINGS, digest=Digest.WEEKLY))
    story.run_to(tuesday - 12 * HOUR_MS)
    assert story.reasons("straggler") == ["first", "escalated", "repeat"], "three marks passed before Monday"
    assert times(story, "#payments") == ["2026-05-11T07:00"]
    assert times(story, "#rollovers") == times(story, PERSON) == []


def test_nobody_is_told_twice_the_same(slack: SlackServer) -> None:
    story = Story(slack, deadline_ms=DEADLINE)
    story.run_to(AFTER)
    keys = [each.dedup_key for each in slack.posted]
    assert len(keys) == len(set(keys))
    before = len(slack.calls)
    story.look()
    story.look()
    assert len(slack.calls) == before, "looking again says nothing"


def test_a_route_sends_a_teams_reminders_elsewhere_or_nowhere(slack: SlackServer) -> None:
    routes = (Route(team="payments", kind="straggler", channel="#pay-ops"), Route(kind="deadline", mute=True))
    story = Story(slack, deadline_ms=DEADLINE, settings=replace(SETTINGS, routes=routes))
    story.run_to(T0 + 4 * DAY_MS)
    assert times(story, "#pay-ops") == ["2026-05-04T07:00"]
    assert story.reminders("#payments") == []
    assert story.reasons("deadline") == ["muted"]


def test_without_a_channel_the_owners_person_is_asked(slack: SlackServer) -> None:
    story = Story(slack, deadline_ms=DEADLINE, owner=replace(OWNER, slack=None, person="@ada"))
    story.run_to(T0 + 4 * DAY_MS)
    assert times(story, "@ada") == ["2026-05-04T07:00"]


def test_a_channel_that_is_gone_leaves_its_reminder_to_the_default_one() -> None:
    with SlackServer() as slack:
        story = Story(slack, deadline_ms=DEADLINE, owner=replace(OWNER, slack="#gone-payments"))
        story.run_to(T0 + 4 * DAY_MS)
        told = [each for each in slack.posted if "meant for #gone-payments" in each.text]
    assert [each.channel for each in told] == ["#rollovers"]
    assert rfc3339(story.now_ms) > "2026-05-04"
