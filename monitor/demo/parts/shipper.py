"""A minimal log shipper: follows one access log and sends each whole line to a topic, at least once.

Real stacks use Vector or Fluent Bit here; this one exists so that the demo and the tests need nothing else.
"""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from kafka import KafkaProducer


class Shipper:
    """A thread that tails `path` into `topic`; `sent` counts lines that the broker has confirmed."""

    def __init__(self, path: Path, *, bootstrap: str, topic: str) -> None:
        """Prepare; `start` (or the context) begins to follow."""
        self._path, self._bootstrap, self._topic = path, bootstrap, topic
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)
        self.sent = 0

    def start(self) -> None:
        """Follow the file from its beginning."""
        self._thread.start()

    def stop(self) -> None:
        """Send what is there and stop."""
        self._stop.set()
        self._thread.join(10)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _run(self) -> None:
        producer = KafkaProducer(bootstrap_servers=self._bootstrap, compression_type="lz4", linger_ms=20)
        position = 0
        try:
            while True:
                stopping = self._stop.is_set()
                position += self._ship(producer, position)
                if stopping:
                    return
                self._stop.wait(0.1)
        finally:
            producer.close()

    def _ship(self, producer: KafkaProducer, position: int) -> int:
        if not self._path.exists():
            return 0
        with self._path.open("rb") as log:
            log.seek(position)
            data = log.read()
        whole = data[: data.rfind(b"\n") + 1]
        lines = whole.splitlines()
        for line in lines:
            producer.send(self._topic, line)
        producer.flush()
        self.sent += len(lines)
        return len(whole)
