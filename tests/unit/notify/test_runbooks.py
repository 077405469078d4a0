"""Whoever is woken finds a page, and every command on it exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from monitor.core.alerts import AlertKind
from monitor.notify.guides import BY_CAUSE, BY_KIND, runbooks

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "runbooks"
PAGES = sorted(each for each in FOLDER.glob("*.md") if each.stem != "README")
PARTS = ("**What it means.**", "**Confirm.**", "**Roll back", "**Tell**", "**It is over")


def test_every_kind_and_cause_has_a_guide() -> None:
    assert set(BY_KIND) == set(AlertKind)
    assert set(BY_CAUSE) >= {each.value for each in causes()}


def causes() -> list[object]:
    from models.causes import Cause  # noqa: PLC0415 - pandas-free, but only this test needs it

    return list(Cause)


def test_every_guide_has_its_page_and_every_page_its_guide() -> None:
    assert {each.stem for each in PAGES} == runbooks()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_all_that_somebody_woken_at_night_needs(page: Path) -> None:
    text = page.read_text("utf-8")
    assert [part for part in PARTS if part not in text] == []
    assert page.name in (FOLDER / "README.md").read_text("utf-8")


def commands() -> list[str]:
    found = {
        " ".join(match.group(1).split())
        for page in PAGES
        for match in re.finditer(r"rollwatch((?: [a-z][a-z-]+){1,2})", page.read_text("utf-8"))
    }
    return sorted(found)
