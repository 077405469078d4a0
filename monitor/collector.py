"""The garbage collector, told what stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def collect_seldom() -> None:
    """Let the collector look rarely, for the rest of the process.

    Counting makes millions of small values, hardly any of them in a cycle: looking for cycles took a third of the time.
    """
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def collect_less() -> None:
    """Let the collector look less often, for the rest of the process.

    A process that answers keeps more and more callers at first: each full round made an answer wait for a tenth of a
    second.
    """
    gc.set_threshold(50_000, 20, 20)


@contextmanager
def resting() -> Iterator[None]:
    """Let nothing be collected meanwhile: for work that makes much, and drops little of it."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def spare_what_stays() -> None:
    """Keep everything that is alive now out of the collector's rounds.

    A process that watches keeps a million small objects of its callers; a full round over them stops every answer for
    up to a second, and finds nothing. What is dropped is still freed: reference counts see to that.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
