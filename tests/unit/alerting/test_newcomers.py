"""New adopters and suspects: who came to the old version after the rollover began."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.core.alerts import AlertKind, AlertSeverity
from monitor.core.decision import Status
from monitor.core.instants import DAY_MS, HOUR_MS
from monitor.core.registry import Noise, Waiver
from tests.unit.alerting.looks import ACME, GLOBEX, HISTORY, START, caller, kinds, look, told

NOW = START + 5 * DAY_MS
LATE = START + 2 * DAY_MS
WAIVER = Waiver(rollover="billing-1", client="acme", reason="known", by="ana")
NOISE = Noise(client="acme", reason="probe", by="ana", max_per_day=9)


@pytest.mark.parametrize(
    ("why", "arguments", "expected"),
    [
        ("first use after the start", {}, ["new_adopter"]),
        ("seen on it before the start", {"old": [START - DAY_MS, LATE]}, []),
        ("rejected on it before the start: seen, if never served", {"rejected": [START - DAY_MS]}, []),
        ("waived by name", {"waivers": (WAIVER,)}, []),
        ("registered noise", {"noise": (NOISE,)}, []),
        ("two days of history, which the text names", {"history_start": START - 2 * DAY_MS}, ["new_adopter"]),
        ("hours of history: everybody would look new", {"history_start": START - 23 * HOUR_MS}, []),
        ("no history at all", {"history_start": None}, []),
        ("a principal that may not hold the key is a suspect instead", {"clients": ("globex",)}, ["suspect"]),
        ("a principal that may hold it", {"clients": ("acme",)}, ["new_adopter"]),
    ],
)
def test_a_first_use_of_the_old_version_after_the_start_is_told(
    why: str, arguments: dict[str, Any], expected: list[str]
) -> None:
    old, rejected = arguments.pop("old", [LATE]), arguments.pop("rejected", [])
    alerts = told(look(NOW, caller(old=old, rejected=rejected), **arguments))
    assert kinds(alerts) == expected, why


def test_a_caller_without_a_name_is_no_suspect_even_where_the_key_names_its_clients() -> None:
    alerts = told(look(NOW, caller((None, "eu"), old=[LATE]), clients=("globex",)))
    assert kinds(alerts) == ["new_adopter"]


def test_a_new_adopter_is_told_once_and_resolved_once_when_it_is_cleared() -> None:
    adopter = caller(old=[LATE, LATE + HOUR_MS])
    looks = [look(NOW + hour * HOUR_MS, adopter) for hour in range(5)]
    looks += [look(NOW + (5 + hour) * HOUR_MS, adopter, holding=()) for hour in range(5)]
    alerts = told(*looks, kind=AlertKind.NEW_ADOPTER)
    assert kinds(alerts) == ["new_adopter", "resolved"]
    assert alerts[0].episode == alerts[1].episode
    assert (alerts[1].client, alerts[1].source) == ACME


def test_nobody_is_called_cleared_while_the_callers_cannot_be_computed() -> None:
    adopter = caller(old=[LATE])
    blind = look(NOW + HOUR_MS, adopter, holding=(), c7=Status.UNKNOWN)
    assert kinds(told(look(NOW, adopter), blind)) == ["new_adopter"]


def test_a_suspect_is_critical_told_once_and_does_not_end_by_silence() -> None:
    outsider = caller(GLOBEX, old=[LATE])
    looks = [look(NOW + day * DAY_MS, outsider, clients=("acme",), holding=()) for day in range(30)]
    alerts = told(*looks, kind=AlertKind.SUSPECT)
    assert [(each.kind, each.severity, each.client) for each in alerts] == [
        (AlertKind.SUSPECT, AlertSeverity.CRITICAL, "globex")
    ]


def test_a_suspect_that_was_only_ever_rejected_holds_no_key() -> None:
    assert told(look(NOW, caller(rejected=[LATE]), clients=("globex",))) == []


def test_names_from_logs_cannot_steer_the_text() -> None:
    (alert,) = told(look(NOW, caller(("ac\x1b[31mme", "eu\u202e"), old=[LATE])))
    assert "\x1b" not in alert.text
    assert "\u202e" not in alert.text
    assert alert.client == "ac\x1b[31mme"
    assert HISTORY < START
