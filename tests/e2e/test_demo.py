"""`rollwatch demo`: in three minutes (here: faster) a visitor has seen what the thing is for, and Ctrl-C ends it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import urllib.request
from pathlib import Path

import pytest

from monitor.cli.demo import _free_port
from tests.e2e.demo import RunningDemo

FAST = ("--port", "0", "--speed", "8")


def test_a_visitor_sees_the_whole_story_and_ends_it_with_ctrl_c(tmp_path: Path) -> None:
    with RunningDemo(tmp_path, *FAST) as demo:
        assert demo.url.startswith("http://127.0.0.1:")
        assert demo.url.endswith("/")
        with urllib.request.urlopen(demo.url, timeout=10) as answer:
            page = answer.read().decode()
        for key in ("billing-api", "search-api", "payments-api", "reports-api"):
            assert key in page

        def failing() -> bool:
            return bool(demo.ask("v1/incidents?key=payments-api")["incidents"])

        demo.wait(failing, "an incident on payments-api")
        assert demo.ask("v1/incidents?key=payments-api")["incidents"][-1]["version"] == 8

        demo.wait(lambda: demo.decision("billing-v1-to-v2")["decision"] == "GO", "billing-api to be GO")

        def held_by(rollover: str) -> set[str]:
            decision = demo.decision(rollover)
            assert decision["decision"] in ("NO_GO", "UNKNOWN")
            callers = [each["caller"] for each in decision["blockers"] if each["caller"]]
            return {f"{each['client']}/{each['source']}" for each in callers}

        demo.wait(lambda: held_by("search-v3-to-v4") == {"acme/nightly-batch"}, "the straggler to be the last one")
        demo.wait(lambda: held_by("reports-v2-to-v3") == {"month-end/eu-jobs"}, "the monthly job to be waited for")

        assert demo.interrupt() == 0
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_the_history_is_taken_in_leaves_nothing_behind(tmp_path: Path) -> None:
    demo = RunningDemo(tmp_path, *FAST)
    demo.begin()
    try:
        demo.wait(lambda: demo.talk, "a first word")
        assert demo.interrupt() in (0, 130)
    finally:
        demo.end()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.envoy
def test_on_real_parts_it_counts_real_requests_and_leaves_no_child_behind() -> None:
    # PostgreSQL runs as a user of its own, who must be able to reach its folder.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with RunningDemo(Path(folder), "--kafka", "--port", "0") as demo:
            assert demo.url

            def seen_on_both() -> bool:
                clauses = {each["id"]: each["status"] for each in demo.decision("billing-v1-to-v2")["clauses"]}
                return clauses["C1"] == "pass" and clauses["C2"] == "pass" and clauses["C3"] == "pass"

            demo.wait(seen_on_both, "both versions of billing-api to be seen with success")
            children = demo.descendants()
            assert len(children) >= 5, "PostgreSQL, Kafka, two Envoys, rollwatch run"
            assert demo.interrupt() == 0
            assert [each for each in children if Path(f"/proc/{each}").exists()] == []
        assert list(Path(folder).iterdir()) == []


def test_make_demo_ends_when_make_alone_is_interrupted(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    # whoever started the tests in the background may have left SIGINT ignored, which children inherit
    make = subprocess.Popen(
        ["env", "--default-signal=INT", "make", "demo"],
        cwd=root,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert make.stdout is not None
        assert any(line.startswith("http://127.0.0.1:") for line in iter(make.stdout.readline, ""))
        make.send_signal(signal.SIGINT)
        make.wait(10)
    finally:
        make.kill()
    assert list(tmp_path.iterdir()) == []


def test_where_the_port_is_taken_another_one_is_found() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert _free_port(taken.getsockname()[1]) == 0
