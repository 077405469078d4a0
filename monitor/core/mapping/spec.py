"""Mapping files: data, not code. Read, checked with clear messages, and compiled once into small functions.

A mapping says where each field of the canonical event stands in a gateway's record (dotted paths, the first that is
there wins) and how outcome and reason follow (rules, the first that fits wins). docs/reference/mapping.md is the
reference for people who write one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.core.events import Outcome, Reason
from monitor.core.mapping.times import TIME_READERS

Path = Callable[[Mapping[str, Any]], Any]

FIELDS = ("credential", "client", "gateway", "region", "route", "method", "status", "event_id")
_KNOWN = {*FIELDS, "preset", "name", "about", "unwrap", "each", "time", "source", "secret", "set", "outcome"} | {
    "anonymous_clients",
    "remedy",
    "sample_rate",
}
_SECRET_KINDS = ("headers", "parameters", "urls", "values")


class MappingError(ValueError):
    """A mapping file that cannot be used: names the field and says what was expected."""


def compile_path(text: str) -> Path:
    r"""Return the function record -> value of a dotted path (`a.b`, a literal dot as `a\.b`), `None` where absent.

    Names are matched as written, else without regard to case (headers). A list stands for its first element.
    """
    steps = text.replace(r"\.", "\0").split(".")
    names = tuple(step.replace("\0", ".") for step in steps)
    if not all(names):
        raise MappingError(f"path {text!r}: an empty step; write for instance request.headers.apikey")

    if len(names) == 1:
        only = names[0]
        return lambda record: _step(record, only)

    def walk(record: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        node: Any = record
        for name in names:
            node = _step(node, name)
            if node is None:
                return None
        return node

    return walk


def _step(node: Any, name: str) -> Any:  # noqa: ANN401 - JSON
    if isinstance(node, list):
        node = node[0] if node else None
    if not isinstance(node, dict):
        return None
    if name in node:
        return node[name]
    lowered = name.lower()
    for each, value in node.items():
        if each.lower() == lowered:
            return value
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeAt:
    """Where an event time stands, and in which form."""

    path: Path
    read: Callable[[object], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretAt:
    """Where presented secrets may stand: objects of headers, objects of parameters, URLs, or as a value itself."""

    headers: tuple[Path, ...] = ()
    parameters: tuple[Path, ...] = ()
    urls: tuple[Path, ...] = ()
    values: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """If every condition holds, this is the outcome; without a reason it is completed from the status."""

    conditions: tuple[Callable[[Mapping[str, Any], Mapping[str, object]], bool], ...]
    outcome: Outcome | None
    reason: Reason | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A compiled mapping."""

    name: str
    about: str
    remedy: str
    unwrap: tuple[Path, ...]
    each: tuple[Path, ...]
    times: tuple[TimeAt, ...]
    fields: Mapping[str, tuple[Path, ...]]
    field_paths: Mapping[str, tuple[str, ...]]
    source: tuple[tuple[Path, str], ...]
    secret: SecretAt
    sample_rate: tuple[Path, ...]
    anonymous_clients: frozenset[str]
    constants: Mapping[str, str]
    rules: tuple[Rule, ...]


def compile_spec(raw: Mapping[str, Any], presets: Callable[[str], Mapping[str, Any]]) -> Spec:
    """Check and compile a mapping; `preset` names one to start from, whose parts the file's own replace.

    Raises `MappingError`.
    """
    merged = _merged(raw, presets)
    unknown = sorted(set(merged) - _KNOWN)
    if unknown:
        raise MappingError(f"unknown field {unknown[0]!r}; known are {', '.join(sorted(_KNOWN))}")
    secret = _mapping(merged.get("secret", {}), "secret")
    for kind in secret:
        if kind not in _SECRET_KINDS:
            raise MappingError(f"secret.{kind}: unknown; known are {', '.join(_SECRET_KINDS)}")
    paths = {field: _texts(merged.get(field, []), field) for field in FIELDS}
    return Spec(
        name=str(merged.get("name", "own")),
        about=str(merged.get("about", "")),
        remedy=str(merged.get("remedy", "")),
        unwrap=_paths(merged.get("unwrap", []), "unwrap"),
        each=_paths(merged.get("each", []), "each"),
        times=tuple(_time(entry) for entry in _list(merged.get("time", []), "time")),
        fields={field: tuple(compile_path(text) for text in texts) for field, texts in paths.items()},
        field_paths=paths,
        source=tuple(_source(entry) for entry in _list(merged.get("source", []), "source")),
        secret=SecretAt(**{kind: _paths(secret.get(kind, []), f"secret.{kind}") for kind in _SECRET_KINDS}),
        sample_rate=_paths(merged.get("sample_rate", []), "sample_rate"),
        anonymous_clients=frozenset(_texts(merged.get("anonymous_clients", []), "anonymous_clients")),
        constants={str(key): str(value) for key, value in _mapping(merged.get("set", {}), "set").items()},
        rules=tuple(_rule(entry, index) for index, entry in enumerate(_list(merged.get("outcome", []), "outcome"))),
    )


def _merged(raw: Mapping[str, Any], presets: Callable[[str], Mapping[str, Any]]) -> dict[str, Any]:
    own = dict(_mapping(raw, "mapping"))
    name = own.pop("preset", None)
    return {**(_merged(presets(str(name)), presets) if name is not None else {}), **own}


def _time(entry: Any) -> TimeAt:  # noqa: ANN401 - YAML
    given = _mapping(entry, "time")
    form = given.get("as", "rfc3339")
    if form not in TIME_READERS:
        raise MappingError(f"time: as: {form!r} is unknown; known are {', '.join(sorted(TIME_READERS))}")
    if not isinstance(given.get("path"), str):
        raise MappingError("time: each entry needs a path, as in {path: started_at, as: epoch_ms}")
    return TimeAt(path=compile_path(given["path"]), read=TIME_READERS[form])


def _source(entry: Any) -> tuple[Path, str]:  # noqa: ANN401 - YAML
    if isinstance(entry, str):
        return compile_path(entry), "text"
    given = _mapping(entry, "source")
    form = given.get("as", "text")
    if form not in ("text", "product", "network"):
        raise MappingError(f"source: as: {form!r} is unknown; known are text, product (of a user agent), network")
    return compile_path(str(given.get("path"))), form


def _rule(entry: Any, index: int) -> Rule:  # noqa: ANN401 - YAML
    given = _mapping(entry, f"outcome[{index}]")
    unknown = sorted(set(given) - {"when", "is", "reason"})
    if unknown:
        raise MappingError(f"outcome[{index}]: unknown field {unknown[0]!r}; known are when, is, reason")
    kind, reason = given.get("is", "status"), given.get("reason")
    if kind not in ("success", "failure", "status"):
        raise MappingError(f"outcome[{index}]: is: {kind!r}; expected success, failure or status (as HTTP says)")
    try:
        return Rule(
            conditions=tuple(
                _condition(path, wanted) for path, wanted in _mapping(given.get("when", {}), "when").items()
            ),
            outcome=None if kind == "status" else Outcome(kind),
            reason=None if reason is None else Reason(reason),
        )
    except ValueError as error:
        raise MappingError(f"outcome[{index}]: {error}") from error


def _condition(path: str, wanted: Any) -> Callable[[Mapping[str, Any], Mapping[str, object]], bool]:  # noqa: ANN401
    """Return a test of one value: `$name` is a field already mapped, anything else a path of the record.

    Wanted: `null` (absent), `"*"` (present), a value or a list of values; text may end in `*`; case is ignored.
    """
    read = _reader(path)
    choices = wanted if isinstance(wanted, list) else [wanted]
    exact = frozenset(_plain(each) for each in choices if not str(each).endswith("*"))
    prefixes = tuple(_plain(each)[:-1] for each in choices if str(each).endswith("*"))

    def holds(record: Mapping[str, Any], mapped: Mapping[str, object]) -> bool:
        value = _plain(read(record, mapped))
        if not value:
            return "" in exact
        return value in exact or any(value.startswith(prefix) for prefix in prefixes)

    return holds


def _reader(path: str) -> Callable[[Mapping[str, Any], Mapping[str, object]], object]:
    if path.startswith("$"):
        name = path[1:]
        return lambda _record, mapped: mapped.get(name)
    walk = compile_path(path)
    return lambda record, _mapped: walk(record)


def _plain(value: object) -> str:
    """Return a value as comparable text: numbers as text, lower case, `""` for what is absent."""
    if value is None or value == "-":
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip().lower()


def _paths(raw: Any, where: str) -> tuple[Path, ...]:  # noqa: ANN401 - YAML
    return tuple(compile_path(text) for text in _texts(raw, where))


def _texts(raw: Any, where: str) -> tuple[str, ...]:  # noqa: ANN401 - YAML
    entries: Sequence[Any] = [raw] if isinstance(raw, str) else _list(raw, where)
    for entry in entries:
        if not isinstance(entry, str):
            raise MappingError(f"{where}: expected a path or a list of paths, got {entry!r}")
    return tuple(entries)


def _list(raw: Any, where: str) -> list[Any]:  # noqa: ANN401 - YAML
    if not isinstance(raw, list):
        raise MappingError(f"{where}: expected a list, got {raw!r}")
    return raw


def _mapping(raw: Any, where: str) -> Mapping[str, Any]:  # noqa: ANN401 - YAML
    if not isinstance(raw, Mapping):
        raise MappingError(f"{where}: expected names and values, got {raw!r}")
    return raw
