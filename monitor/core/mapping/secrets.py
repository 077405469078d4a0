"""Presented secrets: where gateways leave them, how they become fingerprints, and how samples lose them.

A failed authentication carries no credential id: the presented secret is the only trace. It is fingerprinted here
(HMAC-SHA-256 under the pepper) and goes no further.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import parse_qsl, urlsplit

SECRET_HEADERS = ("apikey", "x-api-key", "api-key", "authorization")
SECRET_PARAMETERS = ("apikey", "api_key", "key")
_MASKED = re.compile(
    r"(?i)^(redacted|masked|hidden|filtered|removed|secret|none|null|undefined|[*xX.•\-]+)$|^[<\[(]\w+[>\])]$"
)
_SCHEME = re.compile(r"(?i)^(bearer|basic|apikey|api-key|key|token|digest|hmac|aws4-hmac-sha256)\s+(?=\S)")
_SAMPLE_CHARACTERS = 400
_SAFE_WORD = re.compile(r"^[A-Za-z_@][A-Za-z0-9_@.\-]{0,39}$")

Fingerprint = Callable[[str], str]


def fingerprinter(pepper: bytes) -> Fingerprint:
    """Return the function secret -> `fp_` + 64 hex digits of HMAC-SHA-256(pepper, secret)."""
    keyed = hmac.new(pepper, digestmod=hashlib.sha256)

    def fingerprint(secret: str) -> str:
        mac = keyed.copy()
        mac.update(secret.encode("utf-8", "surrogatepass"))
        return "fp_" + mac.hexdigest()

    return fingerprint


def presented(text: object) -> str | None:
    """Return the secret in a header or parameter value: its scheme cut, `None` where it is absent or masked."""
    if isinstance(text, list):
        text = text[0] if text else None
    if not isinstance(text, str):
        return None
    secret = _SCHEME.sub("", text.strip()).strip()
    return None if not secret or _MASKED.match(secret) else secret


def secret_in_headers(headers: object, names: Iterable[str]) -> str | None:
    """Return the presented secret of the first of these headers; names are case-insensitive."""
    if not isinstance(headers, Mapping):
        return None
    lowered = {str(name).lower(): value for name, value in headers.items()}
    return _first(lowered, names)


def secret_in_parameters(parameters: object, names: Iterable[str]) -> str | None:
    """Return the presented secret of the first of these query parameters."""
    if not isinstance(parameters, Mapping):
        return None
    return _first({str(name).lower(): value for name, value in parameters.items()}, names)


def secret_in_url(url: object, names: Iterable[str]) -> str | None:
    """Return the presented secret in the query string of a URL, a path, or a request line (`GET /a?key=b HTTP/1.1`)."""
    if not isinstance(url, str) or "?" not in url:
        return None
    target = url.split(" ")[1] if url.count(" ") == 2 else url  # noqa: PLR2004 - method, target, protocol
    try:
        pairs = parse_qsl(urlsplit(target).query)
    except ValueError:
        return None
    return _first({name.lower(): value for name, value in reversed(pairs)}, names)


def redacted_sample(document: object) -> str:
    """Return the shape of a document without its values: names, types, lengths. Bounded, free of secrets.

    Values are shown only when they are numbers of up to four digits, booleans or null. Names that do not look like
    field names are shown by their length.
    """
    return _shape(document, 0)[:_SAMPLE_CHARACTERS]


def _shape(node: object, level: int) -> str:
    if isinstance(node, bool) or node is None:
        return {True: "true", False: "false", None: "null"}[node]
    if isinstance(node, int) and abs(node) < 10_000:  # noqa: PLR2004 - a status or a small count, never a key
        return str(node)
    if isinstance(node, int | float):
        return "<number>"
    if isinstance(node, str):
        return f"<text {len(node)}>"
    if isinstance(node, bytes):
        return f"<{len(node)} bytes>"
    if level > 3:  # noqa: PLR2004 - deep enough to recognise a record
        return "…"
    if isinstance(node, Mapping):
        inside = ",".join(f"{_name(name)}:{_shape(value, level + 1)}" for name, value in list(node.items())[:30])
        return f"{{{inside}}}"
    if isinstance(node, list):
        inside = ",".join(_shape(value, level + 1) for value in node[:3])
        return f"[{inside}{',…' if len(node) > 3 else ''}]"  # noqa: PLR2004
    return f"<{type(node).__name__}>"


def _name(name: object) -> str:
    text = str(name)
    return text if _SAFE_WORD.match(text) and len(re.findall(r"\d", text)) <= 4 else f"<name {len(text)}>"  # noqa: PLR2004


def _first(lowered: Mapping[str, object], names: Iterable[str]) -> str | None:
    for name in names:
        secret = presented(lowered.get(name))
        if secret is not None:
            return secret
    return None
