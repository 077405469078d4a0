"""A person at the page, in a real browser: looks, logs in, acts, and sees it happen without a reload."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser import violations
from tests.e2e.demo import RunningDemo

Browsers = Callable[..., Chrome]
SEARCH = "rollovers/search-v3-to-v4"
PAGES = (
    "",
    SEARCH,
    "rollovers/payments-v7-to-v8",
    "keys",
    "keys/search-api",
    "telemetry",
    "login",
    "rollovers/nope",
    "?q=nothing+fits",
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """The demo, seen by all tests of this file while its story goes on."""
    with RunningDemo(tmp_path_factory.mktemp("demo"), "--port", "0", "--speed", "8") as running:
        yield running


def until(browser: Chrome, what: Callable[[], object], *, seconds: float = 20) -> None:
    WebDriverWait(browser, seconds, ignored_exceptions=[Exception]).until(lambda _: what())


def text(browser: Chrome) -> str:
    return browser.find_element(By.TAG_NAME, "main").text


def complaints(browser: Chrome) -> list[str]:
    """What the browser says of the page: a broken policy, a script's error."""
    return [
        each["message"]
        for each in browser.get_log("browser")
        if each["level"] == "SEVERE" and not each["message"].endswith(("404 (Not Found)", "401 (Unauthorized)"))
    ]


def test_a_straggler_is_found_waived_and_the_verdict_turns_without_a_reload(
    demo: RunningDemo, browser: Browsers
) -> None:
    chrome = browser()
    chrome.get(demo.url)
    until(chrome, lambda: "live" in chrome.find_element(By.ID, "live").text)
    # Nobody reloads: others move, until this one is what holds it.
    until(chrome, lambda: "acme / nightly-batch" in text(chrome), seconds=60)

    chrome.find_element(By.LINK_TEXT, "search-api").click()
    until(chrome, lambda: "The nine clauses" in text(chrome))
    assert "Log in with a token of scope operate" in text(chrome)

    chrome.find_element(By.CSS_SELECTOR, "header").find_element(By.LINK_TEXT, "Log in").click()
    until(chrome, lambda: chrome.find_element(By.ID, "token"))
    chrome.find_element(By.ID, "token").send_keys("rwt_wrong", Keys.ENTER)
    until(chrome, lambda: "unknown or revoked" in text(chrome))
    chrome.find_element(By.ID, "token").send_keys(demo.token, Keys.ENTER)
    until(chrome, lambda: "demo (admin)" in chrome.find_element(By.TAG_NAME, "header").text)
    cookie = chrome.get_cookie("rollwatch_session")
    assert cookie is not None
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"

    chrome.get(demo.url + SEARCH)
    form = chrome.find_element(By.CSS_SELECTOR, "form[action$='/waive']")
    form.find_element(By.NAME, "client").send_keys("acme")
    form.find_element(By.NAME, "reason").send_keys("moved next week, agreed with its owner")
    chrome.execute_script("arguments[0].value = '2030-01-01'", form.find_element(By.NAME, "until"))
    assert "acme" in form.find_element(By.NAME, "client").get_attribute("value"), "typing was taken away by an update"
    form.find_element(By.TAG_NAME, "button").click()
    until(chrome, lambda: "acme is waived" in text(chrome))

    chrome.execute_script("window.neverReloaded = true")
    until(chrome, lambda: chrome.find_element(By.CSS_SELECTOR, "section.verdict .pill").text == "GO", seconds=60)
    assert chrome.execute_script("return window.neverReloaded") is True

    chrome.find_element(By.CSS_SELECTOR, "form[action$='/retire'] button").click()
    until(chrome, lambda: "Retired." in text(chrome) or "Not retired" in text(chrome))
    assert "Retired." in text(chrome)
    assert complaints(chrome) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_reader_is_shut_out(demo: RunningDemo, browser: Browsers, axe: str, dark: bool) -> None:
    chrome = browser(dark=dark)
    chrome.set_script_timeout(30)
    found = []
    for page in PAGES:
        chrome.get(demo.url + page)
        found += [f"/{page}: {each}" for each in violations(chrome, axe)]
    assert found == []


def test_a_phone_never_scrolls_sideways(demo: RunningDemo, browser: Browsers) -> None:
    chrome = browser(width=390, height=844)
    for page in PAGES:
        chrome.get(demo.url + page)
        assert chrome.execute_script("return document.documentElement.scrollWidth") <= 390, page
        assert complaints(chrome) == [], page


def test_everything_can_be_reached_by_the_keyboard(demo: RunningDemo, browser: Browsers) -> None:
    chrome = browser()
    chrome.get(demo.url)
    # Keys go to whatever has the focus, as a person's do: an element named a moment ago may have been swapped since.
    wanted = {"Skip to content", "Rollovers", "Keys", "Telemetry", "Log in", "billing-api", "reports-api"}
    reached = set()
    for _ in range(60):
        ActionChains(chrome, duration=0).send_keys(Keys.TAB).perform()
        reached.add(chrome.execute_script("return document.activeElement.textContent.trim()"))
    assert wanted <= reached, wanted - reached


def test_without_scripts_the_verdicts_are_there(demo: RunningDemo, browser: Browsers) -> None:
    chrome = browser()
    chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    chrome.get(demo.url)
    assert len(re.findall(r'<span class="pill (?:go|no_go|unknown|over)">', chrome.page_source)) == 4
