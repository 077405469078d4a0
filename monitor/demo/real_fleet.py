"""The story of the demo on real parts, in seconds of real time: who calls what, and when it moves.

`billing-api` moves within a minute and comes to GO. `search-api` is held back by `acme / nightly-batch`. `payments-api`
is rejected in one region until its gateway gets the new keys.
"""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from monitor.demo.parts.envoy import ApiKey

GATEWAYS = (("edge-1", "eu"), ("edge-2", "us"))
LATE_GATEWAY, LATE_UNTIL_SECONDS = "edge-2", 100.0
"""Where the new keys of `LATE_KEY` arrive late, and when they do."""
LATE_KEY = "payments-api"
_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True, kw_only=True)
class RealCaller:
    """A client at one source, behind one gateway; `runs` requests at once every `every_seconds`."""

    client: str
    source: str
    gateway: str
    every_seconds: float
    moves_at_seconds: float | None
    runs: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RealKey:
    """A key, its two versions and its callers. Each client has a secret of its own for each version."""

    key: str
    team: str
    old: int
    callers: tuple[RealCaller, ...]

    @property
    def new(self) -> int:
        """Return the version that is rolled out."""
        return self.old + 1

    def secret(self, version: int, client: str) -> str:
        """Return what a client presents. They are made up, and worth nothing."""
        return f"demo-{self.key}-v{version}-{client}"

    def secrets(self, version: int) -> list[str]:
        """Return all secrets of a version."""
        return [self.secret(version, client) for client in dict.fromkeys(each.client for each in self.callers)]


_C = RealCaller
FLEET = (
    RealKey(
        key="billing-api",
        team="payments",
        old=1,
        callers=(
            _C(client="storefront", source="eu-web", gateway="edge-1", every_seconds=0.4, moves_at_seconds=15),
            _C(client="storefront", source="us-web", gateway="edge-2", every_seconds=0.5, moves_at_seconds=25),
            _C(client="invoicer", source="eu-jobs", gateway="edge-1", every_seconds=1.5, moves_at_seconds=40),
            _C(client="partner-globex", source="us-partner", gateway="edge-2", every_seconds=2, moves_at_seconds=55),
        ),
    ),
    RealKey(
        key="search-api",
        team="discovery",
        old=3,
        callers=(
            _C(client="storefront", source="eu-web", gateway="edge-1", every_seconds=0.5, moves_at_seconds=20),
            _C(client="recommender", source="us-jobs", gateway="edge-2", every_seconds=1.2, moves_at_seconds=35),
            _C(
                client="acme", source="nightly-batch", gateway="edge-1", every_seconds=12, moves_at_seconds=None, runs=3
            ),
        ),
    ),
    RealKey(
        key="payments-api",
        team="payments",
        old=7,
        callers=(
            _C(client="checkout", source="eu-web", gateway="edge-1", every_seconds=0.5, moves_at_seconds=20),
            _C(client="checkout", source="us-web", gateway="edge-2", every_seconds=0.6, moves_at_seconds=30),
            _C(client="fraud-check", source="us-jobs", gateway="edge-2", every_seconds=1.1, moves_at_seconds=45),
        ),
    ),
)


def gateway_keys(gateway: str, *, late: bool) -> list[ApiKey]:
    """Return what a gateway accepts; while `late`, one of them does not know one key's new version."""
    return [
        ApiKey(secret=key.secret(version, client), client=client)
        for key in FLEET
        for version in (key.old, key.new)
        for client in dict.fromkeys(each.client for each in key.callers)
        if not (late and gateway == LATE_GATEWAY and key.key == LATE_KEY and version == key.new)
    ]


class Traffic:
    """A thread for each caller, from `start` to `stop`."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        """`urls` maps a gateway's name to its address."""
        self._urls = urls
        self._stop = threading.Event()
        self._threads: Sequence[threading.Thread] = ()
        self._began = 0.0

    def start(self) -> None:
        """Begin: the story's clock starts."""
        self._began = time.monotonic()
        self._threads = [
            threading.Thread(target=self._call, args=(key, caller), name=caller.client, daemon=True)
            for key in FLEET
            for caller in key.callers
        ]
        for each in self._threads:
            each.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        for each in self._threads:
            each.join(2.0)

    def at(self, seconds: float, act: Callable[[], None], stopping: threading.Event) -> None:
        """Do something at its time in the story, in this thread; nothing when it is ended before."""
        if not stopping.wait(max(self._began + seconds - time.monotonic(), 0.0)):
            act()

    def _call(self, key: RealKey, caller: RealCaller) -> None:
        while not self._stop.wait(caller.every_seconds):
            moves = caller.moves_at_seconds
            moved = moves is not None and time.monotonic() - self._began >= moves
            for _ in range(caller.runs):
                version = key.new if moved else key.old
                if self._get(caller, key.secret(version, caller.client), key) == _UNAUTHORIZED and moved:
                    self._get(caller, key.secret(key.old, caller.client), key)  # its client falls back

    def _get(self, caller: RealCaller, secret: str, key: RealKey) -> int:
        request = urllib.request.Request(  # noqa: S310 - a loopback address of our own
            f"{self._urls[caller.gateway]}/{key.key.removesuffix('-api')}",
            # A gateway knows its client only after a hit: who was rejected is known by what it says of itself.
            headers={"x-api-key": secret, "user-agent": caller.source, "x-client-id": caller.client},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - as above
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0  # the gateway takes its new keys
