"""Block Kit as a terminal shows it: for previews, and for people who read the tests' golden stories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_ESCAPES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
_WIDTH = 72


def as_text(blocks: Sequence[Mapping[str, Any]]) -> str:
    """Return the blocks in lines; the texts in them are harmless already."""
    return "\n".join(line for block in blocks for line in _lines(block))


def _lines(block: Mapping[str, Any]) -> Iterator[str]:
    match block["type"]:
        case "header":
            yield f"# {_text(block['text'])}"
        case "section":
            if "text" in block:
                yield _text(block["text"])
            for each in block.get("fields", []):
                name, _, value = _text(each).partition("\n")
                yield f"  {name}: {' '.join(value.split(chr(10)))}"
        case "context":
            yield "  " + " ".join(_text(each) for each in block["elements"])
        case "actions":
            yield "  " + " ".join(f"[{_text(each['text'])}]" for each in block["elements"])
        case "divider":
            yield "-" * _WIDTH
        case _:
            yield f"({block['type']})"


def _text(given: Mapping[str, Any]) -> str:
    text = str(given["text"])
    if given["type"] == "plain_text":
        return text
    for escape, plain in _ESCAPES:
        text = text.replace(escape, plain)
    return text
