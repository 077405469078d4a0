"""Text that came from logs, made harmless: it may say what it likes, and do nothing.

Client names, sources, routes and gateways are chosen by whoever calls. Every place that shows one to people passes it
through here first: `harmless` for terminals, log lines and pages (which escape their own markup besides), `for_slack`
for Slack's markup.
"""

from __future__ import annotations

import unicodedata

CUT = "\u2026"
_REPLACEMENT = "\ufffd"
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories of characters that steer rather than show: controls, bidi marks, surrogates, separators, tags."""
_LONGEST_SHOWN = 120
_SLACK_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "`": "\u02cb"})


def harmless(text: str | None, *, limit: int = _LONGEST_SHOWN) -> str:
    """Return the text without a character that steers a terminal, a page or a reader's eye, cut to `limit`.

    Absent text is a dash. Runs of blanks become one space, so that nothing can be pushed out of sight.

    >>> harmless("acme\\x1b[31m\\u202egnp.exe")
    'acme\ufffd[31m\ufffdgnp.exe'
    >>> harmless(None), harmless("a" * 9, limit=5)
    ('-', 'aaaa\u2026')
    """  # noqa: D301
    if not text:
        return "-"
    head = text[: 4 * limit]
    shown = " ".join(
        "".join(
            _REPLACEMENT if unicodedata.category(each) in _INVISIBLE and not each.isspace() else each for each in head
        ).split()
    )
    if not shown:
        return _REPLACEMENT
    return shown if len(shown) <= limit and len(head) == len(text) else shown[: limit - 1] + CUT


def for_slack(text: str | None, *, limit: int = _LONGEST_SHOWN) -> str:
    """Return the text as a code span of Slack's mrkdwn: no mention, link, emoji or markup of its own takes effect.

    Inside of a code span Slack reads nothing but `<…>` and the closing backtick; both are escaped, and addresses are
    written as security people write them (`https[:]//…`), so that no client turns them into a link.

    >>> for_slack("<!channel> see https://evil.example")
    '`&lt;!channel&gt; see https[:]//evil.example`'
    """
    return f"`{escaped_for_slack(harmless(text, limit=limit))}`"


def escaped_for_slack(text: str) -> str:
    """Return text with Slack's three control characters escaped, no code span ended, and addresses defused."""
    return text.translate(_SLACK_ESCAPES).replace("://", "[:]//")
