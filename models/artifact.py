"""Model files that cannot run code: named arrays and a JSON header in an npz, under a digest, refused when foreign.

What is kept of a forest is its training matrix, parameters, seed, library versions and thresholds; it is grown again on
loading (under a second), so that a library's upgrade is a refit and never a crash. Nothing here reads a pickle.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FORMAT = "rollwatch-model/1"
MAX_BYTES = 64 * 1024 * 1024
_HEADER = "header"

Arrays = dict[str, NDArray[np.generic]]
Header = dict[str, object]


class ArtifactReason(StrEnum):
    """Why a model file was refused (bounded: a metric label)."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    FOREIGN = "foreign"
    TAMPERED = "tampered"
    OUTDATED = "outdated"


class ArtifactError(ValueError):
    """A model file is not used. Retrying does not help; training again does."""

    def __init__(self, reason: ArtifactReason, text: str) -> None:
        """Keep the bounded reason beside the sentence."""
        super().__init__(text)
        self.reason = reason


def _digest(header: str, arrays: Mapping[str, NDArray[np.generic]]) -> str:
    sha = hashlib.sha256(header.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        sha.update(f"{name}:{array.dtype.str}:{array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def save(path: Path, *, kind: str, header: Mapping[str, object], arrays: Mapping[str, NDArray[np.generic]]) -> str:
    """Write a model file in one step (a reader sees the old one or the new one). Returns its digest.

    Args:
        path: where to write.
        kind: what the file holds; `load` asks for it by name.
        header: JSON values.
        arrays: named arrays, none of objects.
    """
    text = json.dumps({**header, "format": FORMAT, "kind": kind}, sort_keys=True)
    digest = _digest(text, arrays)
    sealed = json.dumps({"digest": digest, "header": text}).encode()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{_HEADER: np.frombuffer(sealed, dtype=np.uint8)}, **arrays)  # type: ignore[arg-type]
    scratch = path.with_name(path.name + ".new")
    scratch.write_bytes(buffer.getvalue())
    os.replace(scratch, path)  # noqa: PTH105 - Path.replace is the same; this says atomic
    return digest


def load(path: Path, *, kind: str) -> tuple[Header, Arrays]:
    """Read a model file of a kind.

    Raises:
        ArtifactError: it is missing, not one of ours, changed since it was written, or of another kind or format.
    """
    if not path.is_file():
        raise ArtifactError(ArtifactReason.MISSING, f"model file {path.name} is not there: train first")
    if path.stat().st_size > MAX_BYTES:
        raise ArtifactError(ArtifactReason.FOREIGN, f"model file {path.name} is larger than {MAX_BYTES} bytes: refused")
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays: Arrays = {name: stored[name] for name in stored.files}
        sealed = json.loads(arrays.pop(_HEADER).tobytes())
        digest, text = sealed["digest"], sealed["header"]
        header: Header = json.loads(text)
    except (ValueError, KeyError, OSError, EOFError, TypeError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise ArtifactError(
            ArtifactReason.FOREIGN, f"model file {path.name} is not a Rollwatch model: refused, nothing of it was run"
        ) from error
    if digest != _digest(text, arrays):
        raise ArtifactError(
            ArtifactReason.TAMPERED, f"model file {path.name} was changed after it was written: refused"
        )
    if header.get("format") != FORMAT or header.get("kind") != kind:
        raise ArtifactError(
            ArtifactReason.OUTDATED,
            f"model file {path.name} holds {header.get('kind')!r} in {header.get('format')!r}, "
            f"expected {kind!r} in {FORMAT!r}: train again",
        )
    return header, arrays
