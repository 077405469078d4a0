"""Starting and ending one child process: it dies with us, logs to a file, and is waited for by condition."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1


class PartMissing(RuntimeError):  # noqa: N818 - a state: the part is missing
    """A real part cannot be had here; the message says how to get it."""


def die_with_parent() -> None:
    """In a child, before exec: ask the kernel to end us when our parent ends (Linux; elsewhere a no-op)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Return as soon as the condition holds; raise `TimeoutError` naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.02)


def port_answers(port: int) -> bool:
    """Return whether something accepts connections on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Child:
    """One child process in a process group of its own, with its output in a log file."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: int | None = None,
    ) -> None:
        """Start the command at once."""
        self.log = log
        self.command = list(command)
        with log.open("ab") as out:
            self.process = subprocess.Popen(  # noqa: S603 - our own command lines
                self.command,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                user=user,
                group=user,
                extra_groups=[] if user is not None else None,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one prctl call, safe after fork
            )

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self.process.pid

    def alive(self) -> bool:
        """Return whether it still runs."""
        return self.process.poll() is None

    def wait_ready(self, condition: Callable[[], bool], *, seconds: float, what: str) -> None:
        """Wait for the condition; if the process ends first, raise with the end of its log."""

        def ready_or_dead() -> bool:
            return not self.alive() or condition()

        wait_until(ready_or_dead, seconds=seconds, what=f"{what} ({self.command[0]})")
        if not self.alive():
            raise RuntimeError(f"{what}: the process ended with {self.process.returncode}:\n{self.log_tail()}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the whole group, if it still runs."""
        if self.alive():
            os.killpg(self.pid, number)

    def stop(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = 20) -> int:
        """Send the signal, wait, kill what is left; return the exit code."""
        self.send(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            return self.process.wait(seconds)

    def log_tail(self, *, characters: int = 4_000) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-characters:]
