"""Socket Mode: buttons and `/rollwatch status` from Slack, without an address that Slack could reach.

Everything is acknowledged to Slack at once and answered in the background; what a button carries is only the name of an
episode, looked up in the store, so a forged value can at most name another episode.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog
from slack_sdk import WebClient
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from monitor.adapters.slack.render import ACKNOWLEDGE, EVIDENCE, SNOOZE
from monitor.core.untrusted import harmless
from monitor.errors import RollwatchError

log = structlog.get_logger()

COMMAND = "/rollwatch"
_MAX_ANSWER = 2_900
_MOST_WAIT_SECONDS = 60.0
_CLOSING_SECONDS = 0.3


class Desk(Protocol):
    """What people may ask for from Slack. Answers are mrkdwn, text from logs in it already made harmless."""

    def acknowledge(self, episodes: Sequence[str], *, by: str) -> str:
        """Hold back reminders of these episodes."""
        ...

    def snooze(self, episodes: Sequence[str], *, by: str) -> str:
        """Hold back everything but the end for some hours."""
        ...

    def evidence(self, subjects: Sequence[str]) -> str:
        """Return what is behind these episodes, or behind `rollover:ID`."""
        ...

    def status(self, words: Sequence[str]) -> str:
        """Answer `/rollwatch status [ROLLOVER]`."""
        ...


class SocketListener:
    """One connection to Slack, kept up by slack-sdk; a Slack that is away costs nothing but the buttons."""

    def __init__(
        self,
        *,
        app_token: str,
        bot_token: str,
        desk: Desk,
        base_url: str | None = None,
        timeout_seconds: int = 15,
        first_wait_seconds: float = 2.0,
    ) -> None:
        """Prepare; `start` connects."""
        address = f"{base_url.rstrip('/')}/" if base_url else WebClient.BASE_URL
        self._web = WebClient(token=bot_token, base_url=address, timeout=timeout_seconds)
        self._client = SocketModeClient(app_token=app_token, web_client=self._web, concurrency=2)
        self._desk = desk
        self._first_wait_seconds = first_wait_seconds
        self._stopping = threading.Event()
        self._client.socket_mode_request_listeners.append(self._take)

    def start(self) -> None:
        """Connect in the background: slack-sdk keeps a connection up, but the first one has to succeed."""
        threading.Thread(target=self._connect, name="rollwatch-slack-socket", daemon=True).start()

    def _connect(self) -> None:
        wait = self._first_wait_seconds
        while not self._stopping.is_set():
            try:
                self._client.connect()
            except Exception as error:  # noqa: BLE001 - the top of this thread's loop
                # Whatever it is, buttons are worth another try, and nothing else depends on them.
                log.warning("slack_socket_away", error=type(error).__name__, again_in_seconds=wait)
                self._stopping.wait(wait)
                wait = min(2 * wait, _MOST_WAIT_SECONDS)
            else:
                return

    def stop(self) -> None:
        """Disconnect. slack-sdk takes seconds to wind its threads up; the end of the process need not wait for them."""
        self._stopping.set()
        closing = threading.Thread(target=self._client.close, daemon=True)
        closing.start()
        closing.join(_CLOSING_SECONDS)

    def _take(self, client: Any, request: SocketModeRequest) -> None:  # noqa: ANN401 - slack-sdk's base client
        client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
        try:
            match request.type:
                case "interactive":
                    self._pressed(request.payload)
                case "slash_commands":
                    self._asked(request.payload)
        except Exception as error:
            log.exception("slack_answer_failed", error=type(error).__name__)

    def _pressed(self, payload: Mapping[str, Any]) -> None:
        user = payload.get("user", {})
        by = f"slack:{harmless(user.get('username') or user.get('id'), limit=60)}"
        for action in payload.get("actions", []):
            answer = self._answer(str(action.get("action_id")), str(action.get("value", "")).split("\n"), by)
            container = payload.get("container", {})
            self._web.chat_postEphemeral(
                channel=payload["channel"]["id"],
                user=user["id"],
                thread_ts=container.get("thread_ts") or container.get("message_ts"),
                text=answer[:_MAX_ANSWER],
            )

    def _answer(self, action: str, subjects: Sequence[str], by: str) -> str:
        do: dict[str, Callable[[], str]] = {
            ACKNOWLEDGE: lambda: self._desk.acknowledge(subjects, by=by),
            SNOOZE: lambda: self._desk.snooze(subjects, by=by),
            EVIDENCE: lambda: self._desk.evidence(subjects),
        }
        return self._guarded(do.get(action, lambda: "This button is not known to this version of Rollwatch."))

    def _asked(self, payload: Mapping[str, Any]) -> None:
        words = str(payload.get("text", "")).split()
        if words[:1] == ["status"] or not words:
            answer = self._guarded(lambda: self._desk.status(words[1:]))
        else:
            answer = f"Try `{COMMAND} status` or `{COMMAND} status ROLLOVER`."
        self._web.chat_postEphemeral(channel=payload["channel_id"], user=payload["user_id"], text=answer[:_MAX_ANSWER])

    @staticmethod
    def _guarded(do: Callable[[], str]) -> str:
        try:
            return do()
        except RollwatchError as fault:
            return f"That did not work: {harmless(str(fault), limit=300)}"
