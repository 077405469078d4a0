"""A planned outage of the old version, from outside: begun by command, measured by the daemon, ended."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from monitor.demo.parts.kafka import KafkaBroker
from tests.e2e.daemon import Daemon, rollwatch
from tests.e2e.test_alerting import KEYS

QUICK = {
    "POLICY__QUIET_WINDOW": "4s",
    "POLICY__SETTLE": "1s",
    "POLICY__MIN_OVERLAP": "0s",
    "WATCH__INTERVAL": "1",
    "WATCH__DETECTOR": "false",
    "INGEST__FLUSH_INTERVAL": "0.3",
}


def used(client: str, credential: str, *, refused: bool = False, ago_ms: int = 0) -> bytes:
    """Return a record of now, or of so long ago."""
    outcome = {"outcome": "failure", "reason": "revoked"} if refused else {"outcome": "success"}
    where = {"gateway": "edge-1", "source": "batch"}
    event = {"ts": int(time.time() * 1000) - ago_ms, "client": client, "credential": credential, **outcome, **where}
    return json.dumps(event).encode()


def test_a_brownout_that_hits_somebody_who_had_moved_calls_somebody_until_it_is_ended(
    tmp_path: Path, kafka_broker: KafkaBroker, kafka_topic: Callable[..., str]
) -> None:
    topic = kafka_topic()
    keys = tmp_path / "keys.yaml"
    keys.write_text(KEYS.replace("    clients: [acme]\n", ""))
    given = {"KAFKA__BOOTSTRAP_SERVERS": kafka_broker.bootstrap, "KAFKA__TOPICS": topic, "KAFKA__GROUP_ID": topic}
    with Daemon(tmp_path, KEYS_FILE=str(keys), **given, **QUICK) as daemon:

        def brownout(*arguments: str) -> tuple[int, dict[str, Any]]:
            done = rollwatch(daemon.env, "rollover", "brownout", "billing", "--json", *arguments)
            return done.returncode, json.loads(done.stdout)

        def ask(path: str) -> Any:
            return json.loads(daemon.get(f"/v1/{path}", token=token)[1])

        def told() -> list[dict[str, Any]]:
            return [each["alert"] for each in ask("alerts")["alerts"] if each["alert"]["cause"] == "brownout"]

        def states() -> dict[str, str]:
            return {each["client"]: each["state"] for each in ask("rollovers/billing/stragglers")["stragglers"]}

        token = rollwatch(daemon.env, "token", "create", "reader", "--scope", "read").stdout.strip()
        daemon.wait(lambda: daemon.get("/readyz")[0] == 200, "readiness")
        old = [used(each, "cred-a1", ago_ms=2_000) for each in ("acme", "globex")]
        kafka_broker.produce(topic, [*old, used("acme", "cred-a2", ago_ms=1_000)])
        daemon.wait(lambda: states().get("globex") and "acme" not in states(), "one to hold, and one to have moved")

        assert brownout("--begin", "--accept", "1", "--reason", "agreed")[1]["state"] == "brownout"
        kafka_broker.produce(topic, [used("globex", "cred-a1", refused=True)])
        daemon.wait(lambda: ask("rollovers/billing/brownout/measured")["refused"], "the straggler to be refused")
        assert ask("rollovers/billing/brownout/measured")["abort"] is None
        assert told() == []

        kafka_broker.produce(topic, [used("acme", "cred-a1", refused=True)])
        daemon.wait(told, "the alert")
        code, measured = brownout("--measure")
        assert code == 1
        assert "acme/batch" in measured["abort"]
        ended = rollwatch(daemon.env, "rollover", "enable", "billing", "--reason", "it hit acme")
        assert ended.returncode == 0, ended.stderr
        daemon.wait(lambda: len(told()) == 2, "the end")
        assert {(each["kind"], each["severity"]) for each in told()} == {
            ("failed_rollover", "critical"),
            ("resolved", "info"),
        }
        assert daemon.terminate() == 0
