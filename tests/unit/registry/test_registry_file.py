"""Reading `keys.yaml`: what the contract's example means, and what each mistake is told."""

from __future__ import annotations

import json

import pytest
import yaml

from monitor.core.instants import DAY_MS, HOUR_MS, parse_rfc3339
from monitor.core.registry import Gateway, Key, KeyVersion, Noise, Owner, Pin, RegionWindow, Rollover, Unmanaged, Waiver
from monitor.core.registry_file import parse_key, parse_policy, parse_registry
from monitor.errors import RegistryError
from tests.unit.registry.examples import EXAMPLE


def ms(text: str) -> int:
    return parse_rfc3339(text)


def test_reads_the_contracts_example() -> None:
    registry = parse_registry(EXAMPLE, name="keys.yaml")
    assert registry.keys == (
        Key(
            key="billing-api",
            owner=Owner(team="payments", slack="#payments-keys"),
            versions=(
                KeyVersion(
                    version=1,
                    credentials=("cred-a1",),
                    created_at_ms=ms("2025-11-01T00:00:00Z"),
                    expires_at_ms=ms("2026-06-01T00:00:00Z"),
                    scopes=("read",),
                ),
                KeyVersion(version=2, credentials=("cred-a2", "cred-a2b"), created_at_ms=ms("2026-05-01T00:00:00Z")),
            ),
            clients=("acme", "globex"),
        ),
    )
    assert registry.gateways == (
        Gateway(gateway="edge-1", region="eu"),
        Gateway(gateway="edge-2", region="us", max_silence_ms=6 * HOUR_MS),
    )
    assert registry.rollovers == (
        Rollover(
            id="billing-2026-05",
            key="billing-api",
            from_version=1,
            to_version=2,
            started_at_ms=ms("2026-05-01T00:00:00Z"),
            deadline_ms=ms("2026-06-01T00:00:00Z"),
            policy=(("quiet_window", "3d"),),
        ),
    )
    year_end = ms("2026-12-31T00:00:00Z")
    assert registry.pins == (
        Pin(key="billing-api", version=1, reason="retain for migration", by="ana", until_ms=ms("2026-07-01T00:00:00Z")),
    )
    assert registry.waivers == (
        Waiver(
            rollover="billing-2026-05",
            client="globex",
            source="lab",
            reason="decommissioned",
            by="ana",
            from_ms=ms("2026-05-20T00:00:00Z"),
            until_ms=ms("2026-06-10T00:00:00Z"),
        ),
    )
    assert registry.unmanaged == (
        Unmanaged(credential="legacy-cron", reason="not under rotation", by="ana", until_ms=year_end),
    )
    assert registry.noise == (
        Noise(client="uptime-probe", reason="synthetic", by="ana", until_ms=year_end, max_per_day=3000),
    )


def test_reads_what_is_allowed_beside_the_contract() -> None:
    registry = parse_registry(
        """
keys:
  - key: a
    owner: {team: t, slack: "#c", timezone: Europe/Berlin, email: t@example.org, person: "@ana",
            working_hours: "09:00-17:30", escalation: "#oncall"}
    tier: gold
    rotate_every: 90d
    versions: [{version: 1, credentials: [x]}, {version: 2, credentials: [y]}]
rollovers:
  - id: r
    key: a
    from: 1
    to: 2
    started_at: 2026-05-01T02:00:00+02:00
    channel: "#rotation"
    policy: {brownout_steps: [5m, 1h], gap_factor: 2, allow_short_lookback: true}
    regions: [{region: eu, started_at: 2026-05-02T00:00:00Z, deadline: 2026-05-09T00:00:00Z}, {region: us}]
""",
        name="keys.yaml",
    )
    assert registry.keys[0].owner == Owner(
        team="t",
        slack="#c",
        timezone="Europe/Berlin",
        email="t@example.org",
        person="@ana",
        working_hours="09:00-17:30",
        escalation="#oncall",
    )
    assert (registry.keys[0].tier, registry.keys[0].rotate_every_ms) == ("gold", 90 * DAY_MS)
    rollover = registry.rollovers[0]
    assert rollover.started_at_ms == ms("2026-05-01T00:00:00Z")
    assert rollover.channel == "#rotation"
    assert rollover.policy == (("allow_short_lookback", True), ("brownout_steps", ("5m", "1h")), ("gap_factor", 2))
    assert rollover.regions == (
        RegionWindow(region="eu", started_at_ms=ms("2026-05-02T00:00:00Z"), deadline_ms=ms("2026-05-09T00:00:00Z")),
        RegionWindow(region="us"),
    )


@pytest.mark.parametrize(
    ("written", "read", "why"),
    [
        ("cred-A1", "cred-A1", "case is kept"),
        ("'  cred-a1 '", "cred-a1", "blanks at the ends are a slip of copying"),
        ("0123", "0123", "a number stays the text that stands in the file"),
        ("1_000", "1_000", "no notation of numbers is applied"),
        ("2026-05-01", "2026-05-01", "a date is a fine name"),
        ("'no'", "no", "quoted, a word of YAML is text"),
        ("'fp_ü'", "fp_ü", "any script"),
    ],
)
def test_a_credential_is_kept_as_it_is_written(written: str, read: str, why: str) -> None:
    text = f"keys: [{{key: a, versions: [{{version: 1, credentials: [{written}]}}]}}]"
    assert parse_registry(text, name="k").keys[0].versions[0].credentials == (read,), why


def test_versions_come_in_order_of_their_numbers() -> None:
    text = "keys: [{key: a, versions: [{version: 10, credentials: [x]}, {version: 2, credentials: [y]}]}]"
    assert [each.version for each in parse_registry(text, name="k").keys[0].versions] == [2, 10]


def test_the_order_of_policy_fields_means_nothing() -> None:
    one, other = (
        EXAMPLE.replace("{quiet_window: 3d}", policy)
        for policy in ("{quiet_window: 3d, settle: 1h}", "{settle: 1h, quiet_window: 3d}")
    )
    assert parse_registry(one, name="k") == parse_registry(other, name="k")


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "keys:\nrollovers: []\n# all of it commented out\npins:\n",
        '{"keys": [], "noise": null}',
        "---\nkeys: []\n...\n",
        "\ufeffkeys: []\r\n",
    ],
)
def test_a_registry_may_be_empty_when_it_says_so(text: str) -> None:
    assert parse_registry(text, name="k").keys == ()


def test_json_and_an_absent_value_read_alike() -> None:
    body = yaml.safe_load(EXAMPLE.replace(": 2025-11-01T00:00:00Z", ': "2025-11-01T00:00:00Z"'))
    text = json.dumps(body, default=lambda moment: moment.isoformat())
    assert parse_registry(text, name="k") == parse_registry(EXAMPLE, name="k")
    assert (
        parse_registry(EXAMPLE.replace("from: 1,", "from: 1, retired_at: null,"), name="k").rollovers[0]
        == (parse_registry(EXAMPLE, name="k").rollovers[0])
    )


def test_anchors_and_merged_defaults_are_understood() -> None:
    text = """
rollovers:
  - &first {id: a, key: k, from: 1, to: 2, started_at: 2026-05-01T00:00:00Z}
  - {<<: *first, id: b}
keys: [{key: k, versions: [{version: 1, credentials: [x]}, {version: 2, credentials: [y]}]}]
"""
    first, second = parse_registry(text, name="k").rollovers
    assert (second.id, second.started_at_ms) == ("b", first.started_at_ms)


def test_one_key_can_be_read_from_a_request() -> None:
    body = {"key": "a", "versions": [{"version": 1, "credentials": ["x"]}]}
    assert parse_key(body, name="body").key == "a"
    with pytest.raises(RegistryError, match="credental"):
        parse_key({"key": "a", "versions": [{"version": 1, "credental": ["x"]}]}, name="body")


def test_reads_a_policy_file() -> None:
    text = "quiet_window: 7d\nmin_sightings: 4\nbrownout_steps: [5m]\nallow_short_lookback: true\ngap_factor: 1.5\n"
    assert parse_policy(text, name="policy.yaml") == {
        "quiet_window": "7d",
        "min_sightings": 4,
        "brownout_steps": ["5m"],
        "allow_short_lookback": True,
        "gap_factor": 1.5,
    }
    assert parse_policy("# nothing yet\n", name="policy.yaml") == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("quite_window: 7d", "policy.yaml:1: quite_window: unknown policy field; did you mean quiet_window?"),
        ("settle: 1h\nquiet_window: 7", "policy.yaml:2: quiet_window: expected a duration such as 8d or 15m, got 7"),
        ("quiet_window: 7 days", "policy.yaml:1: quiet_window: not a duration: '7 days'"),
        ("min_sightings: .inf", "policy.yaml:1: min_sightings: expected a number"),
        ("min_sightings: -1", "policy.yaml:1: min_sightings: expected a finite number that is not negative"),
        ("min_sightings: 010", "policy.yaml:1: min_sightings: expected a number"),
        ("allow_short_lookback: 1", "policy.yaml:1: allow_short_lookback: expected true or false"),
        ("gap_factor: yes", "policy.yaml:1: gap_factor: expected a number"),
        ("- quiet_window", "policy.yaml:1: policy: expected a mapping"),
        ("settle: 1h\nsettle: 2h", "policy.yaml:2: settle: given twice, first in line 1"),
        ("settle: " + "9" * 400 + "d", "policy.yaml:1: settle: "),
    ],
)
def test_a_bad_policy_is_refused_with_its_line(text: str, told: str) -> None:
    with pytest.raises(RegistryError) as refused:
        parse_policy(text, name="policy.yaml")
    assert str(refused.value).startswith(told)
