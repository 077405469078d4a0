"""Block Kit within Slack's published limits: bricks that cut rather than fail. Texts arrive here already harmless."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ContextBlock,
    DividerBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)

MAX_BLOCKS = 50
MAX_SECTION = 3_000
MAX_FIELD = 2_000
MAX_FIELDS = 10
MAX_HEADER = 150
MAX_BUTTON_TEXT = 75
MAX_BUTTON_VALUE = 2_000
MAX_TEXT = 3_000
MAX_TOTAL = 12_000
"""Slack refuses messages of about 13,000 characters in all with `msg_blocks_too_long`, whatever each block has."""

Blocks = list[dict[str, Any]]


def cut(text: str, limit: int) -> str:
    """Return the text within a limit; never in the middle of an escape such as `&lt;`."""
    if len(text) <= limit:
        return text
    head = text[: limit - 2]
    ampersand = head.rfind("&", len(head) - 5)
    if ampersand >= 0 and ";" not in head[ampersand:]:
        head = head[:ampersand]
    closing = "`" if head.count("`") % 2 else ""
    return head + "\u2026" + closing


def header(text: str) -> Block:
    """Return a heading (plain text: nothing in it takes effect)."""
    return HeaderBlock(text=PlainTextObject(text=cut(text, MAX_HEADER), emoji=True))


def section(text: str, fields: Sequence[str] = ()) -> Block:
    """Return a paragraph with up to ten short fields beside it."""
    return SectionBlock(
        text=MarkdownTextObject(text=cut(text, MAX_SECTION), verbatim=True),
        fields=[MarkdownTextObject(text=cut(each, MAX_FIELD), verbatim=True) for each in fields[:MAX_FIELDS]] or None,
    )


def plain(text: str) -> Block:
    """Return a paragraph in which nothing takes effect: for sentences with names from logs."""
    return SectionBlock(text=PlainTextObject(text=cut(text, MAX_SECTION), emoji=False))


def context(text: str) -> Block:
    """Return a line of small print."""
    return ContextBlock(elements=[MarkdownTextObject(text=cut(text, MAX_FIELD), verbatim=True)])


def divider() -> Block:
    """Return a rule."""
    return DividerBlock()


def buttons(block_id: str, given: Sequence[tuple[str, str, str]]) -> Block:
    """Return buttons of (action, label, value)."""
    return ActionsBlock(
        block_id=cut(block_id, 255),
        elements=[
            ButtonElement(action_id=action, text=cut(label, MAX_BUTTON_TEXT), value=cut(value, MAX_BUTTON_VALUE))
            for action, label, value in given
        ],
    )


def finished(blocks: Sequence[Block]) -> Blocks:
    """Return the blocks as JSON, the last ones left out where the whole would be too long."""
    made: Blocks = []
    total = 0
    for block in blocks:
        as_json = block.to_dict()
        size = _characters(as_json)
        if len(made) == MAX_BLOCKS - 1 or total + size > MAX_TOTAL:
            made.append(context("\u2026 more than fits into one message; see the status page.").to_dict())
            break
        made.append(as_json)
        total += size
    return made


def _characters(node: object) -> int:
    if isinstance(node, str):
        return len(node)
    if isinstance(node, dict):
        return sum(_characters(each) for each in node.values())
    return sum(_characters(each) for each in node) if isinstance(node, list) else 0
