"""What a replay is given on the command line -> values: registry, policies, the mapping, the pepper."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from monitor.core.policy import Policy, PolicyError
from monitor.core.registry import Registry
from monitor.core.registry_file import parse_policy, parse_registry
from monitor.errors import ConfigError, RegistryError


def read_registry(path: Path) -> Registry:
    """Return the registry of a file. Raises `RegistryError`, `ConfigError`."""
    return parse_registry(_text(path), name=str(path))


def read_policy(path: Path | None) -> Policy:
    """Return the policy of a file over the defaults. Raises `RegistryError`, `ConfigError`."""
    if path is None:
        return Policy()
    try:
        return Policy().overridden(parse_policy(_text(path), name=str(path)))
    except PolicyError as error:
        raise RegistryError(f"{path}: {error}") from error


def read_pepper(environment: Mapping[str, str] = os.environ) -> bytes | None:
    """Return the environment's pepper (`ROLLWATCH_PEPPER`, `ROLLWATCH_PEPPER_FILE`), or `None`."""
    if pepper := environment.get("ROLLWATCH_PEPPER"):
        return pepper.encode()
    if path := environment.get("ROLLWATCH_PEPPER_FILE"):
        return _text(Path(path)).strip().encode()
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
