"""The pepper under which presented secrets become fingerprints: configured, or made once and kept."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import structlog

from monitor.config import Settings, read_secret
from monitor.errors import ConfigError

log = structlog.get_logger()

_BYTES = 32


def pepper_file(settings: Settings) -> Path:
    """Return where a pepper that was not configured is kept."""
    return settings.data_dir / "pepper"


def known_pepper(settings: Settings) -> bytes | None:
    """Return the pepper in force, `None` where there is none yet."""
    if settings.pepper is not None:
        return settings.pepper.get_secret_value().encode()
    path = pepper_file(settings)
    return read_secret(path, "the pepper").encode() if path.exists() else None


def pepper_of(settings: Settings) -> bytes:
    """Return the pepper in force; without one, make one that only its owner can read, and say so.

    Every process that maps records, and whoever runs `rollwatch fingerprint`, needs the same: on more than one machine
    it has to be configured.
    """
    known = known_pepper(settings)
    path = pepper_file(settings)
    if known is None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return pepper_of(settings)  # another process was faster
        except OSError as error:
            raise ConfigError(
                f"no pepper: set ROLLWATCH_PEPPER or ROLLWATCH_PEPPER_FILE ({path}: {error.strerror})"
            ) from error
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(_BYTES))
        known = known_pepper(settings)
    if known is None:
        raise ConfigError(f"no pepper: {path} is gone; set ROLLWATCH_PEPPER or ROLLWATCH_PEPPER_FILE")
    if settings.pepper is None:
        log.warning("pepper_not_configured", used=str(path), advice="on several machines, set ROLLWATCH_PEPPER_FILE")
    return known
