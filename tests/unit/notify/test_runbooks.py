"""Whoever is woken finds a page, and every command on it exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click import Context
from typer.main import get_command

from monitor.cli import app
from monitor.core.alerts import AlertKind
from monitor.notify.guides import BY_CAUSE, BY_KIND, runbooks

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "runbooks"
PAGES = sorted(each for each in FOLDER.glob("*.md") if each.stem != "README")
PARTS = ("**What it means.**", "**Confirm.**", "**Roll back", "**Tell**", "**It is over")


def test_every_kind_and_cause_has_a_guide() -> None:
    assert set(BY_KIND) == set(AlertKind)
    assert set(BY_CAUSE) >= {each.value for each in causes()}


def causes() -> list[object]:
    from models.cause import Cause  # noqa: PLC0415 - pandas-free, but only this test needs it

    return list(Cause)


def test_every_guide_has_its_page_and_every_page_its_guide() -> None:
    assert {each.stem for each in PAGES} == runbooks()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_all_that_somebody_woken_at_night_needs(page: Path) -> None:
    text = page.read_text("utf-8")
    assert [part for part in PARTS if part not in text] == []
    assert page.name in (FOLDER / "README.md").read_text("utf-8")


def lines() -> list[tuple[str, str]]:
    """Return (page, command line) of everything on a page that one could type."""
    found = []
    for page in [*PAGES, FOLDER / "README.md"]:
        text = page.read_text("utf-8")
        spans = [
            each
            for fenced in re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
            for each in fenced.splitlines()
        ]
        spans += [" ".join(each.split()) for each in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]
        found += [(page.stem, each.strip()) for each in spans if each.strip().startswith("rollwatch ")]
    return found


def resolved(line: str) -> tuple[Any, list[str]]:
    """Return the command that a line calls, and the words that are left for it."""
    words = shlex.split(line.partition("|")[0].partition("&&")[0])[1:]
    command = get_command(app)
    while words and hasattr(command, "get_command"):
        inner = command.get_command(Context(command), words[0])
        assert inner is not None, f"there is no `{words[0]}` in `{line}`"
        command, words = inner, words[1:]
    return command, words


def test_there_are_commands_to_check() -> None:
    assert len(lines()) > 40


@pytest.mark.parametrize(("page", "line"), sorted(set(lines())))
def test_every_command_on_a_page_exists_with_its_options_and_as_many_arguments(page: str, line: str) -> None:
    command, words = resolved(line)
    assert not hasattr(command, "get_command"), f"{page}: `{line}` names a group, not a command"
    options = {name: each for each in command.params for name in each.opts if name.startswith("-")}
    unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in options]
    assert not unknown, f"{page}: `{line}`"
    given, skip = 0, False
    for word in words:
        takes_value = word in options and not getattr(options[word], "is_flag", False)
        given += not word.startswith("-") and not skip
        skip = takes_value
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    needed = sum(each.required for each in arguments)
    most = 99 if any(each.nargs == -1 for each in arguments) else len(arguments)
    assert needed <= given <= most, f"{page}: `{line}`"
