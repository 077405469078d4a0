"""From the configuration to who is told what, and by which courier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import time
from typing import Protocol
from urllib.parse import urlsplit

from monitor.adapters.egress import Egress
from monitor.adapters.webhook import AlertmanagerCourier, PagerDutyCourier, WebhookCourier
from monitor.config import Settings
from monitor.config.addresses import is_loopback
from monitor.notify.desk import AlertDesk
from monitor.notify.notifier import Notifier
from monitor.notify.sender import Courier
from monitor.notify.settings import Digest, NotifySettings, Route, WorkingHours
from monitor.ports import EvidenceStore

_SENDER_OF = {"cloudevents": "webhook", "alertmanager": "alertmanager", "pagerduty": "pagerduty"}
_PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"


def notify_settings(settings: Settings) -> NotifySettings:
    """Return what the notifier goes by."""
    notify, slack, hook = settings.notify, settings.slack, settings.webhook
    has_hook = hook.url is not None or (hook.shape == "pagerduty" and hook.secret is not None)
    return NotifySettings(
        slack=slack.bot_token is not None,
        slack_channel=slack.channel,
        security_channel=slack.security_channel,
        escalate_to=slack.escalate_to,
        senders=(_SENDER_OF[hook.shape],) if has_hook else (),
        page_url=notify.page_url,
        runbook_url=notify.runbook_url,
        hours=WorkingHours(
            timezone=notify.timezone,
            start=time.fromisoformat(notify.work_start),
            end=time.fromisoformat(notify.work_end),
        ),
        digest=Digest(notify.digest),
        routes=tuple(Route(**each.model_dump()) for each in notify.routes),
    )


def couriers(settings: Settings, *, now_ms: Callable[[], int]) -> Mapping[str, Courier]:
    """Return the couriers that are configured, by sender. Raises `ConfigError`."""
    made: dict[str, Courier] = {}
    slack, hook = settings.slack, settings.webhook
    if slack.bot_token is not None:
        # Where Slack is not used, its library costs neither memory nor time.
        from monitor.adapters.slack.courier import SlackCourier  # noqa: PLC0415
        from monitor.adapters.slack.render import Renderer  # noqa: PLC0415

        made["slack"] = SlackCourier(
            token=slack.bot_token.get_secret_value(),
            renderer=Renderer(
                page_url=settings.notify.page_url,
                runbook_url=settings.notify.runbook_url,
                interactive=slack.app_token is not None,
            ),
            base_url=slack.base_url,
            fallback_channel=slack.channel,
        )
    url = hook.url.get_secret_value() if hook.url is not None else None
    secret = hook.secret.get_secret_value() if hook.secret is not None else None
    if hook.shape == "pagerduty" and secret is not None:
        made["pagerduty"] = PagerDutyCourier(
            url=url or _PAGERDUTY,
            routing_key=secret,
            egress=_egress(settings, url or _PAGERDUTY),
            runbook_url=settings.notify.runbook_url,
        )
    elif url is not None and hook.shape == "alertmanager":
        made["alertmanager"] = AlertmanagerCourier(
            url=url, egress=_egress(settings, url), runbook_url=settings.notify.runbook_url
        )
    elif url is not None:
        made["webhook"] = WebhookCourier(url=url, secret=secret, egress=_egress(settings, url), now_ms=now_ms)
    return made


class Listener(Protocol):
    """Something that listens between `start` and `stop`."""

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> None:
        """End."""
        ...


def slack_listener(
    settings: Settings, *, store: EvidenceStore, notifier: Notifier, now_ms: Callable[[], int]
) -> Listener | None:
    """Return what answers buttons and `/rollwatch`, where an app token is set."""
    slack = settings.slack
    if slack.app_token is None or slack.bot_token is None:
        return None
    from monitor.adapters.slack.socket import SocketListener  # noqa: PLC0415 - as above

    return SocketListener(
        app_token=slack.app_token.get_secret_value(),
        bot_token=slack.bot_token.get_secret_value(),
        desk=AlertDesk(store=store, notifier=notifier, now_ms=now_ms),
        base_url=slack.base_url,
    )


def _egress(settings: Settings, url: str) -> Egress:
    """Return what may be reached: who configures a loopback address by itself has allowed that one."""
    return Egress(allow_private=settings.webhook.allow_private or is_loopback(urlsplit(url).hostname or ""))
