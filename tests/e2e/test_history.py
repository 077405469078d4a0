"""A daemon whose history lies in Kafka: the detector takes it up, and a rollover that is due comes to GO soon."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from monitor.demo.parts.kafka import KafkaBroker
from tests.e2e.daemon import Daemon, rollwatch

KEYS = 5
DAY = 86_400
STEP = 300


def rfc3339(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def history(now: float, started: float) -> list[bytes]:
    """Return five days of five keys with two callers each; all moved within the first hour, but one monthly caller."""
    values = []
    for at in range(int(now) - 5 * DAY, int(now), STEP):
        for key in range(KEYS):
            for caller in ("acme", "globex"):
                version = 2 if key < 2 and at > started + 1_800 else 1
                event = {
                    "ts": (at + key) * 1000,
                    "outcome": "success",
                    "credential": f"cred-{key}-v{version}",
                    "client": caller,
                    "source": "prod",
                    "gateway": "edge-1",
                    "region": "eu",
                }
                values.append(json.dumps(event).encode())
    return values


def test_history_in_kafka_makes_the_detector_ready_and_a_due_rollover_go(
    tmp_path: Path, kafka_broker: KafkaBroker, kafka_topic: Callable[..., str]
) -> None:
    topic = kafka_topic(partitions=2)
    now = time.time()
    started = now - 2 * DAY
    policy = "policy: {quiet_window: 1d, lookback: 3d, settle: 1h, min_overlap: 1h}"
    lines = ["keys:"]
    lines += [
        f"  - {{key: key-{key}, versions: [{{version: 1, credentials: [cred-{key}-v1]}},"
        f" {{version: 2, credentials: [cred-{key}-v2]}}]}}"
        for key in range(KEYS)
    ]
    lines += ["gateways: [{gateway: edge-1, region: eu}]", "rollovers:"]
    lines += [
        f"  - {{id: move-{key}, key: key-{key}, from: 1, to: 2, started_at: {rfc3339(started)}, {policy}}}"
        for key in (0, 4)
    ]
    keys = tmp_path / "keys.yaml"
    keys.write_text("\n".join(lines))
    kafka_broker.produce(topic, history(now, started))
    daemon = Daemon(
        tmp_path,
        KAFKA__BOOTSTRAP_SERVERS=kafka_broker.bootstrap,
        KAFKA__TOPICS=topic,
        KAFKA__GROUP_ID=topic,
        KEYS_FILE=str(keys),
        INGEST__FLUSH_INTERVAL="1",
    )
    with daemon:
        token = rollwatch(daemon.env, "token", "create", "t", "--scope", "read").stdout.strip()
        env = {**daemon.env, "ROLLWATCH_TOKEN": token, "ROLLWATCH_URL": daemon.url}
        done = rollwatch(env, "gate", "move-0", "--wait", "75s", "--json", seconds=120)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "rollwatch_detector_ready 1.0" in daemon.get("/metrics")[1]
        held = rollwatch(env, "gate", "move-4", "--json")
        assert held.returncode == 1
        blockers = json.loads(held.stdout)["blockers"]
        assert {each["caller"]["client"] for each in blockers if each["caller"]} == {"acme", "globex"}
        assert daemon.terminate() == 0
