"""`make screenshots`: pictures of every page of the demo for the README, light, dark and on a phone."""

from __future__ import annotations

import base64
import sys
import tempfile
from pathlib import Path

from selenium.webdriver import Chrome

from tests.browser import resize, start_browser
from tests.e2e.demo import RunningDemo

_FOLDER = Path(__file__).resolve().parents[2] / "docs" / "images"
_TASTES = {"light": (1280, False), "dark": (1280, True), "phone": (390, False)}
_PAGES = {
    "overview": ("", 900),
    "rollover": ("rollovers/payments-v7-to-v8", 1_100),
    "blockers": ("rollovers/search-v3-to-v4", 1_400),
    "keys": ("keys", 700),
    "key": ("keys/payments-api", 1_100),
    "telemetry": ("telemetry", 900),
    "login": ("login", 500),
    "error": ("rollovers/nope", 400),
    "nothing": ("?q=nothing+fits", 500),
}
_LARGEST_BYTES = 120_000


def main() -> int:
    """Take them when there is most to see: one rollover is GO, one fails, one waits, one is held back."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, RunningDemo(Path(folder), "--port", "0", "--speed", "1.5") as demo:
        demo.wait(lambda: _verdicts(demo) == ["GO", "NO_GO", "NO_GO", "NO_GO"], "billing-api to be GO", seconds=300)
        browsers = {name: start_browser(width=width, height=300, dark=dark) for name, (width, dark) in _TASTES.items()}
        too_large = [
            taken
            for page, (path, most) in _PAGES.items()
            for taste, browser in browsers.items()
            if (taken := _take(browser, demo.url + path, most, _TASTES[taste][0], f"{page}-{taste}.webp"))
        ]
        for browser in browsers.values():
            browser.quit()
        demo.interrupt()
    return len(too_large)


def _verdicts(demo: RunningDemo) -> list[str | None]:
    """By the loop's last look, as the page shows them: billing, payments, reports, search."""
    rows = demo.ask("v1/rollovers")["rollovers"]
    return [each["decision"] for each in sorted(rows, key=lambda each: str(each["id"]))]


def _take(browser: Chrome, url: str, most: int, width: int, name: str) -> str | None:
    """Take one picture, as tall as the page is, `most` pixels at most; return its name if it is too large."""
    browser.get(url)
    tall = browser.execute_script("return document.documentElement.scrollHeight")
    resize(browser, width, min(tall, most))
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "webp", "quality": 75})
    picture = base64.b64decode(taken["data"])
    (_FOLDER / name).write_bytes(picture)
    print(f"{name}: {len(picture) // 1_000} KB")  # noqa: T201 - a script's answer
    resize(browser, width, 300)
    return name if len(picture) > _LARGEST_BYTES else None


if __name__ == "__main__":
    sys.exit(main())
