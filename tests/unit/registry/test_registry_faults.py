"""What a mistake in `keys.yaml` is told: file, line, and what was expected."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.registry_file import parse_registry
from monitor.errors import RegistryError
from tests.unit.registry.examples import EXAMPLE


def faults_of(text: str) -> list[str]:
    with pytest.raises(RegistryError) as refused:
        parse_registry(text, name="keys.yaml")
    return str(refused.value).splitlines()


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("deadline:", "dedline:", "keys.yaml:10: rollovers[0].dedline: unknown field; did you mean deadline?"),
        ("noise:", "nose:", "keys.yaml:14: nose: unknown field; did you mean noise?"),
        ("team:", "taem:", "keys.yaml:3: keys[0].owner.taem: unknown field; did you mean team?"),
        ("version: 2", "version: two", "keys.yaml:6: keys[0].versions[1].version: expected a whole number"),
        ("version: 2", "version: 2.0", "keys.yaml:6: keys[0].versions[1].version: expected a whole number"),
        ("version: 2", "version: 02", "keys.yaml:6: keys[0].versions[1].version: expected a whole number"),
        ("version: 2", "version: -2", "keys.yaml:6: keys[0].versions[1].version: expected a whole number"),
        ("version: 2", "version: true", "keys.yaml:6: keys[0].versions[1].version: expected a whole number"),
        ("version: 2", "version: 1", "keys.yaml:6: keys[0].versions[1].version: version 1 of 'billing-api' is"),
        ("[cred-a2, cred-a2b]", "cred-a2", "keys.yaml:6: keys[0].versions[1].credentials: expected a list, as in ["),
        ("[cred-a2, cred-a2b]", "[]", "keys.yaml:6: keys[0].versions[1].credentials: expected at least one"),
        ("[cred-a2, cred-a2b]", "[no]", "keys.yaml:6: keys[0].versions[1].credentials[0]: expected text, got 'no'; q"),
        ("[cred-a2, cred-a2b]", "[a, [b]]", "keys.yaml:6: keys[0].versions[1].credentials[1]: expected text, got a l"),
        ("[cred-a2, cred-a2b]", "[cred-a1]", "keys.yaml:6: keys[0].versions[1].credentials: 'cred-a1' belongs to ver"),
        ("[cred-a2, cred-a2b]", "[' cred-a1']", "keys.yaml:6: keys[0].versions[1].credentials: 'cred-a1' belongs to"),
        ("2026-07-01T00:00:00Z", "2026-07-01", "keys.yaml:11: pins[0].until: expected a time such as"),
        ("2026-07-01T00:00:00Z", "2026-07-01T00:00:00", "keys.yaml:11: pins[0].until: expected a time such as"),
        ("2026-07-01T00:00:00Z", "1782864000000", "keys.yaml:11: pins[0].until: expected a time such as"),
        ("2026-07-01T00:00:00Z", "2026-02-30T00:00:00Z", "keys.yaml:11: pins[0].until: expected a time such as"),
        ("2026-07-01T00:00:00Z", "2026-W27-3T00:00:00Z", "keys.yaml:11: pins[0].until: expected a time such as"),
        ("2026-07-01T00:00:00Z", "tomorrow", "keys.yaml:11: pins[0].until: expected a time such as"),
        ("from: 1", "from: 7", "keys.yaml:10: rollovers[0].from: expected a registered version of 'billing-api' (1, 2"),
        ("to: 2", "to: 1", "keys.yaml:10: rollovers[0].to: expected another version than `from` (1)"),
        ("key: billing-api, from", "key: biling-api, from", "keys.yaml:10: rollovers[0].key: expected a key of this"),
        ("id: billing-2026-05, ", "", "keys.yaml:10: rollovers[0].id: expected text, the field is missing"),
        ("started_at: 2026-05-01T00:00:00Z, ", "", "keys.yaml:10: rollovers[0].started_at: expected a time"),
        ("deadline: 2026-06", "deadline: 2026-04", "keys.yaml:10: rollovers[0].deadline: expected a time after start"),
        ("expires_at: 2026-06", "expires_at: 2025-06", "keys.yaml:5: keys[0].versions[0].expires_at: expected a time"),
        (
            "quiet_window: 3d",
            "quite_window: 3d",
            "keys.yaml:10: rollovers[0].policy.quite_window: unknown policy field",
        ),
        ("quiet_window: 3d", "quiet_window: 3", "keys.yaml:10: rollovers[0].policy.quiet_window: expected a duration"),
        ("{quiet_window: 3d}", "strict", "keys.yaml:10: rollovers[0].policy: expected a mapping"),
        ("max_silence: 6h", "max_silence: 6 hours", "keys.yaml:8: gateways[1].max_silence: expected a duration"),
        ("edge-2, region: us", "edge-1, region: eu", "keys.yaml:8: gateways[1].gateway: gateway 'edge-1' in region eu"),
        ("version: 1, reason", "version: 3, reason", "keys.yaml:11: pins[0].version: expected a registered version"),
        ("rollover: billing-2026-05", "rollover: billing", "keys.yaml:12: waivers[0].rollover: expected the id of a"),
        ("until: 2026-06-10", "until: 2026-05-10", "keys.yaml:12: waivers[0].until: expected a time after from"),
        ("credential: legacy-cron", "credential: x, client: y", "keys.yaml:13: unmanaged[0]: expected exactly one of"),
        ("credential: legacy-cron, ", "", "keys.yaml:13: unmanaged[0]: expected exactly one of credential, client or"),
        ("max_per_day: 3000", "max_per_day: 3_000", "keys.yaml:14: noise[0].max_per_day: expected a whole number"),
        (", max_per_day: 3000", "", "keys.yaml:14: noise[0].max_per_day: expected a whole number, the field is miss"),
        ("by: ana, until: 2026-07", "until: 2026-07", "keys.yaml:11: pins[0].by: expected text, the field is missing"),
        ("source: lab", "source: ''", "keys.yaml:12: waivers[0].source: expected text that is not empty; leave the fi"),
        ("team: payments", "timezone: Mars/Olympus", "keys.yaml:3: keys[0].owner.timezone: expected an IANA time zone"),
        ("team: payments", "working_hours: 9-5", "keys.yaml:3: keys[0].owner.working_hours: expected hours such as"),
        ("clients: [acme, globex]", "clients: []", "keys.yaml:7: keys[0].clients: expected at least one; leave the"),
        ("[read]", '["a\\u0007b"]', "keys.yaml:5: keys[0].versions[0].scopes[0]: expected text without control char"),
        ("team: payments", "team: payments, team: x", "keys.yaml:3: team: given twice, first in line 3"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_what_was_expected(before: str, after: str, told: str) -> None:
    assert EXAMPLE.count(before) >= 1
    where = EXAMPLE.rfind(before) if "2026" not in before and before not in {"from: 1", "noise:"} else None
    text = (
        EXAMPLE.replace(before, after, 1) if where is None else EXAMPLE[:where] + after + EXAMPLE[where + len(before) :]
    )
    faults = faults_of(text)
    assert any(each.startswith(told) for each in faults), faults


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "keys.yaml:1: expected a mapping with keys, gateways"),
        ("# only a comment\n", "keys.yaml:1: expected a mapping with keys, gateways"),
        ("keys: [", "keys.yaml:2: expected YAML; "),
        ("keys:\n\t- key: a", "keys.yaml:2: expected YAML; "),
        ("- 1", "keys.yaml:1: expected a mapping with keys, gateways"),
        ("keys: {}", "keys.yaml:1: keys: expected a list of mappings, got a mapping"),
        ("keys: [a]", "keys.yaml:1: keys[0]: expected a mapping with key, owner"),
        ("keys: []\nkeys: []", "keys.yaml:2: keys: given twice, first in line 1"),
        ("keys: []\n---\nkeys: []", "keys.yaml:2: expected YAML; expected a single document"),
        ("keys: &a [*a]", "keys.yaml:1: expected a finite value"),
        ("keys: *a", "keys.yaml:1: expected YAML; "),
        ("keys: !!python/object/apply:os.system [true]", "keys.yaml:1: expected a plain list or mapping, got the tag"),
        ("? [a]\n: 1", "keys.yaml:1: expected a field name, got a list or mapping"),
        ("keys: " + "[" * 30 + "]" * 30, "keys.yaml:1: expected at most 20 levels of nesting"),
        ("keys: " + "[" * 100_000, "keys.yaml:1: expected YAML; while increasing flow level exceeded maximum"),
        ("-\n" + "".join(" " * n + "-\n" for n in range(1, 3000)), "keys.yaml:21: expected at most 20 levels of nes"),
        ("keys: []\n\x00", "keys.yaml:2: expected readable text"),
        ("keys: \ud800", "keys.yaml:1: expected UTF-8 text"),
    ],
)
def test_what_is_no_registry_at_all_is_refused(text: str, told: str) -> None:
    assert any(each.startswith(told) for each in faults_of(text))


def test_all_faults_are_told_together_in_order_of_lines() -> None:
    text = (
        EXAMPLE.replace("team:", "taem:").replace("to: 2", "to: 9").replace("6h", "six").replace("max_per_day", "most")
    )
    lines = [int(each.split(":")[1]) for each in faults_of(text)]
    assert lines == [3, 8, 10, 14, 14]


def test_a_fault_does_not_cause_another_one_elsewhere() -> None:
    assert len(faults_of(EXAMPLE.replace("version: 2", "version: two"))) == 1


def test_very_many_faults_are_cut_short() -> None:
    faults = faults_of("keys:\n" + "- {key: a}\n" * 500)
    assert len(faults) == 21
    assert faults[-1].endswith("more")


def test_aliases_of_aliases_cannot_fill_the_memory() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "expected at most 1,000,000 values" in faults_of("\n".join(lines))[0]


def test_control_characters_of_the_file_do_not_reach_the_message() -> None:
    message = "\n".join(faults_of('keys: [{key: a, versions: [{version: "\\u001b[31m", credentials: [x]}]}]'))
    assert "\x1b" not in message


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_text_is_either_read_or_refused(text: str) -> None:
    try:
        parse_registry(text, name="keys.yaml")
    except RegistryError as error:
        assert str(error).startswith("keys.yaml:")  # noqa: PT017 - either outcome is right


@given(st.integers(0, len(EXAMPLE) - 1), st.text(max_size=3), st.integers(0, 5))
@settings(max_examples=300, deadline=None)
def test_a_damaged_registry_is_either_read_or_refused(at: int, put: str, cut: int) -> None:
    try:
        parse_registry(EXAMPLE[:at] + put + EXAMPLE[at + cut :], name="keys.yaml")
    except RegistryError as error:
        assert str(error).startswith("keys.yaml:")  # noqa: PT017 - either outcome is right
