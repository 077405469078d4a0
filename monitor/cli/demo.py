"""`rollwatch demo`: a simulated fleet and the status page, on nothing but this program; or on real parts."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.common import say
from monitor.demo.under_make import follow_make

_PORT = 8780
_STORY = """\
Four keys are being rotated. One second is {hours:g} simulated hours; watch the page for three minutes:
  billing-api   moves within five days, and then may be retired: GO
  payments-api  is rejected by one gateway in the us region: NO-GO, although everyone wants to move
  search-api    is held back by acme / nightly-batch, which nobody has told
  reports-api   waits for month-end, a job that runs once in 30 days"""


def demo(
    kafka: Annotated[
        bool, typer.Option("--kafka", help="On real parts from packages: Apache Kafka, PostgreSQL, Envoy.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Where to listen (default: 8780, or a free one).")
    ] = None,
    speed: Annotated[float, typer.Option(min=0.05, max=48, help="Simulated hours in one second.")] = 2.0,
    seed: Annotated[int, typer.Option(help="Another seed, another fleet's dice.")] = 7,
) -> None:
    """Show a small fleet rolling over its keys, on a page to look at. Ctrl-C ends it; nothing is left behind.

    Simulated gateways and clients go through the same ingest, gate and page as real ones, on a clock that runs fast.

    $ rollwatch demo

    $ rollwatch demo --speed 6 --port 9000

    $ rollwatch demo --kafka       a real Kafka, PostgreSQL and Envoy, in real time
    """
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    follow_make()
    folder = Path(tempfile.mkdtemp(prefix="rollwatch-demo-"))
    try:
        chosen = _free_port(_PORT) if port is None else port
        if kafka:
            # A library of PostgreSQL's part looks for a folder of the desktop, and says so where there is none.
            warnings.filterwarnings("ignore", module="platformdirs")
            from monitor.demo.real import show_real  # noqa: PLC0415 - needs parts that the plain demo does not

            code = show_real(folder, port=chosen, stopping=stopping)
        else:
            code = _show(folder, chosen, speed, seed, stopping)
    finally:
        gone = _remove(folder)
        say("Ended; nothing is left behind." if gone else f"Ended. Please remove {folder}*: not all of it would go.")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of libraries must not hold up an end that has nothing left to do


def _show(folder: Path, port: int, speed: float, seed: int, stopping: threading.Event) -> int:
    say("Rollwatch demo: simulating 110 days of history …")
    from monitor.config import LogFormat  # noqa: PLC0415 - as below
    from monitor.demo.embedded import Demo, DemoOptions  # noqa: PLC0415 - seconds of imports, after a word is said
    from monitor.logs import configure_logs  # noqa: PLC0415 - as above

    configure_logs(level="warning", format_=LogFormat.AUTO)
    # On a busy machine a look takes longer than the second between two of them: no news here.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    shown = Demo(DemoOptions(folder=folder, port=port, hours_a_second=speed, seed=seed), stopping=stopping)
    try:
        with _Bar() as bar:
            token = shown.start(bar)
        if token is not None:
            say(_STORY.format(hours=speed))
            say(f"To act on the page, log in with this token: {token}")
            say("The status page, until Ctrl-C:")
            typer.echo(shown.url)
            sys.stdout.flush()
            while not stopping.wait(0.5) and not shown.stopped_itself:
                pass
        return 0 if stopping.is_set() else 1
    finally:
        shown.stop()


def _remove(folder: Path) -> bool:
    """Remove a folder in which a thread that did not end in time may still write; return whether it is gone.

    Under another name no thread finds it any more: removed where it stands, it could be written to until the end.
    """
    ended = folder.rename(folder.with_name(f"{folder.name}-ended"))
    shutil.rmtree(ended, ignore_errors=True)
    return not (ended.exists() or folder.exists())


class _Bar:
    """A progress bar on a terminal, nothing elsewhere."""

    def __enter__(self) -> Callable[[float], None]:
        if not sys.stderr.isatty():
            return lambda _share: None
        from rich.console import Console  # noqa: PLC0415 - only on a terminal
        from rich.progress import Progress  # noqa: PLC0415 - only on a terminal

        self._progress = Progress(console=Console(stderr=True), transient=True)
        self._progress.start()
        task = self._progress.add_task("taking it in", total=1.0)
        return lambda share: self._progress.update(task, completed=share)

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "_progress"):
            self._progress.stop()


def _free_port(wanted: int) -> int:
    """Return the wanted port, or 0 (any) where something listens on it already."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
    return wanted
