"""A secret that a gateway logs comes out as a fingerprint or not at all, wherever it stood."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.events import AuthEvent
from monitor.core.mapping import PRESETS, compile_mapping, fingerprint

FOLDER = Path(__file__).resolve().parents[2] / "data" / "gateway_samples"
PEPPER = b"pepper"
SAMPLES = {
    "kong": "kong-key-auth-401-unknown-key.constructed",
    "apisix": "apisix-key-auth-401-invalid-key.constructed",
    "tyk": "tyk-pump-kafka-403.constructed",
    "envoy": "envoy-api-key-auth-401.constructed",
    "aws_apigw": "aws-apigw-rest-access-log.constructed",
    "gravitee": "gravitee-v2-request-metrics.constructed",
    "traefik": "traefik-json.constructed",
    "ocsf": "ocsf-authentication-3002.constructed",
    "unkey": "unkey-key-verification.constructed",
}
# ids and names by their vendors' definition: what stands there is meant to be read
NEVER_SECRET = frozenset(
    {"id", "username", "custom_id", "consumer_id", "key_id", "external_id", "identity_id", "owner_id", "credential_uid"}
    | {"uid", "name", "alias", "oauth_id", "request_id", "requestId", "apiKeyId", "apiId", "gateway", "region", "zone"}
    | {"hostname", "host", "application", "client_id", "transaction", "_id", "method", "http_method", "httpMethod"}
    | {"RequestMethod", "ClientUsername", "user-agent", "user_agent", "userAgent", "uri", "path", "raw_path"}
    | {"RequestPath", "resourcePath", "url", "route", "service"}
)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every scalar that is not a name by definition."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found = [] if isinstance(node, dict | list) else [path]
    for name, each in items:
        if name not in NEVER_SECRET:
            found += places(each, (*path, name))
    return found


def put(node: Any, path: tuple[Any, ...], value: object) -> Any:
    if not path:
        return value
    copied = dict(node) if isinstance(node, dict) else list(node)
    copied[path[0]] = put(node[path[0]], path[1:], value)
    return copied


@pytest.mark.parametrize("preset", sorted(SAMPLES))
def test_a_secret_in_any_field_that_may_hold_one_never_comes_out(preset: str) -> None:
    record = json.loads((FOLDER / f"{SAMPLES[preset]}.json").read_bytes())
    mapping = compile_mapping(preset, pepper=PEPPER, gateway="topic")
    dice = random.Random(preset)
    for number in range(1_200):
        canary = f"canary-{number}-{dice.getrandbits(80):020x}"
        spoilt = put(record, dice.choice(places(record)), canary)
        for each in mapping.map_value(json.dumps(spoilt).encode(), None):
            assert canary not in str(each)


FORMS = [
    ("header apikey", lambda s: {"request": {"headers": {"apikey": s}}}),
    ("header X-API-Key", lambda s: {"request": {"headers": {"X-API-Key": s}}}),
    ("header Api-Key", lambda s: {"request": {"headers": {"Api-Key": s}}}),
    ("authorization, scheme cut", lambda s: {"request": {"headers": {"authorization": f"Bearer {s}"}}}),
    ("query object", lambda s: {"request": {"querystring": {"api_key": s}}}),
    ("uri", lambda s: {"request": {"uri": f"/a?x=1&key={s}"}}),
    ("url", lambda s: {"request": {"url": f"https://gw.example/a?apikey={s}#f"}}),
    ("any other url", lambda s: {"upstream_uri": f"/b?api_key={s}"}),
]


@pytest.mark.parametrize(("name", "shape"), FORMS, ids=[each[0] for each in FORMS])
def test_the_presented_key_is_found_where_the_contract_says(name: str, shape: Any) -> None:
    secret = "s3cret-presented-0001"
    record = {"started_at": 1779999999123, "source": "kong", "response": {"status": 401}, **shape(secret)}
    (event,) = compile_mapping("kong", pepper=PEPPER, gateway="topic").map_value(json.dumps(record).encode(), None)
    assert isinstance(event, AuthEvent)
    assert event.credential == fingerprint(PEPPER, secret)
    assert secret not in str(event)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@given(
    preset=st.sampled_from(PRESETS), value=st.binary(max_size=200) | json_values.map(lambda v: json.dumps(v).encode())
)
def test_no_record_makes_a_mapping_raise(preset: str, value: bytes) -> None:
    compile_mapping(preset, pepper=PEPPER, gateway="topic").map_value(value, 1_780_000_000_000)


@given(data=st.data(), preset=st.sampled_from(sorted(SAMPLES)))
def test_no_spoilt_sample_makes_a_mapping_raise(data: st.DataObject, preset: str) -> None:
    record = json.loads((FOLDER / f"{SAMPLES[preset]}.json").read_bytes())
    where = data.draw(st.sampled_from(places(record)))
    spoilt = put(record, where, data.draw(json_values))
    compile_mapping(preset, pepper=PEPPER, gateway="topic").map_value(json.dumps(spoilt).encode(), None)
