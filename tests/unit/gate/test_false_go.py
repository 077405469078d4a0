"""The ways to a false GO, each with its story: a rollover that would be GO, and the one thing that must stop it.

Here is what the core sees of each. What happens before it is shown on real parts: 28 (a crowd of credentials) and 29 (a
standby) in `tests/integration/sql/test_false_go.py`; 4 (a hanging transaction) and 17 (a restored database) in
`tests/e2e/test_false_go.py`; 14, 15, 16 (retention, topics, partitions) in `tests/e2e/test_changed_topics.py`; 12
(naive times) in `tests/unit/mapping`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from monitor.core.decision import Verdict
from monitor.core.evidence import Change, CoverageGap, HourCount
from monitor.core.gate import decide
from monitor.core.instants import MINUTE_MS, SECOND_MS
from monitor.core.policy import Policy
from monitor.core.registry import Key, KeyVersion, Rollover
from monitor.core.rollover import Lifecycle, Refusal, RefusalReason, Wish, propose
from tests.unit.gate.stories import NOW, D, H, blocked, edge, healthy, live
from tests.unit.gate.world import NEW, OLD, START, Use, every, moved, records, registry


def test_the_healthy_world_is_go() -> None:
    assert healthy().decide().verdict is Verdict.GO
    assert healthy(telemetry=live()).decide().verdict is Verdict.GO
    assert healthy().decide().blockers == ()


TELEMETRY: dict[str, tuple[Mapping[str, object], str, tuple[str, ...]]] = {
    "1 consumer lag: the old key's use waits in Kafka": (
        live(next_offset=3, complete_through_ms=NOW - 61 * SECOND_MS),
        "C2",
        ("auth:1", "7 records behind"),
    ),
    "1 the worker died: nobody probes any more": (live(probed_at_ms=NOW - 61 * SECOND_MS), "C2", ("auth:1", "probed")),
    "2 one gateway's shipper stopped for twenty minutes, a week ago": (
        {"gateways": (edge(silences=((NOW - 7 * D, NOW - 7 * D + 20 * MINUTE_MS),)),)},
        "C3",
        ("edge", "20m"),
    ),
    "2 it stopped a quarter of an hour ago and is silent since": (
        {"gateways": (edge(last_ms=NOW - 15 * MINUTE_MS - 1),)},
        "C3",
        ("edge", "not heard"),
    ),
    "2 it was never heard at all": ({"gateways": ()}, "C3", ("edge", "not heard")),
    "2 it began after the window's start": ({"gateways": (edge(first_ms=NOW - 7 * D),)}, "C3", ("edge", "1d")),
    "3 a partition stands still while its group is healthy": (
        live(stopped="more than half of its last 1,000 records were rejected"),
        "C2",
        ("auth:1", "stands still"),
    ),
    "3 a partition that nobody ever read": (live(next_offset=None), "C2", ("auth:1", "never been read")),
    "4 a hanging transaction hides records: the uncommitted end is ahead": (
        live(next_offset=9, end_offset=10, complete_through_ms=NOW - 10 * MINUTE_MS),
        "C2",
        ("auth:1", "1 records behind"),
    ),
    "5 the parser drops records": (
        {"rejects": (HourCount(hour_ms=NOW - 5 * D, last_ms=NOW - 5 * D, count=3, detail="wrong_type"),)},
        "C5",
        ("3 records", "wrong_type"),
    ),
    "6 a field was renamed upstream: successes without a credential": (
        {"unregistered": records(every(H, first=NOW - D, last=NOW - H, credential=""))},
        "C5",
        ("without any credential",),
    ),
    "7 a credential that nobody registered succeeds": (
        {"unregistered": records([Use(at=NOW - D, credential="cred-9")])},
        "C5",
        ("cred-9", "not registered"),
    ),
    "9 a credential differs by case and blanks only": (
        {"unregistered": records([Use(at=NOW - D, credential=" CRED-1 ")])},
        "C5",
        ("spelling", OLD),
    ),
    "11 the database's clock jumped": ({"clock_skew_ms": 6 * MINUTE_MS}, "C9", ("clocks", "6m")),
    "11 the host's clock jumped back": ({"clock_skew_ms": -H}, "C9", ("clocks", "1h")),
    "11 a probe from the future": (live(probed_at_ms=NOW + H), "C2", ("future",)),
    "11 clocks that could not be compared": (live() | {"clock_skew_ms": None}, "C9", ("could not be compared",)),
    "12 naive times are unreadable, and felt": (
        {"rejects": (HourCount(hour_ms=NOW - 8 * D, last_ms=NOW - 8 * D, count=1, detail="bad_time"),)},
        "C5",
        ("bad_time",),
    ),
    "14 retention passed us": (
        {
            "gaps": (
                CoverageGap(
                    topic="auth",
                    partition=0,
                    from_ms=NOW - 9 * D,
                    to_ms=NOW - 8 * D,
                    recorded_at_ms=NOW - 7 * D,
                    reason="retention removed offsets 3 to 9",
                ),
            )
        },
        "C4",
        ("auth:0", "retention"),
    ),
    "15 the topic was recreated, and nobody knows what it held": (
        {
            "gaps": (
                CoverageGap(
                    topic="auth",
                    partition=0,
                    from_ms=None,
                    to_ms=None,
                    recorded_at_ms=NOW - D,
                    reason="it was recreated",
                ),
            )
        },
        "C4",
        ("recreated",),
    ),
    "15 a typo in the topic's name": (live() | {"expected_partitions": {"auht": 0}}, "C2", ("auht", "does not exist")),
    "15 no topic at all": (live() | {"expected_partitions": {}}, "C2", ("no topic",)),
    "16 a partition was added": (live() | {"expected_partitions": {"auth": 3}}, "C2", ("auth:2", "never been read")),
    "19 a gateway samples its log": (
        {"sampled": (HourCount(hour_ms=NOW - 8 * D, last_ms=NOW - 8 * D + 5, count=9, detail="edge"),)},
        "C5",
        ("edge", "samples"),
    ),
    "20 a gateway that was never onboarded": (
        {"gateways": (edge(), edge(gateway="edge-9"))},
        "C3",
        ("edge-9", "registered"),
    ),
    "24 a broker that does not answer": (
        live() | {"expected_partitions": {"auth": None}},
        "C2",
        ("could not be asked",),
    ),
    "24 no history row": ({"history_start_ms": None}, "C7", ("no history",)),
    "24 a ledger with a hole": ({"ledger_faults": ("auth:0 has no row from 10 to 20",)}, "C4", ("10 to 20",)),
    "look-back shorter than the policy's": ({"history_start_ms": NOW - 99 * D}, "C7", ("history begins",)),
}


@pytest.mark.parametrize("story", TELEMETRY)
def test_what_our_eyes_missed_blocks(story: str) -> None:
    telemetry, clause, words = TELEMETRY[story]
    decision = healthy(telemetry=dict(telemetry)).decide()
    assert decision.verdict is Verdict.UNKNOWN, "evidence is missing, none speaks against"
    blocked(decision, clause, *words)


def test_8_a_rollover_registered_with_wrong_ids() -> None:
    versions = (KeyVersion(version=1, credentials=("typo",)), KeyVersion(version=2, credentials=(NEW,)))
    wrong = registry(keys=(Key(key="k", versions=versions),))
    blocked(healthy(registry=wrong).decide(), "C1", "never seen")
    acknowledged = healthy(registry=wrong, evidence={"never_used_acknowledged_by": "ana"})
    assert acknowledged.decide().verdict is Verdict.GO, "a dated acknowledgement by name is evidence"


def test_8_a_new_version_that_nobody_used() -> None:
    blocked(healthy(uses=every(D, first=START - 150 * D, last=START - 90 * D)).decide(), "C1", "v2 was not seen")


def test_8_rate_limited_requests_are_no_positive_control() -> None:
    uses = [*every(D, first=START - 150 * D, last=START - 90 * D), Use(at=START + D, credential=NEW, served=False)]
    blocked(healthy(uses=uses).decide(), "C1", "v2 was not seen")


def test_10_a_gateway_an_hour_ahead() -> None:
    late = Use(at=START + 2 * D - H, suspect=True, arrived=NOW - D)
    blocked(healthy(uses=[*moved(), late]).decide(), "C9", "acme/eu", "after its arrival")


def test_13_a_late_arrival_takes_the_go_back() -> None:
    world = healthy(uses=[*moved(), Use(at=NOW - 6 * H, arrived=NOW + H)])
    assert world.decide().verdict is Verdict.GO
    after = world.at(NOW + H).decide()
    assert after.verdict is Verdict.NO_GO
    blocked(after, "C7", "acme/eu")


def test_13_a_use_from_long_ago_that_arrives_now_counts_by_arrival_too() -> None:
    slow = [Use(at=START - each * D, client="slow") for each in (100, 70, 40, 10)]
    late = Use(at=START + 20 * D, client="slow", arrived=NOW - H)
    policy = Policy(gone_after_ms=0, quiet_window_ms=8 * D)
    assert healthy(uses=[*moved(), *slow, late], policy=policy).decide().verdict is Verdict.NO_GO


@pytest.mark.parametrize("what", ["policy quiet_window 8d -> 3d", "credential cred-1 moved to another version"])
def test_18_the_registry_was_edited_inside_the_window(what: str) -> None:
    world = healthy(evidence={"changes": (Change(at_ms=NOW - 8 * D + 1, what=what),)})
    blocked(world.decide(), "C9", what)
    assert healthy(evidence={"changes": (Change(at_ms=NOW - 8 * D, what=what),)}).decide().verdict is Verdict.GO


def test_21_cached_authentications_are_a_blind_spot_that_is_named() -> None:
    notes = " ".join(healthy().decide().telemetry_notes)
    assert "cache authentications" in notes
    assert "hidden process" in notes


@pytest.mark.parametrize("days", [30, 90, 365])
def test_22_a_slow_caller_is_not_gone_before_its_date(days: int) -> None:
    slow = every(days * D, first=START - 4 * days * D, last=START - D, client="slow")
    world = healthy(uses=[*moved(), *slow], telemetry={"history_start_ms": START - 2000 * D})
    back = slow[-1].at + days * D
    for now in range(NOW, back, 5 * D):
        decision = world.at(now).decide()
        assert decision.verdict is not Verdict.GO
        assert [each.caller.client for each in decision.blockers if each.caller] == ["slow"]


def test_23_only_failures_remain_on_the_old_version() -> None:
    cut = every(H, first=START + 10 * D, last=NOW, client="cut", ok=False)
    world = healthy(uses=[*moved(), *every(H, first=START - 90 * D, last=START + 10 * D - H, client="cut"), *cut])
    decision = world.decide()
    assert decision.verdict is Verdict.NO_GO
    blocked(decision, "C7", "cut/eu", "still rejected")


def test_24_a_store_that_answers_nonsense_is_unknown_with_the_faults_name() -> None:
    world = healthy()
    evidence = replace(world.known(), callers=None)  # type: ignore[arg-type]
    decision = decide(
        rollover=world.registry.rollovers[0],
        registry=world.registry,
        policy=world.policy,
        evidence=evidence,
        telemetry=world.seen(),
    )
    assert decision.verdict is Verdict.UNKNOWN
    blocked(decision, "C7", "TypeError")


def test_25_and_26_a_go_dies_of_age_and_is_used_once() -> None:
    world = healthy()
    go = world.decide()
    rollover = world.registry.rollovers[0]

    def retire(state: str, now: int) -> object:
        return propose(
            Wish(to=Lifecycle.RETIRED, by="ana"),
            state=state,
            since_ms=START,
            rollover=rollover,
            registry=world.registry,
            policy=world.policy,
            now_ms=now,
            decision=go,
        )

    assert not isinstance(retire("overlap", NOW + 10 * MINUTE_MS), Refusal)
    stale = retire("overlap", NOW + 10 * MINUTE_MS + 1)
    assert isinstance(stale, Refusal)
    assert stale.reason is RefusalReason.UNKNOWN
    again = retire("retired", NOW)
    assert isinstance(again, Refusal)
    assert again.reason is RefusalReason.WRONG_STATE


def test_27_versions_swapped_in_the_registry() -> None:
    swapped = registry(rollovers=(Rollover(id="r", key="k", from_version=2, to_version=1, started_at_ms=START),))
    blocked(healthy(registry=swapped).decide(), "C1", "swapped")


def test_27_a_roll_back_is_under_way() -> None:
    blocked(healthy(evidence={"state": "rolled_back"}).decide(), "C9", "rolled back")
