"""What is configured is what is in force; what cannot be meant is refused; secrets stay secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config import Topic, load_settings, masked_url, parse_topics, printable
from monitor.errors import ConfigError

CANARY = "c4n4ry-s3cr3t"


def test_the_environment_beats_the_file_and_the_file_beats_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "rollwatch.toml"
    file.write_text('[kafka]\ngroup_id = "from-file"\n[api]\nport = 9000\n[policy]\nquiet_window = "3d"\n')
    settings = load_settings(file, {"ROLLWATCH_KAFKA__GROUP_ID": "from-env", "ROLLWATCH_POLICY__SETTLE": "1h"})
    assert settings.kafka.group_id == "from-env"
    assert settings.api.port == 9000
    assert settings.api.host == "127.0.0.1"
    assert settings.default_policy().quiet_window_ms == 3 * 86_400_000
    assert settings.default_policy().settle_ms == 3_600_000


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "rollwatch.toml"
    file.write_text("[api]\nport = 9001\n")
    assert load_settings(environ={"ROLLWATCH_CONFIG": str(file)}).api.port == 9001


@pytest.mark.parametrize(("written", "seconds"), [("0.5", 0.5), ("5", 5.0), ("90s", 90.0), ("1m30s", 90.0)], ids=str)
def test_seconds_may_be_a_number_or_a_duration(written: str, seconds: float) -> None:
    assert load_settings(environ={"ROLLWATCH_INGEST__FLUSH_INTERVAL": written}).ingest.flush_interval == seconds


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("gw", Topic(name="gw")),
        ("gw=kong", Topic(name="gw", preset="kong")),
        ("gw=kong@edge-1", Topic(name="gw", preset="kong", gateway="edge-1")),
        (" gw = ./own.yaml@edge-1/eu ", Topic(name="gw", preset="./own.yaml", gateway="edge-1", region="eu")),
    ],
    ids=str,
)
def test_a_topic_says_how_its_records_are_read(text: str, topic: Topic) -> None:
    assert parse_topics(text) == (topic,)
    assert parse_topics(str(topic)) == (topic,)


@pytest.mark.parametrize("text", ["=kong", "gw=", "gw=kong@", "gw=kong@e/", "gw=@e", "gw=kong@a@b", "gw,gw=kong"])
def test_a_topic_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"ROLLWATCH_KAFKA__TOPICS"):
        load_settings(environ={"ROLLWATCH_KAFKA__TOPICS": text})


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"ROLLWATCH_KAFKA__TOPIC": "gw"}, r"did you mean ROLLWATCH_KAFKA__TOPICS"),
        ({"ROLLWATCH_API__REQUIRE_TOKN": "true"}, r"did you mean ROLLWATCH_API__REQUIRE_TOKEN"),
        ({"ROLLWATCH_API__PORT": "many"}, r"api.port \(ROLLWATCH_API__PORT\)"),
        ({"ROLLWATCH_POLICY__QUIET_WINDOW": "soon"}, r"quiet_window"),
        ({"ROLLWATCH_KAFKA__SECURITY_PROTOCOL": "TLS"}, r"SASL_SSL"),
        ({"ROLLWATCH_CONFIG": "/no/such/file.toml"}, r"cannot read the configuration"),
        ({"ROLLWATCH_PEPPER_FILE": "/no/such/file"}, r"ROLLWATCH_PEPPER_FILE: cannot read"),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
def test_a_wrong_setting_is_refused_with_what_to_correct(environ: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_settings(environ=environ)


@pytest.mark.parametrize(
    "name",
    [
        "ROLLWATCH_SERVICE_HOST",
        "ROLLWATCH_SERVICE_PORT_HTTP",
        "ROLLWATCH_PORT",
        "ROLLWATCH_PORT_8780_TCP_ADDR",
        "ROLLWATCH_API_SERVICE_HOST",
        "ROLLWATCH_API_PORT",
    ],
)
def test_what_kubernetes_adds_for_a_service_of_our_name_is_not_a_typing_error(name: str) -> None:
    assert load_settings(environ={name: "tcp://10.0.0.1:8780"}).api.port == 8780


def test_an_unknown_name_in_the_file_is_refused_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "rollwatch.toml"
    file.write_text("[kafka]\ntopcis = 'gw'\n")
    with pytest.raises(ConfigError, match=r"rollwatch.toml: unknown setting 'kafka.topcis'; did you mean kafka.topics"):
        load_settings(file, {})


def test_secrets_come_from_files_too_and_a_value_beats_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "pepper"
    secret.write_text(f"{CANARY}\n")
    from_file = load_settings(environ={"ROLLWATCH_PEPPER_FILE": str(secret)})
    assert from_file.pepper is not None
    assert from_file.pepper.get_secret_value() == CANARY
    both = load_settings(environ={"ROLLWATCH_PEPPER_FILE": str(secret), "ROLLWATCH_PEPPER": "direct"})
    assert both.pepper is not None
    assert both.pepper.get_secret_value() == "direct"


def test_no_secret_is_printed_nor_named_in_an_error() -> None:
    environ = {
        "ROLLWATCH_PEPPER": CANARY,
        "ROLLWATCH_STORE__URL": f"postgresql://ana:{CANARY}@db/x?sslpassword={CANARY}",
        "ROLLWATCH_KAFKA__SASL_PASSWORD": CANARY,
        "ROLLWATCH_SLACK__BOT_TOKEN": CANARY,
        "ROLLWATCH_SLACK__APP_TOKEN": CANARY,
        "ROLLWATCH_WEBHOOK__URL": f"https://hook.example/{CANARY}",
        "ROLLWATCH_WEBHOOK__SECRET": CANARY,
    }
    settings = load_settings(environ=environ)
    assert CANARY not in str(printable(settings))
    assert CANARY not in repr(settings)
    assert sum(CANARY in each for each in settings.secrets()) >= len(environ)
    assert not any("@db/x" in each for each in settings.secrets()), "the database's host may be named in the log"
    with pytest.raises(ConfigError) as refused:
        load_settings(environ={**environ, "ROLLWATCH_API__PORT": CANARY})
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:////data/x.sqlite", "sqlite:////data/x.sqlite"),
        ("postgresql+psycopg://ana:pw@db:5432/x", "postgresql+psycopg://***@db:5432/x"),
        ("postgresql://ana:p@w@db/x?password=pw", "postgresql://***@db/x"),
        ("postgresql://db?password=pw", "postgresql://db"),
        ("pw", "***"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert masked_url(url) == shown


def test_kafka_security_reaches_the_client_under_its_own_names() -> None:
    settings = load_settings(
        environ={
            "ROLLWATCH_KAFKA__SECURITY_PROTOCOL": "sasl_ssl",
            "ROLLWATCH_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
            "ROLLWATCH_KAFKA__SASL_USERNAME": "ana",
            "ROLLWATCH_KAFKA__SASL_PASSWORD": "pw",
            "ROLLWATCH_KAFKA__SSL_CAFILE": "/ca.pem",
        }
    )
    assert settings.kafka.security() == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "ana",
        "sasl_plain_password": "pw",
        "ssl_check_hostname": True,
        "ssl_cafile": "/ca.pem",
    }


def test_routes_of_alerts_are_tables(tmp_path: Path) -> None:
    file = tmp_path / "rollwatch.toml"
    file.write_text('[[notify.routes]]\nteam = "payments"\nchannel = "#pay"\n[[notify.routes]]\nmute = true\n')
    routes = load_settings(file, {}).notify.routes
    assert [(each.team, each.channel, each.mute) for each in routes] == [
        ("payments", "#pay", False),
        ("*", None, True),
    ]
