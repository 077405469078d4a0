"""The garbage collector, told what stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
