"""Mapping: gateway records to authentication events. Presets are data files beside this module."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from monitor.core.mapping.engine import DEFAULT_MAX_RECORD_BYTES, DEFAULT_SKEW_MS, RecordMapping
from monitor.core.mapping.secrets import fingerprinter
from monitor.core.mapping.spec import MappingError, Spec, compile_spec

__all__ = ["PRESETS", "MappingError", "RecordMapping", "compile_mapping", "fingerprinter", "preset_spec"]

CANONICAL = "canonical"
PRESETS = (CANONICAL, *sorted(
    entry.name.removesuffix(".yaml")
    for entry in files("monitor.core.mapping").joinpath("presets").iterdir()
    if entry.name.endswith(".yaml")
))  # fmt: skip


@cache
def preset_data(name: str) -> Mapping[str, Any]:
    """Return a preset's data file. Raises `MappingError` for an unknown name."""
    if name not in PRESETS or name == CANONICAL:
        raise MappingError(f"unknown preset {name!r}; known are {', '.join(PRESETS)}")
    text = files("monitor.core.mapping").joinpath("presets", f"{name}.yaml").read_text(encoding="utf-8")
    data: Mapping[str, Any] = yaml.safe_load(text)
    return data


@cache
def preset_spec(name: str) -> Spec:
    """Return a compiled preset (every one but `canonical`, which needs none)."""
    return compile_spec(preset_data(name), preset_data)


def compile_mapping(
    preset: str | Mapping[str, Any],
    *,
    pepper: bytes,
    gateway: str | None = None,
    region: str | None = None,
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES,
    max_clock_skew_ms: int = DEFAULT_SKEW_MS,
) -> RecordMapping:
    """Return the mapping of a preset, or of a mapping of one's own (same format, `preset:` to start from one).

    Raises `MappingError`.
    """
    spec = (
        None
        if preset == CANONICAL
        else preset_spec(preset)
        if isinstance(preset, str)
        else compile_spec(preset, preset_data)
    )
    return RecordMapping(
        spec,
        fingerprint=fingerprinter(pepper),
        gateway=gateway,
        region=region,
        max_record_bytes=max_record_bytes,
        max_clock_skew_ms=max_clock_skew_ms,
    )
