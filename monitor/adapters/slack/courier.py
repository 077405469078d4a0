"""Delivers to Slack with slack-sdk: posts, edits in place, answers in threads; tries once, the sender tries again."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import URLError

import structlog
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from monitor.adapters.slack.blocks import plain
from monitor.adapters.slack.chart import drain_png
from monitor.adapters.slack.render import Renderer
from monitor.core.decision import Json
from monitor.core.untrusted import harmless
from monitor.errors import Undeliverable, Undelivered
from monitor.notify.bodies import What

log = structlog.get_logger()

_TOO_MANY, _SERVER_ERROR = 429, 500
_SHAPE_REFUSED = frozenset({"invalid_blocks", "msg_blocks_too_long", "invalid_blocks_format"})
_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found"})
_NEVER = frozenset(
    {"channel_not_found", "is_archived", "not_in_channel", "no_text", "msg_too_long", "restricted_action"}
)
_OURS_TO_MEND = frozenset({"invalid_auth", "not_authed", "account_inactive", "token_revoked", "missing_scope"})
_NO_UPLOADS = frozenset(
    {
        "missing_scope",
        "unknown_method",
        "not_allowed_token_type",
        "file_uploads_disabled",
        "file_uploads_except_images_disabled",
    }
)
_MEND_WAIT_SECONDS = 60.0


class SlackCourier:
    """One Slack workspace. Retries are the sender's: slack-sdk is told to try once."""

    def __init__(
        self,
        *,
        token: str,
        renderer: Renderer,
        base_url: str | None = None,
        timeout_seconds: int = 15,
        fallback_channel: str | None = None,
    ) -> None:
        """Prepare; nothing is asked of Slack before the first message.

        `fallback_channel` gets what its own channel does not take: an alert that nobody sees is lost.
        """
        self._fallback = fallback_channel
        self._may_upload = True
        address = f"{base_url.rstrip('/')}/" if base_url else WebClient.BASE_URL
        self._client = WebClient(token=token, base_url=address, timeout=timeout_seconds, retry_handlers=[])
        self._renderer = renderer

    def deliver(
        self, body: Mapping[str, Json], *, key: str, places: Mapping[str, Mapping[str, Json]]
    ) -> Mapping[str, Json]:
        """See `monitor.notify.sender.Courier`."""
        if body["what"] == What.CHART.value:
            return self._draw(body, places.get(str(body["thread_of"])))
        rendered = self._renderer.render(body)
        message: dict[str, Any] = {"text": rendered.text, "blocks": rendered.blocks}
        known = places.get(str(body.get("handle")))
        if body.get("replaces") and known and known.get("ts"):
            try:
                self._call(self._client.chat_update, channel=known["channel"], ts=known["ts"], **message)
            except _Gone:
                log.info("slack_message_gone", handle=body.get("handle"))
            else:
                return known
        parent = places.get(str(body.get("thread_of")))
        message |= {"unfurl_links": False, "unfurl_media": False, "link_names": False}
        message["metadata"] = {"event_type": "rollwatch", "event_payload": {"dedup_key": key}}
        if parent and parent.get("ts"):
            try:
                return self._post(channel=parent["channel"], thread_ts=parent["ts"], **message)
            except _Gone:
                log.info("slack_thread_gone", thread_of=body.get("thread_of"))
        try:
            return self._post(channel=body["channel"], **message)
        except _ChannelRefused as refused:
            if self._fallback in (None, body["channel"]):
                raise
            log.warning("slack_channel_refused", channel=body["channel"], reason=str(refused))
            note = f"\u26a0\ufe0f meant for {harmless(str(body['channel']))}, which does not take it"
            message["text"] = f"{note}: {rendered.text}"
            message["blocks"] = [plain(note).to_dict(), *rendered.blocks]
            return self._post(channel=self._fallback, **message)

    def _draw(self, body: Mapping[str, Json], parent: Mapping[str, Json] | None) -> Mapping[str, Json]:
        """Upload the chart into the rollover's thread; a token that may not leaves it at the text that is there."""
        drain = body["drain"]
        days = [each for each in drain if isinstance(each, Mapping)] if isinstance(drain, list) else []
        if not self._may_upload or not days or (parent is not None and not parent.get("ts")):
            return {"receipt": "not drawn: nothing to draw, or nowhere to put it"}
        if parent is None:
            raise Undelivered("the rollover's message, whose thread this belongs to, was not sent yet")
        first, last = days[0], days[-1]
        words = f"requests a day, {first['day']} to {last['day']}: old (orange) {first['old']} to {last['old']}"
        words += f", new (blue) {first['new']} to {last['new']}"
        try:
            answer = self._client.files_upload_v2(
                content=drain_png(days),
                filename="drain.png",
                title=f"{harmless(str(body['key']))}: {words}",
                alt_txt=words,
                channel=str(parent["channel"]),
                thread_ts=str(parent["ts"]),
            )
        except SlackApiError as error:
            if _code(error) not in _NO_UPLOADS:
                raise _fault(error) from None
            self._may_upload = False
            log.info("slack_uploads_not_allowed", error=_code(error))
            return {"receipt": "not drawn: the token may not upload"}
        except (SlackClientError, URLError, HTTPException, OSError, ValueError) as error:
            raise Undelivered(f"Slack did not take the chart: {type(error).__name__}") from None
        return {"receipt": str(answer["files"][0]["id"])}

    def _post(self, **message: Any) -> Mapping[str, Json]:  # noqa: ANN401 - slack-sdk's arguments
        answer = self._call(self._client.chat_postMessage, **message)
        # An answer that is ok is a delivery, even where it does not say where the message stands (a proxy, a bridge).
        channel, ts = answer.get("channel", message["channel"]), answer.get("ts")
        return {"channel": channel, "ts": ts, "receipt": f"{channel}/{ts}"}

    def _call(self, method: Any, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - one of slack-sdk's methods
        try:
            answer = method(**arguments)
        except SlackApiError as error:
            fault = _fault(error)
            if isinstance(fault, _ShapeRefused) and "blocks" in arguments:
                log.warning("slack_refused_blocks", error=_code(error))
                return self._call(method, **{name: each for name, each in arguments.items() if name != "blocks"})
            raise fault from None
        except (SlackClientError, URLError, HTTPException, OSError, ValueError) as error:
            raise Undelivered(f"Slack did not answer: {type(error).__name__}") from None
        data = answer.data
        if not isinstance(data, dict) or not data.get("ok"):
            raise Undelivered("Slack's answer could not be read")
        return data


class _Gone(Undelivered):
    """The message to be edited does not exist any more."""


class _ChannelRefused(Undeliverable):
    """The channel is not there, or not ours to write to."""


class _ShapeRefused(Undeliverable):
    """The blocks were refused; the text alone may pass."""


def _code(error: SlackApiError) -> str:
    data = error.response.data if error.response is not None else None
    return (
        harmless(str(data.get("error", "no error code")), limit=200)
        if isinstance(data, dict)
        else "an unreadable answer"
    )


def _fault(error: SlackApiError) -> Undelivered:
    status, code = error.response.status_code, _code(error)
    text = f"Slack answered {status}: {code}"
    if status == _TOO_MANY or code in {"ratelimited", "rate_limited"}:
        asked = {name.lower(): value for name, value in error.response.headers.items()}.get("retry-after")
        return Undelivered(text, retry_after_seconds=_seconds(asked))
    if code in _GONE:
        return _Gone(text)
    if code in _SHAPE_REFUSED:
        return _ShapeRefused(text)
    if code in _OURS_TO_MEND:
        return Undelivered(f"{text}; check ROLLWATCH_SLACK__BOT_TOKEN", retry_after_seconds=_MEND_WAIT_SECONDS)
    if status < _SERVER_ERROR and code in _NEVER:
        return _ChannelRefused(f"{text}; check the channel and invite the app to it")
    return Undelivered(text)


def _seconds(asked: object) -> float:
    if isinstance(asked, list):
        asked = asked[0] if asked else None
    try:
        return max(float(str(asked)), 0.0)
    except ValueError:
        return 1.0
