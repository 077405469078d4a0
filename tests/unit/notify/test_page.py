"""The page on alerts names every kind, every reason and no setting that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

from monitor.config import known_names, variable_of
from monitor.core.alerts import AlertKind
from monitor.notify.telling import TELLS, Why

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "alerts.md").read_text("utf-8")


def test_every_kind_and_reason_has_its_row() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| (?:yes|no) \|", PAGE, re.MULTILINE)) == {each.value for each in Why}
    told = re.findall(r"^\| `(\w+)` \| yes \|", PAGE, re.MULTILINE)
    assert set(told) == {each.value for each in TELLS}
    kinds = PAGE.partition("## Kinds")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", kinds, re.MULTILINE) == [each.value for each in AlertKind]


def test_every_setting_on_it_exists() -> None:
    names = set(known_names())
    assert set(re.findall(r"`((?:notify|slack|webhook)\.[a-z_]+)", PAGE)) <= names
    assert set(re.findall(r"ROLLWATCH_[A-Z_]+", PAGE)) <= {variable_of(each) for each in names}
