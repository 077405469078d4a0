"""A real browser as a fixture: Debian's Chromium, driven by selenium; and axe-core, which looks as a reader would.

Like the other parts: had by package where it can be, never skipped; a clear failure says how to get it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

_PACKAGES = ("chromium", "chromium-driver")
_BINARIES = ("chromium", "chromedriver")
_AXE = "axe-playwright-python==0.1.8"
"""A wheel that carries axe-core 4.12; nothing of it is imported."""
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


def _found() -> bool:
    return all(shutil.which(each) for each in _BINARIES)


def install_chromium() -> None:
    """Install the browser by package where it is missing and we may; fail with what to do otherwise."""
    if _found():
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "-y", "--no-install-recommends", *_PACKAGES]):
            subprocess.run(["apt-get", "-qq", *command], check=False, capture_output=True, env=env)
    if not _found():
        pytest.fail(f"a browser is needed: as root, apt-get install {' '.join(_PACKAGES)}")


def start_browser(*, width: int = 1280, height: int = 900, dark: bool = False) -> Chrome:
    """Start one, with that window and taste; a narrow one is a phone."""
    install_chromium()
    options = Options()
    options.binary_location = str(shutil.which("chromium"))
    # A page with a stream of events never ends to load.
    options.page_load_strategy = "eager"
    for each in (*_OPTIONS, f"--window-size={width},{height}"):
        options.add_argument(each)
    browser = Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
    features = [
        {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    resize(browser, width, height)
    return browser


def resize(browser: Chrome, width: int, height: int) -> None:
    """Make the visible part of the page so large, as on a screen of one pixel a pixel."""
    phone = width < 500
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@pytest.fixture
def browser() -> Iterator[Callable[..., Chrome]]:
    """Start browsers: `browser(width=390, dark=True)`."""
    started: list[Chrome] = []

    def start(**given: Any) -> Chrome:
        started.append(start_browser(**given))
        return started[-1]

    yield start
    for each in started:
        each.quit()


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's source, from a wheel in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rollwatch" / _AXE
    script = cache / "axe_playwright_python" / "axe.min.js"
    if not script.exists():
        uv = Path(sys.executable).with_name("uv")
        command = [str(uv), "pip", "install", "--quiet", "--no-deps", "--target", str(cache), _AXE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not script.exists():
            pytest.fail(f"axe-core is needed: uv pip install --target {cache} {_AXE}\n{done.stderr}")
    return script.read_text("utf-8")


def violations(browser: Chrome, axe: str) -> list[str]:
    """Return what axe-core finds on the page that is serious or critical, one line each."""
    browser.execute_script(axe)
    found = browser.execute_async_script(
        "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(done, e => done(String(e)));"
    )
    assert isinstance(found, dict), found
    return [
        f"{each['id']}: {each['help']} at {[node['target'] for node in each['nodes']][:3]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]
