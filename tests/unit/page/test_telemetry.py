"""What the page says of our own eyes: each number that the gate would doubt is marked."""

from __future__ import annotations

import re

from monitor.core.instants import HOUR_MS
from tests.contract.store.factories import NEW, OLD, event, reject
from tests.unit.api.world import NOW
from tests.unit.page.site import Visitor


def tiles(visitor: Visitor) -> dict[str, tuple[str, str]]:
    """Name to (value, `fine` or `odd`)."""
    found = re.findall(r'class="tile (\w+)"><dt>([^<]+)</dt><dd><b>([^<]+)</b>', visitor.get("/telemetry").text)
    return {name: (value, css) for css, name, value in found}


def test_all_that_can_be_doubted_is_in_sight_at_once() -> None:
    assert tiles(Visitor()) == {
        "Lag": ("0", "fine"),
        "Gateways heard": ("1 of 1", "fine"),
        "Rejects": ("0", "fine"),
        "Unmapped": ("0", "fine"),
        "Gaps": ("0", "fine"),
    }


def test_a_credential_that_succeeds_without_a_key_is_named_with_its_callers() -> None:
    visitor = Visitor()
    strays = [event(NOW - HOUR_MS, credential="cred-<odd>", client=client) for client in ("acme", "globex")]
    visitor.api.feed.flush(strays, fine=frozenset({OLD, NEW}))
    assert tiles(visitor)["Unmapped"] == ("1", "odd")
    shown = visitor.get("/telemetry").text
    assert '<code>cred-&lt;odd&gt;</code></th><td data-label="Callers">2</td><td data-label="Uses">2</td>' in shown


def test_a_record_that_could_not_be_read_is_counted_by_reason() -> None:
    visitor = Visitor()
    visitor.api.feed.flush(rejects=[reject(visitor.api.feed.next, arrival_ms=NOW - HOUR_MS)])
    assert tiles(visitor)["Rejects"] == ("1", "odd")
    assert "In the last 24 h: 1 not json." in visitor.get("/telemetry").text


def test_a_gateway_that_is_silent_for_longer_than_allowed_is_marked() -> None:
    visitor = Visitor()
    visitor.api.time.now_ms = NOW + HOUR_MS
    assert tiles(visitor)["Gateways heard"] == ("0 of 1", "odd")
    assert '<span class="tag critical">silent</span>' in visitor.get("/telemetry").text
