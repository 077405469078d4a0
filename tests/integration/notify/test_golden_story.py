"""A whole rollover as Slack shows it, kept in the repository for people to read: `tests/golden/slack/rollover.md`.

`ROLLWATCH_TEST_WRITE=1` writes it anew; then read the difference as a user would.
"""

from __future__ import annotations

import os
from itertools import groupby
from pathlib import Path

from monitor.adapters.slack.terminal import as_text
from monitor.control import steps
from monitor.core.alerts import Alert, AlertKind, AlertSeverity
from monitor.core.instants import DAY_MS, HOUR_MS
from monitor.watch.detection import Detected
from tests.block_kit import faults_of
from tests.contract.store.factories import NEW, T0, incident
from tests.integration.notify.story import ROLLOVER, Story
from tests.slack_server import Posted, SlackServer

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "slack" / "rollover.md"
HEAD = """# A rollover as Slack shows it

`acme` moves at once; one gateway does not know the new version for a while; a stranger turns up; `globex` has to be
reminded, moves on the eighth day, and the old version is retired. Each block is one message as it stands at the end,
with what it said before. Written by `tests/integration/notify/test_golden_story.py`.
"""


def told(story: Story, kind: AlertKind, text: str, **given: object) -> Alert:
    """Return what the detector says now."""
    plain: dict[str, object] = {
        "at_ms": story.now_ms + HOUR_MS,
        "kind": kind,
        "severity": AlertSeverity.CRITICAL,
        "text": text,
        "rollover": ROLLOVER,
        "key": "billing-api",
        "version": 2,
    }
    return Alert(**{**plain, **given})  # type: ignore[arg-type] # as above


def failing(story: Story) -> None:
    """Let the new version fail at a gateway, the cause be corrected, and all be well."""
    episode = "failed_rollover:billing-2026-05:edge-1"
    where = {"episode": episode, "gateway": "edge-1", "region": "eu"}
    text = "v2 of billing-api is refused at edge-1: 41 of 52 requests in 10 minutes, 3 callers (acme, initech, hooli)"
    opened = incident(episode, opened_at_ms=story.now_ms, closed_at_ms=None, holds_gate=True)
    first = told(story, AlertKind.FAILED_ROLLOVER, text, cause="propagation_delay", **where)
    story.detector.next = Detected(alerts=[first], incidents=[opened])
    story.run_to(story.now_ms + HOUR_MS)
    text = "v2 of billing-api is refused at edge-1 alone, 40 minutes after every other gateway took it up"
    corrected = told(story, AlertKind.FAILED_ROLLOVER, text, cause="stale_gateway", **where)
    story.detector.next = Detected(alerts=[corrected])
    story.run_to(story.now_ms + HOUR_MS)
    text = "v2 of billing-api is accepted at edge-1 again"
    ended = told(story, AlertKind.RESOLVED, text, cause="stale_gateway", severity=AlertSeverity.INFO, **where)
    closed = incident(episode, opened_at_ms=opened.opened_at_ms, closed_at_ms=story.now_ms, holds_gate=True)
    story.detector.next = Detected(alerts=[ended], incidents=[closed])
    story.run_to(story.now_ms + HOUR_MS)


def told_by(slack: SlackServer) -> str:
    """Return everything, by channel and thread."""
    lines = [HEAD]
    for channel in sorted({each.channel for each in slack.posted}):
        lines.append(f"## {channel}\n")
        for each in slack.in_channel(channel):
            lines.append(shown(each))
            if thread := slack.in_channel(channel, thread=each.ts):
                lines.append("### In its thread\n")
                lines += [shown(answer) for answer in thread]
    return "\n".join(lines)


def shown(message: Posted) -> str:
    """Return one message, and what it said before (its notification's text)."""
    before = [text for text, _ in groupby(message.edits)]
    earlier = "".join(f"- before: {text}\n" for text in before if text != message.text)
    return f"```text\n{as_text(message.blocks)}\n```\n{earlier}"


def test_the_story_of_a_rollover_reads_as_it_is_kept() -> None:
    with SlackServer() as slack:
        story = Story(slack, deadline_ms=T0 + 10 * DAY_MS, interactive=True)
        story.run_to(T0 + 9 * HOUR_MS)
        failing(story)
        story.run_to(T0 + 2 * DAY_MS)
        text = "203.0.113.9, which nobody has seen before, used v1 of billing-api 14 times in 10 minutes"
        where = {"episode": "suspect:1", "source": "203.0.113.9", "version": 1}
        story.detector.next = Detected(alerts=[told(story, AlertKind.SUSPECT, text, **where)])
        story.run_to(T0 + 8 * DAY_MS)
        story.globex = NEW
        story.run_to(T0 + 11 * DAY_MS)
        with story.store.snapshot(write=True) as snapshot:
            done = steps.retire(snapshot, story.judge, ROLLOVER, by="ada", reason="all moved", now_ms=story.now_ms)
        assert done.done, done
        story.run_to(T0 + 12 * DAY_MS)
        with story.store.snapshot(write=True) as snapshot:
            done = steps.step(
                snapshot,
                story.judge,
                ROLLOVER,
                steps.Action.COMPLETE,
                by="ada",
                reason="nobody missed it",
                now_ms=story.now_ms,
            )
        story.run_to(T0 + 13 * DAY_MS)
        story_told = told_by(slack)
        refused = [fault for each in slack.posted for fault in faults_of({"text": each.text, "blocks": each.blocks})]
    assert refused == []
    if os.environ.get("ROLLWATCH_TEST_WRITE"):
        GOLDEN.write_text(story_told, "utf-8")
    assert story_told == GOLDEN.read_text("utf-8")
