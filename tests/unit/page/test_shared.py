"""Twenty open pages cost what one does, and nobody sees what is no longer true."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from starlette.responses import Response

from monitor.api.page.shared import Shared
from monitor.ports import Scope
from tests.unit.api.world import ROLLOVER
from tests.unit.page.site import ROLLOVER_PATH, Visitor


def test_twenty_at_once_are_answered_from_one_making() -> None:
    made: list[int] = []
    together = threading.Barrier(20)
    shared = Shared(lambda: "v1")

    def make() -> Response:
        made.append(1)
        return Response(b"page", status_code=200, headers={"x-kind": "page"})

    def ask(_: int) -> Response:
        together.wait(5)
        return shared.get("/", make)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(20)))
    assert len(made) == 1
    assert {(bytes(each.body), each.status_code, each.headers["x-kind"]) for each in answers} == {
        (b"page", 200, "page")
    }


def test_a_change_makes_every_page_anew() -> None:
    versions = iter(["a", "a", "b"])
    shared = Shared(lambda: next(versions))
    pages = iter([b"first", b"second"])
    assert [bytes(shared.get("/", lambda: Response(next(pages))).body) for _ in range(3)] == [
        b"first",
        b"first",
        b"second",
    ]


def test_a_page_whose_making_failed_is_made_again() -> None:
    shared = Shared(lambda: "a")

    def fail() -> Response:
        raise ValueError("away")

    for _ in range(2):
        try:
            shared.get("/", fail)
        except ValueError:
            continue
    assert bytes(shared.get("/", lambda: Response(b"whole")).body) == b"whole"


def test_what_was_done_is_on_the_next_page_at_once() -> None:
    visitor = Visitor()
    visitor.get("/")
    visitor.get(ROLLOVER_PATH)
    visitor.api.ask("POST", f"/v1/rollovers/{ROLLOVER}/retire", json={})
    assert "pill over" in visitor.get("/").text
    assert "retired" in visitor.get(ROLLOVER_PATH).text


def test_nobody_is_shown_the_page_of_somebody_else() -> None:
    visitor = Visitor()
    assert "Log in" in visitor.get("/").text
    visitor.log_in(Scope.OPERATE)
    assert "t-operate" in visitor.get("/").text
    visitor.post("/logout", {})
    assert "t-operate" not in visitor.get("/").text
