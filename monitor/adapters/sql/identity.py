"""Names rows by 16 bytes: BLAKE2b over a natural key whose texts are untrusted and of any length."""

from __future__ import annotations

from hashlib import blake2b

DIGEST_BYTES = 16


def digest(*parts: str | int | None) -> bytes:
    """Return the digest of a key; different keys give different bytes (absent is not empty, borders count).

    Texts hold no NUL (the mapping rejects it), so that NUL may be the border.
    """
    try:
        text = "\1" + "\0\1".join(parts)  # type: ignore[arg-type] # most keys are texts alone
    except TypeError:
        text = "\0".join(["\2" if part is None else f"\1{part}" for part in parts])
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()
