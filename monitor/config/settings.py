"""All that is in force, as one frozen value; and the names by which people set it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple, Self, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from monitor.config.sections import (
    ApiSection,
    IngestSection,
    KafkaSection,
    LogSection,
    NotifySection,
    RetentionSection,
    RotationSection,
    Section,
    SlackSection,
    StoreSection,
    WatchSection,
    WebhookSection,
)
from monitor.core.policy import Policy, PolicyError

PREFIX = "ROLLWATCH_"
NESTED = "__"
_MASK = "********"


def _default_data_dir() -> Path:
    data_home = os.environ.get("XDG_DATA_HOME")
    return (Path(data_home) if data_home else Path.home() / ".local" / "share") / "rollwatch"


class Settings(BaseSettings):
    """All that is in force. Frozen; made by `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=NESTED, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    data_dir: Path = Field(default_factory=_default_data_dir)
    pepper: SecretStr | None = None
    keys_file: Path | None = None
    two_person: bool = False
    store: StoreSection = StoreSection()
    kafka: KafkaSection = KafkaSection()
    ingest: IngestSection = IngestSection()
    api: ApiSection = ApiSection()
    watch: WatchSection = WatchSection()
    rotation: RotationSection = RotationSection()
    slack: SlackSection = SlackSection()
    webhook: WebhookSection = WebhookSection()
    notify: NotifySection = NotifySection()
    retention: RetentionSection = RetentionSection()
    log: LogSection = LogSection()
    policy: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        try:
            self.default_policy()
        except PolicyError as error:
            raise ValueError(str(error)) from error
        if self.pepper is not None and not self.pepper.get_secret_value():
            raise ValueError("the pepper is empty: give ROLLWATCH_PEPPER or ROLLWATCH_PEPPER_FILE a value")
        return self

    def default_policy(self) -> Policy:
        """Return the policy that rollovers start from."""
        return Policy().overridden(self.policy)

    def store_url(self) -> str:
        """Return the store's SQLAlchemy URL, password included."""
        if self.store.url is not None and self.store.url.get_secret_value():
            return self.store.url.get_secret_value()
        return f"sqlite:///{self.data_dir / 'rollwatch.sqlite'}"

    def secrets(self) -> tuple[str, ...]:
        """Return every secret in force, so that the log can be kept free of them.

        Of the store's URL the password alone: its host is what a message about a database that is away must name.
        """
        names = [name for name, secret in known_names().items() if secret and name != "store.url"]
        values = [_value_of(self, name) for name in names]
        found = [each.get_secret_value() for each in values if isinstance(each, SecretStr)]
        parts = urlsplit(self.store_url())
        found += [each for each in (parts.password, unquote(parts.password or "")) if each]
        found += [value for _, value in parse_qsl(parts.query) if value]
        return tuple(found)


class Setting(NamedTuple):
    """One line of `rollwatch config check`; `value` is safe to print."""

    name: str
    variable: str
    value: str
    changed: bool


def known_names() -> dict[str, bool]:
    """Return every dotted name, and whether it is a secret; `policy.*` holds the policy's own names."""
    names: dict[str, bool] = {}
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            names |= {f"{name}.{each}": _is_secret(inner.annotation) for each, inner in section.model_fields.items()}
        elif name == "policy":
            names |= {f"policy.{each}": False for each in Policy().as_written()}
        else:
            names[name] = _is_secret(field.annotation)
    return names


def variable_of(name: str) -> str:
    """Return the environment variable of a dotted name."""
    return PREFIX + name.replace(".", NESTED).upper()


def printable(settings: Settings) -> list[Setting]:
    """Return what is in force, secrets masked, in the order of the documentation."""
    blank = Settings.model_construct()
    rows: list[Setting] = []
    for name, secret in known_names().items():
        value, default = _value_of(settings, name), _value_of(blank, name)
        if name == "store.url":
            shown = masked_url(settings.store_url())
        elif secret:
            shown = _MASK if value is not None else ""
        elif isinstance(value, tuple):
            shown = ", ".join(map(str, value))
        else:
            shown = "" if value is None else str(getattr(value, "value", value))
        rows.append(Setting(name, variable_of(name), shown, value != default))
    return rows


def masked_url(url: str) -> str:
    """Return a database's URL without its secrets, wherever in it they stand.

    >>> masked_url("postgresql://ana:s3cret@db/x?sslpassword=t")
    'postgresql://***@db/x'
    """
    head, separator, rest = url.partition("://")
    if not separator:
        return "***"
    authority, slash, path = rest.partition("/")
    place = f"***@{authority.rpartition('@')[2]}" if "@" in authority else authority.partition("?")[0]
    return f"{head}://{place}{slash}{path.partition('?')[0]}"


def _value_of(settings: Settings, name: str) -> object:
    section, _, field = name.partition(".")
    if section == "policy":
        return (settings.default_policy() if settings.policy else Policy()).as_written()[field]
    found = getattr(settings, section)
    return getattr(found, field) if field else found


def _is_secret(annotation: object) -> bool:
    return annotation is SecretStr or SecretStr in get_args(annotation)
