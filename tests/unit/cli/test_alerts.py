"""`rollwatch alerts`: reasons, taking episodes on, and trying the messages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.adapters.sql import open_store
from monitor.core.alerts import AlertKind
from monitor.core.registry import Registry
from monitor.errors import ConfigError
from monitor.notify.notifier import Notifier
from monitor.notify.settings import NotifySettings
from tests.alert_factories import alert
from tests.block_kit import faults_of
from tests.contract.store.factories import T0
from tests.slack_server import Fault, SlackServer
from tests.unit.cli.test_commands import ok, run

EPISODE = "failed_rollover:billing-2026-05"
SENT = ["overview", *(each.value for each in AlertKind)]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A store in which one alert was told, and its like held back as nothing new."""
    made = {"ROLLWATCH_DATA_DIR": str(tmp_path), "ROLLWATCH_PEPPER": "pepper"}
    url = f"sqlite:///{tmp_path / 'store.db'}"
    made["ROLLWATCH_STORE__URL"] = url
    ok(made, "db", "upgrade")
    store = open_store(url)
    with store.snapshot(write=True) as snapshot:
        notifier = Notifier(NotifySettings(senders=("webhook",)))
        notifier.tell(snapshot, [alert(text="\x1b[31mv2 is refused", evidence={"n": 4})], Registry(), now_ms=T0)
        notifier.tell(snapshot, [alert(text="again")], Registry(), now_ms=T0)
    store.close()
    return made


def test_the_list_says_of_each_whether_it_was_told_and_why(env: dict[str, str]) -> None:
    newest, oldest = json.loads(ok(env, "alerts", "list", "--json"))["alerts"]
    assert (oldest["notified"], oldest["reason"]) == (True, "first")
    assert (newest["notified"], newest["reason"]) == (False, "duplicate")
    assert json.loads(ok(env, "alerts", "list", "--rollover", "other", "--json"))["alerts"] == []
    shown = ok(env, "alerts", "list")
    assert "\tyes\tfirst\t" in shown
    assert "\x1b" not in shown
    assert json.loads(ok(env, "alerts", "list", "--sent", "--json")) == {"sent": [], "waiting": 1, "refused": []}


def test_what_left_and_what_was_refused_is_listed(env: dict[str, str]) -> None:
    store = open_store(env["ROLLWATCH_STORE__URL"])
    (taken,) = store.take_messages(limit=1, lease_ms=1, now_ms=T0)
    store.message_failed(taken.id, retry_at_ms=None, error="the receiver answered 404\x1b[2J", now_ms=T0)
    store.close()
    (refused,) = json.loads(ok(env, "alerts", "list", "--sent", "--json"))["refused"]
    assert (refused["sender"], refused["attempts"]) == ("webhook", 1)
    shown = run(env, "alerts", "list", "--sent").stderr
    assert "0 waiting to be sent, 1 refused for good" in shown
    assert "the receiver answered 404" in shown
    assert "\x1b" not in shown


def test_an_episode_is_acknowledged_and_snoozed_and_shows_by_whom(env: dict[str, str]) -> None:
    assert run(env, "alerts", "ack", EPISODE, "--by", "ada").exit_code == 0
    assert run(env, "alerts", "snooze", EPISODE, "--for", "2d", "--by", "bob").exit_code == 0
    entries = json.loads(ok(env, "alerts", "show", EPISODE, "--json"))["entries"]
    assert [each["kind"] for each in entries] == ["alert", "alert", "alert.acknowledged", "alert.snoozed"]
    assert [each["by"] for each in entries[2:]] == ["ada", "bob"]
    assert "n=4" in ok(env, "alerts", "show", EPISODE)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(("ack", "no-such"), 1, id="nothing of that name was told"),
        pytest.param(("snooze", EPISODE, "--for", "-1h"), 2, id="a time before now"),
        pytest.param(("snooze", EPISODE, "--for", "soon"), 2, id="no duration"),
        pytest.param(("show", "no-such"), 1, id="nothing is known"),
        pytest.param(("preview", "--kind", "no-such"), 2, id="no such kind"),
        pytest.param(("test",), 2, id="nobody to send by"),
    ],
)
def test_what_cannot_be_done_ends_with_its_code_and_one_line(
    env: dict[str, str], arguments: tuple[str, ...], code: int
) -> None:
    done = run(env, "alerts", *arguments)
    assert (2 if isinstance(done.exception, ConfigError) else done.exit_code) == code


def test_every_kind_can_be_previewed_within_slacks_limits(env: dict[str, str]) -> None:
    made = json.loads(ok(env, "alerts", "preview", "--json"))
    assert list(made) == SENT
    assert [fault for each in made.values() for fault in faults_of(each)] == []
    assert all(f"=== {name}\n" in ok(env, "alerts", "preview") for name in SENT)


def test_a_sample_of_each_kind_arrives_where_it_is_told_to(env: dict[str, str]) -> None:
    with SlackServer() as slack:
        given = env | {"ROLLWATCH_SLACK__BOT_TOKEN": "xoxb-1", "ROLLWATCH_SLACK__BASE_URL": slack.base_url}
        assert run(given, "alerts", "test").exception is not None, "it does not guess a channel"
        assert run(given, "alerts", "test", "--channel", "#try").exit_code == 0
        assert [each.channel for each in slack.posted] == ["#try"] * len(SENT)
        slack.script = lambda _method, _call: Fault.NOT_OK
        assert run(given, "alerts", "test", "--channel", "#try", "--kind", "suspect").exit_code == 1
