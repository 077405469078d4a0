"""Mapping one record: bytes -> events and rejects, one for each element. Nothing is lost, nothing stops the others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from monitor.core.events import AuthEvent, Outcome, Reason, Rejected, RejectReason
from monitor.core.instants import MINUTE_MS
from monitor.core.mapping.canonical import (
    Refused,
    bounded,
    checked_time,
    read_canonical,
    route_of,
    sample_rate_of,
    status_of,
)
from monitor.core.mapping.outcome import completed
from monitor.core.mapping.secrets import (
    SECRET_HEADERS,
    SECRET_PARAMETERS,
    Fingerprint,
    presented,
    redacted_sample,
    secret_in_headers,
    secret_in_parameters,
    secret_in_url,
)
from monitor.core.mapping.spec import Path, Spec
from monitor.core.mapping.strict_json import has_duplicate, read_json, read_json_text
from monitor.core.mapping.times import BadTime

DEFAULT_MAX_RECORD_BYTES = 65_536
DEFAULT_SKEW_MS = 5 * MINUTE_MS
_MAX_UNWRAPS = 3
_OUTER = "_outer"


class RecordMapping:
    """Maps records of one topic. Immutable; safe to share between threads.

    `gateway` and `region` are what the topic says where a record says nothing. `spec` is `None` for the canonical
    event itself.
    """

    def __init__(
        self,
        spec: Spec | None,
        *,
        fingerprint: Fingerprint,
        gateway: str | None = None,
        region: str | None = None,
        max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES,
        max_clock_skew_ms: int = DEFAULT_SKEW_MS,
    ) -> None:
        """Join a compiled mapping with what the topic and the configuration say."""
        self.spec = spec
        self.gateway = gateway
        self.region = region
        self.max_record_bytes = max_record_bytes
        self.max_clock_skew_ms = max_clock_skew_ms
        self._fingerprint = fingerprint

    @property
    def is_canonical(self) -> bool:
        """Return whether records are canonical events already."""
        return self.spec is None

    def elements(self, value: bytes | None, arrival_ms: int | None) -> list[AuthEvent | Rejected]:
        """Return an event or a reject for each element of the record, in order.

        arrival_ms: when the record reached us; `None` where arrival is not judged. An array has an element for each of
        its members (an empty one has none); everything else is one element.
        """
        if not value:
            return [reject(RejectReason.NOT_JSON, value or b"", None)]
        if len(value) > self.max_record_bytes:
            return [reject(RejectReason.OVERSIZE, value, None)]
        document = read_json(value)
        if isinstance(document, RejectReason):
            return [reject(document, value, None)]
        return [self._element(each, arrival_ms) for each in self._exploded(document)]

    def _exploded(self, document: Any) -> Iterator[Any]:  # noqa: ANN401 - JSON
        """Yield the elements: of arrays, of the preset's own lists (`each`), and of string-wrapped JSON."""
        members = document if isinstance(document, list) else [document]
        for member in members:
            if self.spec is None:
                yield member
            else:
                yield from self._unwrapped(member, _MAX_UNWRAPS)

    def _unwrapped(self, member: Any, levels: int) -> Iterator[Any]:  # noqa: ANN401 - JSON
        spec = self.spec
        if isinstance(member, str) and levels and member.lstrip()[:1] in ("{", "["):
            inner = read_json_text(member)
            if not isinstance(inner, RejectReason):
                for each in inner if isinstance(inner, list) else [inner]:
                    yield from self._unwrapped(each, levels - 1)
                return
        if spec is None or not isinstance(member, dict) or not levels:
            yield member
            return
        for path in spec.each:
            entries = path({key: _Listed(value) if isinstance(value, list) else value for key, value in member.items()})
            if isinstance(entries, _Listed):
                for each in entries.members:
                    yield from self._unwrapped(_inside(each, member), levels - 1)
                return
        for path in spec.unwrap:
            wrapped = path(member)
            if isinstance(wrapped, str) and wrapped.lstrip()[:1] in ("{", "["):
                inner = read_json_text(wrapped)
                if not isinstance(inner, RejectReason):
                    for each in inner if isinstance(inner, list) else [inner]:
                        yield from self._unwrapped(_inside(each, member), levels - 1)
                    return
            if isinstance(wrapped, dict):
                yield from self._unwrapped(_inside(wrapped, member), levels - 1)
                return
        yield member

    def _element(self, element: Any, arrival_ms: int | None) -> AuthEvent | Rejected:  # noqa: ANN401 - JSON
        try:
            if has_duplicate(element):
                raise Refused(RejectReason.DUPLICATE_FIELD)
            if not isinstance(element, dict):
                raise Refused(RejectReason.NOT_AN_OBJECT)
            if self.spec is None:
                return read_canonical(
                    element,
                    arrival_ms=arrival_ms,
                    gateway=self.gateway,
                    region=self.region,
                    skew_ms=self.max_clock_skew_ms,
                )
            return self._mapped(self.spec, element, arrival_ms)
        except Refused as refused:
            return reject(refused.reason, repr(element).encode("utf-8", "backslashreplace"), element)

    def _mapped(self, spec: Spec, record: Mapping[str, Any], arrival_ms: int | None) -> AuthEvent:
        status = status_of(_first(spec.fields["status"], record))
        ts_ms = self._time(spec, record, arrival_ms, known=status is not None)
        client = _text(spec.fields["client"], record)
        if client in spec.anonymous_clients:
            client = None
        secret = self._secret(spec, record)
        credential = _text(spec.fields["credential"], record)
        mapped: dict[str, object] = {
            "status": status,
            "client": client,
            "secret": "present" if secret is not None else None,
            "credential": credential,
        }
        if credential is None and secret is not None:
            credential = self._fingerprint(secret)
        outcome, reason = self._outcome(spec, record, mapped, status, has_credential=credential is not None)
        gateway = _text(spec.fields["gateway"], record) or spec.constants.get("gateway") or self.gateway
        if gateway is None:
            raise Refused(RejectReason.MISSING_FIELD)
        suspect = arrival_ms is not None and ts_ms > arrival_ms + self.max_clock_skew_ms
        return AuthEvent(
            ts_ms=arrival_ms if suspect and arrival_ms is not None else ts_ms,
            outcome=outcome,
            reason=reason,
            gateway=gateway,
            credential=credential,
            client=client,
            source=_source(spec, record),
            region=_text(spec.fields["region"], record) or spec.constants.get("region") or self.region,
            route=_route(_text(spec.fields["route"], record)),
            method=_text(spec.fields["method"], record),
            status=status,
            event_id=_text(spec.fields["event_id"], record),
            sample_rate=sample_rate_of(_first(spec.sample_rate, record)),
            ts_suspect=suspect,
        )

    def _time(self, spec: Spec, record: Mapping[str, Any], arrival_ms: int | None, *, known: bool) -> int:
        for at in spec.times:
            raw = at.path(record)
            if raw is None or raw in ("", "-"):
                continue
            try:
                return checked_time(at.read(raw), arrival_ms)
            except BadTime as error:
                raise Refused(RejectReason.BAD_TIME) from error
        # A record with a status and no time is ours and incomplete; one with neither is not this gateway's.
        raise Refused(RejectReason.MISSING_FIELD if known else RejectReason.UNMAPPED)

    def _secret(self, spec: Spec, record: Mapping[str, Any]) -> str | None:
        at = spec.secret
        for path in at.headers:
            if (secret := secret_in_headers(path(record), SECRET_HEADERS)) is not None:
                return secret
        for path in at.values:
            if (secret := presented(path(record))) is not None:
                return secret
        for path in at.parameters:
            if (secret := secret_in_parameters(path(record), SECRET_PARAMETERS)) is not None:
                return secret
        for path in at.urls:
            if (secret := secret_in_url(path(record), SECRET_PARAMETERS)) is not None:
                return secret
        return None

    def _outcome(
        self,
        spec: Spec,
        record: Mapping[str, Any],
        mapped: Mapping[str, object],
        status: int | None,
        *,
        has_credential: bool,
    ) -> tuple[Outcome, Reason]:
        for rule in spec.rules:
            if all(holds(record, mapped) for holds in rule.conditions):
                answer = completed(rule.outcome, rule.reason, status=status, has_credential=has_credential)
                if answer is not None:
                    return answer
        raise Refused(RejectReason.UNMAPPED)


class _Listed:
    """Keeps a list whole while a path walks over it (a path otherwise takes a list for its first element)."""

    def __init__(self, members: list[Any]) -> None:
        self.members = members


def reject(reason: RejectReason, raw: bytes, document: object) -> Rejected:
    """Return a reject with a redacted sample; the payload itself goes no further than its SHA-256."""
    return Rejected(
        reason=reason,
        sha256=hashlib.sha256(raw).hexdigest(),
        sample=redacted_sample(raw if document is None else document),
    )


def _inside(inner: Any, outer: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Return an unwrapped record that still knows its envelope, as `_outer`."""
    return {**inner, _OUTER: dict(outer)} if type(inner) is dict and _OUTER not in inner else inner


def _first(paths: tuple[Path, ...], record: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    for path in paths:
        value = path(record)
        if value is not None and value not in ("", "-"):
            return value
    return None


def _text(paths: tuple[Path, ...], record: Mapping[str, Any]) -> str | None:
    for path in paths:
        value = path(record)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and (text := bounded(value)) is not None:
            return text
    return None


def _route(text: str | None) -> str | None:
    """Return the path of a route, a URL, or a request line."""
    if text is not None and text.count(" ") == 2:  # noqa: PLR2004 - `GET /orders HTTP/1.1`
        text = text.split(" ")[1]
    return route_of(text)


def _source(spec: Spec, record: Mapping[str, Any]) -> str | None:
    parts = []
    for path, form in spec.source:
        text = _text((path,), record)
        if text is not None and form == "product":
            # `acme-sync/1.4` calls from where `acme-sync/1.5` did: a release must not look like a new caller.
            text = text.split("/", 1)[0].split(" ", 1)[0] or None
        elif text is not None and form == "network":
            text = _network(text)
        if text is not None:
            parts.append(text)
    return bounded(" ".join(parts))


def _network(text: str) -> str | None:
    host = text.rsplit(":", 1)[0].strip("[]") if text.count(":") in (1, 8) or text.startswith("[") else text
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return str(ip_network((address, 24 if address.version == 4 else 64), strict=False))  # noqa: PLR2004
