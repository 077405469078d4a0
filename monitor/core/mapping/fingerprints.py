"""Fingerprints of presented secrets: the only form in which a secret leaves the mapping."""

from __future__ import annotations

import hmac
import re

FINGERPRINT_PREFIX = "fp_"

_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9!#$%&'*+.^_`|~-]*[ \t]+(?=\S)")
_MASKED = re.compile(
    r"^[\[<({]*\s*(?:redacted|masked|filtered|hidden|removed|omitted|sanitized|none|null|undefined)\s*[\]>)}]*$"
    r"|\*{3,}|\.{3}$|^[xX\u2022\u00b7#.\u2026]{3,}",
    re.IGNORECASE,
)


def fingerprint(pepper: bytes, secret: str) -> str:
    """Return `fp_` + 64 hex digits of HMAC-SHA-256(pepper, secret), the secret's ends trimmed.

    >>> fingerprint(b"pepper", " s3cret ") == fingerprint(b"pepper", "s3cret")
    True
    """
    return FINGERPRINT_PREFIX + hmac.digest(pepper, secret.strip().encode("utf-8", "surrogatepass"), "sha256").hex()


def without_scheme(header: str) -> str:
    """Return an `Authorization` header's value without its scheme.

    >>> without_scheme("Bearer abc")
    'abc'
    """
    return _SCHEME.sub("", header.strip(), count=1).strip()


def presented(value: object) -> str | None:
    """Return a secret as it was presented, or `None` where the log only shows that there was one, or nothing.

    >>> presented("REDACTED"), presented("-"), presented("****1234"), presented(" k1 ")
    (None, None, None, 'k1')
    """
    if isinstance(value, (list, tuple)):
        return next((found for each in value if (found := presented(each)) is not None), None)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    if text in ("", "-") or _MASKED.search(text):
        return None
    return text
