"""What the HTTP interface needs of the daemon: one value, made by `app.py`, the same for every route."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from monitor.adapters.metrics import Metrics
from monitor.control.judge import Judge
from monitor.control.tokens import Readers
from monitor.core.rotation import RotationRule
from monitor.ingest import SYSTEM_CLOCK, Clock
from monitor.notify.notifier import Notifier
from monitor.notify.settings import NotifySettings
from monitor.ports import Store


def _ready() -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deps:
    """store may be away at any time. not_ready returns reasons, at once and without asking anybody.

    loopback: it listens on a loopback address only; there `/`, `/metrics` and the documentation are open unless
    `require_token`. prefix: the path under which a proxy publishes us.
    """

    store: Store
    judge: Judge
    notifier: Notifier = field(default_factory=lambda: Notifier(NotifySettings()))
    rotation: RotationRule = field(default_factory=RotationRule)
    metrics: Metrics = field(default_factory=Metrics)
    clock: Clock = SYSTEM_CLOCK
    not_ready: Callable[[], Sequence[str]] = _ready
    loopback: bool = True
    require_token: bool = False
    prefix: str = ""
    decision_timeout_seconds: float = 10.0
    version: str = "0"
    readers: Readers = field(default_factory=Readers)
