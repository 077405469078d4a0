"""Clause by clause: what passes, what does not, and where the edge is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.core.callers import CallerCache
from monitor.core.decision import Verdict
from monitor.core.evidence import HourCount, OpenIncident, RequestCounts
from monitor.core.instants import MINUTE_MS
from monitor.core.policy import Policy
from monitor.core.registry import Gateway, Key, KeyVersion, Pin, Registry, Unmanaged, Waiver
from tests.unit.gate.stories import NOW, D, H, blocked, edge, healthy
from tests.unit.gate.world import NEW, OLD, START, Use, every, moved, records, registry


def incident(cause: str, *, holds: bool) -> dict[str, object]:
    found = OpenIncident(incident="i", version=2, cause=cause, opened_at_ms=NOW, summary="x", holds_gate=holds)
    return {"incidents": (found,)}


@pytest.mark.parametrize(
    ("why", "evidence", "verdict"),
    [
        ("model cold", {"detector": "no history yet"}, Verdict.UNKNOWN),
        ("cause unknown", incident("unknown", holds=True), Verdict.UNKNOWN),
        ("the rollover fails", incident("propagation_delay", holds=True), Verdict.NO_GO),
        ("somebody else's fault", incident("caller_fault", holds=False), Verdict.GO),
    ],
)
def test_health_blocks_unless_the_rollover_is_not_to_blame(
    why: str, evidence: dict[str, object], verdict: Verdict
) -> None:
    assert healthy(evidence=evidence).decide().verdict is verdict, why


def test_nobody_asked_the_detector_is_not_health() -> None:
    world = healthy()
    evidence = replace(world.known(), detector=type(world.known())(key="k").detector)
    assert evidence.detector is not None


def test_a_caller_that_fails_on_the_new_version_blocks_until_it_succeeds_there() -> None:
    failed = Use(at=NOW - D + MINUTE_MS, credential=NEW, ok=False)
    stuck = [use for use in moved() if use.at < NOW - D] + [failed]
    decision = healthy(uses=stuck).decide()
    blocked(decision, "C8", "acme/eu", "not succeeded there since")
    assert healthy(uses=[*moved(), failed]).decide().verdict is Verdict.GO, "it succeeded since"
    waiver = Waiver(rollover="r", client="acme", reason="x", by="ana")
    assert healthy(uses=stuck, registry=registry(waivers=(waiver,))).decide().verdict is Verdict.GO


@pytest.mark.parametrize(("until", "verdict"), [(None, Verdict.NO_GO), (NOW + 1, Verdict.NO_GO), (NOW, Verdict.GO)])
def test_a_pin_is_a_veto_until_its_date(until: int | None, verdict: Verdict) -> None:
    pin = Pin(key="k", version=1, reason="audit", by="ana", until_ms=until)
    assert healthy(registry=registry(pins=(pin,))).decide().verdict is verdict


def test_the_overlap_has_a_minimum() -> None:
    policy = Policy(min_overlap_ms=31 * D)
    decision = healthy(policy=policy).decide()
    blocked(decision, "C9", "31d")
    assert decision.eta.earliest_go_ms == START + 31 * D


@pytest.mark.parametrize(
    ("why", "unmanaged", "verdict"),
    [
        ("the credential", Unmanaged(credential="legacy", reason="x", by="ana"), Verdict.GO),
        ("the client", Unmanaged(client="acme", reason="x", by="ana"), Verdict.GO),
        ("the gateway where it succeeds", Unmanaged(gateway="lab", reason="x", by="ana"), Verdict.GO),
        ("another gateway", Unmanaged(gateway="edge-2", reason="x", by="ana"), Verdict.UNKNOWN),
        ("no longer", Unmanaged(credential="legacy", reason="x", by="ana", until_ms=NOW), Verdict.UNKNOWN),
        ("another credential", Unmanaged(credential="other", reason="x", by="ana"), Verdict.UNKNOWN),
    ],
)
def test_what_is_knowingly_unmanaged_does_not_block(why: str, unmanaged: Unmanaged, verdict: Verdict) -> None:
    telemetry = {
        "unregistered": records([Use(at=NOW - D, credential="legacy")]),
        "unregistered_gateways": {"legacy": ("lab",)},
    }
    assert healthy(telemetry=telemetry, registry=registry(unmanaged=(unmanaged,))).decide().verdict is verdict, why


def test_an_unregistered_credential_may_fall_silent_like_a_caller_that_is_gone() -> None:
    legacy = records(every(D, first=START - 100 * D, last=NOW - 28 * D, credential="legacy"))
    assert healthy(telemetry={"unregistered": legacy}).decide().verdict is Verdict.GO
    blocked(healthy(telemetry={"unregistered": legacy}).at(NOW - H).decide(), "C5", "legacy")


def test_rejects_can_be_waived_by_name() -> None:
    rejects = {"rejects": (HourCount(hour_ms=NOW - D, last_ms=NOW - D, count=3, detail="not_json"),)}
    for source, verdict in ((None, Verdict.GO), ("not_json", Verdict.GO), ("bad_time", Verdict.UNKNOWN)):
        waiver = Waiver(rollover="r", client="@rejects", source=source, reason="x", by="ana")
        assert healthy(telemetry=rejects, registry=registry(waivers=(waiver,))).decide().verdict is verdict


def gateways(**fields: object) -> Registry:
    return registry(gateways=(Gateway(gateway="edge"), Gateway(gateway="new", **fields)))  # type: ignore[arg-type]


def test_a_gateway_counts_within_its_from_and_until() -> None:
    young = {"gateways": (edge(), edge(gateway="new", first_ms=NOW - D))}
    assert healthy(telemetry=young, registry=gateways(from_ms=NOW - D)).decide().verdict is Verdict.GO
    blocked(healthy(telemetry=young, registry=gateways()).decide(), "C3", "new")
    gone = {"gateways": (edge(), edge(gateway="new", last_ms=NOW - D))}
    assert healthy(telemetry=gone, registry=gateways(until_ms=NOW - D)).decide().verdict is Verdict.GO
    blocked(healthy(telemetry=gone, registry=gateways()).decide(), "C3", "new")
    blocked(healthy(telemetry=gone, registry=gateways(until_ms=NOW - 5 * D)).decide(), "C3", "still sends")


def test_a_gateway_may_be_quieter_than_the_others() -> None:
    quiet = {"gateways": (edge(silences=((NOW - 2 * D, NOW - 2 * D + 5 * H),)),)}
    slow = registry(gateways=(Gateway(gateway="edge", max_silence_ms=6 * H),))
    assert healthy(telemetry=quiet, registry=slow).decide().verdict is Verdict.GO
    blocked(healthy(telemetry=quiet).decide(), "C3", "edge")


def test_without_registered_gateways_those_ever_heard_are_watched_and_the_decision_says_so() -> None:
    nobody = registry(gateways=())
    decision = healthy(registry=nobody).decide()
    assert decision.verdict is Verdict.GO
    assert any("nobody attested" in note for note in decision.telemetry_notes)
    stopped = healthy(registry=nobody, telemetry={"gateways": (edge(), edge(gateway="old", last_ms=NOW - 50 * D))})
    blocked(stopped.decide(), "C3", "old")
    blocked(healthy(registry=nobody, telemetry={"gateways": ()}).decide(), "C3", "no gateway")


def test_a_stray_early_record_does_not_cover_the_months_after_it() -> None:
    stray = edge(first_ms=START - 200 * D, silences=((START - 200 * D, START - 20 * D),))
    blocked(healthy(telemetry={"gateways": (stray,)}).decide(), "C7", "history begins")


def test_a_short_look_back_is_accepted_by_policy_once_everybody_has_moved() -> None:
    short = {"history_start_ms": NOW - 99 * D}
    allowed = Policy(allow_short_lookback=True)
    assert healthy(telemetry=short, policy=allowed).decide().verdict is Verdict.GO
    gone = every(D, first=START - 60 * D, last=START - 20 * D, client="gone")
    blocked(healthy(uses=[*moved(), *gone], telemetry=short, policy=allowed).decide(), "C7", "history begins")
    assert healthy(uses=[*moved(), *gone]).decide().verdict is Verdict.GO


def test_an_unknown_key_or_version_is_unknown() -> None:
    blocked(healthy(registry=registry(keys=())).decide(), "C1", "not registered")
    only = registry(keys=(Key(key="k", versions=(KeyVersion(version=1, credentials=(OLD,)),)),))
    blocked(healthy(registry=only).decide(), "C1", "v2 has no registered credentials")


def test_a_cache_feels_a_change_of_the_registry() -> None:
    cache = CallerCache()
    world = healthy(cache=cache, uses=[*moved(), *every(H, first=START, last=NOW, client="late", credential="cred-1b")])
    callers = world.known().callers
    world.evidence = {"callers": callers}
    assert world.decide().verdict is Verdict.GO, "nobody knows that cred-1b belongs to the key"
    versions = (KeyVersion(version=1, credentials=(OLD, "cred-1b")), KeyVersion(version=2, credentials=(NEW,)))
    grown = replace(world, registry=registry(keys=(Key(key="k", versions=versions),)))
    blocked(grown.decide(), "C7", "late/eu")
    waiver = Waiver(rollover="r", client="late", reason="x", by="ana")
    assert replace(grown, registry=replace(grown.registry, waivers=(waiver,))).decide().verdict is Verdict.GO
    blocked(grown.decide(), "C7", "late/eu")


def test_the_eta_is_when_the_slowest_blocker_clears_and_says_which_it_is() -> None:
    uses = [*moved(), *every(H, first=START - 90 * D, last=NOW, client="late")]
    decision = healthy(uses=uses).decide()
    assert (decision.eta.state, decision.eta.limited_by) == ("stalled", "C7 late/eu")
    assert decision.eta.earliest_go_ms == NOW + 28 * D
    proven = replace(healthy(uses=[*uses, Use(at=NOW + H, client="late", credential=NEW)]), now=NOW + H)
    draining = proven.decide()
    assert draining.eta.state == "draining"
    assert draining.eta.earliest_go_ms == NOW + H + 26 * H, "the quiet window does not wait for a caller that moved"
    waiting = proven.at(NOW + 27 * H - 1).decide()
    assert waiting.eta.state == "waiting"
    assert proven.at(NOW + 27 * H).decide().eta.state == "ready"


def test_blast_radius_and_progress_count_who_would_break() -> None:
    uses = [*moved(), *every(H, first=START - 90 * D, last=NOW, client="late")]
    last_day = {OLD: RequestCounts(accepted=24), NEW: RequestCounts(accepted=72)}
    decision = healthy(uses=uses, evidence={"last_day": last_day}).decide()
    assert decision.blast_radius.callers == 1
    assert decision.blast_radius.requests_per_day == pytest.approx(24, rel=0.1)
    assert decision.blast_radius.share_of_requests == pytest.approx(0.25, rel=0.1)
    assert decision.blast_radius.next_hit_ms is not None
    assert NOW <= decision.blast_radius.next_hit_ms <= NOW + H
    assert decision.progress.as_json() == {"callers": 2, "callers_cleared": 1, "requests_moved_share": 0.75}
