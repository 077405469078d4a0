"""Mapping: gateway records to authentication events; secrets die here. Presets are data files beside this module."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
import yaml

from monitor.core.events import AuthEvent, Rejected, RejectReason
from monitor.core.mapping import canonical
from monitor.core.mapping.fingerprints import fingerprint
from monitor.core.mapping.gateway import GatewayMapping
from monitor.core.mapping.reading import Unreadable, read
from monitor.core.mapping.redaction import sample_of, sample_of_bytes
from monitor.core.mapping.spec import MappingError, Spec, read_spec

__all__ = ["CANONICAL", "PRESETS", "MappingError", "RecordMapping", "compile_mapping", "fingerprint", "preset_spec"]

CANONICAL = "canonical"
_FOLDER = files("monitor.core.mapping").joinpath("presets")
PRESETS = (
    CANONICAL,
    *sorted(each.name.removesuffix(".yaml") for each in _FOLDER.iterdir() if each.name.endswith(".yaml")),
)
_encode = msgspec.json.Encoder(order="deterministic").encode


class RecordMapping:
    """One compiled mapping. `map_value` never raises: what is no event is a `Rejected`, free of secrets."""

    def __init__(
        self,
        spec: Spec | None,
        *,
        pepper: bytes,
        gateway: str | None,
        region: str | None,
        max_record_bytes: int,
        max_clock_skew_ms: int,
    ) -> None:
        """Compile; without a spec records are canonical events already."""
        self.gateway = gateway
        self.region = region
        self._max_bytes = max_record_bytes
        self._skew_ms = max_clock_skew_ms
        self._compiled = None if spec is None else GatewayMapping(spec, pepper=pepper, gateway=gateway, region=region)

    @property
    def is_canonical(self) -> bool:
        """Return whether records are canonical events already."""
        return self._compiled is None

    def map_value(self, value: bytes | None, arrival_ms: int | None) -> list[AuthEvent | Rejected]:
        """Return an event or a reject for each element of the record, in order.

        arrival_ms: when the record reached us; `None` where arrival is not judged. Each member of an array is an
        element (an empty array has none), and so is each record that a preset's envelope holds.
        """
        elements = read(value, max_bytes=self._max_bytes)
        if isinstance(elements, Unreadable):
            digest = hashlib.sha256(value or b"").hexdigest()
            return [Rejected(reason=elements.reason, sha256=digest, sample=sample_of_bytes(value, elements.reason))]
        made: list[AuthEvent | Rejected] = []
        for element in elements:
            if isinstance(element, Unreadable):
                made.append(_rejected(element.reason, None, value))
                continue
            made.extend(
                each if isinstance(each, AuthEvent) else _rejected(each, element, value)
                for each in self._events(element, arrival_ms)
            )
        return made

    def _events(self, element: object, arrival_ms: int | None) -> list[AuthEvent | RejectReason]:
        if self._compiled is not None:
            return self._compiled.events(element, arrival_ms, max_clock_skew_ms=self._skew_ms)
        if not isinstance(element, dict):
            return [RejectReason.NOT_AN_OBJECT]
        try:
            return [
                canonical.event_of(
                    element,
                    arrival_ms,
                    gateway=self.gateway,
                    region=self.region,
                    max_clock_skew_ms=self._skew_ms,
                )
            ]
        except canonical.Refused as refused:
            return [refused.reason]


def _rejected(reason: RejectReason, element: object, value: bytes | None) -> Rejected:
    if element is None:
        return Rejected(
            reason=reason, sha256=hashlib.sha256(value or b"").hexdigest(), sample=sample_of_bytes(value, reason)
        )
    try:
        raw = _encode(element)
    except (UnicodeEncodeError, msgspec.MsgspecError):  # half a surrogate pair, or an integer beyond 64 bits
        raw = repr(element).encode("utf-8", "backslashreplace")
    return Rejected(reason=reason, sha256=hashlib.sha256(raw).hexdigest(), sample=sample_of(element))


@cache
def preset_data(name: str) -> Mapping[str, Any]:
    """Return a preset's data file. Raises `MappingError` for an unknown name."""
    if name not in PRESETS or name == CANONICAL:
        raise MappingError(f"unknown preset {name!r}; known are {', '.join(PRESETS)}")
    data: Mapping[str, Any] = yaml.safe_load(_FOLDER.joinpath(f"{name}.yaml").read_text(encoding="utf-8"))
    return data


@cache
def preset_spec(name: str) -> Spec:
    """Return a checked preset (every one but `canonical`, which needs none). Raises `MappingError`."""
    return read_spec(preset_data(name), preset_data, name=name)


def compile_mapping(
    preset: str | Mapping[str, Any],
    *,
    pepper: bytes,
    gateway: str | None = None,
    region: str | None = None,
    max_record_bytes: int = 65_536,
    max_clock_skew_ms: int = 300_000,
) -> RecordMapping:
    """Return the mapping of a preset, or of a document in the same format (`preset:` in it starts from one).

    Raises `MappingError`.
    """
    if isinstance(preset, str):
        spec = None if preset == CANONICAL else preset_spec(preset)
    else:
        spec = read_spec(preset, preset_data, name=str(preset.get("name", "mapping")))
    return RecordMapping(
        spec,
        pepper=pepper,
        gateway=gateway,
        region=region,
        max_record_bytes=max_record_bytes,
        max_clock_skew_ms=max_clock_skew_ms,
    )
