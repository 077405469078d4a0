"""Structured logs on stderr: JSON for machines, columns for people; action names are stable, secrets never appear.

A record is `log.info("partitions_assigned", …)`: the event is the name of an action, the rest are fields. What
libraries (kafka-python, SQLAlchemy, uvicorn, APScheduler) log takes the same path from `warning` on.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any

import structlog

from monitor.config import LogFormat
from monitor.core.untrusted import harmless

MASK = "********"
_SHORTEST_SECRET = 6
_SECRET_NAMES = re.compile(
    r"secret|password|passwd|pepper|token|authorization|cookie|api[_-]?key|credential_value", re.IGNORECASE
)
_SECRET_SHAPES = re.compile(
    r"(?P<url>(?<=://)[^\s/@:]*:[^\s/@]+(?=@))"  # user:password@ in a URL
    r"|(?P<bearer>(?i:(?<=bearer )|(?<=basic ))[A-Za-z0-9._~+/=-]{6,})"
    r"|(?P<slack>xox[abeprs]-[A-Za-z0-9-]+|xapp-[A-Za-z0-9-]+)"
    r"|(?P<ours>rwt_[A-Za-z0-9_-]{20,})"
)
_LIBRARIES = ("kafka", "sqlalchemy", "alembic", "uvicorn", "apscheduler", "slack_sdk", "urllib3")
_LONGEST_TEXT = 4_000


class Redaction:
    """A processor that takes secrets out of a record: by a field's name, by shape, and those in force by value."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Remember the secrets in force, longest first (one may contain another)."""
        known = sorted({each for each in secrets if len(each) >= _SHORTEST_SECRET}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, _logger: Any, _method: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ANN401 - structlog's signature
        """Redact every value of the record."""
        for name, value in record.items():
            if name.startswith("_"):  # structlog's own, for the standard library's records
                continue
            record[name] = MASK if _SECRET_NAMES.search(name) and value else self.clean(value)
        return record

    def clean(self, value: Any) -> Any:  # noqa: ANN401 - whatever was logged
        """Return the value without secrets; containers are copied."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                self.clean(name): MASK if isinstance(name, str) and _SECRET_NAMES.search(name) else self.clean(each)
                for name, each in value.items()
            }
        if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
            return [self.clean(each) for each in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.text(str(value))

    def text(self, text: str) -> str:
        """Return the text without secrets, cut to a sane length."""
        cut = text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "…"
        known = cut if self._known is None else self._known.sub(MASK, cut)
        return _SECRET_SHAPES.sub(MASK, known)


def configure_logs(*, level: str, format_: LogFormat, secrets: Iterable[str] = ()) -> None:
    """Send everything to stderr, once per process; calling it again replaces the former settings."""
    as_json = format_ is LogFormat.JSON or (format_ is LogFormat.AUTO and not sys.stderr.isatty())
    redaction = Redaction(secrets)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redaction,
    ]
    last: list[Any] = (
        [structlog.processors.JSONRenderer(sort_keys=False)]
        if as_json
        else [
            _harmless_fields,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in _LIBRARIES:
        library = logging.getLogger(name)
        library.handlers[:] = []
        library.propagate = True
        library.setLevel(logging.WARNING)
    # A look that takes longer than its interval is not worth a line each time; the next one is due at once.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    # Connection trouble is told once by our own records, with advice; kafka-python repeats it many times a second.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


def _harmless_fields(_logger: Any, _method: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ANN401 - structlog's signature
    """Keep what came from logs from steering the terminal; a traceback keeps its lines."""
    for name, value in record.items():
        if isinstance(value, str) and name not in ("exception", "stack"):
            record[name] = harmless(value, limit=_LONGEST_TEXT)
    return record
