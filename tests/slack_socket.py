"""Slack's side of Socket Mode: a WebSocket that sends envelopes and takes acknowledgements."""

from __future__ import annotations

import base64
import hashlib
import json
import queue
import socket
import struct
import threading
from typing import Any

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_SHORT, _MEDIUM = 126, 127


class Sockets:
    """The open connections; an event goes to one of them, as Slack does it."""

    def __init__(self) -> None:
        """Nobody is connected."""
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self.acknowledged: queue.Queue[str] = queue.Queue()
        self.connected = threading.Event()
        self._sent = 0

    def serve(self, connection: socket.socket, key: str) -> None:
        """Shake hands and listen until the other side goes."""
        accept = base64.b64encode(hashlib.sha1(key.encode() + _MAGIC, usedforsecurity=False).digest()).decode()
        connection.sendall(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        with self._lock:
            self._open.append(connection)
        self._write(connection, _TEXT, json.dumps({"type": "hello", "num_connections": len(self._open)}).encode())
        self.connected.set()
        try:
            self._listen(connection)
        except OSError:
            pass
        finally:
            with self._lock:
                if connection in self._open:
                    self._open.remove(connection)

    def send(self, kind: str, payload: dict[str, Any]) -> str:
        """Send an envelope of `interactive` or `slash_commands`; return its id."""
        with self._lock:
            self._sent += 1
            envelope = f"envelope-{self._sent}"
            connection = self._open[-1]
        sent = {"type": kind, "envelope_id": envelope, "payload": payload, "accepts_response_payload": True}
        self._write(connection, _TEXT, json.dumps(sent).encode())
        return envelope

    def refresh(self) -> None:
        """Ask for a new connection and cut the old one, as Slack does every few hours."""
        self.connected.clear()
        with self._lock:
            old = list(self._open)
        for each in old:
            self._write(each, _TEXT, json.dumps({"type": "disconnect", "reason": "refresh_requested"}).encode())

    def close(self) -> None:
        """End."""
        with self._lock:
            for each in self._open:
                each.close()

    def _listen(self, connection: socket.socket) -> None:
        while True:
            head = _read(connection, 2)
            opcode, length = head[0] & 0x0F, head[1] & 0x7F
            if length == _SHORT:
                (length,) = struct.unpack("!H", _read(connection, 2))
            elif length == _MEDIUM:
                (length,) = struct.unpack("!Q", _read(connection, 8))
            mask = _read(connection, 4)
            body = bytes(each ^ mask[at % 4] for at, each in enumerate(_read(connection, length)))
            if opcode == _CLOSE:
                return
            if opcode == _PING:
                self._write(connection, _PONG, body)
            elif opcode == _TEXT:
                self.acknowledged.put(json.loads(body)["envelope_id"])

    def _write(self, connection: socket.socket, opcode: int, body: bytes) -> None:
        if len(body) < _SHORT:
            head = struct.pack("!BB", 0x80 | opcode, len(body))
        else:
            head = struct.pack("!BBH", 0x80 | opcode, _SHORT, len(body))
        connection.sendall(head + body)


def _read(connection: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        chunk = connection.recv(count - len(got))
        if not chunk:
            raise ConnectionResetError
        got += chunk
    return got
