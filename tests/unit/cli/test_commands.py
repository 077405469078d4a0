"""Commands on a store of their own: what they print, where, and how they end."""

from __future__ import annotations

import hmac
import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from monitor import cli
from monitor.cli import app
from monitor.errors import ConfigError, RollwatchError

KEYS = """
keys:
  - key: billing-api
    versions:
      - {version: 1, credentials: [cred-a1]}
      - {version: 2, credentials: [cred-a2]}
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment with a data folder of its own."""
    return {"ROLLWATCH_DATA_DIR": str(tmp_path / "data"), "ROLLWATCH_PEPPER": "pepper"}


def run(env: dict[str, str], *arguments: str, stdin: str | None = None) -> Any:
    """Run a command in this process."""
    return CliRunner().invoke(app, list(arguments), env=env, input=stdin)


def ok(env: dict[str, str], *arguments: str) -> str:
    """Run a command that must succeed; return its stdout."""
    done = run(env, *arguments)
    assert done.exit_code == 0, (done.stderr, done.exception)
    return str(done.stdout)


@pytest.fixture
def filled(env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """A store with a key and a rollover."""
    file = tmp_path / "keys.yaml"
    file.write_text(KEYS)
    ok(env, "keys", "import", str(file))
    ok(
        env,
        "rollover",
        "start",
        "billing",
        "--key",
        "billing-api",
        "--from",
        "1",
        "--to",
        "2",
        "--by",
        "ana",
        "--started-at",
        "2026-05-01T00:00:00Z",
    )
    return env


def test_a_token_is_alone_on_stdout_and_is_never_listed(env: dict[str, str]) -> None:
    token = ok(env, "token", "create", "ci", "--scope", "operate").strip()
    assert token.startswith("rwt_")
    listed = ok(env, "token", "list", "--json")
    assert json.loads(listed)["tokens"][0] | {"created_at": ""} == {
        "name": "ci",
        "scope": "operate",
        "created_at": "",
        "revoked_at": None,
    }
    assert token not in listed
    ok(env, "token", "revoke", "ci")
    assert isinstance(run(env, "token", "revoke", "ci").exception, RollwatchError)


def test_fingerprints_are_the_contracts_one_a_line(env: dict[str, str]) -> None:
    lines = run(env, "fingerprint", stdin=" s3cret \nother\r\n").stdout.splitlines()
    assert lines == ["fp_" + hmac.digest(b"pepper", each, "sha256").hex() for each in (b"s3cret", b"other")]


def test_without_a_pepper_there_is_no_fingerprint(env: dict[str, str]) -> None:
    done = run(env | {"ROLLWATCH_PEPPER": ""}, "fingerprint", stdin="s\n")
    assert isinstance(done.exception, RollwatchError)
    assert "ROLLWATCH_PEPPER_FILE" in str(done.exception)


def test_importing_the_same_file_again_changes_nothing_and_a_wrong_one_says_where(
    filled: dict[str, str], tmp_path: Path
) -> None:
    again = run(filled, "keys", "import", str(tmp_path / "keys.yaml"))
    assert "nothing has changed" in again.stderr
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(KEYS.replace("credentials", "credentails"))
    refused = run(filled, "keys", "import", str(wrong))
    assert isinstance(refused.exception, RollwatchError)
    assert f"{wrong}:5" in str(refused.exception)
    shown = json.loads(ok(filled, "keys", "list", "--json"))
    assert [each["key"] for each in shown["keys"]] == ["billing-api"]


def test_a_rollover_is_started_shown_stepped_and_its_life_is_in_the_ledger(filled: dict[str, str]) -> None:
    ok(filled, "rollover", "freeze", "billing", "--by", "bo", "--reason", "window agreed")
    shown = json.loads(ok(filled, "rollover", "show", "billing", "--json"))
    assert (shown["state"], shown["by"], shown["reason"]) == ("frozen", "bo", "window agreed")
    assert json.loads(ok(filled, "rollover", "list", "--json"))["rollovers"][0]["id"] == "billing"
    assert "billing" in ok(filled, "ledger", "show", "--rollover", "billing", "--json")
    assert json.loads(ok(filled, "ledger", "verify", "--json")) == {"whole": True, "faults": []}


def test_an_edited_ledger_is_found(filled: dict[str, str], tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "data" / "rollwatch.sqlite") as connection:
        edited = connection.execute("UPDATE audit SET body = replace(body, 'ana', 'eve') WHERE body LIKE '%ana%'")
        assert edited.rowcount
    assert run(filled, "ledger", "verify").exit_code == 1


def test_without_evidence_nothing_is_retired(filled: dict[str, str]) -> None:
    done = run(filled, "rollover", "retire", "billing", "--json")
    assert done.exit_code == 3
    assert json.loads(done.stdout)["done"] is False


def test_an_emergency_is_shown_first_and_done_with_yes(filled: dict[str, str]) -> None:
    arguments = ("rollover", "emergency", "billing", "--reason", "leaked", "--json")
    assert json.loads(ok(filled, *arguments))["done"] is False
    assert json.loads(ok(filled, *arguments, "--yes"))["state"] == "emergency"


def test_a_pin_and_a_waiver_are_kept_by_name(filled: dict[str, str]) -> None:
    ok(filled, "rollover", "pin", "billing", "--reason", "audit", "--by", "ana")
    ok(filled, "rollover", "waive", "billing", "--client", "globex", "--reason", "gone", "--by", "ana")
    kept = json.loads(ok(filled, "keys", "list", "--json"))
    assert kept["pins"][0]["by"] == kept["waivers"][0]["by"] == "ana"
    ok(filled, "rollover", "unpin", "billing", "--reason", "audit is over")
    assert "pins" not in json.loads(ok(filled, "keys", "list", "--json"))


def test_what_is_in_force_is_printed_without_secrets(env: dict[str, str]) -> None:
    shown = json.loads(ok(env, "config", "check", "--json"))
    assert shown["pepper"] == "********"
    assert shown["api.port"] == "8780"


def test_a_doctor_says_what_to_do_and_ends_with_one_while_something_is_broken(filled: dict[str, str]) -> None:
    done = run(filled | {"ROLLWATCH_URL": "http://127.0.0.1:1"}, "doctor", "--json")
    checks = {each["name"]: each for each in json.loads(done.stdout)["checks"]}
    assert done.exit_code == 1
    assert checks["database"]["health"] == "ok"
    assert checks["watch loop"]["health"] == "fail"
    assert all(each["advice"] for each in checks.values() if each["health"] != "ok")


@pytest.mark.parametrize("partition", ["gw", "gw:", ":0", "gw:x", "gw:-1"])
def test_a_partition_is_named_by_topic_and_number(env: dict[str, str], partition: str) -> None:
    assert run(env, "ingest", "resume", partition, "--reason", "mended").exit_code == 2


def test_every_command_teaches_with_an_example_in_its_help() -> None:
    group = cli.LazyGroup(name="rollwatch", commands={})
    waiting = [(name,) for name in group.list_commands(None)]
    while waiting:
        words = waiting.pop()
        done = run({"COLUMNS": "200"}, *words, "--help")
        assert done.exit_code == 0, words
        assert "Usage" in done.stdout
        inside = re.findall(r"^│ ([a-z][a-z-]+) ", done.stdout.partition("─ Commands")[2], re.MULTILINE)
        waiting += [(*words, each) for each in inside]
        assert inside or f"rollwatch {' '.join(words)}" in done.stdout.partition("Usage")[2].partition("\n")[2], words


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ROLLWATCH_KAFKA__TOPICS": "gw=kongg"}, "no preset 'kongg'"),
        ({"ROLLWATCH_KAFKA__TOPICS": "gw=./no-such.yaml"}, "no-such.yaml"),
        ({"ROLLWATCH_STORE__URL": "mysql://u:secret@h/db"}, "SQLite or PostgreSQL"),
        ({"ROLLWATCH_STORE__URL": "secret"}, "cannot be read"),
    ],
    ids=str,
)
def test_a_check_refuses_what_the_daemon_would_refuse(env: dict[str, str], change: dict[str, str], says: str) -> None:
    refused = run(env | change, "config", "check").exception
    assert isinstance(refused, ConfigError)
    assert says in str(refused)
    assert "secret" not in str(refused)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["keys", "import", "/no/such/keys.yaml"], 2, "/no/such/keys.yaml"),
        (["rollover", "show", "nope"], 2, "nope"),
        (["config", "check", "--config", "/no/such.toml"], 2, "/no/such.toml"),
        (["nope"], 2, "No such command"),
    ],
)
def test_an_expected_fault_is_one_clear_line_and_no_traceback(
    env: dict[str, str], arguments: list[str], code: int, says: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "monitor", *arguments], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_what_modules_log_goes_to_stderr(env: dict[str, str]) -> None:
    script = (
        "import sys, monitor.cli as cli, structlog; sys.argv = ['rollwatch', 'config', 'check', '--changed', '--json'];"
        "cli._keep_stdout_clean(); structlog.get_logger().warning('seen'); structlog.get_logger().info('unseen');"
        "cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)
    assert "seen" in done.stderr
    assert "unseen" not in done.stderr


def test_a_start_imports_nothing_heavy() -> None:
    heavy = "sqlalchemy pandas numpy sklearn kafka fastapi pydantic yaml"
    script = f"import sys; import monitor.cli.gate; print(*sorted(sys.modules.keys() & set('{heavy}'.split())))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
