"""The outcome table of a mapping, compiled: first match wins."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import translate
from itertools import groupby
from typing import Any

from monitor.core.events import Outcome, Reason
from monitor.core.mapping.canonical import reason_of
from monitor.core.mapping.paths import Getter, is_absent
from monitor.core.mapping.spec import Rule

FACTS = ("status", "credential", "secret", "client", "anonymous")


@dataclass(slots=True)
class Facts:
    """What the rules may ask beside the record itself."""

    status: int | None = None
    credential: bool = False
    secret: bool = False
    client: bool = False
    anonymous: bool = False


Condition = Callable[[Any, Facts], bool]
GetterOf = Callable[[str], Getter]
Conditions = tuple[tuple[str, tuple[str, ...]], ...]


def compile_conditions(when: Conditions, getter_of: GetterOf) -> Condition:
    """Return a function that says whether all conditions hold."""
    tests = [_condition(name, values, getter_of) for name, values in when]
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:  # noqa: PLR2004 - by far the most frequent number
        first, second = tests
        return lambda record, facts: first(record, facts) and second(record, facts)
    return lambda record, facts: all(test(record, facts) for test in tests)


def compile_rules(
    rules: tuple[Rule, ...], getter_of: GetterOf
) -> Callable[[Any, Facts], tuple[Outcome, Reason] | None]:
    """Return a function from a record and its facts to outcome and reason; `None` where no rule fits."""
    table: list[tuple[Getter | None, list[tuple[Condition, Outcome, str | None]]]] = []
    for asked, group in groupby(rules, key=_asked):
        compiled = [(compile_conditions(rule.when, getter_of), rule.outcome, rule.reason) for rule in group]
        table.append((None if asked is None else getter_of(asked), compiled))

    def decide(record: Any, facts: Facts) -> tuple[Outcome, Reason] | None:  # noqa: ANN401 - any JSON
        for get, group in table:
            if get is not None and is_absent(get(record)):
                continue
            for holds, outcome, reason in group:
                if holds(record, facts):
                    return outcome, _reason(outcome, reason, facts)
        return None

    return decide


def _asked(rule: Rule) -> str | None:
    """Return the field without which the rule cannot hold: a run of rules that ask for one is left out at once."""
    return next((name for name, _ in rule.when if name not in {"present", "absent", *FACTS}), None)


def _reason(outcome: Outcome, reason: str | None, facts: Facts) -> Reason:
    if reason == "presented":
        known = facts.credential or facts.secret
        return Reason.UNKNOWN_CREDENTIAL if known else Reason.MISSING_CREDENTIAL
    if reason is not None and reason != "status":
        return Reason(reason)
    completed = reason_of(outcome, facts.status)
    # A 403 that the gateway passed on was somebody else's; as a success it says nothing about the credential.
    return Reason.OK if outcome is Outcome.SUCCESS and completed is Reason.FORBIDDEN else completed


def _condition(name: str, values: tuple[str, ...], getter_of: GetterOf) -> Condition:
    if name in {"present", "absent"}:
        probes = [_presence(each, getter_of) for each in values]
        if name == "present":
            return lambda record, facts: all(probe(record, facts) for probe in probes)
        return lambda record, facts: not any(probe(record, facts) for probe in probes)
    matches = _matcher(values)
    if name == "status":
        statuses = frozenset(each for each in range(100, 600) if matches(each))
        return lambda _record, facts: facts.status in statuses
    if name in FACTS:
        return lambda _record, facts: matches(getattr(facts, name))
    get = getter_of(name)
    return lambda record, _facts: matches(get(record))


def _presence(name: str, getter_of: GetterOf) -> Condition:
    if name in FACTS:
        return lambda _record, facts: bool(getattr(facts, name))
    get = getter_of(name)
    return lambda record, _facts: not is_absent(get(record))


def _matcher(values: tuple[str, ...]) -> Callable[[object], bool]:
    exact = frozenset(each.casefold() for each in values if not _is_glob(each))
    globs = [re.compile(translate(each.casefold()), re.DOTALL) for each in values if _is_glob(each)]

    def matches(value: object) -> bool:
        if is_absent(value) or isinstance(value, dict):
            return False
        if isinstance(value, list):
            return any(matches(each) for each in value)
        text = str(value).strip().casefold()
        return text in exact or any(glob.match(text) for glob in globs)

    return matches


def _is_glob(text: str) -> bool:
    return any(sign in text for sign in "*?[")
