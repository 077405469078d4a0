"""A doctor says which preset fits, from the records alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.core.mapping.diagnosing import diagnose

FOLDER = Path(__file__).resolve().parents[2] / "data" / "gateway_samples"
FITS = [
    ("apisix-kafka-logger-default.published", "apisix"),
    ("apisix-key-auth-401-invalid-key.constructed", "apisix"),
    ("aws-apigw-rest-access-log.constructed", "aws_apigw"),
    ("envoy-api-key-auth-401.constructed", "envoy"),
    ("fluent-bit-envelope.constructed", "envoy"),
    ("gravitee-v2-request-metrics.constructed", "gravitee"),
    ("istio-json-access-log.published", "envoy"),
    ("kong-http-log-batch.published", "kong"),
    ("kong-key-auth-401-unknown-key.constructed", "kong"),
    ("kong-log-object.published", "kong"),
    ("ocsf-authentication-3002.constructed", "ocsf"),
    ("traefik-json.constructed", "traefik"),
    ("tyk-pump-kafka-403.constructed", "tyk"),
    ("unkey-key-verification.constructed", "unkey"),
]


@pytest.mark.parametrize(("sample", "preset"), FITS)
def test_the_gateway_is_known_by_its_record(sample: str, preset: str) -> None:
    best = diagnose([(FOLDER / f"{sample}.json").read_bytes()])[0]
    assert best.preset == preset


def test_raw_secrets_are_counted_and_come_with_a_remedy_and_never_shown() -> None:
    best = diagnose([(FOLDER / "kong-key-auth-401-unknown-key.constructed.json").read_bytes()] * 3)[0]
    assert (best.elements, best.raw_secrets) == (3, 3)
    assert "hide_credentials" in best.remedy
    assert "EXAMPLE-RETIRED-KEY" not in str(best.as_json())


def test_canonical_events_are_known_too() -> None:
    best = diagnose([b'{"ts": 1779999999123, "outcome": "success", "gateway": "g", "status": 200, "method": "GET"}'])[0]
    assert best.preset == "canonical"


def test_records_that_nobody_can_read_are_told_with_the_reasons() -> None:
    best = diagnose([b"plain text", b'{"a": 1}'])[0]
    assert best.events == 0
    assert best.rejects["not_json"] == 1
