"""Every panel's question is asked of a real Prometheus that reads the daemon's own metrics."""

from __future__ import annotations

import json
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from monitor.adapters import metrics as names
from monitor.adapters.metrics import Metrics
from monitor.core.decision import Verdict
from monitor.core.events import RejectReason
from monitor.demo.parts.process import Child, free_port
from monitor.ports import Partition
from tests.prometheus import program
from tests.unit.dashboards.test_dashboards import FILES, panels

FOLDER = Path(__file__).resolve().parents[3] / "dashboards"
VARIABLES = {"$__rate_interval": "1m", "$__range": "1h", "$rollover": "billing"}


def told() -> Metrics:
    """Return metrics of a daemon that has done a little of everything."""
    made = Metrics("1.0")
    made.decided({"billing": Verdict.GO, "search": Verdict.NO_GO}, at_ms=int(time.time() * 1000))
    made.records("gw.logs", 100)
    made.rejects(RejectReason.NOT_JSON, 1)
    made.lag(Partition("gw.logs", 0), 5)
    made.flushed(Partition("gw.logs", 0), seconds=0.1, at_ms=int(time.time() * 1000))
    made.fenced(Partition("gw.logs", 0))
    made.gap(Partition("gw.logs", 0))
    for gauge in (names.INCIDENTS, names.OUTBOX, names.DETECTOR_READY, names.LEADER, names.READY):
        made.set(gauge, 1)
    made.count(names.ALERTS, kind="straggler")
    made.count(names.EVALUATION_FAULTS, reason="store_away")
    made.time(names.EVALUATION_SECONDS, 0.2)
    made.time(names.HTTP_SECONDS, 0.01, route="/healthz", method="GET", status="200")
    return made


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start one beside a daemon's metrics; return its address once it has read them twice."""
    shown = told()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = shown.text()
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the standard library
            """Keep quiet."""

    exporter = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=exporter.serve_forever, daemon=True).start()
    folder = tmp_path_factory.mktemp("prometheus")
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(FOLDER / "prometheus" / "rules.yaml"), str(FOLDER / "prometheus" / "alerts.yaml")],
        "scrape_configs": [
            {
                "job_name": "rollwatch",
                "static_configs": [{"targets": [f"127.0.0.1:{exporter.server_address[1]}"]}],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    port = free_port()
    child = Child(
        [
            program("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        log=folder / "prometheus.log",
    )
    url = f"http://127.0.0.1:{port}"
    try:
        child.wait_ready(lambda: seen(url), seconds=60, what="Prometheus to read the metrics twice")
        yield url
    finally:
        child.stop()
        exporter.shutdown()


def ask(url: str, expression: str) -> list[Any]:
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{url}/api/v1/query?{query}", timeout=10) as answer:
        found: list[Any] = json.load(answer)["data"]["result"]
    return found


def seen(url: str) -> bool:
    try:
        return bool(ask(url, "count_over_time(rollwatch_info[5m]) >= 3"))
    except OSError:
        return False


def questions() -> list[Any]:
    return [
        pytest.param(panel["targets"][0]["expr"], id=f"{path.stem}: {panel['title']}")
        for path in FILES
        for panel in panels(json.loads(path.read_text("utf-8")))
        if "expr" in panel["targets"][0]
    ]


@pytest.mark.parametrize("expression", questions())
def test_a_panels_expression_has_an_answer(prometheus: str, expression: str) -> None:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    assert ask(prometheus, expression), "nothing is shown of a daemon that has done a little of everything"


def test_the_recording_rules_are_evaluated(prometheus: str) -> None:
    with urllib.request.urlopen(f"{prometheus}/api/v1/rules", timeout=10) as answer:
        groups = json.load(answer)["data"]["groups"]
    assert {each["health"] for group in groups for each in group["rules"]} <= {"ok", "unknown"}
    assert sum(len(group["rules"]) for group in groups) >= 14
