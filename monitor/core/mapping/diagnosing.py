"""What a sample of records says of itself: which preset fits, which fields are there, and whether secrets show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from monitor.core.decision import Json
from monitor.core.events import AuthEvent
from monitor.core.mapping import CANONICAL, PRESETS, compile_mapping, preset_spec
from monitor.core.mapping.envelopes import Envelope
from monitor.core.mapping.paths import compile_steps
from monitor.core.mapping.reading import Unreadable, read
from monitor.core.mapping.secrets import compile_headers, compile_secrets

FIELDS = ("credential", "client", "source", "gateway", "region", "route", "method", "status", "event_id")
_NOBODY = "\0no gateway"
_MOST_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One preset on the sample. `fields` counts the events that have each; `raw_secrets` records that show one.

    `signs` counts fields that few other gateways write. `fit` orders presets: readable elements first, then signs, then
    what the events tell.
    """

    preset: str
    elements: int
    events: int
    fields: Mapping[str, int]
    rejects: Mapping[str, int]
    raw_secrets: int
    signs: int
    remedy: str

    @property
    def fit(self) -> tuple[int, int, int]:
        """Return what the best preset has most of."""
        return self.events, self.signs, sum(self.fields.values())

    def as_json(self) -> dict[str, Json]:
        """Return the findings as JSON."""
        return {
            "preset": self.preset,
            "elements": self.elements,
            "events": self.events,
            "fields": dict(self.fields),
            "rejects": dict(self.rejects),
            "raw_secrets": self.raw_secrets,
            "remedy": self.remedy,
        }


def diagnose(values: Sequence[bytes]) -> list[Diagnosis]:
    """Return a diagnosis for each preset, the best first; the sample must not be empty."""
    return sorted((_diagnose(values, preset) for preset in PRESETS), key=lambda each: each.fit, reverse=True)


def _diagnose(values: Sequence[bytes], preset: str) -> Diagnosis:
    mapping = compile_mapping(preset, pepper=b"", gateway=_NOBODY)
    fields: Counter[str] = Counter(dict.fromkeys(FIELDS, 0))
    rejects: Counter[str] = Counter()
    events = elements = 0
    for value in values:
        for each in mapping.map_value(value, None):
            elements += 1
            if not isinstance(each, AuthEvent):
                rejects[each.reason.value] += 1
                continue
            events += 1
            fields.update(name for name in FIELDS if (found := getattr(each, name)) is not None and found != _NOBODY)
    secrets, signs = _canonical_signs(values) if preset == CANONICAL else _seen(values, preset)
    return Diagnosis(
        preset=preset,
        elements=elements,
        events=events,
        fields=dict(fields),
        rejects=dict(rejects.most_common()),
        raw_secrets=secrets,
        signs=signs,
        remedy="" if preset == CANONICAL else " ".join(preset_spec(preset).remedy.split()),
    )


def _canonical_signs(values: Sequence[bytes]) -> tuple[int, int]:
    objects = [each for value in values for each in _elements(value) if isinstance(each, dict)]
    return 0, sum("outcome" in each and "ts" in each for each in objects) * 2


def _seen(values: Sequence[bytes], preset: str) -> tuple[int, int]:
    """Return how many records show a secret, and how many signs of the gateway they bear together."""
    spec = preset_spec(preset)
    envelope, headers, secrets = Envelope(spec), compile_headers(spec.secrets), compile_secrets(spec.secrets)
    signs = [compile_steps(path.steps) for path in spec.signs]
    showing = borne = 0
    for value in values:
        opened = [record for element in _elements(value) for record in envelope.open(element)]
        records = [each for each in opened if isinstance(each, dict)]
        showing += any(bool(secrets(record, headers(record))) for record in records)
        borne += sum(get(record) is not None for record in records for get in signs)
    return showing, borne


def _elements(value: bytes) -> list[object]:
    elements = read(value, max_bytes=_MOST_BYTES)
    return [] if isinstance(elements, Unreadable) else elements
