"""The demo's folder goes, although a thread that was not waited for still writes into it."""

from __future__ import annotations

import threading
from pathlib import Path

from monitor.cli.demo import _remove


def test_a_folder_goes_while_a_thread_still_writes_into_it(tmp_path: Path) -> None:
    for attempt in range(5):
        folder = tmp_path / f"demo-{attempt}"
        folder.mkdir()
        writing = threading.Event()

        def write(folder: Path = folder, writing: threading.Event = writing) -> None:
            try:
                for number in range(20_000):
                    (folder / str(number)).touch()
                    writing.set()
            except FileNotFoundError:
                return  # as SQLite finds it

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        assert writing.wait(10)
        gone = _remove(folder)
        writer.join(10)
        assert gone
        assert list(tmp_path.iterdir()) == []
