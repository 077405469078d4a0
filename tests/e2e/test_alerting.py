"""From a record in a real Kafka to a message in Slack, with the daemon's own intervals: within 75 seconds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from monitor.demo.parts.kafka import KafkaBroker
from monitor.demo.parts.process import wait_until
from tests.e2e.daemon import Daemon, rollwatch
from tests.slack_server import Fault, Posted, SlackServer

KEYS = """
keys:
  - key: billing-api
    clients: [acme]
    versions:
      - {version: 1, credentials: [cred-a1], created_at: 2025-11-01T00:00:00Z}
      - {version: 2, credentials: [cred-a2], created_at: 2026-05-01T00:00:00Z}
rollovers:
  - {id: billing, key: billing-api, from: 1, to: 2, started_at: 2026-05-01T00:00:00Z}
"""


def record(client: str) -> bytes:
    """Return a use of the old version, now."""
    plain = {"outcome": "success", "credential": "cred-a1", "gateway": "edge-1", "source": "10.0.0.1"}
    return json.dumps({"ts": int(time.time() * 1000), "client": client, **plain}).encode()


def busy(method: str, call: int) -> Fault | None:
    """Refuse every third message once, the way Slack does under load."""
    return Fault.RATE_LIMITED if method == "chat.postMessage" and call % 3 == 0 else None


def test_who_must_not_hold_the_key_is_told_of_within_75_seconds(
    tmp_path: Path, kafka_broker: KafkaBroker, kafka_topic: Callable[..., str]
) -> None:
    topic = kafka_topic()
    keys = tmp_path / "keys.yaml"
    keys.write_text(KEYS)
    with SlackServer(busy, retry_after=1) as slack:

        def parents() -> list[Posted]:
            """Return the rollover's own messages; in working hours its straggler's reminder stands beside them."""
            return [each for each in slack.in_channel("#rollovers") if "v1 → v2" in each.text]

        given = {
            "KAFKA__BOOTSTRAP_SERVERS": kafka_broker.bootstrap,
            "KAFKA__TOPICS": topic,
            "KAFKA__GROUP_ID": topic,
            "KEYS_FILE": str(keys),
            "SLACK__BOT_TOKEN": "xoxb-test-token",
            "SLACK__BASE_URL": slack.base_url,
            "SLACK__CHANNEL": "#rollovers",
            "SLACK__SECURITY_CHANNEL": "#security",
        }
        kafka_broker.produce(topic, [record("acme")])
        with Daemon(tmp_path, **given) as daemon:
            daemon.wait(lambda: daemon.get("/readyz")[0] == 200, "readiness")
            daemon.wait(lambda: bool(parents()), "the rollover's parent message")
            began = time.monotonic()
            kafka_broker.produce(topic, [record("mallory")])
            wait_until(lambda: bool(slack.in_channel("#security")), seconds=75, what="the alert")
            took = time.monotonic() - began
            (told,) = slack.in_channel("#security")
            shown = json.loads(rollwatch(daemon.env, "alerts", "list", "--json").stdout)["alerts"]
            assert daemon.terminate() == 0
    assert took < 75
    assert "mallory" in told.text
    (parent,) = parents()
    assert any("mallory" in each.text for each in slack.in_channel("#rollovers", thread=parent.ts))
    suspect = next(each for each in shown if each["alert"]["kind"] == "suspect")
    assert (suspect["notified"], suspect["reason"]) == (True, "first")
    assert "xoxb-test-token" not in (tmp_path / "daemon.log").read_text("utf-8")
