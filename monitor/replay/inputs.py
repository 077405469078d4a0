"""What a replay is given on the command line -> values: registry and policies."""

from __future__ import annotations

from pathlib import Path

from monitor.core.policy import Policy
from monitor.core.registry import Registry
from monitor.core.registry_file import parse_policy, parse_registry
from monitor.errors import ConfigError


def read_registry(path: Path) -> Registry:
    """Return the registry of a file. Raises `RegistryError`, `ConfigError`."""
    return parse_registry(_text(path), name=str(path))


def read_policy(path: Path | None, *, over: Policy) -> Policy:
    """Return the policy of a file laid over another. Raises `RegistryError`, `ConfigError`."""
    return over if path is None else over.overridden(parse_policy(_text(path), name=str(path)))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
