"""Mapping files: data, not code. Read and checked here with messages that name the field; compiled elsewhere, once.

A mapping says where each field of the canonical event stands in a gateway's record (dotted paths, the first that is
there wins) and how outcome and reason follow (rules, the first that fits wins). `docs/reference/mapping.md` is the
reference for those who write one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from monitor.core.events import Outcome, Reason
from monitor.core.mapping.paths import Path, header_name, parse_path
from monitor.core.mapping.times import TimeFormat

DEFAULT_HEADERS = ("apikey", "x-api-key", "api-key", "authorization", "proxy-authorization")
DEFAULT_PARAMETERS = ("apikey", "api_key", "key", "api-key", "x-api-key", "access_token")
SOURCE_FORMS = ("text", "product", "network")
SPECIAL_REASONS = ("presented", "status")
Conditions = tuple[tuple[str, tuple[str, ...]], ...]


class MappingError(ValueError):
    """A mapping that cannot be used: names the field and says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeAt:
    """Where an event time stands, and in which form."""

    path: Path
    form: TimeFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePart:
    """One part of the source: the first path that is there, as `text`, `product` of a user agent, or `network`."""

    paths: tuple[Path, ...]
    form: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """If all conditions hold, this is the outcome.

    `reason` is a canonical one, `status` (completed from the HTTP status), or `presented` (unknown where a credential
    or secret was presented, else missing).
    """

    when: Conditions
    outcome: Outcome
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Where presented secrets may stand. Names are lower case.

    headers: objects (or lists of name and value) of request headers. header_fields: prefixes of fields that are
    headers of their own (`http_`, or "" for all fields). raw: fields that hold a secret as such. query: objects or
    texts of query parameters. names, query_names: which headers and parameters to look in, beside the usual ones.
    """

    headers: tuple[Path, ...] = ()
    header_fields: tuple[str, ...] = ()
    raw: tuple[Path, ...] = ()
    query: tuple[Path, ...] = ()
    names: tuple[str, ...] = DEFAULT_HEADERS
    query_names: tuple[str, ...] = DEFAULT_PARAMETERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A checked mapping.

    unwrap: fields that may hold a record as text. explode: arrays of records. flatten: key-value lists. lines: patterns
    of text records. *_if_accepted: believed only of an accepted request. set: constants. ignore: records that are none.
    signs: fields that few others write, by which a doctor knows the gateway.
    """

    name: str
    about: str
    remedy: str
    unwrap: tuple[Path, ...]
    explode: tuple[Path, ...]
    flatten: tuple[Path, ...]
    lines: tuple[re.Pattern[str], ...]
    time: tuple[TimeAt, ...]
    event_id: tuple[Path, ...]
    gateway: tuple[Path, ...]
    region: tuple[Path, ...]
    credential: tuple[Path, ...]
    credential_if_accepted: tuple[Path, ...]
    client: tuple[Path, ...]
    client_if_accepted: tuple[Path, ...]
    route: tuple[Path, ...]
    method: tuple[Path, ...]
    status: tuple[Path, ...]
    count: tuple[Path, ...]
    sample_rate: tuple[Path, ...]
    source: tuple[SourcePart, ...]
    secrets: Secrets
    anonymous_clients: tuple[str, ...]
    translate: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    set: tuple[tuple[str, object], ...]
    ignore: tuple[Conditions, ...]
    signs: tuple[Path, ...]
    outcome: tuple[Rule, ...]


_PATHS = (
    *("unwrap", "explode", "flatten", "event_id", "gateway", "region"),
    *("credential", "credential_if_accepted", "client", "client_if_accepted"),
    *("route", "method", "status", "count", "sample_rate", "signs"),
)
_CONSTANTS = ("gateway", "region", "client", "source", "count", "sample_rate")
_KNOWN = frozenset(each.name for each in fields(Spec)) | {"preset"}


def read_spec(raw: object, preset: Callable[[str], Mapping[str, Any]], *, name: str) -> Spec:
    """Check a mapping; `preset: NAME` in it names one to start from, whose parts the file's own replace.

    Raises `MappingError`.
    """
    own = _object(raw, name)
    given = dict(own)
    base = given.pop("preset", None)
    if base is not None:
        given = {**preset(str(base)), **given}
    for each in given:
        if each not in _KNOWN:
            raise MappingError(f"{name}: unknown field {each!r}; known are {', '.join(sorted(_KNOWN))}")
    for needed in ("time", "outcome"):
        if not given.get(needed):
            raise MappingError(f"{name}: {needed} is missing: where it stands in a record, or how it follows")
    return Spec(
        name=str(given.get("name", name)),
        about=str(given.get("about", "")),
        remedy=str(given.get("remedy", "")),
        **{each: _paths(given.get(each, []), each) for each in _PATHS},
        lines=tuple(_pattern(each) for each in _list(given.get("lines", []), "lines")),
        time=tuple(_time(each) for each in _list(given["time"], "time")),
        source=tuple(_source(each) for each in _list(given.get("source", []), "source")),
        secrets=_secrets(_object(given.get("secrets", {}), "secrets")),
        anonymous_clients=_texts(given.get("anonymous_clients", []), "anonymous_clients"),
        translate=tuple(
            (field, tuple((str(key), str(value)) for key, value in _object(table, f"translate.{field}").items()))
            for field, table in _object(given.get("translate", {}), "translate").items()
        ),
        set=tuple(_constant(field, value) for field, value in _object(given.get("set", {}), "set").items()),
        ignore=tuple(
            _conditions(each, f"ignore[{at}]") for at, each in enumerate(_list(given.get("ignore", []), "ignore"))
        ),
        outcome=tuple(_rule(each, at) for at, each in enumerate(_list(given["outcome"], "outcome"))),
    )


def _time(raw: object) -> TimeAt:
    if isinstance(raw, str):
        return TimeAt(path=_path(raw, "time"), form=TimeFormat.ANY)
    given = _object(raw, "time")
    _only(given, {"path", "as"}, "time")
    try:
        form = TimeFormat(str(given.get("as", "any")))
    except ValueError:
        raise MappingError(f"time: as: {given['as']!r}; expected one of {', '.join(TimeFormat)}") from None
    return TimeAt(path=_path(given.get("path"), "time"), form=form)


def _source(raw: object) -> SourcePart:
    if isinstance(raw, str):
        return SourcePart(paths=(_path(raw, "source"),), form="text")
    given = _object(raw, "source")
    _only(given, {"path", "as"}, "source")
    form = str(given.get("as", "text"))
    if form not in SOURCE_FORMS:
        raise MappingError(f"source: as: {form!r}; expected one of {', '.join(SOURCE_FORMS)}")
    return SourcePart(paths=_paths(given.get("path"), "source"), form=form)


def _secrets(given: Mapping[str, Any]) -> Secrets:
    _only(given, {each.name for each in fields(Secrets)}, "secrets")
    default = Secrets()
    return Secrets(
        headers=_paths(given.get("headers", []), "secrets.headers"),
        header_fields=tuple(each.lower() for each in _texts(given.get("header_fields", []), "secrets.header_fields")),
        raw=_paths(given.get("raw", []), "secrets.raw"),
        query=_paths(given.get("query", []), "secrets.query"),
        names=(*(header_name(each) for each in _texts(given.get("names", []), "secrets.names")), *default.names),
        query_names=(
            *(each.lower() for each in _texts(given.get("query_names", []), "secrets.query_names")),
            *default.query_names,
        ),
    )


def _rule(raw: object, at: int) -> Rule:
    where = f"outcome[{at}]"
    given = _object(raw, where)
    _only(given, {"when", "is", "reason"}, where)
    try:
        outcome = Outcome(str(given.get("is")))
        reason = given.get("reason")
        if reason is not None and reason not in SPECIAL_REASONS:
            Reason(reason)
    except ValueError as error:
        raise MappingError(
            f"{where}: {error}; `is` is success or failure, `reason` one of {', '.join((*SPECIAL_REASONS, *Reason))}"
        ) from None
    return Rule(when=_conditions(given.get("when", {}), where), outcome=outcome, reason=reason)


def _conditions(raw: object, where: str) -> Conditions:
    given = _object(raw, f"{where}.when")
    made = []
    for name, wanted in given.items():
        choices = wanted if isinstance(wanted, list) else [wanted]
        for each in choices:
            if isinstance(each, dict | list) or each is None:
                raise MappingError(
                    f"{where}: {name}: expected a value or a list of values (present/absent name fields)"
                )
        for path in [_plain(each) for each in choices] if name in {"present", "absent"} else [str(name)]:
            for alternative in path.split("|"):
                _path(alternative, f"{where}: {name}")
        made.append((str(name), tuple(_plain(each) for each in choices)))
    return tuple(made)


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _constant(field: str, value: object) -> tuple[str, object]:
    if field not in _CONSTANTS:
        raise MappingError(f"set: {field!r} cannot be set; those that can: {', '.join(_CONSTANTS)}")
    number = field in {"count", "sample_rate"}
    if number != (isinstance(value, int | float) and not isinstance(value, bool)):
        raise MappingError(f"set.{field}: expected {'a number' if number else 'a text'}, got {value!r}")
    return field, value


def _pattern(raw: object) -> re.Pattern[str]:
    try:
        return re.compile(str(raw))
    except re.error as error:
        raise MappingError(f"lines: not a regular expression: {error}") from None


def _paths(raw: object, where: str) -> tuple[Path, ...]:
    return tuple(_path(each, where) for each in ([raw] if isinstance(raw, str) else _list(raw, where)))


def _path(raw: object, where: str) -> Path:
    try:
        return parse_path(str(raw)) if isinstance(raw, str) else parse_path("")
    except ValueError as error:
        raise MappingError(f"{where}: {raw!r}: expected {error}") from None


def _texts(raw: object, where: str) -> tuple[str, ...]:
    entries = [raw] if isinstance(raw, str) else _list(raw, where)
    for each in entries:
        if not isinstance(each, str):
            raise MappingError(f"{where}: expected texts, got {each!r}")
    return tuple(str(each) for each in entries)


def _list(raw: object, where: str) -> list[Any]:
    if not isinstance(raw, list):
        raise MappingError(f"{where}: expected a list, got {raw!r}")
    return raw


def _object(raw: object, where: str) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise MappingError(f"{where}: expected names and values, got {raw!r}")
    return raw


def _only(given: Mapping[str, Any], known: set[str], where: str) -> None:
    for each in given:
        if each not in known:
            raise MappingError(f"{where}: unknown field {each!r}; known are {', '.join(sorted(known))}")
