"""What an outbox row says, whatever the sender: facts, rendered only when it leaves.

`handle` names the message that comes of it, so that a later one can replace it (`replaces`) or stand in its thread
(`thread_of`). Handles and bodies are plain JSON, because they wait in the database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from monitor.core.alerts import Alert
from monitor.core.decision import Json


class What(StrEnum):
    """The kinds of message."""

    OVERVIEW = "overview"
    ALERT = "alert"
    REMINDER = "reminder"
    CHART = "chart"


def rollover_handle(rollover: str) -> str:
    """Return the handle of a rollover's parent message."""
    return f"rollover:{rollover}"


def episode_handle(episode: str, channel: str) -> str:
    """Return the handle of an episode's message in a channel."""
    return f"episode:{episode}@{channel}"


def overview(
    *, channel: str, decision: Mapping[str, Json], deadline: str | None, state: str, drain: Sequence[Mapping[str, Json]]
) -> dict[str, Json]:
    """Return the parent message of a rollover: what is, now. `drain` holds requests old and new by day."""
    handle = rollover_handle(str(decision["rollover"]))
    return {
        "what": What.OVERVIEW.value,
        "channel": channel,
        "handle": handle,
        "replaces": True,
        "thread_of": None,
        "decision": dict(decision),
        "deadline": deadline,
        "state": state,
        "drain": [dict(each) for each in drain],
    }


def chart(*, channel: str, rollover: str, key: str, drain: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    """Return the drain chart, for the rollover's thread; a picture where the other side takes one."""
    return {
        "what": What.CHART.value,
        "channel": channel,
        "handle": None,
        "replaces": False,
        "thread_of": rollover_handle(rollover),
        "rollover": rollover,
        "key": key,
        "drain": [dict(each) for each in drain],
    }


def alert(*, channel: str, told: Alert, why: str, thread_of: str | None) -> dict[str, Json]:
    """Return the message of one alert; an end replaces the message of its beginning."""
    return {
        "what": What.ALERT.value,
        "channel": channel,
        "handle": episode_handle(told.episode, channel),
        "replaces": why in {"resolved", "corrected"},
        "thread_of": thread_of,
        "why": why,
        "alert": told.as_json(),
    }


def reminder(
    *,
    channel: str,
    audience: str,
    alerts: Sequence[Mapping[str, Json]],
    at: str,
    level: int,
    thread_of: str | None = None,
) -> dict[str, Json]:
    """Return one message to an owner about all of their callers that still hold a rollover; `resolved` fills later."""
    return {
        "what": What.REMINDER.value,
        "channel": channel,
        "handle": f"reminder:{audience}@{channel}:{at}",
        "replaces": False,
        "thread_of": thread_of,
        "audience": audience,
        "level": level,
        "alerts": [dict(each) for each in alerts],
        "resolved": [],
    }
