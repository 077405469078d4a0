"""No secret gets into the log, whatever way it takes; and no log text steers a terminal."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from monitor.config import LogFormat
from monitor.logs import Redaction, configure_logs

CANARY = "c4n4ry-s3cr3t-value"


@pytest.mark.parametrize(
    "record",
    [
        {"event": "x", "password": CANARY},
        {"event": "x", "slack_bot_token": CANARY},
        {"event": "x", "headers": {"Authorization": CANARY}},
        {"event": "x", "note": f"the pepper is {CANARY}."},
        {"event": f"{CANARY} failed"},
        {"event": "x", "list": [{"deep": [CANARY]}]},
        {"event": "x", "error": ValueError(CANARY)},
        {"event": "x", "url": f"postgresql://ana:{CANARY}@db/x"},
        {"event": "x", "header": f"Bearer {CANARY}"},
        {"event": "x", CANARY: {CANARY: 1}},
    ],
    ids=str,
)
def test_a_secret_is_masked_by_name_by_shape_and_by_value(record: dict[str, object]) -> None:
    cleaned = Redaction([CANARY])(None, "info", dict(record))
    assert CANARY not in str({name: value for name, value in cleaned.items() if name != CANARY})


@pytest.mark.parametrize("name", ["password", "sasl_plain_password", "bot_token", "Authorization", "pepper", "api-key"])
def test_a_field_with_a_secrets_name_is_masked_whatever_it_holds(name: str) -> None:
    assert Redaction()(None, "info", {"event": "x", name: "short"})[name] == "********"


@pytest.mark.parametrize(
    "text", ["xoxb-123456-abcdef", "xapp-1-A-b", "rwt_" + "a" * 43, "postgresql://u:hunter2x@h/d", "Basic dXNlcjpwYXNz"]
)
def test_a_secret_that_nobody_told_us_of_is_known_by_its_shape(text: str) -> None:
    assert "********" in Redaction().text(f"got {text} here")


@pytest.mark.parametrize("text", ["gw.logs:3", "postgresql://***@db/x", "http://127.0.0.1:8780", "bearer of news"])
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redaction([CANARY]).text(text) == text


def test_json_records_have_an_action_a_level_and_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="info", format_=LogFormat.JSON, secrets=[CANARY])
    try:
        structlog.get_logger().info("partitions_assigned", partitions=["gw:0"], note=CANARY)
        structlog.get_logger().debug("too_small")
        logging.getLogger("sqlalchemy.pool").warning("said %s", CANARY)
        logging.getLogger("sqlalchemy.pool").info("too small")
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers.clear()
    records = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [each["event"] for each in records] == ["partitions_assigned", "said ********"]
    assert all(each["level"] and each["timestamp"].endswith("Z") for each in records)
    assert records[0]["note"] == "********"


def test_a_console_line_cannot_be_steered_by_what_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="info", format_=LogFormat.CONSOLE)
    try:
        structlog.get_logger().info("alert", text="acme\x1b[2J\u202e\nforged line")
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers.clear()
    shown = capsys.readouterr().err
    assert len(shown.splitlines()) == 1
    assert "\x1b[2J" not in shown
    assert "\u202e" not in shown


def test_an_exception_is_logged_without_its_locals(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="info", format_=LogFormat.JSON)
    try:
        hidden = "".join(reversed("lacol-ylno"))
        try:
            _ = hidden + 1  # type: ignore[operator] # the fault
        except TypeError:
            structlog.get_logger().exception("boom")
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers.clear()
    shown = capsys.readouterr().err
    assert "TypeError" in shown
    assert "only-local" not in shown
