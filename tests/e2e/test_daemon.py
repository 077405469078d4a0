"""The daemon as operators know it: several processes, things that go away and come back, files that change."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from monitor.demo.parts.kafka import KafkaBroker
from monitor.demo.parts.process import wait_until
from tests.e2e.daemon import Daemon, rollwatch

KEYS = """
keys:
  - key: billing-api
    versions:
      - {version: 1, credentials: [cred-a1], created_at: 2025-11-01T00:00:00Z}
      - {version: 2, credentials: [cred-a2], created_at: 2026-05-01T00:00:00Z}
rollovers:
  - {id: billing, key: billing-api, from: 1, to: 2, started_at: 2026-05-01T00:00:00Z}
"""


def events(count: int) -> list[bytes]:
    """Return that many uses of the old version, now."""
    now_ms = int(time.time() * 1000)
    plain = {"outcome": "success", "credential": "cred-a1", "client": "acme", "gateway": "edge-1"}
    return [json.dumps({"ts": now_ms - each, **plain}).encode() for each in range(count)]


def settings(tmp_path: Path, broker: KafkaBroker, topic: str, **more: str) -> dict[str, str]:
    """Return what every daemon of a test shares."""
    keys = tmp_path / "keys.yaml"
    if not keys.exists():
        keys.write_text(KEYS)
    return {
        "KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap,
        "KAFKA__TOPICS": topic,
        "KAFKA__GROUP_ID": topic,
        "KEYS_FILE": str(keys),
        "INGEST__FLUSH_INTERVAL": "0.5",
        "WATCH__INTERVAL": "2",
        **more,
    }


def counted(daemon: Daemon) -> float:
    """Return how many records are in the store, by the daemon's own metric."""
    return daemon.metric("rollwatch_ingest_records_total")


def token(daemon: Daemon) -> str:
    """Return a new token that may read."""
    return rollwatch(daemon.env, "token", "create", f"t-{time.monotonic_ns()}").stdout.strip()


def decision(daemon: Daemon, bearer: str) -> tuple[int, dict[str, object]]:
    """Ask for the decision."""
    status, text = daemon.get("/v1/rollovers/billing/decision", token=bearer)
    return status, json.loads(text)


def test_it_stays_up_while_kafka_is_away_and_goes_on_within_ten_seconds_of_its_return(
    tmp_path: Path, kafka_broker: KafkaBroker, kafka_topic: Callable[..., str]
) -> None:
    topic = kafka_topic()
    kafka_broker.kill()
    try:
        with Daemon(tmp_path, **settings(tmp_path, kafka_broker, topic)) as daemon:
            daemon.wait(lambda: "Kafka" in daemon.get("/readyz")[1], "a reason that names Kafka")
            assert daemon.get("/readyz")[0] == 503
            assert decision(daemon, token(daemon))[0] == 503
            kafka_broker.start()
            wait_until(lambda: daemon.get("/readyz")[0] == 200, seconds=10, what="readiness to return")
            kafka_broker.produce(topic, events(10))
            wait_until(lambda: counted(daemon) == 10, seconds=10, what="the records")
            kafka_broker.kill()
            daemon.wait(lambda: daemon.get("/readyz")[0] == 503, "readiness to end")
            assert daemon.get("/healthz")[0] == 200
            began = time.monotonic()
            assert daemon.terminate() == 0
            assert time.monotonic() - began < 5
    finally:
        kafka_broker.kill()
        kafka_broker.start()


def test_several_workers_share_the_partitions_and_one_that_dies_is_started_again(
    tmp_path: Path, kafka_broker: KafkaBroker, kafka_topic: Callable[..., str]
) -> None:
    topic = kafka_topic(partitions=4)
    given = settings(tmp_path, kafka_broker, topic, KAFKA__SESSION_TIMEOUT="6")
    with Daemon(tmp_path, "--workers", "2", **given) as daemon:
        daemon.wait(lambda: daemon.get("/readyz")[0] == 200, "readiness")
        kafka_broker.produce(topic, events(2_000))
        daemon.wait(lambda: counted(daemon) == 2_000, "the records")
        assert daemon.child is not None
        workers = children(daemon.child.pid)
        assert len(workers) >= 2
        os.kill(workers[-1], signal.SIGKILL)
        daemon.wait(lambda: daemon.get("/readyz")[0] == 503, "the loss to be seen")
        kafka_broker.produce(topic, events(2_000))
        daemon.wait(lambda: counted(daemon) == 4_000, "the records after it")
        daemon.wait(lambda: daemon.get("/readyz")[0] == 200, "readiness to return")
        began = time.monotonic()
        assert daemon.terminate() == 0
        assert time.monotonic() - began < 5
    shown = json.loads(rollwatch(daemon.env, "ingest", "status", "--json").stdout)
    assert sum(each["next_offset"] for each in shown["partitions"]) == 4_000


def children(pid: int) -> list[int]:
    """Return the worker processes of a daemon, by what they were started with."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_text()
            except (OSError, ValueError, IndexError):
                continue
            if parent == pid and "spawn_main" in command:
                found.append(int(entry.name))
    return found


def test_roles_share_one_store_and_a_dead_watch_loop_reads_as_unknown(
    tmp_path: Path, kafka_broker: KafkaBroker, kafka_topic: Callable[..., str], postgres_url: str
) -> None:
    topic = kafka_topic()
    kafka_broker.produce(topic, events(50))
    shared = settings(tmp_path, kafka_broker, topic, STORE__URL=postgres_url, WATCH__STALE_AFTER="10")
    folders = [tmp_path / role for role in ("ingest", "watch", "api")]
    for folder in folders:
        folder.mkdir()
    ingest, watch, api = (Daemon(folder, "--role", folder.name, **shared) for folder in folders)
    with ingest, api, watch:
        ingest.wait(lambda: counted(ingest) == 50, "the records")
        assert "rollwatch_decision{" not in api.get("/metrics")[1]
        bearer = token(api)
        watch.wait(lambda: watch.metric("rollwatch_decision") == 1, "a decision")
        api.wait(lambda: "nobody watches" not in str(decision(api, bearer)), "the api to see the watch loop")
        watch.kill()
        api.wait(lambda: "nobody watches" in str(decision(api, bearer)), "the loss to be told", seconds=30)
        assert decision(api, bearer)[0] in {409, 503}
        assert [each.terminate() for each in (ingest, api)] == [0, 0]


def test_a_keys_file_is_followed_and_a_wrong_one_is_told_in_the_decision(
    tmp_path: Path, kafka_broker: KafkaBroker, kafka_topic: Callable[..., str]
) -> None:
    with Daemon(tmp_path, **settings(tmp_path, kafka_broker, kafka_topic())) as daemon:
        bearer = token(daemon)
        daemon.wait(lambda: decision(daemon, bearer)[0] != 404, "the first file")
        keys = tmp_path / "keys.yaml"
        keys.write_text(KEYS.replace("versions:", "versons:"))
        daemon.wait(lambda: f"{keys}:4" in str(decision(daemon, bearer)), "the fault to be told")
        assert decision(daemon, bearer)[1]["key"] == "billing-api", "the last good one is in force"
        keys.write_text(KEYS + "gateways: [{gateway: edge-1}]\n")
        daemon.wait(lambda: "was refused" not in str(decision(daemon, bearer)), "the mended file")


def test_beyond_loopback_everything_but_health_needs_a_token(tmp_path: Path) -> None:
    with Daemon(tmp_path, API__HOST="0.0.0.0") as daemon:  # noqa: S104 - the case
        assert [daemon.get(path)[0] for path in ("/healthz", "/metrics", "/openapi.json", "/v1/rollovers")] == [
            200,
            401,
            401,
            401,
        ]
        assert daemon.get("/metrics", token=token(daemon))[0] == 200


def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        done = rollwatch(daemon.env, "run")
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith("rollwatch: cannot listen on 127.0.0.1:")


class _Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append((dict(self.headers), json.loads(body)))  # type: ignore[attr-defined] # set by the test
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def test_an_alert_reaches_a_webhook_on_this_machine_signed_and_once(tmp_path: Path) -> None:
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    got: list[tuple[dict[str, str], dict[str, object]]] = []
    receiver.got = got  # type: ignore[attr-defined] # read by the handler
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    keys = tmp_path / "keys.yaml"
    keys.write_text(KEYS)
    given = {
        "KEYS_FILE": str(keys),
        "WEBHOOK__URL": f"http://127.0.0.1:{receiver.server_address[1]}/hook",
        "WEBHOOK__SECRET": "shared-secret",
        "WATCH__INTERVAL": "2",
    }
    try:
        with Daemon(tmp_path, **given) as daemon:
            daemon.wait(lambda: bool(got), "the alert that nothing is read", seconds=75)
            assert daemon.terminate() == 0
    finally:
        receiver.shutdown()
        receiver.server_close()
    assert got[0][1]["specversion"] == "1.0"
    assert any(value.startswith("v1=") for value in got[0][0].values())
    ids = [body["id"] for _, body in got]
    assert len(ids) == len(set(ids))
