"""`rollwatch demo --kafka`: real gateways, a real Kafka, a real PostgreSQL and `rollwatch run`, in real time."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import typer
import yaml

from monitor.cli.common import say
from monitor.core.mapping.fingerprints import fingerprint
from monitor.demo.parts.envoy import Envoy, Upstream
from monitor.demo.parts.kafka import KafkaBroker
from monitor.demo.parts.postgres import PostgresServer
from monitor.demo.parts.process import Child, free_port
from monitor.demo.parts.shipper import Shipper
from monitor.demo.real_fleet import FLEET, GATEWAYS, LATE_GATEWAY, LATE_UNTIL_SECONDS, RealKey, Traffic, gateway_keys
from monitor.errors import ConfigError

_POLICY = {
    "quiet_window": "15s",
    "settle": "5s",
    "min_overlap": "10s",
    "max_silence": "30s",
    "lookback": "1s",
    "allow_short_lookback": True,
    "gone_after": "1h",
    "longest_cadence": "1h",
}
"""Days made seconds: what takes weeks in production is to be seen in three minutes."""
_STORY = """\
Two Envoys, their access logs in Kafka, exact counts in PostgreSQL. In real time; watch the page for three minutes:
  billing-api   moves within a minute, and then may be retired: GO
  payments-api  is rejected by edge-2 in the us region, until that gateway gets the new keys
  search-api    is held back by acme / nightly-batch, which nobody has told"""


def show_real(folder: Path, *, port: int, stopping: threading.Event) -> int:
    """Run it until `stopping`; every part that was started is ended, in the reverse order. Returns the exit code."""

    def interrupt(*_: object) -> None:
        stopping.set()
        raise KeyboardInterrupt  # parts are waited for in libraries' calls, which nothing else ends

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    with ExitStack() as ends:
        # Whoever is impatient while all of it ends must not keep it from ending.
        try:
            _show(folder, port or free_port(), stopping, ends)
        except KeyboardInterrupt:
            return 0
        finally:
            stopping.set()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
    return 1


def _show(folder: Path, port: int, stopping: threading.Event, ends: ExitStack) -> None:
    say("Starting PostgreSQL …")
    server = PostgresServer()
    ends.push(server)
    server.start()
    say("Starting Apache Kafka (the first time, its jars are fetched) …")
    broker = KafkaBroker()
    ends.push(broker)
    broker.start()
    for gateway, _ in GATEWAYS:
        broker.create_topic(_topic(gateway), 2)
    say("Starting two Envoys, their log shippers and rollwatch …")
    upstream = Upstream()
    ends.callback(upstream.stop)
    gateways: dict[str, Envoy] = {}
    for gateway, region in GATEWAYS:
        envoy = Envoy(gateway_keys(gateway, late=True), upstream_port=upstream.port, gateway=gateway, region=region)
        ends.push(envoy)
        envoy.start()
        gateways[gateway] = envoy
        ends.enter_context(Shipper(envoy.access_log_path, bootstrap=broker.bootstrap, topic=_topic(gateway)))
    env = _environment(folder, port, server.create_database("rollwatch"), broker.bootstrap)
    keys_file = folder / "keys.yaml"
    keys_file.write_text(_keys_yaml(env["ROLLWATCH_PEPPER"]), "utf-8")
    token = _rollwatch(env, "token", "create", "demo", "--scope", "admin")
    daemon = Child([*_COMMAND, "run"], log=folder / "rollwatch.log", env=env)
    ends.callback(daemon.stop)
    url = f"http://127.0.0.1:{port}/"
    daemon.wait_ready(lambda: _ready(url), seconds=60, what="rollwatch to be ready")
    traffic = Traffic({name: envoy.url for name, envoy in gateways.items()})
    ends.callback(traffic.stop)
    traffic.start()
    say(_STORY)
    say(f"To act on the page, log in with this token: {token}")
    say("The status page, until Ctrl-C:")
    typer.echo(url)
    sys.stdout.flush()

    def bring_the_new_keys() -> None:
        gateways[LATE_GATEWAY].reload(gateway_keys(LATE_GATEWAY, late=False))

    traffic.at(LATE_UNTIL_SECONDS, bring_the_new_keys, stopping)
    while daemon.alive():
        stopping.wait(0.5)
    raise ConfigError(f"rollwatch has ended by itself:\n{daemon.log_tail()}")


_COMMAND = [sys.executable, "-m", "monitor"]


def _topic(gateway: str) -> str:
    return f"gw.{gateway}"


def _environment(folder: Path, port: int, database: str, bootstrap: str) -> dict[str, str]:
    """Return the environment of `rollwatch run`; the visitor's own settings have no part in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROLLWATCH_")}
    topics = ",".join(f"{_topic(gateway)}=envoy@{gateway}/{region}" for gateway, region in GATEWAYS)
    return kept | {
        "ROLLWATCH_DATA_DIR": str(folder),
        "ROLLWATCH_STORE__URL": database,
        "ROLLWATCH_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
        "ROLLWATCH_KAFKA__TOPICS": topics,
        "ROLLWATCH_KEYS_FILE": str(folder / "keys.yaml"),
        "ROLLWATCH_PEPPER": secrets.token_urlsafe(24),
        "ROLLWATCH_INGEST__FLUSH_INTERVAL": "1",
        "ROLLWATCH_WATCH__INTERVAL": "2",
        # It asks for a day of history before it says anything, and the whole story takes three minutes.
        "ROLLWATCH_WATCH__DETECTOR": "false",
        "ROLLWATCH_API__PORT": str(port),
        "ROLLWATCH_LOG__LEVEL": "warning",
    }


def _keys_yaml(pepper: str) -> str:
    now = datetime.now(UTC).replace(microsecond=0)

    def time(shift: timedelta) -> str:
        return (now + shift).isoformat().replace("+00:00", "Z")

    def version(key: RealKey, number: int, age_days: int) -> dict[str, Any]:
        credentials = [fingerprint(pepper.encode(), secret) for secret in key.secrets(number)]
        return {"version": number, "credentials": credentials, "created_at": time(timedelta(days=-age_days))}

    document = {
        "keys": [
            {
                "key": key.key,
                "owner": {"team": key.team, "slack": f"#{key.team}-keys"},
                "versions": [version(key, key.old, 400), version(key, key.new, 1)],
            }
            for key in FLEET
        ],
        "gateways": [{"gateway": gateway, "region": region} for gateway, region in GATEWAYS],
        "rollovers": [
            {
                "id": f"{key.key.removesuffix('-api')}-v{key.old}-to-v{key.new}",
                "key": key.key,
                "from": key.old,
                "to": key.new,
                "started_at": time(timedelta(0)),
                "deadline": time(timedelta(hours=1)),
                "policy": dict(_POLICY),
            }
            for key in FLEET
        ],
    }
    return yaml.safe_dump(document, sort_keys=False)


def _rollwatch(env: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own command
        [*_COMMAND, *arguments], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ConfigError(f"rollwatch {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}readyz", timeout=5) as answer:  # noqa: S310 - a loopback address of our own
            return int(answer.status) == 200  # noqa: PLR2004 - HTTP's OK
    except (urllib.error.HTTPError, OSError):
        return False
