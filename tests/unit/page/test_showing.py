"""What the page shows: verdicts first, in every state that a store can be in, and never what a log line wants it to."""

from __future__ import annotations

import re
from typing import Any

import pytest

from monitor.adapters.memory_store import MemoryStore
from monitor.core.instants import DAY_MS, HOUR_MS
from monitor.core.registry import Registry
from monitor.errors import StoreAway
from monitor.ports import Incident
from tests.contract.store.factories import NEW, OLD, event, failure
from tests.unit.api.world import NOW, ROLLOVER
from tests.unit.page.site import ROLLOVER_PATH, Visitor

PAGES = ("/", ROLLOVER_PATH, "/keys", "/keys/billing-api", "/telemetry", "/login")
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% raise %}",
    "acme\u202egnp.exe",
    "nul\x01bell\x07esc\x1b[31m",
    "line\u2028separator",
    "javascript:alert(1)",
    "' onmouseover='alert(1)",
)


def test_the_overview_says_the_verdict_without_a_script() -> None:
    shown = Visitor().get("/").text
    assert '<span class="pill go">GO</span>' in shown
    assert "may be retired" in shown


def test_a_straggler_is_named_in_the_overview() -> None:
    shown = Visitor(moved=False).get("/").text
    assert '<span class="pill no_go">NO-GO</span>' in shown
    assert "globex / batch is" in shown


def test_an_empty_store_says_how_to_begin() -> None:
    bare = Visitor(evaluated=False)
    bare.api.store.import_registry(Registry(), source="keys.yaml", by="ana", now_ms=NOW)
    shown = bare.get("/").text
    assert "No rollover yet" in shown
    assert "rollwatch keys import keys.yaml" in shown
    assert "No keys" in bare.get("/keys").text


def test_what_nobody_has_looked_at_is_unknown_and_says_why() -> None:
    shown = Visitor(evaluated=False).get("/").text
    assert '<span class="pill unknown">UNKNOWN</span>' in shown
    assert "the first look at it is under way" in shown


def test_an_old_verdict_is_shown_as_unknown() -> None:
    visitor = Visitor()
    visitor.api.time.now_ms += HOUR_MS
    shown = visitor.get("/").text
    assert '<span class="pill unknown">UNKNOWN</span>' in shown
    assert "the watch loop is not running" in shown
    assert "the watch loop is not running" in visitor.get(ROLLOVER_PATH).text


@pytest.mark.parametrize(
    "part",
    [
        "The nine clauses",
        "<b>C9</b>",
        'class="curve old"',
        'class="curve new"',
        'class="spell go"',
        'class="strip"',
        "at the gateways",
        "Ledger",
        "rollwatch gate " + ROLLOVER,
        "/v1/rollovers/" + ROLLOVER + "/retire",
    ],
)
def test_a_rollovers_page_has_everything(part: str) -> None:
    assert part in Visitor().get(ROLLOVER_PATH).text


def test_a_blocker_says_what_would_clear_it() -> None:
    shown = Visitor(moved=False).get(ROLLOVER_PATH).text
    assert "What holds it" in shown
    assert "Clears by " in shown


def test_an_incident_is_shown_with_its_sentence_and_marked_in_the_curve() -> None:
    visitor = Visitor()
    with visitor.api.store.snapshot(write=True) as snapshot:
        snapshot.put_incident(
            Incident(
                id="i-1",
                key="billing-api",
                version=2,
                kind="failed_rollover",
                cause="stale_gateway",
                severity="critical",
                opened_at_ms=NOW - HOUR_MS,
                summary="v2 is refused by edge-2 and by none of 3 others",
                holds_gate=True,
            )
        )
    shown = visitor.get(ROLLOVER_PATH).text
    assert "v2 is refused by edge-2 and by none of 3 others" in shown
    assert 'class="stretch incident"' in shown
    assert "failing: look now" in visitor.get("/").text


def test_an_unknown_rollover_is_not_found() -> None:
    answer = Visitor().get("/rollovers/nope")
    assert answer.status_code == 404
    assert "Not found" in answer.text


class AwayStore(MemoryStore):
    """A store whose database has gone."""

    away = False

    def snapshot(self, *, write: bool = False) -> Any:
        if self.away:
            raise StoreAway("the database does not answer")
        return super().snapshot(write=write)

    def token(self, digest: str) -> Any:
        if self.away:
            raise StoreAway("the database does not answer")
        return super().token(digest)


@pytest.mark.parametrize("path", ["/", ROLLOVER_PATH, "/keys", "/keys/billing-api", "/telemetry"])
def test_a_database_that_is_away_is_said_and_is_no_crash(path: str) -> None:
    store = AwayStore()
    visitor = Visitor(store=store)
    visitor.log_in()
    store.away = True
    answer = visitor.get(path)
    assert answer.status_code == 503
    assert "The database is away" in answer.text


@pytest.mark.parametrize("path", PAGES)
def test_no_page_asks_another_host_or_carries_code_of_its_own(path: str) -> None:
    answer = Visitor(moved=False).get(path)
    assert not re.findall(r"(?:src|href|action)=\"(?:https?:)?//", answer.text)
    assert not re.findall(r"<script(?! src=)|\son\w+=|style=\"|javascript:", answer.text)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_text_from_logs_is_shown_and_does_nothing(hostile: str) -> None:
    visitor = Visitor()
    who = {"client": hostile, "source": hostile}
    visitor.api.feed.flush(
        [event(NOW - DAY_MS, credential=OLD, **who), failure(NOW - HOUR_MS, gateway=hostile, region=hostile, **who)],
        fine=frozenset({OLD, NEW}),
    )
    visitor.api.decision()
    for path in ("/", ROLLOVER_PATH, "/telemetry"):
        shown = visitor.get(path).text
        assert "<script>alert" not in shown
        assert "<img" not in shown
        assert not re.findall(r"<[^>]*\son\w+=", shown)
        assert "49" not in re.findall(r"\{\{|7 \* 7|\b49\b", shown)
        assert not set(shown) & set("\u202e\u2028\x01\x07\x1b")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_is_searched_for_comes_back_harmless(hostile: str) -> None:
    shown = Visitor().get("/", params={"q": hostile}).text
    assert "Nothing fits" in shown
    assert "<script>alert" not in shown
    assert "<img" not in shown


def test_the_search_finds_by_owner_verdict_and_name() -> None:
    visitor = Visitor()
    for query in ("billing", "go", "overlap"):
        assert ROLLOVER in visitor.get("/", params={"q": query}).text
    assert ROLLOVER not in visitor.get("/", params={"q": "no such thing"}).text


@pytest.mark.parametrize("odd", ["0", "-1", "9" * 30, "x", "", "²"])
def test_an_odd_number_of_a_page_is_the_first_page(odd: str) -> None:
    for path in ("/", "/keys"):
        assert Visitor().get(path, params={"page": odd}).status_code == 200


def test_behind_a_prefix_every_link_has_it() -> None:
    visitor = Visitor(prefix="/rollwatch")
    for path in PAGES:
        shown = visitor.get(path).text
        links = re.findall(r"(?:src|href|action|data-live)=\"(/[^\"]*)\"", shown)
        assert links
        assert all(each.startswith("/rollwatch/") for each in links), links
        # The proxy may also have left it on.
        assert visitor.get("/rollwatch" + path).status_code == 200


def test_static_files_are_asked_for_again_only_when_they_changed() -> None:
    visitor = Visitor()
    first = visitor.get("/static/style.css")
    again = visitor.get("/static/style.css", headers={"if-none-match": first.headers["etag"]})
    assert (first.status_code, again.status_code) == (200, 304)
    assert visitor.get("/static/../router.py").status_code == 404


def test_the_curve_begins_before_the_start_and_marks_it() -> None:
    shown = Visitor().get(ROLLOVER_PATH).text
    assert ">start</text>" in shown


def test_what_keeps_the_process_from_its_work_is_said() -> None:
    shown = Visitor(not_ready=lambda: ["Kafka is away"]).get("/telemetry").text
    assert "Not ready" in shown
    assert "Kafka is away" in shown
    assert "Not ready" not in Visitor().get("/telemetry").text
