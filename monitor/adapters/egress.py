"""Guarded HTTP out of the daemon: https, no redirects, no private address unless allowed, checked at the connect.

A name is resolved once and the connection made to the very address that was checked, so that a name which changes its
answer in between (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import NamedTuple
from urllib.parse import urlsplit

from monitor.errors import ConfigError, Undeliverable, Undelivered

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_MAX_ANSWER = 4_096
_TOO_MANY, _SERVER_ERROR, _REDIRECT, _SUCCESS = 429, 500, 300, 200
_TRY_AGAIN = frozenset({408, 425, 429})


class Egress(NamedTuple):
    """What may be reached. `allow_private` is for receivers inside of one's own network, and plain http to them."""

    allow_private: bool = False
    timeout_seconds: float = 10.0


def check_url(url: str, egress: Egress) -> None:
    """Raise `ConfigError` for an address that will never be allowed, before anything is sent there."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError("the receiver's address must be an https URL with a host")
    if parts.username or parts.password:
        raise ConfigError("the receiver's address must not hold a password: use its secret or routing key setting")
    if parts.scheme == "http" and not egress.allow_private:
        raise ConfigError("the receiver's address is not https; set allow_private for one inside of your own network")


def post(url: str, body: bytes, headers: Mapping[str, str], egress: Egress) -> int:
    """Send a POST; return the status of a 2xx answer. Raises `Undelivered` or `Undeliverable`."""
    check_url(url, egress)
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = _connection(parts.scheme, host, port, egress)
    try:
        connection.request("POST", path, body=body, headers=dict(headers))
        answer = connection.getresponse()
        answer.read(_MAX_ANSWER)
        status, asked = answer.status, answer.getheader("retry-after")
    except (HTTPException, OSError) as error:
        raise Undelivered(f"{host} did not answer: {type(error).__name__}") from None
    finally:
        connection.close()
    if _SUCCESS <= status < _REDIRECT:
        return status
    text = f"{host} answered {status}"
    if status >= _SERVER_ERROR or status in _TRY_AGAIN:
        raise Undelivered(text, retry_after_seconds=float(asked) if asked and asked.isdigit() else None)
    if _REDIRECT <= status < 400:  # noqa: PLR2004 - the end of 3xx
        raise Undeliverable(f"{text}: redirects are not followed; configure the final address")
    raise Undeliverable(text)


def _connection(scheme: str, host: str, port: int, egress: Egress) -> HTTPConnection:
    """Return a connection already made to a checked address."""
    connected = _connect(host, port, egress)
    if scheme == "http":
        plain = HTTPConnection(host, port, timeout=egress.timeout_seconds)
        plain.sock = connected
        return plain
    context = ssl.create_default_context()
    secure = HTTPSConnection(host, port, timeout=egress.timeout_seconds, context=context)
    try:
        secure.sock = context.wrap_socket(connected, server_hostname=host)
    except (ssl.SSLError, OSError) as error:
        connected.close()
        raise Undelivered(f"{host}: no trusted TLS connection: {type(error).__name__}") from None
    return secure


def _connect(host: str, port: int, egress: Egress) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Undelivered(f"{host} cannot be resolved: {type(error).__name__}") from None
    allowed = [each for each in found if egress.allow_private or _is_public(str(each[4][0]))]
    if not allowed:
        raise Undeliverable(f"{host} has no public address; set allow_private to reach one inside of your own network")
    failure = ""
    for family, kind, protocol, _, address in allowed:
        made = socket.socket(family, kind, protocol)
        made.settimeout(egress.timeout_seconds)
        try:
            made.connect(address)
        except OSError as error:
            made.close()
            failure = type(error).__name__
        else:
            return made
    raise Undelivered(f"{host} cannot be reached: {failure}")


def _is_public(address: str) -> bool:
    """Return whether an address is public, and the one that it may carry inside of it, too."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if not found.is_global or found.is_multicast:
        return False
    return all(each.is_global for each in _carried(found))


def _carried(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """Return the IPv4 addresses that gateways would reach by an IPv6 one: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    nat64 = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
    found = [address.ipv4_mapped, address.sixtofour, nat64, *(address.teredo or ())]
    return [each for each in found if each is not None]
