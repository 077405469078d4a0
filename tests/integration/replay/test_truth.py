"""Nothing is known before it arrived, and how the log is cut into pieces changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, rfc3339
from monitor.core.registry_file import parse_registry
from monitor.simulate import KINDS, Story, tell
from tests.integration.replay.logs import START, Answer, event, replayed

_KINDS = st.sampled_from(["old", "new", "ghost", "broken", "far", "late", "told"])
STORIES = ("late-logs", "after-retirement")


def line(kind: str, at: int, who: int) -> bytes:
    """Return a record of that kind."""
    client = f"client-{who}"
    match kind:
        case "broken":
            return b"{"
        case "far":
            return event(at + 40 * DAY_MS, who=client)
        case "late":
            return event(at - 3 * HOUR_MS, who=client)
        case "told":
            return event(at - HOUR_MS, who=client, arrived_at=at)
        case _:
            return event(at, kind, who=client)


@st.composite
def logs(draw: st.DrawFn) -> list[bytes]:
    """Return a log of some days around the start."""
    at, made = START - DAY_MS, []
    for kind, step, who in draw(st.lists(st.tuples(_KINDS, st.integers(0, 200), st.integers(0, 3)), max_size=40)):
        at += step * MINUTE_MS
        made.append(line(kind, at, who))
    return made


def written(answer: Answer) -> tuple[list[Any], list[Any]]:
    """Return what a replay would write."""
    return [each.as_json() for each in answer.decisions], [each.as_json() for each in answer.alerts]


@settings(max_examples=60)
@given(log=logs(), cuts=st.lists(st.integers(0, 40), max_size=5))
def test_any_cutting_of_the_log_gives_the_same(log: list[bytes], cuts: list[int]) -> None:
    until = START + 4 * DAY_MS
    whole = written(replayed(log, until_ms=until, every_ms=6 * HOUR_MS))
    assert (
        written(replayed(log, cuts=[each for each in cuts if each <= len(log)], until_ms=until, every_ms=6 * HOUR_MS))
        == whole
    )


@settings(max_examples=40)
@given(log=logs(), hour=st.integers(1, 90))
def test_what_arrives_after_a_checkpoint_changes_nothing_up_to_it(log: list[bytes], hour: int) -> None:
    until = START + hour * HOUR_MS
    future = [event(until + 1 + minute * MINUTE_MS, who="future") for minute in range(3)]
    known = written(replayed([*log, *future], until_ms=until))
    more = [*log, *future, b"{", event(until + 2 * HOUR_MS, "ghost"), event(START - 9 * DAY_MS, who="long-ago")]
    assert written(replayed(more, until_ms=until)) == known


def decided(story: Story, *, until_ms: int) -> tuple[list[Any], list[Any]]:
    """Return what a replay of a story writes for some days from its start on."""
    keys = parse_registry(json.dumps(story.registry), name=story.kind)
    return written(replayed(list(story.lines()), keys=keys, until_ms=until_ms, every_ms=12 * HOUR_MS))


@pytest.mark.parametrize("kind", STORIES)
def test_a_story_cut_off_is_decided_as_the_whole_story_was_by_then(kind: str) -> None:
    story = tell(kind, 3)
    middle = story.start_ms + 14 * DAY_MS
    whole = decided(story, until_ms=story.end_ms)
    upto = decided(story, until_ms=middle)
    assert len(upto[0]) == 28
    assert upto[0] == [each for each in whole[0] if each["evaluated_at"] <= rfc3339(middle)]
    assert upto[1] == [each for each in whole[1] if each["at"] <= rfc3339(middle)]


def test_the_same_kind_and_seed_tell_the_same_story_and_another_seed_another() -> None:
    once, again, other = (list(tell("one-gateway", seed).lines()) for seed in (1, 1, 2))
    assert once == again != other
    assert all(each.about for each in KINDS.values())
