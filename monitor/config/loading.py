"""Reads the configuration: one TOML file, environment variables over it, secrets from files; refuses typing errors."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

from monitor.config.settings import PREFIX, Settings, known_names, variable_of
from monitor.errors import ConfigError

_OUTSIDE = frozenset({"CONFIG", "URL", "TOKEN", "TOKEN_FILE"})
"""Names of the command line's own: which file to read, and whom `gate` asks with which token."""
_ALLOWED_PREFIXES = ("PARTS_", "TEST_", "DEMO_")
_KUBERNETES = re.compile(
    r"(?:[A-Z0-9]+_)*(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9]+)*|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)"
)
"""What Kubernetes puts into every container when a service is called `rollwatch` or `rollwatch-…`."""
_COMPLEX_TEXT = frozenset({"topics"})


def load_settings(file: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read file and environment. Raises `ConfigError` with what to correct; the text never holds a given value.

    `file` is `--config`; without it `ROLLWATCH_CONFIG` is asked.
    """
    variables = os.environ if environ is None else environ
    chosen = file or (Path(variables["ROLLWATCH_CONFIG"]) if variables.get("ROLLWATCH_CONFIG") else None)
    document = _read_toml(chosen) if chosen else {}
    _refuse_unknown_variables(variables)
    _refuse_unknown_names(document, chosen)
    document = _with_secret_files(document, variables)

    class _Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - replaced by one on our mapping
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - there is no .env file
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - we have `…_FILE`
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return _Environment(settings_cls, variables), init_settings

    try:
        return _Loaded(**document)
    except ValidationError as error:
        lines = [f"{_place(each['loc'])}: {_message(each['msg'])}" for each in error.errors(include_input=False)]
        raise ConfigError("the configuration cannot be used: " + "; ".join(lines)) from None


def read_secret(path: Path, what: str) -> str:
    """Return a secret file's content, ends trimmed. Raises `ConfigError` where it is empty or cannot be read."""
    try:
        secret = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what}: cannot read {path}: {error.__class__.__name__}") from error
    if not secret:
        raise ConfigError(f"{what}: {path} is empty")
    return secret


class _Environment(EnvSettingsSource):
    """Environment variables of a mapping that is passed in, so that no test has to change the process's own."""

    def __init__(self, settings_cls: type[BaseSettings], variables: Mapping[str, str]) -> None:
        self._variables = variables
        super().__init__(settings_cls, env_ignore_empty=True)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        left = {name.lower(): value for name, value in self._variables.items() if value}
        return {name: value for name, value in left.items() if name != "rollwatch_config"}

    def prepare_field_value(self, field_name: str, field: Any, value: Any, value_is_complex: bool) -> Any:  # noqa: ANN401 - the library's signature
        prepared = super().prepare_field_value(field_name, field, value, value_is_complex)
        if field_name == "policy" and isinstance(prepared, dict):
            return {name: _policy_value(given) for name, given in prepared.items()}
        return prepared

    def decode_complex_value(self, field_name: str, field: Any, value: Any) -> Any:  # noqa: ANN401 - the library's signature
        """Leave comma separated texts as they are (they are not JSON)."""
        return value if field_name in _COMPLEX_TEXT else super().decode_complex_value(field_name, field, value)


def _policy_value(given: object) -> object:
    if not isinstance(given, str):
        return given
    if given.lower() in ("true", "false"):
        return given.lower() == "true"
    if "," in given or given.startswith("["):
        return [each.strip().strip("\"'") for each in given.strip("[] ").split(",") if each.strip()]
    try:
        return float(given)
    except ValueError:
        return given


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def _leaves(document: Mapping[str, Any], sections: frozenset[str]) -> Iterator[str]:
    for name, value in document.items():
        if name in sections and isinstance(value, Mapping):
            yield from (f"{name}.{inner}" for inner in value)
        else:
            yield name


def _refuse_unknown_names(document: Mapping[str, Any], path: Path | None) -> None:
    names = known_names()
    sections = frozenset(each.partition(".")[0] for each in names if "." in each)
    allowed = set(names) | {f"{name}_file" for name, secret in names.items() if secret}
    for given in _leaves(document, sections):
        if given not in allowed:
            raise ConfigError(f"{path}: unknown setting {given!r}{_hint(given, allowed)}")


def _refuse_unknown_variables(variables: Mapping[str, str]) -> None:
    names = known_names()
    allowed = {variable_of(name) for name in names} | {PREFIX + each for each in _OUTSIDE}
    allowed |= {f"{variable_of(name)}_FILE" for name, secret in names.items() if secret}
    for given in variables:
        upper = given.upper()
        rest = upper.removeprefix(PREFIX)
        if not upper.startswith(PREFIX) or rest.startswith(_ALLOWED_PREFIXES) or _KUBERNETES.fullmatch(rest):
            continue
        if upper not in allowed:
            raise ConfigError(f"unknown environment variable {given}{_hint(upper, allowed)}")


def _hint(given: str, allowed: set[str]) -> str:
    near = difflib.get_close_matches(given, sorted(allowed), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else "; `rollwatch config check` lists the known names"


def _with_secret_files(document: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """Put the contents of `…_FILE` in place; a value in the environment beats a file named there, and both a TOML's."""
    made = {name: dict(value) if isinstance(value, dict) else value for name, value in document.items()}
    for name in (each for each, secret in known_names().items() if secret):
        section, _, field = name.rpartition(".")
        table = made.setdefault(section, {}) if section else made
        named = table.pop(f"{field}_file", None) if isinstance(table, dict) else None
        path = variables.get(f"{variable_of(name)}_FILE") or named
        if path:
            table[field] = read_secret(Path(path), f"{variable_of(name)}_FILE")
    return {name: value for name, value in made.items() if value != {}}


def _place(location: tuple[int | str, ...]) -> str:
    name = ".".join(str(each) for each in location)
    return f"{name} ({variable_of(name)})" if name else "settings"


def _message(text: str) -> str:
    return text.removeprefix("Value error, ")
