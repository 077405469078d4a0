"""`make demo` ends when make is told to, too.

A terminal's Ctrl-C reaches make and us alike. A SIGINT sent to make alone does not reach us: make puts the signal's
default action back, and waits for its children for ever. That is seen from here, where there is a /proc.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path

_EVERY_SECONDS = 0.25
_CAUGHT = re.compile(r"^SigCgt:\s*([0-9a-f]+)$", re.MULTILINE)


def follow_make() -> None:
    """Interrupt ourselves as soon as the make that started us was interrupted, or is gone; nothing without one."""
    status = Path(f"/proc/{os.getppid()}/status")
    if not (os.environ.get("MAKELEVEL") and _catches(status)):
        return

    def watch() -> None:
        while _catches(status):
            time.sleep(_EVERY_SECONDS)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, name="make", daemon=True).start()


def _catches(status: Path) -> bool:
    try:
        found = _CAUGHT.search(status.read_text())
    except OSError:
        return False
    return found is not None and bool(int(found[1], 16) & 1 << (signal.SIGINT - 1))
