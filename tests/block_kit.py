"""Slack's published limits of Block Kit, as a check: what is not said to be allowed is a fault.

https://docs.slack.dev/reference/block-kit/blocks, https://docs.slack.dev/reference/methods/chat.postMessage
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MAX_BLOCKS, MAX_ELEMENTS, MAX_CONTEXT_ELEMENTS = 50, 25, 10
MAX_TEXT, MAX_TOTAL = 40_000, 13_200


def faults_of(message: Mapping[str, Any]) -> list[str]:
    """Return what Slack would refuse in a message, in words; empty is fine."""
    return list(_faults(message))


def _faults(message: Mapping[str, Any]) -> Iterator[str]:
    text, blocks = message.get("text", ""), message.get("blocks") or []
    if not text and not blocks:
        yield "neither text nor blocks"
    if len(text) > MAX_TEXT:
        yield f"text has {len(text)} characters"
    if len(blocks) > MAX_BLOCKS:
        yield f"{len(blocks)} blocks"
    names = [each["block_id"] for each in blocks if "block_id" in each]
    if len(names) != len(set(names)):
        yield "a block_id twice"
    if (total := sum(map(len, _strings(blocks)))) > MAX_TOTAL:
        yield f"{total} characters in all (msg_blocks_too_long)"
    for block in blocks:
        if not 0 < len(block.get("block_id", "x")) <= 255:
            yield f"block_id of {len(block['block_id'])} characters"
        yield from _block(block)


def _block(block: Mapping[str, Any]) -> Iterator[str]:
    check = _CHECKS.get(str(block.get("type")))
    if check is None:
        yield f"unknown block {block.get('type')!r}"
    else:
        yield from check(block)


def _header(block: Mapping[str, Any]) -> Iterator[str]:
    yield from _text(block.get("text"), 150, kinds=("plain_text",))


def _section(block: Mapping[str, Any]) -> Iterator[str]:
    if "text" not in block and not block.get("fields"):
        yield "a section without text and fields"
    if "text" in block:
        yield from _text(block["text"], 3_000)
    if "fields" in block and not 0 < len(block["fields"]) <= 10:
        yield f"{len(block['fields'])} fields"
    for each in block.get("fields", []):
        yield from _text(each, 2_000)


def _context(block: Mapping[str, Any]) -> Iterator[str]:
    elements = block.get("elements", [])
    if not 0 < len(elements) <= MAX_CONTEXT_ELEMENTS:
        yield f"{len(elements)} elements in a context"
    for each in elements:
        yield from _text(each, 2_000)


def _actions(block: Mapping[str, Any]) -> Iterator[str]:
    elements = block.get("elements", [])
    if not 0 < len(elements) <= MAX_ELEMENTS:
        yield f"{len(elements)} elements in actions"
    actions = [each.get("action_id") for each in elements]
    if len(actions) != len(set(actions)):
        yield "an action_id twice in a block"
    for each in elements:
        yield from _button(each)


def _divider(block: Mapping[str, Any]) -> Iterator[str]:
    if set(block) - {"type", "block_id"}:
        yield "a divider with something in it"


_CHECKS = {"header": _header, "section": _section, "context": _context, "actions": _actions, "divider": _divider}


def _button(button: Mapping[str, Any]) -> Iterator[str]:
    if button.get("type") != "button":
        yield f"unknown element {button.get('type')!r}"
        return
    yield from _text(button.get("text"), 75, kinds=("plain_text",))
    if not 0 < len(button.get("action_id", "x")) <= 255:
        yield "action_id too long"
    if len(button.get("value", "")) > 2_000:
        yield f"a value of {len(button['value'])} characters"


def _text(text: Any, limit: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> Iterator[str]:
    if not isinstance(text, Mapping) or text.get("type") not in kinds:
        yield f"expected a text object of {kinds}, got {text!r:.60}"
        return
    if not 0 < len(text.get("text", "")) <= limit:
        yield f"a text of {len(text.get('text', ''))} characters where 1 to {limit} are allowed"
    if text["type"] == "mrkdwn" and "emoji" in text:
        yield "emoji is for plain_text"
    if text["type"] == "plain_text" and "verbatim" in text:
        yield "verbatim is for mrkdwn"


def _strings(node: object) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        for each in node.values():
            yield from _strings(each)
    elif isinstance(node, list):
        for each in node:
            yield from _strings(each)
