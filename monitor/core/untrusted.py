"""Text that came from logs, made harmless: it may say what it likes, and do nothing.

Client names, sources, routes and gateways are chosen by whoever calls. Every place that shows one to people passes it
through here first: `harmless` for terminals, log lines and pages (which escape their own markup besides), `for_slack`
for Slack's markup.
"""

from __future__ import annotations

import re
import unicodedata

CUT = "\u2026"
_REPLACEMENT = "\ufffd"
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories of characters that steer rather than show: controls, bidi marks, surrogates, separators, tags."""
_LONGEST_SHOWN = 120
_SLACK_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "`": "\u02cb"})
_MARKUP = str.maketrans({"*": "\u2217", "~": "\u223c"})
_UNDERLINES = re.compile(r"(?<![^\W_])_+|_+(?![^\W_])")
_EMOJI = re.compile(r":(?=[a-zA-Z_+-][\w+'-]*:)")


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
    return f"`{_defused(harmless(text, limit=limit))}`"


def escaped_for_slack(text: str) -> str:
    """Return text with Slack's control characters escaped, no markup begun or ended, and addresses defused.

    What would be bold, struck, italic or an emoji is written with a look-alike; a `_` inside of a word stays, because
    names have them and Slack reads nothing into it there.

    >>> escaped_for_slack("*bold* :fire: <@U1>").encode("ascii", "backslashreplace").decode()
    '\\\\u2217bold\\\\u2217 \\\\ua789fire: &lt;@U1&gt;'
    """  # noqa: D301
    plain = _UNDERLINES.sub("\u02cd", _defused(text).translate(_MARKUP))
    return _EMOJI.sub("\ua789", plain)


def _defused(text: str) -> str:
    return text.translate(_SLACK_ESCAPES).replace("://", "[:]//")
