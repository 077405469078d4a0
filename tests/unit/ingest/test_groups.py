"""What comes close together and what comes from years apart is grouped as one would by hand."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.aggregation import Aggregator
from monitor.core.windows import CallerKey, GatewayMinuteKey
from tests.unit.ingest.test_aggregation import FINE, MAPPING, REGISTERED, T, event

YEARS = 20 * 365 * 86_400_000
close = st.lists(st.tuples(st.sampled_from(["cred-a1", "cred-a2"]), st.integers(0, 200_000)), min_size=1, max_size=80)
apart = st.lists(st.tuples(st.just("cred-a2"), st.integers(-YEARS, -YEARS + 10**7)), max_size=2)


@pytest.mark.parametrize("strangers", [st.just([]), apart], ids=["close together", "years apart"])
def test_groups_are_those_that_one_would_make_by_hand(strangers: st.SearchStrategy[list[tuple[str, int]]]) -> None:
    @settings(max_examples=40, deadline=None)
    @given(close, strangers)
    def check(near: list[tuple[str, int]], far: list[tuple[str, int]]) -> None:
        events = [(credential, T + after) for credential, after in [*near, *far]]
        aggregator = Aggregator(MAPPING, registered=REGISTERED, fine=FINE)
        values = [event(credential=credential, ts=ts) for credential, ts in events]
        aggregator.add(values, [T + 300_000] * len(values), range(len(values)))
        aggregate, _, _ = aggregator.take()
        width = {"cred-a1": 3_600, "cred-a2": 60}
        cells = {(key.bucket_ms, key.credential): requests for key, requests in aggregate.usage.items()}
        assert cells == Counter((ts - ts % (width[credential] * 1_000), credential) for credential, ts in events)
        heard = Counter(GatewayMinuteKey("edge-1", None, ts - ts % 60_000) for _, ts in events)
        assert {key: span.count for key, span in aggregate.gateways.items()} == heard
        for credential in {credential for credential, _ in events}:
            times = [ts for each, ts in events if each == credential]
            facts = aggregate.callers[CallerKey(credential, "acme", None, None)]
            assert (facts.first_accepted_ms, facts.last_accepted_ms) == (min(times), max(times))

    check()
