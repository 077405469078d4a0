"""`rollwatch` as a user runs it: real processes, configured by the environment, asked over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from monitor.demo.parts.process import Child, free_port, wait_until

ROLLWATCH = str(Path(sys.executable).with_name("rollwatch"))
PEPPER = "a-pepper-for-tests-only"


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Return a clean environment with these settings (`STORE__URL=…`), without the caller's own ROLLWATCH_ ones."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROLLWATCH_")}
    named = {f"ROLLWATCH_{name}": value for name, value in settings.items()}
    return {**kept, "ROLLWATCH_DATA_DIR": str(folder), "ROLLWATCH_PEPPER": PEPPER, **named}


def rollwatch(
    env: Mapping[str, str], *arguments: str, stdin: str | None = None, seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [ROLLWATCH, *arguments],
        env=dict(env),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


class Daemon:
    """`rollwatch run` in the background."""

    def __init__(self, folder: Path, *arguments: str, **settings: str) -> None:
        """Prepare; the context starts it."""
        self.folder = folder
        self.port = int(settings.get("API__PORT", "0")) or free_port()
        self.arguments = arguments
        self.env = environment(folder, **{**settings, "API__PORT": str(self.port)})
        self.child: Child | None = None

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and return at once."""
        self.child = Child([ROLLWATCH, "run", *self.arguments], log=self.folder / "daemon.log", env=self.env)

    def __enter__(self) -> Self:
        """Start and wait until it says that it lives."""
        self.start()
        self.wait(lambda: self.get("/healthz")[0] == 200, "healthz")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        if error is not None and self.child is not None:
            sys.stderr.write(self.child.log_tail())
        if self.child is not None:
            self.child.stop(signal.SIGTERM)

    def terminate(self) -> int:
        """Send SIGTERM and return the exit code."""
        assert self.child is not None
        code = self.child.stop(signal.SIGTERM)
        self.child = None
        return code

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.child is not None
        self.child.stop(signal.SIGKILL)
        self.child = None

    def wait(self, condition: Any, what: str, *, seconds: float = 60) -> None:
        """Wait for a condition, as long as the daemon lives."""
        assert self.child is not None
        self.child.wait_ready(condition, seconds=seconds, what=what)

    def get(self, path: str, *, method: str = "GET", body: Any = None, token: str | None = None) -> tuple[int, str]:
        """Return status and text of an HTTP answer; (0, reason) where there is none."""
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def metric(self, name: str) -> float:
        """Return the sum of a metric's samples."""
        lines = self.get("/metrics")[1].splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((name + "{", name + " ")))


__all__ = ["PEPPER", "ROLLWATCH", "Daemon", "environment", "rollwatch", "wait_until"]
