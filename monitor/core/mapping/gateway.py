"""A gateway's record -> `AuthEvent`, by a compiled mapping: closures made once, called for every record."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from monitor.core.events import AuthEvent, Outcome, Reason, RejectReason
from monitor.core.mapping import canonical
from monitor.core.mapping.canonical import Refused, bad_text, clean_route, cut, placed
from monitor.core.mapping.envelopes import Envelope
from monitor.core.mapping.fingerprints import fingerprint
from monitor.core.mapping.outcomes import Facts, compile_conditions, compile_rules
from monitor.core.mapping.paths import Getter, Path, compile_steps, is_absent, parse_path
from monitor.core.mapping.reading import Unreadable
from monitor.core.mapping.secrets import compile_headers, compile_secrets, scrubber
from monitor.core.mapping.spec import Spec
from monitor.core.mapping.times import time_ms

_PORT = re.compile(r"^\[?([0-9A-Fa-f:.]+?)\]?(?::\d+)?$")
_METHOD = re.compile(r"^[A-Z]+ (?=/\S*$)")
_AGENT = re.compile(r"^[^\s/(]+")
_IPV4, _NETWORK_V4, _NETWORK_V6 = 4, 24, 48
_HEADERS = "\0headers"
"""Where a record's headers wait for the paths that ask for one; no JSON field is read from there."""


class GatewayMapping:
    """One compiled mapping. `events` gives, for one element, its events or why there is none."""

    def __init__(self, spec: Spec, *, pepper: bytes, gateway: str | None, region: str | None) -> None:
        """Compile; `gateway` and `region` stand in where the record names none."""
        fixed = dict(spec.set)
        self._pepper = pepper
        self._gateway = gateway
        self._region = region
        self._fixed_count = fixed.get("count")
        self._fixed_rate = fixed.get("sample_rate")
        self._fixed = {name: value for name, value in fixed.items() if isinstance(value, str)}
        self._envelope = Envelope(spec)
        self._headers = compile_headers(spec.secrets)
        self._secrets = compile_secrets(spec.secrets)
        self._times = [(_getter(each.path), each.form) for each in spec.time]
        translate = {name: dict(table) for name, table in spec.translate}
        self._texts = {
            name: _coalesce(getattr(spec, name), translate.get(name))
            for name in ("event_id", "gateway", "region", "credential", "client", "route", "method")
        }
        self._accepted_credential = _coalesce(spec.credential_if_accepted, None)
        self._accepted_client = _coalesce(spec.client_if_accepted, None)
        self._status = [_getter(path) for path in spec.status]
        self._count = [_getter(path) for path in spec.count]
        self._rate = [_getter(path) for path in spec.sample_rate]
        self._source = [([_getter(path) for path in part.paths], part.form) for part in spec.source]
        self._anonymous = frozenset(each.casefold() for each in spec.anonymous_clients)
        self._decide = compile_rules(spec.outcome, _getter_of)
        self._ignored = [compile_conditions(each, _getter_of) for each in spec.ignore]

    def events(
        self, element: object, arrival_ms: int | None, *, max_clock_skew_ms: int
    ) -> list[AuthEvent | RejectReason]:
        """Return what the element holds, each record an event or the reason why not."""
        made: list[AuthEvent | RejectReason] = []
        for record in self._envelope.open(element):
            if isinstance(record, Unreadable):
                made.append(record.reason)
            elif not any(holds(record, Facts()) for holds in self._ignored):
                try:
                    made.append(self._event(record, arrival_ms, max_clock_skew_ms))
                except Refused as refused:
                    made.append(refused.reason)
        return made

    def _event(self, record: dict[str, Any], arrival_ms: int | None, max_clock_skew_ms: int) -> AuthEvent:
        headers = self._headers(record)
        secrets = self._secrets(record, headers)
        record = {**record, _HEADERS: headers}
        ts_ms, suspect = placed(self._time(record), arrival_ms, max_clock_skew_ms)
        texts = self._texts
        credential = texts["credential"](record)
        client = texts["client"](record)
        status = _status(self._status, record)
        facts = Facts(
            status=status,
            credential=credential is not None or self._accepted_credential(record) is not None,
            secret=bool(secrets),
            client=client is not None,
            anonymous=client is not None and client.casefold() in self._anonymous,
        )
        decided = self._decide(record, facts)
        if decided is None:
            raise Refused(RejectReason.MISSING_FIELD if status is None else RejectReason.UNMAPPED)
        outcome, reason = decided
        if outcome is Outcome.SUCCESS or reason is Reason.FORBIDDEN:  # both come after the credential was accepted
            credential = credential or self._accepted_credential(record)
            client = client or self._accepted_client(record)
        return self._made(record, (ts_ms, suspect), (outcome, reason), (credential, client), status, secrets=secrets)

    def _made(
        self,
        record: dict[str, Any],
        time: tuple[int, bool],
        decided: tuple[Outcome, Reason],
        who: tuple[str | None, str | None],
        status: int | None,
        *,
        secrets: list[str],
    ) -> AuthEvent:
        """Return the event: what was presented becomes a fingerprint, and stands in no other field any more."""
        texts, fixed = self._texts, self._fixed
        clean = scrubber(secrets)

        def scrub(text: str | None) -> str | None:
            if text is None or (text := clean(text)) is None:
                return None
            return cut(text)  # after the search: half of a secret would not be recognised

        credential, client = who
        if credential in secrets or (credential is None and secrets):
            credential = fingerprint(self._pepper, credential or secrets[0])
        else:
            credential = scrub(credential)
        gateway = fixed.get("gateway") or scrub(texts["gateway"](record)) or self._gateway
        if gateway is None:
            raise Refused(RejectReason.MISSING_FIELD)
        return AuthEvent(
            ts_ms=time[0],
            outcome=decided[0],
            reason=decided[1],
            gateway=gateway,
            credential=credential,
            client=fixed.get("client") or scrub(client),
            source=fixed.get("source") or scrub(self._source_of(record)),
            region=fixed.get("region") or scrub(texts["region"](record)) or self._region,
            route=_path_of(clean(texts["route"](record))),
            method=scrub(texts["method"](record)),
            status=status,
            event_id=scrub(texts["event_id"](record)),
            count=canonical.count_of(
                self._fixed_count if self._fixed_count is not None else _number(self._count, record)
            ),
            sample_rate=canonical.sample_rate_of(
                self._fixed_rate if self._fixed_rate is not None else _number(self._rate, record)
            ),
            ts_suspect=time[1],
        )

    def _time(self, record: dict[str, Any]) -> int | None:
        """Return the time by the first place that has one. Raises `Refused` where no place has."""
        for get, form in self._times:
            value = get(record)
            if not is_absent(value):
                return time_ms(value, form)
        raise Refused(RejectReason.MISSING_FIELD)

    def _source_of(self, record: dict[str, Any]) -> str | None:
        parts = [part for getters, form in self._source if (part := _source_part(getters, form, record)) is not None]
        return " ".join(parts) if parts else None


def _path_of(route: str | None) -> str | None:
    """Return the path of a route; AWS's HTTP APIs write `GET /orders`."""
    return clean_route(route if route is None else _METHOD.sub("", route.strip()))


def _source_part(getters: list[Getter], form: str, record: dict[str, Any]) -> str | None:
    for get in getters:
        text = _text(get(record))
        if text is not None and form == "product":
            # `acme-sync/1.4` calls from where `acme-sync/1.5` did: a release must not look like a new caller.
            match = _AGENT.match(text)
            text = match.group() if match is not None else None
        elif text is not None and form == "network":
            text = _network(text)
        if text is not None:
            return text
    return None


def _network(text: str) -> str | None:
    match = _PORT.match(text.split(",", maxsplit=1)[0].strip())
    try:
        address = ipaddress.ip_address(match.group(1)) if match is not None else ipaddress.ip_address(text)
    except ValueError:
        return None
    bits = _NETWORK_V4 if address.version == _IPV4 else _NETWORK_V6
    return str(ipaddress.ip_network((address, bits), strict=False))


def _getter(path: Path) -> Getter:
    if path.header is not None:
        name = path.header
        return lambda record: record[_HEADERS].get(name)
    return compile_steps(path.steps)


@lru_cache(maxsize=1024)
def _getter_of(text: str) -> Getter:
    if "|" in text:
        getters = [_getter_of(each) for each in text.split("|")]
        return lambda record: next((found for get in getters if not is_absent(found := get(record))), None)
    get = _getter(parse_path(text))
    return get if not text.startswith("header:") else lambda record: get(record) if _HEADERS in record else None


def _coalesce(paths: tuple[Path, ...], table: dict[str, str] | None) -> Callable[[dict[str, Any]], str | None]:
    """Return a function from a record to the first text that is there, put into other words by the table."""
    getters = [_getter(path) for path in paths]

    def first(record: dict[str, Any]) -> str | None:
        for get in getters:
            value = get(record)
            if value is not None and (text := _text(value)) is not None:
                return text if table is None else table.get(text, text)
        return None

    return first


def _text(value: object) -> str | None:
    """Return a scalar as text, trimmed; `None` for what is absent or no scalar. A list stands for its first."""
    if not isinstance(value, str):
        if isinstance(value, list):
            value = value[0] if value else None
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            return None
    text = value.strip()
    if text in ("", "-"):
        return None
    if bad_text(text):
        raise Refused(RejectReason.BAD_TEXT)
    return text


def _status(getters: list[Getter], record: dict[str, Any]) -> int | None:
    for get in getters:
        value = get(record)
        if is_absent(value):
            continue
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, str):  # nginx writes each upstream that was tried: "502, 200 : 401"; the last one answered
            value = re.split(r"[,:\s]+", value.strip())[-1]
        if (status := canonical.status_of(value)) is not None:
            return status
    return None


def _number(getters: list[Getter], record: dict[str, Any]) -> object:
    for get in getters:
        value = get(record)
        if is_absent(value):
            continue
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise Refused(RejectReason.WRONG_TYPE) from None
        return int(value) if isinstance(value, float) and value.is_integer() and value >= 1 else value
    return None
