"""Debian's Prometheus for tests: the server and `promtool`, had by package where they can be, never skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

import pytest


@cache
def program(name: str) -> str:
    """Return where `prometheus` or `promtool` is; install the package where it is missing and we may."""
    if shutil.which(name) is None and os.geteuid() == 0 and shutil.which("apt-get"):
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "-y", "--no-install-recommends", "prometheus"]):
            subprocess.run(["apt-get", "-qq", *command], check=False, capture_output=True, env=env)
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is needed: as root, apt-get install prometheus")
    return found
