"""A process that only sends: killed by a test, whenever. Arguments: the store's URL, Slack's address."""

from __future__ import annotations

import sys
import threading

from monitor.adapters.slack.courier import SlackCourier
from monitor.adapters.slack.render import Renderer
from monitor.adapters.sql import open_store
from monitor.notify.sender import Sender
from tests.contract.store.factories import T0


def main() -> None:
    """Send until the end."""
    url, slack = sys.argv[1:]
    courier = SlackCourier(token="xoxb-test", renderer=Renderer(), base_url=slack)
    Sender(store=open_store(url), couriers={"slack": courier}, now_ms=lambda: T0).run(threading.Event())


if __name__ == "__main__":
    main()
