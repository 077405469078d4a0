"""Envelopes: shippers wrap a gateway's record as text in JSON, as an array, or as OpenTelemetry's key-value lists."""

from __future__ import annotations

from typing import Any

from monitor.core.events import RejectReason
from monitor.core.mapping.paths import compile_steps
from monitor.core.mapping.reading import Unreadable, parse_text
from monitor.core.mapping.spec import Spec

_MAX_WRAPS = 8
Opened = dict[str, Any] | Unreadable


class Envelope:
    """Opens one element into the gateway's own records, each still carrying the envelope's fields underneath."""

    def __init__(self, spec: Spec) -> None:
        """Compile the envelopes of a mapping."""
        self._unwrap = [(path.steps[-1], compile_steps(path.steps)) for path in spec.unwrap]
        self._explode = [path.steps for path in spec.explode]
        self._flatteners = [compile_steps(path.steps) for path in spec.flatten]
        self._lines = spec.lines

    def open(self, element: object, wraps: int = 0) -> list[Opened]:
        """Return the records inside of an element; most often it is one itself."""
        if not isinstance(element, dict):
            return [Unreadable(RejectReason.NOT_AN_OBJECT)]
        for steps in self._explode:
            if steps[0] in element and (inner := _collect(element, steps)) is not None:
                outer = {name: value for name, value in element.items() if name != steps[0]}
                return [
                    each
                    for one in inner
                    for each in (self._over(outer, one, wraps) if isinstance(one, dict) else self.open(one, wraps))
                ]
        for get in self._flatteners:
            value = get(element)
            if (pairs := _pairs(value)) is not None:
                element = {**element, **pairs}
        return [element] if wraps >= _MAX_WRAPS else self._unwrapped(element, wraps)

    def _unwrapped(self, element: dict[str, Any], wraps: int) -> list[Opened]:
        for name, get in self._unwrap:
            value = get(element)
            if isinstance(value, dict) and name == "body":
                value = _otel_value(value)
            elif isinstance(value, dict):
                outer = {each: kept for each, kept in element.items() if each != name}
                return self._over(outer, value, wraps)
            if isinstance(value, str) and (opened := self._text(element, name, value, wraps)) is not None:
                return opened
        return [element]

    def _over(self, outer: dict[str, Any], inner: dict[str, Any], wraps: int) -> list[Opened]:
        return self.open({**outer, **inner}, wraps + 1)

    def _text(self, element: dict[str, Any], name: str, value: str, wraps: int) -> list[Opened] | None:
        """Return what a text of the envelope holds; `None` if it is a text and nothing more."""
        text = value.strip()
        for pattern in self._lines:
            if (match := pattern.match(text)) is not None:
                return [{**element, name: None, **match.groupdict()}]
        if text[:1] not in {"{", "["}:
            return None
        document = parse_text(text)
        if isinstance(document, Unreadable):
            return None if text[0] == "[" else [document]  # `[error] 7#0: …` is a line of text
        outer = {each: kept for each, kept in element.items() if each != name}
        inner = document if isinstance(document, list) else [document]
        return [
            each
            for one in inner
            for each in (
                self._over(outer, one, wraps)
                if isinstance(one, dict)
                else [one if isinstance(one, Unreadable) else Unreadable(RejectReason.NOT_AN_OBJECT)]
            )
        ]


def _collect(node: object, steps: tuple[str, ...]) -> list[Any] | None:
    """Return the members of the array at these steps, going through arrays on the way; `None` if there is none.

    What OpenTelemetry says once for many, a `resource` with attributes, is put beneath each member.
    """
    nodes: list[tuple[dict[str, Any], Any]] = [({}, node)]
    for step in steps:
        inside = [(said, child) for said, each in nodes for child in (each if isinstance(each, list) else [each])]
        nodes = [
            ({**said, **_resource(each)}, each[step])
            for said, each in inside
            if isinstance(each, dict) and step in each
        ]
    if not nodes or not all(isinstance(each, list) for _, each in nodes):
        return None
    return [
        {**said, **member} if said and isinstance(member, dict) else member for said, each in nodes for member in each
    ]


def _resource(node: dict[str, Any]) -> dict[str, Any]:
    resource = node.get("resource")
    return (_pairs(resource.get("attributes")) or {}) if isinstance(resource, dict) else {}


def _pairs(value: object) -> dict[str, Any] | None:
    """Return OpenTelemetry attributes (`[{"key": k, "value": {"stringValue": v}}]`) as a plain object."""
    if isinstance(value, dict):
        listed = value.get("kvlistValue")
        value = listed.get("values") if isinstance(listed, dict) else None
    if not isinstance(value, list):
        return None
    return {
        each["key"]: _otel_value(each.get("value"))
        for each in value
        if isinstance(each, dict) and isinstance(each.get("key"), str)
    }


def _otel_value(value: object) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict) and len(value) == 1:
        name, inner = next(iter(value.items()))
        if name in {"stringValue", "intValue", "doubleValue", "boolValue"}:
            return inner
        if name == "kvlistValue":
            return _pairs(value)
    return value
