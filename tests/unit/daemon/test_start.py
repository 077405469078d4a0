"""What a process that only ingests loads, and what it answers."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from monitor.adapters.memory_store import MemoryStore
from monitor.adapters.metrics import Metrics
from monitor.control import tokens
from monitor.daemon.health import Health
from monitor.errors import StoreAway
from monitor.ports import Scope

_START = """
import json, sys, time, urllib.request
from monitor.app import Daemon, Role
from monitor.config import load_settings
daemon = Daemon(load_settings(), role=Role.INGEST)
daemon.start()
ends = time.monotonic() + 60
while not daemon._keeper.usable and time.monotonic() < ends:
    time.sleep(0.05)
with urllib.request.urlopen(daemon.server.url + "/healthz") as answer:
    health = answer.status
found = {"health": health, "usable": daemon._keeper.usable, "modules": sorted(sys.modules)}
daemon.stop()
print(json.dumps(found))
"""
_NOT_THERE = ("pandas", "sklearn", "scipy", "fastapi", "starlette", "jinja2", "apscheduler", "slack_sdk", "models")


def loaded(folder: Path) -> dict[str, Any]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("ROLLWATCH_")}
    env |= {
        "ROLLWATCH_DATA_DIR": str(folder),
        "ROLLWATCH_API__PORT": "0",
        "ROLLWATCH_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "ROLLWATCH_KAFKA__TOPICS": "access",
    }
    done = subprocess.run([sys.executable, "-c", _START], env=env, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_process_that_ingests_loads_no_frame_works_no_scheduler_no_models(tmp_path: Path) -> None:
    first, second = loaded(tmp_path), loaded(tmp_path)
    for each in (first, second):
        assert each["usable"]
        assert each["health"] == 200
        assert [name for name in _NOT_THERE if name in each["modules"]] == []
    assert "alembic" in first["modules"], "it makes the schema"
    assert "alembic" not in second["modules"], "which is there at every other start"


class _Away(MemoryStore):
    def token(self, sha256: str) -> Any:
        raise StoreAway("gone")


def health(store: MemoryStore, *, reasons: tuple[str, ...] = (), needs_token: bool = True, prefix: str = "") -> Health:
    return Health(
        metrics=Metrics("1"),
        not_ready=lambda: reasons,
        store=store,
        needs_token=needs_token,
        prefix=prefix,
        timeout_seconds=5,
    )


def ask(app: Health, path: str, *, method: str = "GET", token: str | None = None) -> tuple[int, bytes]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
    scope = {"type": "http", "path": path, "method": method, "headers": headers}
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize(
    ("path", "method", "status", "why"),
    [
        ("/healthz", "GET", 200, "for everyone"),
        ("/readyz", "HEAD", 200, "for everyone"),
        ("/metrics", "GET", 401, "it listens beyond loopback, and no token is given"),
        ("/v1/rollovers", "GET", 404, "another process's work"),
        ("/", "GET", 404, "another process's work"),
        ("/healthz", "POST", 405, "can only be read"),
    ],
)
def test_it_answers_health_alone(path: str, method: str, status: int, why: str) -> None:
    assert ask(health(MemoryStore()), path, method=method)[0] == status, why


def test_it_says_why_it_is_not_ready() -> None:
    status, body = ask(health(MemoryStore(), reasons=("Kafka is away",)), "/readyz")
    assert (status, json.loads(body)["reasons"]) == (503, ["Kafka is away"])


def test_metrics_are_for_those_who_may_read() -> None:
    store = MemoryStore()
    token = tokens.create(store, "prometheus", scope=Scope.READ, now_ms=1)
    app = health(store, prefix="/rollwatch")
    status, body = ask(app, "/rollwatch/metrics", token=token)
    assert status == 200
    assert b"rollwatch_ready 1.0" in body
    assert ask(app, "/metrics", token="rwt_other")[0] == 401
    assert ask(health(store, needs_token=False), "/metrics")[0] == 200, "on loopback"
    assert ask(health(_Away()), "/metrics", token=token)[0] == 503, "nobody is let in unseen"


def test_whoever_read_metrics_goes_on_reading_while_the_database_is_away() -> None:
    store = MemoryStore()
    token = tokens.create(store, "prometheus", scope=Scope.READ, now_ms=1)
    app = health(store)
    assert ask(app, "/metrics", token=token)[0] == 200
    store.away = "gone"
    assert ask(app, "/metrics", token=token)[0] == 200, "it is then that one looks"
    assert ask(app, "/metrics", token="rwt_other")[0] == 503, "nobody is let in unseen"
    store.away = None
    store.revoke_token("prometheus", now_ms=2)
    assert ask(app, "/metrics", token=token)[0] == 401
    store.away = "gone"
    assert ask(app, "/metrics", token=token)[0] == 503, "a token that was revoked is forgotten"
