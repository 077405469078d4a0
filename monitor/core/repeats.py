"""Events that were sent twice: which ids were seen within `ROLLWATCH_INGEST__DEDUP_WINDOW`, and where first."""

from __future__ import annotations

from collections import OrderedDict

Place = tuple[object, ...]


class Repeats:
    """Remembers event ids for a window of arrival time, `most` at most. One for all partitions of a process.

    An id that comes again at the very place where it was first seen is not a repetition: the record is read anew after
    its batch was dropped.

    >>> repeats = Repeats(window_ms=1_000)
    >>> [repeats.seen("a", place, at) for place, at in [((0,), 0), ((1,), 10), ((0,), 20), ((2,), 2_000)]]
    [False, True, False, False]
    """

    def __init__(self, *, window_ms: int, most: int = 1_000_000) -> None:
        """Start without any."""
        self._window_ms = window_ms
        self._most = most
        self._seen: OrderedDict[str, tuple[Place, int]] = OrderedDict()

    def seen(self, event_id: str | None, place: Place, arrival_ms: int) -> bool:
        """Return whether this id was seen elsewhere in the window before; remember it if not."""
        if event_id is None:
            return False
        known = self._seen.get(event_id)
        if known is not None and known[0] != place and abs(arrival_ms - known[1]) < self._window_ms:
            return True
        self._seen[event_id] = (place, arrival_ms)
        self._seen.move_to_end(event_id)
        self._forget(arrival_ms)
        return False

    def _forget(self, now_ms: int) -> None:
        while self._seen:
            _, (_, arrival_ms) = next(iter(self._seen.items()))
            if len(self._seen) <= self._most and now_ms - arrival_ms < self._window_ms:
                return
            self._seen.popitem(last=False)
