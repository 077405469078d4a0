"""The keys: which rotation is due, and everything about one of them."""

from __future__ import annotations

import pytest

from tests.unit.page.site import ROLLOVER_PATH, Visitor

KEY_PATH = "/keys/billing-api"


def test_a_key_leads_to_its_page_and_its_rollover() -> None:
    shown = Visitor().get("/keys").text
    assert f'href="{KEY_PATH}"' in shown
    assert f'href="{ROLLOVER_PATH}"' in shown


@pytest.mark.parametrize("part", ["Versions", "Callers of v1", "Callers of v2", "Rollovers", "At the gateways"])
def test_a_keys_page_has_everything(part: str) -> None:
    assert part in Visitor().get(KEY_PATH).text


def test_a_rollovers_page_leads_to_its_key() -> None:
    assert f'href="{KEY_PATH}"' in Visitor().get(ROLLOVER_PATH).text


def test_an_unknown_key_is_not_found() -> None:
    answer = Visitor().get("/keys/no-such-key")
    assert answer.status_code == 404
    assert "rollwatch keys list" in answer.text


def test_a_key_being_rolled_says_so_instead_of_a_date() -> None:
    assert "rolling now" in Visitor().get("/keys").text
