"""`make screenshots`: pictures of the demo's pages for the README, light, dark and on a phone."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.browser import resize, start_browser
from tests.e2e.demo import RunningDemo

_FOLDER = Path(__file__).resolve().parents[2] / "docs" / "images"
_TASTES = {"light": (1280, False), "dark": (1280, True), "phone": (390, False)}
_PAGES = {"overview": ("", 900), "rollover": ("rollovers/payments-v7-to-v8", 1000)}
_LARGEST_BYTES = 200_000


def main() -> int:
    """Take them when there is most to see: one rollover is GO, one fails, one waits, one is held back."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, RunningDemo(Path(folder), "--port", "0", "--speed", "3") as demo:
        demo.wait(lambda: demo.decision("billing-v1-to-v2")["decision"] == "GO", "billing-api to be GO", seconds=120)
        too_large = []
        for taste, (width, dark) in _TASTES.items():
            browser = start_browser(width=width, height=300, dark=dark)
            for name, (path, most) in _PAGES.items():
                browser.get(demo.url + path)
                tall = browser.execute_script("return document.documentElement.scrollHeight")
                resize(browser, width, min(tall, most))
                target = _FOLDER / f"{name}-{taste}.png"
                browser.save_screenshot(str(target))
                size = target.stat().st_size
                print(f"{target.name}: {size // 1_000} KB")  # noqa: T201 - a script's answer
                if size > _LARGEST_BYTES:
                    too_large.append(target.name)
                resize(browser, width, 300)
            browser.quit()
        demo.interrupt()
    return len(too_large)


if __name__ == "__main__":
    sys.exit(main())
