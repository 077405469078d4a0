"""The replay's clock: when records arrive, when is decided, and what may be known by then (DESIGN §7, Replay)."""

from __future__ import annotations

import pytest

from monitor.core.decision import Status
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, rfc3339
from tests.integration.replay.logs import START, event, heartbeat, registry, replayed

NOON = START + 12 * HOUR_MS


def hours(*after_start: int) -> list[str]:
    """Return these hours after the start as the decisions write them."""
    return [rfc3339(START + hour * HOUR_MS) for hour in after_start]


def test_one_decision_at_each_multiple_of_every_from_the_start_to_the_last_event() -> None:
    late = registry(started_at=rfc3339(START + 20 * MINUTE_MS))
    log = [event(START - DAY_MS), event(START + 30 * MINUTE_MS), event(START + 4 * HOUR_MS + 1)]
    assert replayed(log, keys=late).times == hours(1, 2, 3, 4)
    assert replayed(log, keys=late, every_ms=3 * HOUR_MS).times == hours(3)


def test_checkpoints_are_multiples_since_the_epoch_whatever_the_start() -> None:
    log = [event(START), event(START + 60 * MINUTE_MS)]
    odd = replayed(log, every_ms=7 * MINUTE_MS).decisions
    assert [each.evaluated_at_ms % (7 * MINUTE_MS) for each in odd] == [0] * 8


def test_the_last_event_may_stand_at_a_checkpoint_which_is_decided_with_it() -> None:
    answer = replayed([event(START), event(START + 2 * HOUR_MS)])
    assert answer.times == hours(0, 1, 2)
    assert answer.holding(START + 2 * HOUR_MS) == {"acme": START + 2 * HOUR_MS}


@pytest.mark.parametrize(("late_ms", "seen"), [(0, True), (1, False)])
def test_a_record_at_the_checkpoints_very_time_belongs_to_it_and_one_after_it_does_not(
    late_ms: int, seen: bool
) -> None:
    answer = replayed([event(START - HOUR_MS), event(NOON + late_ms), event(NOON + HOUR_MS)])
    assert answer.holding(NOON) == {"acme": NOON if seen else START - HOUR_MS}


def test_checkpoints_that_pass_without_records_are_decided_on_the_evidence_so_far() -> None:
    answer = replayed([event(START + MINUTE_MS), event(START + 5 * HOUR_MS, who="other")])
    assert answer.times == hours(0, 1, 2, 3, 4, 5)
    assert [len(answer.holding(START + hour * HOUR_MS)) for hour in (1, 2, 3, 4, 5)] == [1, 1, 1, 1, 2]


def test_from_and_until_bound_what_is_written_and_what_is_before_is_history() -> None:
    log = [event(START - 3 * DAY_MS), event(START + MINUTE_MS), event(START + 9 * HOUR_MS)]
    bounded = replayed(log, from_ms=START + 2 * HOUR_MS, until_ms=START + 4 * HOUR_MS)
    assert bounded.times == hours(2, 3, 4)
    assert bounded.holding(START + 2 * HOUR_MS) == {"acme": START + MINUTE_MS}
    whole = replayed(log)
    assert [each.as_json() for each in bounded.decisions] == [
        each.as_json() for each in whole.decisions if START + 2 * HOUR_MS <= each.evaluated_at_ms <= START + 4 * HOUR_MS
    ]


def test_time_passes_up_to_until_after_the_last_record() -> None:
    assert replayed([event(START)], until_ms=START + 3 * HOUR_MS).times == hours(0, 1, 2, 3)


def test_a_rollover_is_not_decided_before_it_started_even_where_from_is_earlier() -> None:
    answer = replayed([event(START - DAY_MS), event(START + HOUR_MS)], from_ms=START - 5 * HOUR_MS)
    assert answer.times == hours(0, 1)


def test_nothing_is_written_where_until_is_before_from_or_there_is_no_rollover() -> None:
    assert replayed([event(START), event(START + HOUR_MS)], until_ms=START - 1).decisions == []
    empty = replayed([event(START), event(START + DAY_MS)], keys=registry(id=None))
    assert (empty.decisions, empty.alerts) == ([], [])


def test_an_empty_log_decides_nothing_unless_until_says_when() -> None:
    assert replayed([]).decisions == []
    (decision,) = replayed([], until_ms=START + 59 * MINUTE_MS).decisions
    assert decision.verdict.value == "NO_GO"  # the overlap's minimum; what is missing is unknown besides
    assert {each.id: each.status for each in decision.clauses}["C7"] is Status.UNKNOWN


# --- arrival


@pytest.mark.parametrize("spelling", [str, int], ids=["RFC 3339", "epoch ms"])
def test_a_record_that_says_when_it_arrived_is_not_known_before(spelling: type) -> None:
    arrived = NOON + 90 * MINUTE_MS
    told = rfc3339(arrived) if spelling is str else arrived
    log = [
        event(START - HOUR_MS),
        event(NOON - MINUTE_MS, arrived_at=told),
        event(NOON + 3 * HOUR_MS, arrived_at=NOON + 3 * HOUR_MS),
    ]
    answer = replayed(log)
    assert answer.holding(NOON + HOUR_MS) == {"acme": START - HOUR_MS}
    assert answer.holding(NOON + 2 * HOUR_MS) == {"acme": NOON - MINUTE_MS}


def test_an_event_time_out_of_order_arrives_at_the_clock() -> None:
    log = [event(START), event(NOON, who="other"), event(NOON - 5 * HOUR_MS), event(NOON + HOUR_MS, who="other")]
    answer = replayed(log)
    assert answer.holding(NOON - HOUR_MS) == {"acme": START}
    assert answer.holding(NOON) == {"other": NOON, "acme": NOON - 5 * HOUR_MS}


def test_without_an_arrival_a_time_is_never_ahead_and_with_one_it_may_be() -> None:
    ahead = event(NOON + 20 * MINUTE_MS, arrived_at=NOON)
    for line, trusted in ((event(NOON + 20 * MINUTE_MS), True), (ahead, False)):
        answer = replayed([event(START), line, event(NOON + HOUR_MS)])
        dated = [each for each in answer.blockers(NOON + HOUR_MS, "C9") if "dated after" in each.summary]
        assert (not dated) is trusted


# --- times that cannot be


def rejected(log: list[bytes], now_ms: int) -> list[str]:
    """Return what clause 5 says about rejects."""
    return [each.summary for each in replayed(log).blockers(now_ms, "C5") if "could not be read" in each.summary]


@pytest.mark.parametrize(
    ("why", "ahead_ms", "bad"),
    [
        ("a day and a second ahead of both neighbours", DAY_MS + SECOND_MS, True),
        ("a year ahead", 365 * DAY_MS, True),
        ("a day ahead is still possible", DAY_MS, False),
    ],
)
def test_a_time_far_ahead_of_both_neighbours_is_no_time(why: str, ahead_ms: int, bad: bool) -> None:
    log = [event(NOON), event(NOON + ahead_ms, who="odd"), event(NOON), event(NOON + 2 * HOUR_MS)]
    assert bool(rejected(log, NOON + HOUR_MS)) is bad, why
    if bad:
        assert "bad_time" in rejected(log, NOON + HOUR_MS)[0]
        assert [each.evaluated_at_ms for each in replayed(log).decisions][-1] == NOON + 2 * HOUR_MS


def test_a_pause_in_the_log_is_no_wrong_clock() -> None:
    log = [event(START), event(START + 3 * DAY_MS), event(START + 3 * DAY_MS + HOUR_MS)]
    assert rejected(log, START + 3 * DAY_MS + HOUR_MS) == []


def test_the_last_record_has_one_neighbour_and_is_believed() -> None:
    assert replayed([event(START), event(START + 3 * DAY_MS)]).times[-1] == rfc3339(START + 3 * DAY_MS)


def test_a_first_record_far_ahead_of_the_second_does_not_set_the_clock() -> None:
    answer = replayed([event(NOON + 40 * DAY_MS, who="odd"), event(NOON), event(NOON + HOUR_MS)])
    assert answer.times[-1] == rfc3339(NOON + HOUR_MS)


def test_the_neighbour_may_stand_in_the_next_piece_of_the_log() -> None:
    log = [event(NOON), event(NOON + 9 * DAY_MS), b"{broken", event(NOON + HOUR_MS), event(NOON + 2 * HOUR_MS)]
    whole = [each.as_json() for each in replayed(log).decisions]
    for cut in range(1, len(log)):
        assert [each.as_json() for each in replayed(log, cuts=[cut]).decisions] == whole, cut


@pytest.mark.parametrize("broken", [event(None), b"{", b"\xff\xfe", b"[1, 2"], ids=["time", "json", "utf-8", "array"])
def test_a_record_without_a_readable_time_arrives_at_the_clock(broken: bytes) -> None:
    log = [event(START), event(NOON - MINUTE_MS), broken, event(NOON + 2 * HOUR_MS)]
    assert rejected(log, NOON - HOUR_MS) == []
    assert rfc3339(NOON - MINUTE_MS) in rejected(log, NOON)[0]


def test_an_unreadable_first_record_arrives_with_the_first_that_can_be_read() -> None:
    log = [b"{", event(NOON - MINUTE_MS), event(NOON + HOUR_MS)]
    assert rfc3339(NOON - MINUTE_MS) in rejected(log, NOON)[0]


def test_an_unreadable_record_that_says_when_it_arrived_arrives_then() -> None:
    log = [event(START), event(NOON, who="other"), event(None, arrived_at=NOON + 90 * MINUTE_MS)]
    log.append(event(NOON + 3 * HOUR_MS, arrived_at=NOON + 3 * HOUR_MS))
    assert rejected(log, NOON + HOUR_MS) == []
    assert rejected(log, NOON + 2 * HOUR_MS) != []


def test_a_gateway_heard_all_the_time_is_whole_and_its_pause_is_not() -> None:
    begin = START - 9 * DAY_MS
    whole = [*heartbeat(begin, NOON + HOUR_MS)]
    cut = [*heartbeat(begin, NOON - HOUR_MS), *heartbeat(NOON, NOON + HOUR_MS)]
    for log, status in ((whole, Status.PASS), (cut, Status.UNKNOWN)):
        clause = next(each for each in replayed(log).at(NOON).clauses if each.id == "C3")
        assert clause.status is status
