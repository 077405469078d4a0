"""A story on disk: `events.jsonl`, `keys.yaml`, and `truth.json` for whoever wants to judge."""

from __future__ import annotations

from pathlib import Path

import orjson
import yaml

from monitor.core.instants import rfc3339
from monitor.errors import ConfigError
from monitor.simulate.story import Story


def write(story: Story, folder: Path) -> int:
    """Write the story; return the number of its lines. Raises `ConfigError` where that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        count = 0
        with (folder / "events.jsonl").open("wb") as file:
            for line in story.lines():
                file.write(line + b"\n")
                count += 1
        registry = yaml.safe_dump(story.registry, sort_keys=False, allow_unicode=True)
        (folder / "keys.yaml").write_text(registry, encoding="utf-8")
        (folder / "truth.json").write_bytes(orjson.dumps(truth(story), option=orjson.OPT_INDENT_2))
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({error})") from error
    return count


def truth(story: Story) -> dict[str, object]:
    """Return what really happened: each caller's uses of the old version, and the alerts that are due."""
    first = story.registry["keys"][0]["versions"][0]  # type: ignore[index]
    old = frozenset(first["credentials"])
    uses: dict[tuple[str | None, str | None], list[int]] = {}
    for call in story.calls:
        if call.credential in old and call.accepted:
            uses.setdefault((call.client, call.source), []).append(call.ts_ms)
    return {
        "kind": story.kind,
        "seed": story.seed,
        "started_at": rfc3339(story.start_ms),
        "ends_at": rfc3339(story.end_ms),
        "telemetry_is_whole": story.healthy,
        "callers": [
            {"client": who[0], "source": who[1], "first_use": rfc3339(min(times)), "last_use": rfc3339(max(times))}
            for who, times in sorted(uses.items(), key=str)
        ],
        "due_alerts": [
            {
                "kind": each.kind.value,
                "client": each.client,
                "source": each.source,
                "gateway": each.gateway,
                "from": rfc3339(each.from_ms),
                "until": rfc3339(each.until_ms),
            }
            for each in story.expected
        ],
    }
