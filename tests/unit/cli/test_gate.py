"""`gate` ends with 0 for GO and for nothing else, whatever answers it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from monitor.cli import app
from monitor.control.unknown import unknown_body
from monitor.errors import RollwatchError

GO = dict(unknown_body("billing", registry=None, region=None, why="-", now_ms=0)) | {"decision": "GO", "blockers": []}
NO_GO = GO | {"decision": "NO_GO", "blockers": [{"clause": "C7", "caller": {"client": "acme\x1b[2J", "source": None}}]}
NO_GO["blockers"][0] |= {"summary": "acme is due", "what_would_clear_it": "one success on v2"}
UNKNOWN = GO | {"decision": "UNKNOWN"}
PROBLEM = {"error": {"reason": "forbidden", "message": "this needs another scope"}}

Reply = tuple[int, Any]


class Scripted(ThreadingHTTPServer):
    """Answers with one reply after the other, the last one for ever; keeps what was asked."""

    def __init__(self, replies: list[Reply]) -> None:  # noqa: D107 - the class says it
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies = replies
        self.asked: list[tuple[str, str | None]] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("authorization")))
        replies = self.server.replies
        status, body = replies.pop(0) if len(replies) > 1 else replies[0]
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(sent)))
        if status == 302:
            self.send_header("location", "/elsewhere")
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def serve() -> Iterator[Callable[..., Scripted]]:
    """Start a server that answers as scripted."""
    servers: list[Scripted] = []

    def start(*replies: Reply) -> Scripted:
        servers.append(Scripted(list(replies)))
        return servers[-1]

    yield start
    for each in servers:
        each.shutdown()
        each.server_close()


def gate(url: str, *arguments: str, **env: str) -> Any:
    """Run the command."""
    return CliRunner().invoke(app, ["gate", "billing", "--url", url, *arguments], env=env)


@pytest.mark.parametrize(
    ("status", "body", "code", "why"),
    [
        (200, GO, 0, "the only zero"),
        (409, NO_GO, 1, "evidence against"),
        (200, NO_GO, 1, "a daemon asked with always_ok, or a proxy that changes the status"),
        (503, UNKNOWN, 3, "evidence missing"),
        (400, PROBLEM, 2, "usage"),
        (401, PROBLEM, 2, "no token"),
        (403, PROBLEM, 2, "a wrong scope"),
        (404, PROBLEM, 2, "an unknown rollover"),
        (422, PROBLEM, 2, "usage"),
        (500, PROBLEM, 4, "no decision"),
        (502, b"<html>bad gateway</html>", 4, "a proxy's page"),
        (503, PROBLEM, 4, "a 5xx without a decision"),
        (503, GO, 4, "a GO that contradicts its status"),
        (409, GO, 4, "a GO that contradicts its status"),
        (200, GO | {"rollover": "another"}, 4, "an answer to another question"),
        (200, GO | {"decision": "go"}, 4, "a word that we do not know"),
        (200, [GO], 4, "not an object"),
        (200, b"", 4, "nothing at all"),
        (200, b'{"decision": "GO"', 4, "a cut answer"),
        (302, GO, 4, "a redirect is not followed"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_every_answer_has_its_exit_code(
    serve: Callable[..., Scripted], status: int, body: Any, code: int, why: str
) -> None:
    server = serve((status, body))
    done = gate(server.url, "--json")
    assert done.exit_code == code, why
    assert len(server.asked) == 1
    decided = code in {0, 1, 3}
    assert (json.loads(done.stdout) if decided else done.stdout) == (body if decided else "")
    assert bool(done.stderr) is not decided


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://no-such-host.invalid:8780"])
def test_nobody_there_is_four(url: str) -> None:
    done = gate(url)
    assert done.exit_code == 4
    assert "does not answer" in done.stderr


def test_it_waits_through_everything_that_may_pass(
    serve: Callable[..., Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.cli.gate._POLL_SECONDS", 0.01)
    server = serve((409, NO_GO), (503, UNKNOWN), (502, b""), (200, GO))
    done = gate(server.url, "--wait", "30s", "--json")
    assert done.exit_code == 0
    assert [json.loads(line)["decision"] for line in done.stdout.splitlines()] == ["GO"]
    assert len(server.asked) == 4


def test_it_waits_no_longer_than_told_and_not_at_all_for_what_cannot_pass(
    serve: Callable[..., Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.cli.gate._POLL_SECONDS", 0.01)
    assert gate(serve((409, NO_GO)).url, "--wait", "100ms").exit_code == 1
    refused = serve((403, PROBLEM))
    assert gate(refused.url, "--wait", "30s").exit_code == 2
    assert len(refused.asked) == 1


def test_the_token_comes_from_the_environment_or_a_file(serve: Callable[..., Scripted], tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("rwt_from_file\n")
    server = serve((200, GO))
    gate(server.url, ROLLWATCH_TOKEN="rwt_direct", ROLLWATCH_TOKEN_FILE=str(file))
    gate(server.url, ROLLWATCH_TOKEN_FILE=str(file))
    gate(server.url)
    assert [token for _, token in server.asked] == ["Bearer rwt_direct", "Bearer rwt_from_file", None]


@pytest.mark.parametrize("secret", ["rwt_one\nrwt_two", "rwt_\x1b", "rwt_\u00e9"])
def test_what_cannot_be_a_token_is_usage_and_not_repeated(secret: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(secret)
    for env in ({"ROLLWATCH_TOKEN": secret}, {"ROLLWATCH_TOKEN_FILE": str(file)}):
        done = gate("http://127.0.0.1:1", **env)
        assert done.exit_code == 2 or isinstance(done.exception, RollwatchError)
        assert "rwt_" not in f"{done.stderr}{done.exception}"


def test_the_rollover_and_the_region_are_quoted(serve: Callable[..., Scripted]) -> None:
    server = serve((404, PROBLEM))
    CliRunner().invoke(app, ["gate", "a/b c?", "--url", server.url, "--region", "eu&us"])
    assert server.asked[0][0] == "/v1/rollovers/a%2Fb%20c%3F/decision?region=eu%26us"


def test_for_people_it_names_what_holds_it_and_lets_no_log_text_steer_the_terminal(
    serve: Callable[..., Scripted],
) -> None:
    done = gate(serve((409, NO_GO)).url)
    assert "acme is due" in done.stdout
    assert "one success on v2" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("wait", ["soon", "5", ""])
def test_a_wrong_duration_is_usage(wait: str) -> None:
    assert gate("http://127.0.0.1:1", "--wait", wait).exit_code == 2
