"""A small Slack on loopback that the real slack-sdk talks to: the Web API that we use, with faults by script.

It keeps messages as Slack does (a `ts` each, edits in place, threads) and refuses blocks beyond Slack's published
limits (`tests/block_kit.py`). Buttons and commands come by `tests/slack_socket.py`.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.block_kit import faults_of
from tests.slack_socket import Sockets

_LONGEST_SLOW_SECONDS = 20.0


class Fault(StrEnum):
    """What goes wrong with one call. `TOOK_…`: Slack has the message, but nobody hears of it (an ambiguous end)."""

    RATE_LIMITED = "429"
    UNAVAILABLE = "503"
    NOT_OK = "ok:false"
    NOT_JSON = "not json"
    RESET = "reset"
    TOOK_AND_RESET = "took, then reset"
    TOOK_AND_SLOW = "took, then no answer in time"


AMBIGUOUS = frozenset({Fault.TOOK_AND_RESET, Fault.TOOK_AND_SLOW})


class _Server(ThreadingHTTPServer):
    """Takes many calls at once: with the five that are usual, the kernel lets the sixth wait for a second."""

    daemon_threads = True
    request_queue_size = 128


@dataclass(slots=True)
class Posted:
    """A message as a channel shows it; `edits` is what it said before."""

    channel: str
    ts: str
    text: str
    blocks: list[dict[str, Any]]
    thread_ts: str | None = None
    dedup_key: str | None = None
    edits: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the Web API, and what was done to it."""

    method: str
    given: dict[str, Any]
    fault: Fault | None = None


class SlackServer:
    """Listens between `with`. `script(method, n)` says what goes wrong with the n-th call; `down` refuses all."""

    def __init__(self, script: Callable[[str, int], Fault | None] | None = None, *, retry_after: int = 3) -> None:
        """Prepare an empty workspace, which has every channel but those that begin with `#gone`."""
        self.script = script or (lambda _method, _n: None)
        self.retry_after = retry_after
        self.down = False
        self.may_upload = True
        self.calls: list[Call] = []
        self.posted: list[Posted] = []
        self.ephemeral: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.shared_files: list[dict[str, Any]] = []
        self.sockets = Sockets()
        self._lock = threading.Lock()
        slack = self

        class Handler(_Handler):
            server_of = slack

        self._server = _Server(("127.0.0.1", 0), Handler)

    @property
    def base_url(self) -> str:
        """Return what `ROLLWATCH_SLACK__BASE_URL` is set to."""
        return f"http://127.0.0.1:{self._server.server_port}/api/"

    def __enter__(self) -> Self:
        """Listen."""
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up."""
        self.sockets.close()
        self._server.shutdown()
        self._server.server_close()

    def in_channel(self, channel: str, *, thread: str | None = None) -> list[Posted]:
        """Return a channel's messages in order, or those of a thread."""
        return [each for each in self.posted if each.channel == channel and each.thread_ts == thread]

    def faults(self) -> list[Fault]:
        """Return what went wrong, in order."""
        return [each.fault for each in self.calls if each.fault is not None]

    def begin(self, method: str, given: dict[str, Any]) -> Fault | None:
        """Write the call down; return what is to go wrong with it."""
        with self._lock:
            fault = Fault.UNAVAILABLE if self.down else self.script(method, len(self.calls))
            self.calls.append(Call(method, given, fault))
            return fault

    def answer(self, method: str, given: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked, as Slack would."""
        do = {
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "chat.postEphemeral": self._whisper,
            "apps.connections.open": self._connect,
            "files.getUploadURLExternal": self._upload_url,
            "files.completeUploadExternal": self._uploaded,
        }.get(method)
        if do is None:
            return {"ok": False, "error": "unknown_method"}
        with self._lock:
            return do(given)

    def _refused(self, given: dict[str, Any]) -> dict[str, Any] | None:
        if str(given.get("channel", "")).startswith("#gone"):
            return {"ok": False, "error": "channel_not_found"}
        found = faults_of(given)
        return {"ok": False, "error": "invalid_blocks", "response_metadata": {"messages": found}} if found else None

    def _post(self, given: dict[str, Any]) -> dict[str, Any]:
        if refused := self._refused(given):
            return refused
        parent = given.get("thread_ts")
        if parent is not None and not any(each.ts == parent for each in self.posted):
            return {"ok": False, "error": "thread_not_found"}
        payload = given.get("metadata", {}).get("event_payload", {})
        made = Posted(
            channel=given["channel"],
            ts=f"1780000000.{len(self.posted) + 1:06d}",
            text=given["text"],
            blocks=given.get("blocks", []),
            thread_ts=parent,
            dedup_key=payload.get("dedup_key"),
        )
        self.posted.append(made)
        return {"ok": True, "channel": made.channel, "ts": made.ts}

    def _update(self, given: dict[str, Any]) -> dict[str, Any]:
        if refused := self._refused(given):
            return refused
        for each in self.posted:
            if (each.channel, each.ts) == (given["channel"], given["ts"]):
                each.edits.append(each.text)
                each.text, each.blocks = given["text"], given.get("blocks", [])
                return {"ok": True, "channel": each.channel, "ts": each.ts}
        return {"ok": False, "error": "message_not_found"}

    def _whisper(self, given: dict[str, Any]) -> dict[str, Any]:
        self.ephemeral.append(given)
        return {"ok": True, "message_ts": "1780000001.000000"}

    def _connect(self, _given: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "url": f"ws://127.0.0.1:{self._server.server_port}/socket"}

    def _upload_url(self, given: dict[str, Any]) -> dict[str, Any]:
        if not self.may_upload:
            return {"ok": False, "error": "missing_scope", "needed": "files:write"}
        name = f"F{len(self.files) + 1:04d}"
        self.files[name] = b""
        return {"ok": True, "file_id": name, "upload_url": f"http://127.0.0.1:{self._server.server_port}/upload/{name}"}

    def _uploaded(self, given: dict[str, Any]) -> dict[str, Any]:
        files = given["files"]
        files = json.loads(files) if isinstance(files, str) else files
        self.shared_files.append({**given, "files": files})
        return {"ok": True, "files": files}


class _Handler(BaseHTTPRequestHandler):
    server_of: SlackServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.startswith("/socket"):
            self.close_connection = True
            self.server_of.sockets.serve(self.connection, self.headers["sec-websocket-key"])
            return
        self._call({name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path.startswith("/upload/"):
            self.server_of.files[self.path.removeprefix("/upload/")] = body
            self._send(200, b"OK")
            return
        if self.headers.get("content-type", "").startswith("application/json"):
            self._call(json.loads(body))
        else:
            self._call({name: values[0] for name, values in parse_qs(body.decode()).items()})

    def _call(self, given: dict[str, Any]) -> None:
        slack = self.server_of
        method = urlsplit(self.path).path.removeprefix("/api/")
        fault = slack.begin(method, given)
        if fault in AMBIGUOUS:
            slack.answer(method, given)
        match fault:
            case None:
                self._send(200, json.dumps(slack.answer(method, given)).encode())
            case Fault.RATE_LIMITED:
                self._send(429, b'{"ok":false,"error":"ratelimited"}', retry_after=slack.retry_after)
            case Fault.UNAVAILABLE:
                self._send(503, b"upstream connect error")
            case Fault.NOT_OK:
                self._send(200, b'{"ok":false,"error":"internal_error"}')
            case Fault.NOT_JSON:
                self._send(200, b"<html>maintenance</html>")
            case Fault.TOOK_AND_SLOW:
                # Until the client has had enough: then its end of the connection becomes readable.
                select.select([self.connection], [], [], _LONGEST_SLOW_SECONDS)
                self.close_connection = True
            case Fault.RESET | Fault.TOOK_AND_RESET:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True

    def _send(self, status: int, body: bytes, *, retry_after: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_given: object) -> None:
        """Say nothing."""
