"""The replay's clock: checkpoints at multiples of a step since the epoch."""

from __future__ import annotations


class Beat:
    """Moments at each multiple of `every_ms` since the epoch, from the first at or after `from_ms` on.

    >>> beat = Beat(every_ms=60_000, from_ms=60_001)
    >>> beat.step(), beat.next_ms
    (120000, 180000)
    """

    def __init__(self, *, every_ms: int, from_ms: int) -> None:
        """Stand before the first moment."""
        self._every_ms = every_ms
        self.next_ms = -(-from_ms // every_ms) * every_ms

    def step(self) -> int:
        """Return the moment that has come, and move to the one after."""
        come = self.next_ms
        self.next_ms += self._every_ms
        return come
