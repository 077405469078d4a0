"""`rollwatch demo` as a visitor starts it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.e2e.daemon import ROLLWATCH

_TOKEN = re.compile(r"rwt_\S+")


class RunningDemo:
    """The demo in a process group of its own, with a folder of its own for what it leaves behind (nothing)."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        """Prepare; the context starts it."""
        self.folder = folder
        self.arguments = arguments
        self.talk: list[str] = []
        self.url = ""

    def __enter__(self) -> Self:
        """Start, and wait for the line on stdout."""
        self.begin()
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        return self

    def begin(self) -> None:
        """Start without waiting."""
        self.process = subprocess.Popen(
            [ROLLWATCH, "demo", *self.arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "TMPDIR": str(self.folder)},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, whatever happened."""
        self.end()

    def end(self) -> None:
        """End it at once, if it still runs."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def interrupt(self) -> int:
        """Press Ctrl-C; return the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(10)

    @property
    def token(self) -> str:
        """Return the token that it told."""
        self.wait(lambda: any(_TOKEN.search(line) for line in self.talk), "a token", seconds=10)
        return next(found.group() for line in self.talk if (found := _TOKEN.search(line)))

    def descendants(self) -> list[int]:
        """Return the process ids of its children, and theirs."""
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue  # it has just ended
        found, new = set[int](), {self.process.pid}
        while new:
            new = {child for child, parent in parents.items() if parent in new}
            found |= new
        return sorted(found)

    def decision(self, rollover: str) -> dict[str, Any]:
        """Ask for a decision as a pipeline does."""
        return dict(self.ask(f"v1/rollovers/{rollover}/decision?always_ok=true"))

    def ask(self, path: str) -> Any:
        """Ask the API."""
        headers = {"authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(self.url + path, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def wait(self, condition: Callable[[], Any], what: str, *, seconds: float = 60) -> None:
        """Wait for a condition, as long as the demo lives."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"the demo has ended:\n{''.join(self.talk)}"
            assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
            time.sleep(0.2)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.talk.append(line)
