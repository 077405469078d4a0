"""`rollwatch replay` from outside: files, policies, presets, what it refuses, and the same bytes each time."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zstandard
from typer.testing import CliRunner

from monitor.cli import app
from monitor.core.instants import DAY_MS, HOUR_MS, MINUTE_MS, parse_rfc3339, rfc3339
from monitor.errors import RollwatchError
from tests.integration.replay.logs import START, event, heartbeat, registry_text

LOG = [
    *heartbeat(START - HOUR_MS, START),
    *(event(START + hour * HOUR_MS, who=f"client-{hour % 7}", source=f"s{hour % 3}") for hour in range(40)),
    b"{",
    event(START + 2 * DAY_MS, "new", who="client-1"),
    event(START + 2 * DAY_MS + 1, "ghost", who="client-2"),
    event(START + 3 * DAY_MS),
]
DECISION = "rollover key from_version to_version decision evaluated_at valid_until evidence_hash clauses blockers"
DECISION += " blast_radius eta"
ALERT = "at kind episode rollover key version gateway region client source cause severity text evidence"


class Desk:
    """A folder with a registry and a log, and the command to replay it."""

    def __init__(self, folder: Path) -> None:
        """Write both."""
        self.folder = folder
        self.keys = self.write("keys.yaml", registry_text())
        self.log = self.write("log.jsonl", b"\n".join(LOG) + b"\n")
        self.env = {"ROLLWATCH_DATA_DIR": str(folder / "data")}

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def arguments(self, *logs: Path, options: tuple[str, ...] = ()) -> list[str]:
        """Return the command's arguments."""
        out, alerts = str(self.folder / "d.jsonl"), str(self.folder / "a.jsonl")
        names = [str(each) for each in logs or (self.log,)]
        return ["replay", *names, "--keys", str(self.keys), "--out", out, "--alerts", alerts, *options]

    def run(self, *logs: Path, options: tuple[str, ...] = ("--no-detector",), code: int = 0) -> Any:
        """Run the command, which ends with that code."""
        done = CliRunner().invoke(app, self.arguments(*logs, options=options), env=self.env)
        assert done.exit_code == code, (done.stderr, done.exception)
        return done

    def refused(self, *logs: Path, options: tuple[str, ...] = ("--no-detector",)) -> str:
        """Run the command, which refuses what it is given (`main` makes exit code 2 of it); return why."""
        done = CliRunner().invoke(app, self.arguments(*logs, options=options), env=self.env)
        assert isinstance(done.exception, RollwatchError), done.exception
        return str(done.exception)

    def replay(self, *logs: Path, options: tuple[str, ...] = ("--no-detector",)) -> tuple[bytes, bytes]:
        """Return the bytes of both files."""
        self.run(*logs, options=options)
        return self.bytes()

    def bytes(self) -> tuple[bytes, bytes]:
        """Return what was written."""
        return (self.folder / "d.jsonl").read_bytes(), (self.folder / "a.jsonl").read_bytes()

    def decisions(self, *logs: Path, options: tuple[str, ...] = ("--no-detector",)) -> list[dict[str, Any]]:
        """Return the decisions."""
        return [json.loads(each) for each in self.replay(*logs, options=options)[0].splitlines()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A desk of its own."""
    return Desk(tmp_path)


def test_each_line_has_the_contracts_fields_and_what_blocks_says_why(desk: Desk) -> None:
    decided, told = desk.replay()
    decisions, alerts = ([json.loads(each) for each in written.splitlines()] for written in (decided, told))
    assert len(decisions) == 73
    for each in decisions:
        assert set(each) >= set(DECISION.split())
        assert [clause["id"] for clause in each["clauses"]] == [f"C{number}" for number in range(1, 10)]
        assert {clause["status"] for clause in each["clauses"]} <= {"pass", "fail", "unknown"}
        assert each["decision"] == "GO" or each["blockers"]
        assert all("caller" in blocker for blocker in each["blockers"])
    assert alerts
    for each in alerts:
        assert set(each) == set(ALERT.split())
        assert each["severity"] in {"info", "warning", "critical"}
        assert each["at"].endswith("Z")


def test_how_the_log_is_packed_and_split_changes_no_byte(desk: Desk) -> None:
    plain = desk.replay()
    whole = desk.log.read_bytes()
    packed = desk.write("log.jsonl.gz", gzip.compress(whole[:900]) + gzip.compress(whole[900:]))
    squeezed = desk.write("log.zst", zstandard.compress(whole))
    misnamed = desk.write("log.txt", gzip.compress(whole))
    for other in (packed, squeezed, misnamed):
        assert desk.replay(other) == plain, other.name
    for cut in (1, 13, len(LOG) - 2):
        first = desk.write("1.jsonl", b"\n".join(LOG[:cut]))
        second = desk.write("2.jsonl.gz", gzip.compress(b"\r\n\n".join(LOG[cut:])))
        assert desk.replay(first, second) == plain, cut


def test_the_same_input_gives_the_same_bytes_in_any_process(desk: Desk) -> None:
    seen = set()
    for seed in ("0", "4711"):
        environment = {**os.environ, **desk.env, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", "from monitor.cli import main; main()"]
        subprocess.run([*command, *desk.arguments()], env=environment, check=True, capture_output=True, timeout=100)
        seen.add(desk.bytes())
    assert len(seen) == 1


def test_a_start_without_the_detector_imports_none_of_it(desk: Desk) -> None:
    arguments = desk.arguments(options=("--no-detector",))
    script = (
        f"import sys; from monitor.cli import app; app({arguments!r}, standalone_mode=False); "
        "print(*sorted(sys.modules.keys() & {'sklearn', 'pandas', 'scipy', 'sqlalchemy', 'kafka', 'fastapi'}))"
    )
    environment = {**os.environ, **desk.env}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# --- policies


def ttl(decision: dict[str, Any]) -> int:
    """Return a decision's life in minutes: what the policy that is in force says of it."""
    return (parse_rfc3339(decision["valid_until"]) - parse_rfc3339(decision["evaluated_at"])) // MINUTE_MS


def test_a_rollovers_own_policy_is_over_the_file_over_the_configuration_over_the_defaults(desk: Desk) -> None:
    assert ttl(desk.decisions()[0]) == 10
    desk.env["ROLLWATCH_CONFIG"] = str(desk.write("rollwatch.toml", '[policy]\ndecision_ttl = "20m"\n'))
    assert ttl(desk.decisions()[0]) == 20
    file = ("--no-detector", "--policy", str(desk.write("policy.yaml", "decision_ttl: 30m\n")))
    assert ttl(desk.decisions(options=file)[0]) == 30
    desk.keys.write_text(registry_text(policy={"decision_ttl": "40m"}))
    assert ttl(desk.decisions(options=file)[0]) == 40
    other = ("--no-detector", "--policy", str(desk.write("policy.yaml", "settle: 27h\n")))
    desk.keys.write_text(registry_text(policy={"quiet_window": "3d"}))
    assert ttl(desk.decisions(options=other)[0]) == 20


@pytest.mark.parametrize(
    ("why", "policy", "says"),
    [
        ("an unknown name", "settle: 26h\nquiet_windw: 8d\n", "policy.yaml:2"),
        ("a value that is none", "settle: soon\n", "policy.yaml:1"),
        ("not a mapping", "- settle\n", "policy.yaml:1"),
    ],
)
def test_a_wrong_policy_is_refused_with_file_and_line(desk: Desk, why: str, policy: str, says: str) -> None:
    assert says in desk.refused(options=("--no-detector", "--policy", str(desk.write("policy.yaml", policy)))), why
    assert not (desk.folder / "d.jsonl").exists()


def test_an_unknown_name_in_a_rollovers_own_policy_is_refused_too(desk: Desk) -> None:
    desk.keys.write_text(registry_text(policy={"quiet_windw": "3d"}))
    assert "keys.yaml:1" in desk.refused()


# --- presets


def nginx(ts_ms: int) -> bytes:
    """Return an nginx record of the old version's credential."""
    body = {
        "msec": f"{ts_ms / 1000:.3f}",
        "remote_user": "old",
        "request_uri": "/v1/orders?q=1",
        "status": "200",
        "hostname": "edge-1",
    }
    return json.dumps(body).encode()


def test_records_of_a_gateway_are_read_by_its_preset_or_a_mapping_of_ones_own(desk: Desk) -> None:
    log = desk.write("access.jsonl", b"\n".join(nginx(START + hour * HOUR_MS) for hour in range(4)))
    by_name = desk.decisions(log, options=("--no-detector", "--preset", "nginx", "--region", "eu"))
    assert len(by_name) == 4
    mine = desk.write(
        "mine.yaml",
        "about: mine\ntime: [when]\ncredential: [key]\nclient: [app]\nset: {gateway: edge-1, region: eu}\n"
        "outcome:\n  - {is: success}\n",
    )
    written = desk.write("mine.jsonl", json.dumps({"when": rfc3339(START + HOUR_MS), "key": "old", "app": "a"}))
    done = desk.run(written, options=("--no-detector", "--preset", str(mine)))
    assert "1 records, 2 decisions" in done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--preset", "kongo"), "there is no 'kongo'"),
        (("--every", "0s"), "above zero"),
        (("--every", "hourly"), "--every"),
        (("--from", "yesterday"), "--from"),
        (("--from", "2026-05-10T00:00:00"), "--from"),
        (("--until", "2026-13-01T00:00:00Z"), "--until"),
    ],
)
def test_what_makes_no_sense_is_usage(desk: Desk, options: tuple[str, ...], says: str) -> None:
    assert says in desk.run(options=("--no-detector", *options), code=2).stderr.replace("\n", " ")


def test_a_file_that_cannot_be_unpacked_is_named(desk: Desk) -> None:
    torn = desk.write("torn.gz", gzip.compress(b"\n".join(LOG))[:-20])
    assert "torn.gz" in desk.refused(torn)


# --- what if


def test_what_if_compares_policies_on_the_same_history_and_names_who_would_have_broken(desk: Desk) -> None:
    begin = START - 3 * DAY_MS
    log = [
        *heartbeat(begin, START + 9 * DAY_MS),
        *(event(at, who="weekly") for at in (begin, START + 8 * DAY_MS)),
        *(event(at, "old" if at < START + HOUR_MS else "new") for at in range(begin, START + 9 * DAY_MS, HOUR_MS)),
    ]
    log.sort(key=lambda each: str(json.loads(each)["ts"]))
    desk.log.write_bytes(b"\n".join(log))
    lax = desk.write("lax.yaml", "quiet_window: 2d\nlookback: 2d\nlongest_cadence: 4d\ngone_after: 0s\nsettle: 2h\n")
    strict = desk.write("strict.yaml", "quiet_window: 2d\nlookback: 2d\nsettle: 2h\n")
    options = ["--no-detector", "--what-if", str(lax), "--what-if", str(strict)]
    arguments = ["replay", str(desk.log), "--keys", str(desk.keys), *options]
    done = CliRunner().invoke(app, arguments, env={**desk.env, "COLUMNS": "200"})
    assert done.exit_code == 0, (done.stderr, done.exception)
    rows = {line.split()[1]: line for line in done.stdout.splitlines() if "yaml" in line or "as given" in line}
    assert "weekly/eu" in rows["lax.yaml"]
    assert "never" in rows["strict.yaml"]
