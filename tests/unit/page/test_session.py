"""Logging in and acting: by scope, from our own forms only, with everything written down."""

from __future__ import annotations

import pytest

from monitor.core.instants import DAY_MS, rfc3339
from monitor.ports import Scope
from tests.unit.api.world import NOW, ROLLOVER
from tests.unit.page.site import ROLLOVER_PATH, SAME_ORIGIN, Visitor

TOMORROW = rfc3339(NOW + 5 * DAY_MS)[:10]


def state(visitor: Visitor) -> str:
    with visitor.api.store.snapshot() as snapshot:
        return str(snapshot.state(ROLLOVER, NOW).state)


def test_the_cookie_is_for_this_site_and_for_no_script() -> None:
    cookie = Visitor().log_in().headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_over_https_the_cookie_is_secure() -> None:
    visitor = Visitor()
    visitor.client.base_url = visitor.client.base_url.copy_with(scheme="https")
    assert "secure" in visitor.log_in().headers["set-cookie"].lower()


def test_a_wrong_token_is_told_and_sets_nothing() -> None:
    answer = Visitor().post("/login", {"token": "rwt_wrong"})
    assert answer.status_code == 401
    assert "unknown or revoked" in answer.text
    assert "set-cookie" not in answer.headers


def test_a_revoked_token_is_nobody_at_once() -> None:
    visitor = Visitor()
    visitor.log_in()
    assert f'action="{ROLLOVER_PATH}/waive"' in visitor.get(ROLLOVER_PATH).text
    visitor.api.store.revoke_token("t-operate", now_ms=NOW)
    assert f'action="{ROLLOVER_PATH}/waive"' not in visitor.get(ROLLOVER_PATH).text


@pytest.mark.parametrize(
    "where",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil",
        "http:/x",
        "javascript:alert(1)",
        "/a\nb",
    ],
)
def test_logging_in_never_leads_to_another_site(where: str) -> None:
    visitor = Visitor()
    answer = visitor.post("/login", {"token": visitor.api.tokens[Scope.READ], "next": where})
    assert answer.headers["location"] == "/"


def test_where_tokens_are_required_the_page_asks_for_one_and_goes_on() -> None:
    visitor = Visitor(loopback=False)
    answer = visitor.get("/telemetry")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Ftelemetry"
    assert visitor.get("/live").status_code == 401
    assert ROLLOVER not in visitor.get("/login").text
    visitor.log_in(Scope.READ)
    assert visitor.get("/telemetry").status_code == 200


def test_who_may_read_sees_no_form() -> None:
    visitor = Visitor()
    visitor.log_in(Scope.READ)
    shown = visitor.get(ROLLOVER_PATH).text
    assert "Acting needs the scope" in shown
    assert f'action="{ROLLOVER_PATH}' not in shown
    assert "rollwatch rollover waive" in shown


@pytest.mark.parametrize(
    ("why", "form", "headers"),
    [
        ("no secret of the form", {}, SAME_ORIGIN),
        ("another secret", {"csrf": "0" * 64}, SAME_ORIGIN),
        ("another site", {"csrf": "ours"}, {"sec-fetch-site": "cross-site"}),
        ("a sister site", {"csrf": "ours"}, {"sec-fetch-site": "same-site"}),
        ("another origin, by an old browser", {"csrf": "ours"}, {"origin": "https://evil.example"}),
    ],
)
def test_a_form_that_is_not_ours_does_nothing(why: str, form: dict[str, str], headers: dict[str, str]) -> None:
    visitor = Visitor()
    visitor.log_in()
    if form.get("csrf") == "ours":
        shown = visitor.get(ROLLOVER_PATH).text
        form = {"csrf": shown.split('name="csrf" value="')[1].split('"')[0]}
    answer = visitor.post(f"{ROLLOVER_PATH}/freeze", {**form, "reason": "x"}, headers)
    assert answer.status_code == 403, why
    assert state(visitor) == "overlap"


def test_without_a_session_nothing_is_done() -> None:
    visitor = Visitor()
    assert visitor.post(f"{ROLLOVER_PATH}/retire", {}).status_code == 403
    assert state(visitor) == "overlap"


def test_retiring_consumes_the_go_and_is_written_down_with_the_tokens_name() -> None:
    visitor = Visitor()
    visitor.log_in()
    assert "Retired." in visitor.act("retire")
    assert state(visitor) == "retired"
    assert "by t-operate" in visitor.get(ROLLOVER_PATH).text
    assert "pill over" in visitor.get("/").text


def test_retiring_without_a_go_is_refused_with_the_reason() -> None:
    visitor = Visitor(moved=False)
    visitor.log_in()
    assert "Not retired:" in visitor.act("retire")
    assert state(visitor) == "overlap"


def test_freezing_is_done_once() -> None:
    visitor = Visitor()
    visitor.log_in()
    assert "Frozen:" in visitor.act("freeze", reason="holidays")
    assert state(visitor) == "frozen"
    assert "Refused:" in visitor.act("freeze", reason="again")


def test_a_waiver_names_the_caller_and_clears_it() -> None:
    visitor = Visitor(moved=False)
    visitor.log_in()
    assert "globex is waived" in visitor.act("waive", client="globex", reason="gone", until=TOMORROW)
    assert visitor.api.decision().json()["decision"] == "GO"
    assert "waived" in visitor.get(ROLLOVER_PATH).text


@pytest.mark.parametrize(
    ("why", "form"),
    [
        ("no client", {"client": "", "reason": "x", "until": TOMORROW}),
        ("no reason", {"client": "globex", "reason": " ", "until": TOMORROW}),
        ("no end", {"client": "globex", "reason": "x", "until": ""}),
        ("no day", {"client": "globex", "reason": "x", "until": "soon"}),
        ("over already", {"client": "globex", "reason": "x", "until": "2020-01-01"}),
        ("far beyond time", {"client": "globex", "reason": "x", "until": "9999-12-31"}),
    ],
)
def test_a_waiver_that_is_not_whole_is_refused(why: str, form: dict[str, str]) -> None:
    visitor = Visitor(moved=False)
    visitor.log_in()
    said = visitor.act("waive", **form)
    assert "Refused:" in said, why


def test_a_pin_vetoes_the_retirement() -> None:
    visitor = Visitor()
    visitor.log_in()
    assert "v1 is pinned" in visitor.act("pin", reason="audit")
    assert "Not retired" in visitor.act("retire") or state(visitor) == "overlap"
    assert state(visitor) == "overlap"


def test_acknowledging_what_nobody_was_told_of_says_so() -> None:
    visitor = Visitor()
    visitor.log_in()
    assert "Nobody has been told" in visitor.act("acknowledge", episode="i-1")


def test_an_unknown_action_does_nothing() -> None:
    visitor = Visitor()
    visitor.log_in()
    assert "There is no such action." in visitor.act("explode")


def test_a_notice_in_a_link_that_somebody_else_made_is_not_shown() -> None:
    visitor = Visitor()
    visitor.log_in()
    for query in ("?notice=Call+0900", "?notice=Call+0900&seal=" + "0" * 32):
        assert "Call 0900" not in visitor.get(ROLLOVER_PATH + query).text


def test_a_form_that_is_too_large_is_no_form() -> None:
    visitor = Visitor()
    visitor.log_in()
    assert visitor.post(f"{ROLLOVER_PATH}/freeze", {"reason": "x" * 20_000}).status_code == 403


def test_logging_out_takes_the_cookie_away() -> None:
    visitor = Visitor()
    visitor.log_in()
    visitor.post("/logout", {})
    assert "Log in" in visitor.get("/").text
    assert not visitor.client.cookies
