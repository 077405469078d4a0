"""Finding the secrets that a gateway's record shows: in headers, query parameters, URLs and fields of their own.

What is found is compared, fingerprinted and dropped; it never becomes part of a value that leaves the mapping.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote

from monitor.core.mapping.fingerprints import presented, without_scheme
from monitor.core.mapping.paths import compile_steps, header_name
from monitor.core.mapping.spec import Secrets

Headers = dict[str, Any]

_SCRUB_FROM = 4
"""Shorter secrets are not looked for inside of other texts: they would be found everywhere."""

_PLAIN = re.compile(r"[A-Za-z0-9._~-]+")

_name = lru_cache(maxsize=4096)(header_name)


def compile_headers(  # noqa: C901 - the three ways in which records hold headers, side by side
    secrets: Secrets,
) -> Callable[[dict[str, Any]], Headers]:
    """Return a function from a record to its request headers by lower-case name, wherever they stand."""
    objects = [compile_steps(path.steps) for path in secrets.headers]
    prefixes = secrets.header_fields

    def headers_of(record: dict[str, Any]) -> Headers:
        found: Headers = {}
        for prefix in prefixes:
            cut = len(prefix)
            for name, value in record.items():
                if not cut or name[:cut].lower() == prefix:
                    found[_name(name[cut:])] = value
        for get in objects:
            value = get(record)
            if isinstance(value, dict):
                for name, each in value.items():
                    found[_name(name)] = each
            elif isinstance(value, list):  # [{"name": …, "value": …}, …], as OCSF and some shippers write them
                for each in value:
                    if isinstance(each, dict) and isinstance(each.get("name"), str):
                        found[_name(each["name"])] = each.get("value")
        return found

    return headers_of


def compile_secrets(secrets: Secrets) -> Callable[[dict[str, Any], Headers], list[str]]:
    """Return a function from a record and its headers to the secrets that it shows, the likeliest first."""
    raw = [compile_steps(path.steps) for path in secrets.raw]
    objects = [compile_steps(path.steps) for path in secrets.query]
    names = secrets.names
    parameters = secrets.query_names
    in_url = _parameter_pattern(parameters)

    def secrets_of(record: dict[str, Any], headers: Headers) -> list[str]:
        found: list[str] = []
        for get in raw:
            _keep(found, presented(get(record)))
        for name in names:
            if name in headers:
                value = presented(headers[name])
                if value is not None and name.endswith("authorization"):
                    value = presented(without_scheme(value))
                _keep(found, value)
        for get in objects:
            _keep_parameters(found, get(record), parameters)
        for text in _texts_with_parameters(record):
            for match in in_url.finditer(text):
                _keep(found, presented(unquote(match.group(1))))
        return found

    return secrets_of


def scrubber(found: list[str]) -> Callable[[str | None], str | None]:
    """Return a function that makes any text free of these secrets; one that is nothing but a secret becomes absent."""
    if not found:
        return _same
    longer = [form for each in found if len(each) >= _SCRUB_FROM for form in _forms(each)]

    def scrub(text: str | None) -> str | None:
        if text is None or text in found:
            return None
        for secret in longer:
            if secret in text:
                text = text.replace(secret, "REDACTED")
        return text

    return scrub


def _forms(secret: str) -> tuple[str, ...]:
    """Return a secret as such, and as it stands in a URL."""
    if _PLAIN.fullmatch(secret):
        return (secret,)
    return secret, quote(secret.encode("utf-8", "surrogatepass"), safe="")


def _same(text: str | None) -> str | None:
    return text


def _keep(found: list[str], value: str | None) -> None:
    if value is not None and value not in found:
        found.append(value)


def _keep_parameters(found: list[str], query: object, names: tuple[str, ...]) -> None:
    if isinstance(query, dict):
        by_name = {str(name).lower(): value for name, value in query.items()}
        for name in names:
            if name in by_name:
                _keep(found, presented(by_name[name]))
    elif isinstance(query, str):
        for match in _parameter_pattern(names).finditer("?" + query.lstrip("?")):
            _keep(found, presented(unquote(match.group(1))))


@lru_cache(maxsize=64)
def _parameter_pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    listed = "|".join(re.escape(each) for each in names)
    return re.compile(rf"(?:[?&;]|&amp;)(?:{listed})=([^&;#\s\"'<>]+)", re.IGNORECASE)


def _texts_with_parameters(record: dict[str, Any]) -> list[str]:
    """Return every text of the record, however deep, that could hold a query parameter."""
    found: list[str] = []
    waiting: list[Any] = [record]
    while waiting:
        node = waiting.pop()
        for each in node.values() if type(node) is dict else node:
            kind = type(each)
            if kind is str:
                if "=" in each:
                    found.append(each)
            elif (kind is dict or kind is list) and each:
                waiting.append(each)
    return found
