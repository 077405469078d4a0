"""The page in a real browser where there is nothing, very much, or what somebody hopes that we run: it stays a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from monitor.adapters.memory_store import MemoryStore
from monitor.core.instants import DAY_MS
from monitor.core.registry import Registry
from monitor.daemon.server import Server
from monitor.ports import Scope
from tests.browser import violations
from tests.contract.store.factories import NEW, OLD, decision, event, failure, key, registry, rollover
from tests.unit.api.world import NOW, T0, Api
from tests.unit.page.site import ROLLOVER_PATH
from tests.unit.page.test_size import blockers

Browsers = Callable[..., Chrome]
PHONE, DESK = 390, 1280
HOSTILE = (
    "<script>document.title = 'owned'</script>",
    '"><img src=x onerror="document.title = \'owned\'">',
    "javascript:document.title='owned'",
    "{{ 7 * 7 }}",
    "acme\u202egnp.exe",
    "מערכת-חיוב",
    "خدمة الفواتير",
    "a-name-" + "without-an-end-" * 12,
)


@contextmanager
def served(api: Api) -> Iterator[str]:
    server = Server(api.client.app, host="127.0.0.1", port=0, forwarded_allow_ips="127.0.0.1")
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def wide(chrome: Chrome) -> int:
    return int(chrome.execute_script("return document.documentElement.scrollWidth"))


def quiet(chrome: Chrome) -> list[str]:
    return [each["message"] for each in chrome.get_log("browser") if each["level"] == "SEVERE"]


def empty() -> Api:
    api = Api()
    api.store.import_registry(Registry(), source="keys.yaml", by="ana", now_ms=NOW)
    return api


def crowded() -> Api:
    """A thousand rollovers; the first has five hundred stragglers, and all that comes from logs is hostile."""
    api = Api(MemoryStore(), moved=False)
    names = [f"key-{at:03}" for at in range(999)]
    days = range(NOW - 40 * DAY_MS, NOW, DAY_MS)
    events = [event(at, credential=OLD, client=name, source=name) for name in HOSTILE for at in (*days, NOW - 1)]
    events += [event(at, credential=OLD, client=f"client-{n}", source="batch") for n in range(500) for at in days[-3:]]
    for name in HOSTILE:
        events += [failure(at, client=name, source=name, gateway=name, region=name, route=name) for at in days]
    api.feed.flush(events, fine=frozenset({OLD, NEW}))
    api.decision()
    mine = api.store.registry()[1]
    made = registry(
        keys=(*mine.keys, *(key(name, old=[f"{name}-1"], new=[f"{name}-2"]) for name in names)),
        rollovers=(*mine.rollovers, *(rollover(f"{name}-2026", key=name) for name in names)),
    )
    api.store.import_registry(made, source="keys.yaml", by="ana", now_ms=T0)
    with api.store.snapshot(write=True) as snapshot:
        for name in names:
            snapshot.put_evaluation(decision(f"{name}-2026", key=name, evaluated_at_ms=NOW, blockers=blockers(5)))
    return api


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_an_empty_store_tells_whoever_comes_how_to_begin(browser: Browsers, axe: str, dark: bool) -> None:
    chrome = browser(width=PHONE, dark=dark)
    with served(empty()) as url:
        for path, said in (("/", "No rollover yet"), ("/keys", "No keys"), ("/telemetry", "Unmapped")):
            chrome.get(url + path)
            assert said in chrome.find_element(By.TAG_NAME, "main").text
            assert wide(chrome) <= PHONE
            assert violations(chrome, axe) == []
        assert quiet(chrome) == []


def test_a_thousand_rollovers_and_hostile_names_are_shown_and_do_nothing(browser: Browsers, axe: str) -> None:
    api = crowded()
    with served(api) as url:
        for width in (DESK, PHONE):
            chrome = browser(width=width)
            chrome.set_script_timeout(60)
            for path in ("/", ROLLOVER_PATH, f"{ROLLOVER_PATH}?client=%22%3E%3Cimg+src%3Dx%3E", "/keys/billing-api"):
                chrome.get(url + path)
                assert "owned" not in chrome.title
                assert wide(chrome) <= width, path
                assert violations(chrome, axe) == []
            assert "1000 rollovers" in page(chrome, url)
            assert quiet(chrome) == []
        chrome.get(url + ROLLOVER_PATH)
        shown = chrome.find_element(By.ID, "callers").find_element(By.XPATH, "..").text
        assert all(
            each in shown for each in ("{{ 7 * 7 }}", "מערכת-חיוב", "خدمة الفواتير", "javascript:document.title")
        )
        assert "more: rollwatch rollover show" in shown


def page(chrome: Chrome, url: str) -> str:
    chrome.get(url)
    return chrome.find_element(By.TAG_NAME, "main").text


def test_as_many_pages_as_somebody_opens_are_live(browser: Browsers) -> None:
    api = Api()
    chrome = browser()
    chrome.set_page_load_timeout(20)
    with served(api) as url:
        chrome.get(url)
        for _ in range(8):
            chrome.switch_to.new_window("tab")
            chrome.get(url)
            WebDriverWait(chrome, 15).until(lambda seen: seen.find_element(By.ID, "live").text == "live")
        chrome.switch_to.window(chrome.window_handles[0])
        chrome.close()  # the one that listened for all
        chrome.switch_to.window(chrome.window_handles[-1])
        chrome.execute_script(
            "document.querySelector('main').dataset.old = 'yes'; document.querySelector('h1').remove()"
        )
        api.ask("POST", f"/v1{ROLLOVER_PATH}/freeze", json={"reason": "enough"})
        WebDriverWait(chrome, 15).until(lambda seen: seen.find_elements(By.TAG_NAME, "h1"))


def test_behind_a_proxy_with_a_prefix_one_logs_in_once(browser: Browsers) -> None:
    api = Api(prefix="/watch", loopback=False)
    chrome = browser()
    with served(api) as url:
        chrome.get(f"{url}/watch{ROLLOVER_PATH}")
        assert "/watch/login" in chrome.current_url
        chrome.find_element(By.ID, "token").send_keys(api.tokens[Scope.OPERATE])
        chrome.find_element(By.CSS_SELECTOR, "section.login button").click()
        WebDriverWait(chrome, 15).until(lambda seen: seen.current_url.endswith(f"/watch{ROLLOVER_PATH}"))
        chrome.get(f"{url}/watch/keys")
        assert "t-operate (operate)" in chrome.find_element(By.TAG_NAME, "header").text
        WebDriverWait(chrome, 15).until(lambda seen: seen.find_element(By.ID, "live").text == "live")
        assert quiet(chrome) == []
