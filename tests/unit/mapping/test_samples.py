"""Each published or constructed sample record becomes what a person reads in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.core.events import AuthEvent, Rejected
from monitor.core.mapping import compile_mapping, fingerprint

FOLDER = Path(__file__).resolve().parents[2] / "data" / "gateway_samples"
PEPPER = b"pepper"
RETIRED = fingerprint(PEPPER, "EXAMPLE-RETIRED-KEY-0001")
CASES = [
    ("apisix-kafka-logger-default.published", "apisix", ("success", "ok", None, None), "no consumer: an open route"),
    (
        "apisix-key-auth-401-invalid-key.constructed",
        "apisix",
        ("failure", "unknown_credential", RETIRED, None),
        "header",
    ),
    (
        "aws-apigw-rest-access-log.constructed",
        "aws_apigw",
        ("failure", "unknown_credential", None, None),
        "dash: absent",
    ),
    (
        "envoy-api-key-auth-401.constructed",
        "envoy",
        ("failure", "unknown_credential", None, None),
        "Envoy's misspelling",
    ),
    ("fluent-bit-envelope.constructed", "envoy", ("failure", "missing_credential", None, None), "a record as text"),
    (
        "gravitee-v2-request-metrics.constructed",
        "gravitee",
        ("failure", "unknown_credential", RETIRED, "app-1"),
        "token",
    ),
    ("istio-json-access-log.published", "envoy", ("success", "ok", None, None), "numbers as text, null headers"),
    (
        "kong-http-log-batch.published",
        "kong",
        ("success", "ok", "c62c1455-9b1d-4f2d-8797-509ba83b8ae8", "foo"),
        "an array of one",
    ),
    (
        "kong-log-object.published",
        "kong",
        ("success", "ok", "eaa330c0-4cff-47f5-c79e-b2e4f355207e", "demo"),
        "before `source`",
    ),
    (
        "kong-key-auth-401-unknown-key.constructed",
        "kong",
        ("failure", "unknown_credential", RETIRED, None),
        "query key",
    ),
    ("ocsf-authentication-3002.constructed", "ocsf", ("failure", "expired", "key_1", "acme"), "reason in the detail"),
    ("traefik-json.constructed", "traefik", ("failure", "missing_credential", None, None), "OriginStatus 0"),
    ("unkey-key-verification.constructed", "unkey", ("failure", "revoked", "key_1", "acme"), "DISABLED"),
]


@pytest.mark.parametrize(("name", "preset", "expected", "why"), CASES, ids=[case[0] for case in CASES])
def test_a_sample_record_is_read_as_a_person_reads_it(
    name: str, preset: str, expected: tuple[str | None, ...], why: str
) -> None:
    value = (FOLDER / f"{name}.json").read_bytes()
    (event,) = compile_mapping(preset, pepper=PEPPER, gateway="topic").map_value(value, None)
    assert isinstance(event, AuthEvent), why
    assert (event.outcome, event.reason, event.credential, event.client) == expected, why
    assert "EXAMPLE-RETIRED-KEY-0001" not in str(event)


def test_tyks_api_key_is_always_fingerprinted() -> None:
    value = (FOLDER / "tyk-pump-kafka-403.constructed.json").read_bytes()
    (event,) = compile_mapping("tyk", pepper=PEPPER, gateway="topic").map_value(value, None)
    assert isinstance(event, AuthEvent)
    assert event.credential == fingerprint(PEPPER, "00000000")
    assert (event.outcome, event.region) == ("failure", "eu-west-1")


def test_a_log_format_of_ones_own_needs_a_mapping_of_ones_own() -> None:
    value = (FOLDER / "apisix-custom-log-format.published.json").read_bytes()
    (rejected,) = compile_mapping("apisix", pepper=PEPPER, gateway="topic").map_value(value, None)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "missing_field"
    own = {
        "preset": "apisix",
        "outcome": [{"when": {"present": "route_id"}, "is": "success"}],
        "source": ["client_ip"],
    }
    (event,) = compile_mapping(own, pepper=PEPPER, gateway="topic").map_value(value, None)
    assert isinstance(event, AuthEvent)
    assert event.source == "127.0.0.1"
