"""Canonical records in bulk: a chunk of values decoded by loops in C, with a proof that nothing was overlooked.

JSON decoders keep the last of two equal fields and skip unknown ones without a word. A *shape* is a struct that
requires exactly the fields that a producer writes, with their types; so each of its records has a known number of
quotation marks, and a chunk whose total is that number hides nothing. A looser struct proves the same by encoding
again. What cannot be proved is left to the strict path, one record at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import repeat
from operator import attrgetter, floordiv, sub
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from monitor.core.instants import from_ms
from monitor.core.mapping.reading import MAX_DEPTH
from monitor.core.mapping.times import EARLIEST_MS, LATEST_MS

KEY_FIELDS = (
    "credential",
    "client",
    "source",
    "gateway",
    "region",
    "outcome",
    "reason",
    "status",
    "count",
    "sample_rate",
)
"""What decides where an event is counted; beside its time."""
_OTHERS = ("route", "method", "id", "arrived_at")
_FIELDS = frozenset({"ts", *KEY_FIELDS, *_OTHERS})
_MOST_EXTRAS = 32
_LEARN_FROM = 32
_GIVE_UP_AFTER = 3
_QUOTE = ord('"')
_TRY_AGAIN_AFTER = 200

_Milliseconds = Annotated[int, msgspec.Meta(ge=EARLIEST_MS, le=LATEST_MS)]
_AwareDatetime = Annotated[datetime, msgspec.Meta(tz=True)]
_EPOCH = from_ms(0)
_MILLISECOND = from_ms(1) - _EPOCH
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

_Text = str | UnsetType | None
_LOOSE: dict[str, Any] = {
    "ts": _Milliseconds | _AwareDatetime,
    **dict.fromkeys(("credential", "client", "source", "gateway", "region", "outcome", "reason"), _Text),
    "status": int | str | UnsetType | None,
    "count": int | UnsetType | None,
    "sample_rate": int | float | UnsetType | None,
    **dict.fromkeys(("route", "method", "id"), _Text),
    "arrived_at": int | float | str | UnsetType | None,
}
_NOTHING = type(None)
_PLAIN = frozenset({str, int, float, bool, _NOTHING})
_SHAPED = {
    **dict.fromkeys(_FIELDS, frozenset({str, _NOTHING})),
    "ts": frozenset({str, int}),
    "status": frozenset({str, int, _NOTHING}),
    "count": frozenset({int}),
    "sample_rate": frozenset({int, float}),
    "arrived_at": frozenset({str, int, float, _NOTHING}),
}
"""Which types a shape may have; with others the strict path says what is wrong."""


class Chunk(NamedTuple):
    """Decoded records: `events` have the attributes of canonical fields, `form` tells which."""

    events: list[Any]
    times_ms: list[int]
    form: Form


class Form(NamedTuple):
    """A struct and how to read it. `fields` names the entries of the tuple that `key_of` returns, in order.

    quotes: of each record, `None` where the count has to be taken from an encoding. nested: whether values may be deep.
    """

    decode: Callable[[bytes], Any]
    fields: tuple[str, ...]
    key_of: Callable[[Any], tuple[Any, ...]]
    quotes: int | None
    nested: bool
    names: frozenset[str]
    datetimes: bool

    def fields_of(self, key: tuple[Any, ...]) -> dict[str, Any]:
        """Return what a key is made of, by name; absent is `None`."""
        if self.quotes is None:
            key = tuple(None if each is UNSET else each for each in key)
        return dict(zip(self.fields, key, strict=True))

    def get(self, event: object, field: str) -> Any:  # noqa: ANN401 - a JSON scalar
        """Return a field of an event; absent is `None`."""
        found = getattr(event, field, None)
        return None if found is UNSET else found


class WireReader:
    """Reads chunks; learns the producer's shape from what it sees. Not shared between threads."""

    def __init__(self) -> None:
        """Start with the loose form alone."""
        self._extras: tuple[str, ...] = ()
        self._loose = _loose_form(())
        self._shape: Form | None = None
        self._shaped: tuple[tuple[str, type], ...] = ()
        self._failures = 0
        self._rest = 0

    def read(self, values: Sequence[bytes | None]) -> Chunk | None:
        """Return the chunk decoded, or `None` where it has to be read strictly, one record at a time."""
        try:
            joined = b"".join(values)  # type: ignore[arg-type]
        except TypeError:
            return None
        if b"\\" in joined and (b"\\u" in joined or b'\\"' in joined):
            return None
        return self._by_shape(values, joined) or self._by_loose(values, joined)  # type: ignore[arg-type]

    def plain(self, values: Sequence[bytes | None]) -> list[int]:
        """Return the places of records that can be read on their own, in a chunk that cannot be read as one."""
        return [index for index, value in enumerate(values) if value is not None and self._by_itself(value)]

    def _by_itself(self, value: bytes) -> bool:
        escaped = b"\\" in value and (b"\\u" in value or b'\\"' in value)
        return not escaped and _proved(self._loose, (value,), value) is not None

    def _by_shape(self, values: Sequence[bytes], joined: bytes) -> Chunk | None:
        if self._rest:
            self._rest -= 1
            return None
        if self._shape is not None and (chunk := _proved(self._shape, values, joined)) is not None:
            self._failures = 0
            return chunk
        if self._learn_shape(values[0]) and (chunk := _proved(self._shape, values, joined)) is not None:
            return chunk
        self._failures += 1
        if self._failures >= _GIVE_UP_AFTER:
            self._failures, self._rest = 0, _TRY_AGAIN_AFTER
        return None

    def _by_loose(self, values: Sequence[bytes], joined: bytes) -> Chunk | None:
        chunk = _proved(self._loose, values, joined)
        if chunk is None and self._learn_extras(values):
            chunk = _proved(self._loose, values, joined)
        return chunk

    def _learn_shape(self, value: bytes) -> bool:
        """Take on the shape of a record; return whether it is a new one."""
        record = _document(value)
        if record is None:
            return False
        shape = tuple((name, type(each)) for name, each in record.items())
        if shape == self._shaped:
            return False
        self._shaped = shape
        self._shape = _shape_form(record)
        return self._shape is not None

    def _learn_extras(self, values: Sequence[bytes]) -> bool:
        """Let the loose form know the unknown fields of this chunk; return whether there were new ones."""
        found = dict.fromkeys(self._extras)
        for value in values[:_LEARN_FROM]:
            found.update(dict.fromkeys(name for name in _document(value) or () if name not in _FIELDS))
        if len(found) == len(self._extras) or len(found) > _MOST_EXTRAS:
            return False
        self._extras = tuple(found)
        self._loose = _loose_form(self._extras)
        return True


def _document(value: bytes) -> Mapping[str, Any] | None:
    try:
        document = _decode_any(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _form(fields: Sequence[tuple[Any, ...]], rename: Mapping[str, str], **known: Any) -> Form:  # noqa: ANN401
    names = [each[0] for each in fields]
    key = tuple(name for name in KEY_FIELDS if name in names)
    struct = msgspec.defstruct("WireEvent", fields, gc=False, kw_only=True, rename=dict(rename))
    return Form(
        decode=msgspec.json.Decoder(struct).decode,
        fields=key,
        key_of=attrgetter(*key) if len(key) > 1 else lambda event: tuple(getattr(event, name) for name in key),
        names=frozenset(names),
        **known,
    )


def _renamed(extras: Sequence[str]) -> dict[str, str]:
    return {f"extra_{number}": name for number, name in enumerate(extras)}


def _loose_form(extras: Sequence[str]) -> Form:
    fields: list[tuple[Any, ...]] = [
        (name, kind) if name == "ts" else (name, kind, UNSET) for name, kind in _LOOSE.items()
    ]
    rename = _renamed(extras)
    fields += [(name, Any, UNSET) for name in rename]
    return _form(fields, rename, quotes=None, nested=bool(extras), datetimes=True)


def _shape_form(record: Mapping[str, Any]) -> Form | None:
    """Return the form of records just like this one; `None` where they have to be counted otherwise."""
    extras = [name for name in record if name not in _FIELDS]
    if "ts" not in record or len(extras) > _MOST_EXTRAS:
        return None
    kinds = {name: type(value) for name, value in record.items()}
    if any(kind not in _SHAPED.get(name, _PLAIN) for name, kind in kinds.items()):
        return None
    rename = _renamed(extras)
    time = _AwareDatetime if kinds["ts"] is str else _Milliseconds
    fields = [(name, time if name == "ts" else kind) for name, kind in kinds.items() if name in _FIELDS]
    fields += [(given, kinds[name]) for given, name in rename.items()]
    texts = sum(kind is str for kind in kinds.values())
    quotes = 2 * (len(fields) + texts)
    return _form(fields, rename, quotes=quotes, nested=False, datetimes=type(record["ts"]) is str)


def _proved(form: Form | None, values: Sequence[bytes], joined: bytes) -> Chunk | None:
    """Decode, and prove by the number of quotation marks that each record was decoded whole."""
    if form is None:
        return None
    try:
        events = list(map(form.decode, values))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    held = form.quotes * len(events) if form.quotes is not None else _encode(events).count(b'"')
    if np.count_nonzero(np.frombuffer(joined, np.uint8) == _QUOTE) != held:
        return None
    if form.nested and any(value.count(b"{") + value.count(b"[") > MAX_DEPTH for value in values):
        return None
    times = [event.ts for event in events]
    if form.datetimes:
        times = _milliseconds(times)
    return Chunk(events, times, form)


def _milliseconds(times: Sequence[int | datetime]) -> list[int]:
    kinds = set(map(type, times))
    if kinds == {datetime}:
        return list(map(floordiv, map(sub, times, repeat(_EPOCH)), repeat(_MILLISECOND)))
    if kinds == {int}:
        return list(times)  # type: ignore[arg-type]
    return [each if isinstance(each, int) else (each - _EPOCH) // _MILLISECOND for each in times]
