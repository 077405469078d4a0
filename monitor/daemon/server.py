"""The HTTP server in a thread: uvicorn, with the port bound before anything else starts."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import structlog
import uvicorn

from monitor.errors import ConfigError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

log = structlog.get_logger()

_BACKLOG = 512


class Server:
    """Listens from the moment it is made; serves between `start` and `stop`. Port 0 takes a free one (see `port`)."""

    def __init__(self, app: ASGIApp, *, host: str, port: int, forwarded_allow_ips: str) -> None:
        """Bind the address. Raises `ConfigError` where that cannot be."""
        self.host = host
        self._socket = _bind(host, port)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            proxy_headers=True,
            forwarded_allow_ips=forwarded_allow_ips,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=15,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="rollwatch-http", daemon=True)

    @property
    def url(self) -> str:
        """Return its address, as one types it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def alive(self) -> bool:
        """Return whether it still serves."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()
        log.info("http_listens", url=self.url)

    def stop(self) -> None:
        """Stop listening, give running requests a second."""
        self._server.should_exit = True
        self._thread.join(2.5)
        self._socket.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; "
            "set ROLLWATCH_API__HOST and ROLLWATCH_API__PORT to an address that is free"
        ) from error
    listening.setblocking(False)
    return listening
