"""The whole path on real parts: Envoy, a shipper, Kafka, the daemon on PostgreSQL, and a pipeline that asks `gate`."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from monitor.demo.parts.envoy import ApiKey, Envoy
from monitor.demo.parts.kafka import KafkaBroker
from monitor.demo.parts.postgres import PostgresServer
from monitor.demo.parts.process import wait_until
from monitor.demo.parts.shipper import Shipper
from tests.e2e.daemon import Daemon, environment, rollwatch

OLD = {"acme": "old-secret-of-acme", "globex": "old-secret-of-globex"}
NEW = {"acme": "new-secret-of-acme", "globex": "new-secret-of-globex"}
POLICY = {
    "POLICY__QUIET_WINDOW": "4s",
    "POLICY__SETTLE": "1s",
    "POLICY__MIN_OVERLAP": "0s",
    "POLICY__LOOKBACK": "1s",
    "POLICY__GONE_AFTER": "1h",
    "POLICY__LONGEST_CADENCE": "1h",
    "POLICY__ALLOW_SHORT_LOOKBACK": "true",
}
"""Days made seconds. The detector needs a day of history to be ready, which no test has: it is switched off."""


@dataclass
class Story:
    """A daemon, a gateway in front of it, and who asks."""

    daemon: Daemon
    gateway: Envoy
    token: str

    def call(self, client: str, secret: str, times: int = 1) -> None:
        """Use a key at the gateway."""
        for _ in range(times):
            request = urllib.request.Request(
                self.gateway.url + "/orders", headers={"x-api-key": secret, "user-agent": client}
            )
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.status == 200

    def gate(self, *arguments: str, token: str | None = None) -> tuple[int, dict[str, Any]]:
        """Ask as a pipeline does; return the exit code and the decision, if there was one."""
        env = {**self.daemon.env, "ROLLWATCH_TOKEN": self.token if token is None else token}
        done = rollwatch(env, "gate", *arguments, "--json", "--url", self.daemon.url)
        return done.returncode, json.loads(done.stdout) if done.stdout else {}

    def counted(self, requests: int) -> None:
        """Wait until that many records are in the store."""
        self.daemon.wait(
            lambda: self.daemon.metric("rollwatch_ingest_records_total") >= requests, f"{requests} records"
        )


def fingerprints(env: dict[str, str], secrets: dict[str, str]) -> list[str]:
    """Return what the registry holds of secrets, as an operator makes it."""
    done = rollwatch(env, "fingerprint", stdin="\n".join(secrets.values()))
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def story(
    tmp_path: Path,
    kafka_broker: KafkaBroker,
    kafka_topic: Callable[..., str],
    postgres_url: str,
    envoy: Callable[..., Envoy],
) -> Iterator[Story]:
    """Two callers on the old version of a key behind one gateway, counted."""
    topic = kafka_topic(partitions=2)
    keys = tmp_path / "keys.yaml"
    env = environment(tmp_path)
    old, new = fingerprints(env, OLD), fingerprints(env, NEW)
    keys.write_text(
        "keys:\n"
        "  - key: billing-api\n"
        "    versions:\n"
        f"      - {{version: 1, credentials: [{', '.join(old)}], created_at: 2025-11-01T00:00:00Z}}\n"
        f"      - {{version: 2, credentials: [{', '.join(new)}], created_at: 2026-05-01T00:00:00Z}}\n"
        "gateways: [{gateway: edge-1, region: eu}]\n"
    )
    daemon = Daemon(
        tmp_path,
        STORE__URL=postgres_url,
        KAFKA__BOOTSTRAP_SERVERS=kafka_broker.bootstrap,
        KAFKA__TOPICS=f"{topic}=envoy",
        KAFKA__GROUP_ID=topic,
        KEYS_FILE=str(keys),
        INGEST__FLUSH_INTERVAL="0.5",
        WATCH__INTERVAL="2",
        WATCH__DETECTOR="false",
        **POLICY,
    )
    pairs = [*OLD.items(), *NEW.items()]
    gateway = envoy([ApiKey(secret=secret, client=client) for client, secret in pairs])
    with daemon, Shipper(gateway.access_log_path, bootstrap=kafka_broker.bootstrap, topic=topic):
        made = rollwatch(daemon.env, "token", "create", "pipeline", "--scope", "operate")
        assert made.returncode == 0, made.stderr
        told = Story(daemon=daemon, gateway=gateway, token=made.stdout.strip())
        daemon.wait(lambda: daemon.get("/readyz")[0] == 200, "readiness")
        for client, secret in OLD.items():
            told.call(client, secret, times=3)
        told.counted(6)
        started = rollwatch(daemon.env, "rollover", "start", "billing", "--key", "billing-api", "--from=1", "--to=2")
        assert started.returncode == 0, started.stderr
        yield told


def test_a_rollover_is_held_by_name_comes_to_go_and_is_retired_once(story: Story) -> None:
    daemon = story.daemon
    story.call("acme", NEW["acme"], times=3)
    story.call("globex", OLD["globex"])
    story.counted(10)
    code, decision = story.gate("billing")
    assert (code, decision["decision"]) in {(1, "NO_GO"), (3, "UNKNOWN")}, "UNKNOWN once its last use is 4 s ago"
    holders = {each["caller"]["client"] for each in decision["blockers"] if each["caller"]}
    assert "globex" in holders
    assert story.gate("nobody-knows-this")[0] == 2
    assert story.gate("billing", token="wrong")[0] == 2

    story.call("globex", NEW["globex"], times=3)
    code, decision = story.gate("billing", "--wait", "60s")
    assert (code, decision["decision"]) == (0, "GO"), decision
    daemon.wait(lambda: 'decision="GO",rollover="billing"} 1.0' in daemon.get("/metrics")[1], "the metric to say GO")

    def retire(_: int) -> int:
        return daemon.get("/v1/rollovers/billing/retire", method="POST", body={}, token=story.token)[0]

    with ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(retire, range(50)))
    assert statuses.count(200) == 1
    assert set(statuses) == {200, 409}
    shown = json.loads(rollwatch(daemon.env, "rollover", "show", "billing", "--json").stdout)
    assert (shown["state"], shown["by"]) == ("retired", "pipeline")
    assert rollwatch(daemon.env, "ledger", "verify").returncode == 0
    assert not any(secret in daemon_log(daemon) for secret in [*OLD.values(), *NEW.values(), story.token])

    began = time.monotonic()
    assert daemon.terminate() == 0
    assert time.monotonic() - began < 5
    assert story.gate("billing")[0] == 4, "nobody answers any more"


def test_a_database_that_is_away_reads_as_unknown_and_is_used_again_when_it_is_back(
    story: Story, postgres_server: PostgresServer
) -> None:
    daemon = story.daemon
    for client, secret in NEW.items():
        story.call(client, secret, times=3)
    story.counted(12)
    assert story.gate("billing", "--wait", "60s")[0] == 0
    postgres_server.stop("immediate")
    try:
        code, decision = story.gate("billing")
        assert code == 3
        assert decision["decision"] == "UNKNOWN"
        daemon.wait(lambda: daemon.get("/readyz")[0] == 503, "readiness to end")
        assert daemon.get("/healthz")[0] == 200
        story.call("acme", NEW["acme"], times=2)
    finally:
        postgres_server.start()
    wait_until(lambda: daemon.get("/readyz")[0] == 200, seconds=10, what="readiness to return")
    story.counted(14)
    assert story.gate("billing", "--wait", "30s")[0] == 0


def daemon_log(daemon: Daemon) -> str:
    """Return all that it has logged."""
    return (daemon.folder / "daemon.log").read_text()
