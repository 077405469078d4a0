"""The drain chart: a picture in the thread where the token may upload, and the text that is always there."""

from __future__ import annotations

import struct
import zlib

import pytest

from monitor.adapters.slack.chart import HEIGHT, WIDTH, drain_png
from monitor.core.instants import DAY_MS
from tests.contract.store.factories import NEW, T0
from tests.integration.notify.story import Story
from tests.slack_server import Fault, SlackServer

OLD_COLOUR, NEW_COLOUR = bytes((194, 65, 12)), bytes((37, 99, 235))


def pixels(png: bytes) -> list[bytes]:
    """Return the rows of a PNG as we write it, its checksums verified."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, data = 8, b""
    while at < len(png):
        (length,) = struct.unpack_from("!I", png, at)
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from("!I", png, at + 8 + length)[0] == zlib.crc32(kind + body)
        data += body if kind == b"IDAT" else b""
        at += 12 + length
    raw = zlib.decompress(data)
    stride = 3 * WIDTH + 1
    return [raw[row * stride + 1 : (row + 1) * stride] for row in range(HEIGHT)]


def heights(png: bytes, colour: bytes, column: int) -> list[int]:
    """Return the rows in which a column has that colour."""
    return [at for at, row in enumerate(pixels(png)) if row[3 * column : 3 * column + 3] == colour]


def test_the_old_line_falls_and_the_new_one_rises() -> None:
    png = drain_png([{"old": 100 - 10 * day, "new": 10 * day} for day in range(11)])
    assert len(png) < 10_000
    for colour, rises in ((OLD_COLOUR, False), (NEW_COLOUR, True)):
        begin, end = min(heights(png, colour, 20)), min(heights(png, colour, WIDTH - 20))
        assert (end < begin) is rises, "row 0 is on top"


@pytest.mark.parametrize(
    "days",
    [
        pytest.param([], id="no day"),
        pytest.param([{"old": 5, "new": 0}], id="one day"),
        pytest.param([{"old": 0, "new": 0}] * 3, id="nothing happened"),
        pytest.param([{"old": -4, "new": 10**15}] * 2, id="numbers that cannot be"),
        pytest.param([{}, {"old": "x"}], id="no numbers"),
    ],
)
def test_whatever_the_numbers_are_there_is_a_picture(days: list[dict[str, object]]) -> None:
    assert len(pixels(drain_png(days))) == HEIGHT  # type: ignore[arg-type] # as it may come from the database


def test_it_comes_into_the_rollovers_thread_about_once_a_week() -> None:
    with SlackServer() as slack:
        story = Story(slack, deadline_ms=T0 + 20 * DAY_MS)
        story.globex = NEW
        story.run_to(T0 + 10 * DAY_MS)
        (parent,) = slack.in_channel("#rollovers")
        assert 1 <= len(slack.shared_files) <= 2
        for each in slack.shared_files:
            assert (each["channel_id"], each["thread_ts"]) == (parent.channel, parent.ts)
            assert "requests a day" in each["files"][0]["title"]
        assert all(content.startswith(b"\x89PNG") for content in slack.files.values())


def test_a_token_that_may_not_upload_is_asked_once_and_the_text_stands_in_the_message() -> None:
    with SlackServer() as slack:
        slack.may_upload = False
        story = Story(slack, deadline_ms=T0 + 20 * DAY_MS)
        story.run_to(T0 + 12 * DAY_MS)
        asked = [each.method for each in slack.calls if each.method.startswith("files.")]
        (parent,) = slack.in_channel("#rollovers")
        assert asked == ["files.getUploadURLExternal"]
        assert story.store.outbox_size() == 0
        assert "Requests a day" in str(parent.blocks)


def test_an_upload_that_fails_is_tried_again_and_holds_up_nothing() -> None:
    failed: list[str] = []

    def script(method: str, _call: int) -> Fault | None:
        if method == "files.completeUploadExternal" and not failed:
            failed.append(method)
            return Fault.UNAVAILABLE
        return None

    with SlackServer(script) as slack:
        story = Story(slack, deadline_ms=T0 + 20 * DAY_MS)
        story.run_to(T0 + 6 * DAY_MS)
        assert failed
        assert len(slack.shared_files) == 1
        assert story.store.outbox_size() == 0
