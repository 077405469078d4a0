"""Topics as they are configured: `name[=preset[@gateway[/region]]]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic and how its records are read: preset (a name, or a mapping file's path), and the gateway they are of."""

    name: str
    preset: str = "canonical"
    gateway: str | None = None
    region: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `name[=preset[@gateway[/region]]]`; anything else raises `ValueError`.

        >>> Topic.parse("gw.logs=kong@edge-1/eu").region
        'eu'
        """
        name, equals, rest = text.strip().partition("=")
        preset, at, place = rest.strip().partition("@")
        gateway, slash, region = place.partition("/")
        parts = [(name, True), (preset, bool(equals)), (gateway, bool(at)), (region, bool(slash))]
        if any(wanted and not part.strip() for part, wanted in parts) or (at and not preset) or "@" in place:
            raise ValueError(f"not a topic: {text.strip()!r}; write name[=preset[@gateway[/region]]]")
        return cls(
            name=name.strip(),
            preset=preset.strip() or "canonical",
            gateway=gateway.strip() or None,
            region=region.strip() or None,
        )

    def __str__(self) -> str:
        """Return the form that `parse` reads."""
        place = f"@{self.gateway}" + (f"/{self.region}" if self.region else "") if self.gateway else ""
        return f"{self.name}={self.preset}{place}"


def parse_topics(given: object) -> tuple[Topic, ...]:
    """Read a comma separated text, or a list of such texts; a topic named twice raises `ValueError`."""
    texts = given.split(",") if isinstance(given, str) else given
    if not isinstance(texts, list | tuple):
        raise ValueError("expected a comma separated text or a list of texts")  # noqa: TRY004 - pydantic reads these
    topics = tuple(each if isinstance(each, Topic) else Topic.parse(str(each)) for each in texts if str(each).strip())
    names = [each.name for each in topics]
    twice = sorted({each for each in names if names.count(each) > 1})
    if twice:
        raise ValueError(f"topic {twice[0]!r} is named twice: its records would be read by two mappings")
    return topics
