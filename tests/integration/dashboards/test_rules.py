"""Prometheus' rules by Prometheus' own tool: they are valid, and do what their unit tests say."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.prometheus import program

FOLDER = Path(__file__).resolve().parents[3] / "dashboards" / "prometheus"


@pytest.mark.parametrize(
    "arguments", [("check", "rules", "rules.yaml", "alerts.yaml"), ("test", "rules", "alerts.test.yaml")]
)
def test_the_alert_rules_do_what_their_tests_say(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([program("promtool"), *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
