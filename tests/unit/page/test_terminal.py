"""What stands beside each action to be copied does what the form does: by curl and by the command line."""

from __future__ import annotations

import html
import json
import re
import shlex
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.main import get_command

from monitor.cli import app
from monitor.core.instants import HOUR_MS
from monitor.ports import Incident, Scope
from tests.unit.api.world import NOW
from tests.unit.page.site import ROLLOVER_PATH, Visitor

ACTIONS = ("retire", "waive", "freeze", "pin", "acknowledge-1")


def at_an_incident() -> Visitor:
    visitor = Visitor()
    with visitor.api.store.snapshot(write=True) as snapshot:
        incident = Incident(
            id="failure:billing-api:2",
            key="billing-api",
            version=2,
            kind="failed_rollover",
            cause="stale_gateway",
            severity="critical",
            opened_at_ms=NOW - HOUR_MS,
            summary="v2 is refused",
            holds_gate=True,
        )
        snapshot.put_incident(incident)
    return visitor


def copies(visitor: Visitor) -> dict[str, tuple[str, str]]:
    """Action to (command line, curl), as the page offers them."""
    shown = visitor.get(ROLLOVER_PATH).text
    found = re.findall(r'data-name="([\w-]+)"><summary>.*?data-copy="([^"]*)".*?data-copy="([^"]*)"', shown, re.DOTALL)
    return {name: (html.unescape(command), html.unescape(curl)) for name, command, curl in found}


@pytest.mark.parametrize("logged_in", [True, False], ids=["with a form", "to somebody who only looks"])
def test_each_action_can_be_copied(logged_in: bool) -> None:
    visitor = at_an_incident()
    if logged_in:
        visitor.log_in(Scope.OPERATE)
    assert set(copies(visitor)) == set(ACTIONS)


@pytest.mark.parametrize(
    ("action", "status"),
    [("waive", 201), ("pin", 201), ("freeze", 200), ("retire", 200), ("acknowledge-1", 404)],
    ids=["waive", "pin", "freeze", "retire, with its GO", "acknowledge what nobody was told of"],
)
def test_the_curl_is_understood(action: str, status: int) -> None:
    visitor = at_an_incident() if action.startswith("ack") else Visitor()
    words = shlex.split(copies(visitor)[action][1])
    address = next(word for word in words if word.startswith("http"))
    answer = visitor.api.ask(words[words.index("-X") + 1], address, json=json.loads(words[words.index("-d") + 1]))
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("action", ACTIONS)
def test_the_command_is_one_of_ours(action: str) -> None:
    for command in copies(at_an_incident())[action][0].split(" && "):
        program, *words = shlex.split(command)
        assert program == "rollwatch"
        found: Any = get_command(app)
        while isinstance(found, TyperGroup):
            found = found.get_command(typer.Context(found), words.pop(0))
        # Refuses an option that there is not, and wants those that are required.
        found.make_context(command, words)


def test_a_blocker_leads_to_a_form_that_names_its_caller() -> None:
    visitor = Visitor(moved=False)
    visitor.log_in(Scope.OPERATE)
    assert 'href="?client=globex&amp;source=batch#waive"' in visitor.get(ROLLOVER_PATH).text
    shown = visitor.get(f"{ROLLOVER_PATH}?client=globex&source=%22%3E%3Cb%3E").text
    assert 'name="client" required maxlength="200" value="globex"' in shown
    assert 'value="&#34;&gt;&lt;b&gt;"' in shown
