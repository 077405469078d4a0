"""Buttons and `/rollwatch` over Socket Mode, through real slack-sdk."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from monitor.adapters.memory_store import MemoryStore
from monitor.adapters.slack.render import ACKNOWLEDGE, EVIDENCE, SNOOZE
from monitor.adapters.slack.socket import SocketListener
from monitor.notify.desk import AlertDesk
from monitor.notify.notifier import Notifier
from monitor.notify.settings import NotifySettings
from tests.alert_factories import alert
from tests.contract.store.factories import T0, registry
from tests.slack_server import Fault, SlackServer

EPISODE = "failed_rollover:billing-2026-05"


class Office:
    """A store in which one alert was told, and a Slack whose buttons lead to it."""

    def __init__(self, slack: SlackServer) -> None:  # noqa: D107 - the class says it
        self.slack = slack
        self.store = MemoryStore()
        notifier = Notifier(NotifySettings(slack=True, slack_channel="#rollovers"))
        with self.store.snapshot(write=True) as snapshot:
            notifier.tell(snapshot, [alert(evidence={"rejected": 412})], registry(), now_ms=T0)
        self.listener = SocketListener(
            app_token="xapp-test",
            bot_token="xoxb-test",
            desk=AlertDesk(store=self.store, notifier=notifier, now_ms=lambda: T0 + 1),
            base_url=slack.base_url,
            first_wait_seconds=0.05,
        )
        self.answered = threading.Event()
        slack.script = self._script

    def _script(self, method: str, _call: int) -> Fault | None:
        if method == "chat.postEphemeral":
            self.answered.set()
        return None

    def press(self, action: str, value: str = EPISODE) -> str:
        """Press a button and return what the presser is told."""
        payload = {
            "type": "block_actions",
            "user": {"id": "U1", "username": "ada"},
            "channel": {"id": "C1"},
            "container": {"message_ts": "1780000000.000001"},
            "actions": [{"action_id": action, "value": value}],
        }
        return self._answer_to("interactive", payload)

    def command(self, text: str) -> str:
        """Type `/rollwatch …` and return the answer."""
        return self._answer_to("slash_commands", {"text": text, "channel_id": "C1", "user_id": "U1"})

    def _answer_to(self, kind: str, payload: dict[str, object]) -> str:
        self.answered.clear()
        assert self.slack.sockets.connected.wait(10)
        envelope = self.slack.sockets.send(kind, payload)
        assert self.slack.sockets.acknowledged.get(timeout=10) == envelope
        assert self.answered.wait(10)
        for _ in range(100):
            if self.slack.ephemeral:
                break
            threading.Event().wait(0.01)
        return str(self.slack.ephemeral.pop()["text"])

    def episode(self) -> dict[str, object]:
        """Return what is kept of the episode."""
        with self.store.snapshot() as snapshot:
            return dict(snapshot.memo(f"notify:episode:{EPISODE}") or {})


@pytest.fixture
def office() -> Iterator[Office]:
    logging.getLogger("slack_sdk").setLevel(logging.CRITICAL)
    with SlackServer() as slack:
        made = Office(slack)
        made.listener.start()
        yield made
        made.listener.stop()


def test_buttons_acknowledge_snooze_and_show_evidence(office: Office) -> None:
    assert office.press(ACKNOWLEDGE).startswith("Acknowledged 1 of 1.")
    assert office.episode()["acknowledged_by"] == "slack:ada"
    assert office.press(SNOOZE).startswith("Snoozed 1 of 1.")
    assert office.episode()["snoozed_until_ms"] == T0 + 1 + 4 * 3_600_000
    assert "`412`" in office.press(EVIDENCE)
    with office.store.snapshot() as snapshot:
        assert [each.body["by"] for each in snapshot.audit_entries(kind="alert.acknowledged")] == ["slack:ada"]


@pytest.mark.parametrize(
    ("action", "value", "answer"),
    [
        pytest.param(ACKNOWLEDGE, "no-such-episode", "Nothing of that name", id="a forged value names nothing"),
        pytest.param(EVIDENCE, "<!channel>", "&lt;!channel&gt;", id="a forged value is shown harmless"),
        pytest.param("other_app", EPISODE, "not known", id="a button of another version"),
    ],
)
def test_what_a_button_carries_is_not_trusted(office: Office, action: str, value: str, answer: str) -> None:
    assert answer in office.press(action, value)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        pytest.param("status", "No rollover is known", id="all"),
        pytest.param("", "No rollover is known", id="nothing means status"),
        pytest.param("status billing<", "no rollover `billing&lt;`", id="one that is not there"),
        pytest.param("retire billing", "Try `/rollwatch status`", id="nothing can be retired from Slack"),
    ],
)
def test_the_command_answers_its_asker_alone(office: Office, text: str, answer: str) -> None:
    assert answer in office.command(text)


def test_a_slack_that_is_away_at_the_start_is_asked_again_and_a_lost_connection_made_anew() -> None:
    logging.getLogger("slack_sdk").setLevel(logging.CRITICAL)
    with SlackServer() as slack:
        slack.down = True
        office = Office(slack)
        office.listener.start()
        for _ in range(500):
            if len(slack.calls) >= 2:
                break
            threading.Event().wait(0.01)
        assert not slack.sockets.connected.is_set()
        slack.down = False
        assert office.press(ACKNOWLEDGE).startswith("Acknowledged")
        slack.sockets.refresh()
        assert slack.sockets.connected.wait(15)
        assert office.press(SNOOZE).startswith("Snoozed")
        office.listener.stop()
