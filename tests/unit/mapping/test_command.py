"""`rollwatch mapping test`: a line for each element, on stdout; talk on stderr; exit code 1 for any reject."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monitor.cli.mapping import app
from monitor.core.mapping import fingerprint
from monitor.errors import ConfigError

GOOD = {"ts": 1779999999123, "outcome": "success", "gateway": "edge-1", "client": "acme", "route": "/a?apikey=s3cret"}
FOLDER = Path(__file__).resolve().parents[2] / "data" / "gateway_samples"


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLWATCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ROLLWATCH_PEPPER", "pepper")


def run(*arguments: str, stdin: str | bytes = "") -> tuple[int, list[dict[str, dict[str, object]]], str]:
    result = CliRunner().invoke(app, ["test", *arguments], input=stdin)
    if isinstance(result.exception, ConfigError):
        raise result.exception
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()], result.stderr


def test_an_event_is_printed_under_canonical_names_without_absent_fields(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    file.write_text(json.dumps(GOOD, indent=2))
    code, lines, _ = run(str(file))
    assert code == 0
    assert lines == [
        {
            "event": {
                "ts": "2026-05-28T20:26:39.123Z",
                "outcome": "success",
                "reason": "ok",
                "client": "acme",
                "gateway": "edge-1",
                "route": "/a",
                "count": 1,
                "sample_rate": 1.0,
            }
        }
    ]


def test_jsonl_on_stdin_gives_a_line_each_and_exit_code_1_for_a_reject() -> None:
    code, lines, _ = run("-", stdin=f"{json.dumps(GOOD)}\n{{bad\n[{json.dumps(GOOD)}, 7]\n")
    assert code == 1
    assert [next(iter(each)) for each in lines] == ["event", "rejected", "event", "rejected"]
    assert [each["rejected"]["reason"] for each in lines if "rejected" in each] == ["not_json", "not_an_object"]
    assert all(set(each["rejected"]) == {"reason", "sample"} for each in lines if "rejected" in each)


def test_a_gateway_and_a_region_stand_in_where_the_record_names_none() -> None:
    sample = FOLDER / "kong-key-auth-401-unknown-key.constructed.json"
    _, lines, errors = run("--preset", "kong", "--gateway", "edge-9", "--region", "eu", str(sample))
    assert (lines[0]["event"]["gateway"], lines[0]["event"]["region"]) == ("edge-9", "eu")
    assert lines[0]["event"]["credential"] == fingerprint(b"pepper", "EXAMPLE-RETIRED-KEY-0001")
    assert "EXAMPLE-RETIRED-KEY" not in json.dumps(lines) + errors


def test_a_missing_pepper_is_said_on_stderr_and_events_are_still_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROLLWATCH_PEPPER")
    code, lines, errors = run("-", stdin=json.dumps(GOOD))
    assert (code, len(lines)) == (0, 1)
    assert "pepper" in errors


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("preset: kong\nclients: [a]\n", "clients"),
        ("preset: kong\ntime: [{path: at, as: seconds}]\n", "epoch_ms"),
        ("preset: kong\noutcome: [{is: maybe}]\n", "outcome[0]"),
        ("preset: kong\noutcome: [{when: {a..b: 1}, is: success}]\n", "a..b"),
        ("status: [s]\n", "time is missing"),
        ("preset: krakend\n", "known are canonical"),
    ],
)
def test_a_mistake_in_a_mapping_file_is_refused_with_the_fields_name(document: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(document)
    with pytest.raises(ConfigError) as refused:
        run("--preset", str(file), "-", stdin="{}")
    assert said in str(refused.value)


def test_a_mapping_file_may_start_from_a_preset(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("preset: kong\nsecrets: {headers: [request.headers], names: [x-acme-key]}\n")
    record = {"started_at": 1779999999123, "source": "kong", "response": {"status": 401}}
    for name in ("X-Acme-Key", "apikey"):
        shown = json.dumps({**record, "request": {"headers": {name: "s3cret-1"}}})
        _, lines, _ = run("--preset", str(file), "-", stdin=shown)
        assert lines[0]["event"]["credential"] == fingerprint(b"pepper", "s3cret-1"), name
