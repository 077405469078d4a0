"""A browser without a browser: the page on the store in memory, asked as a person's browser asks."""

from __future__ import annotations

import re
from typing import Any

from monitor.ports import Scope
from tests.unit.api.world import ROLLOVER, Api

ROLLOVER_PATH = f"/rollovers/{ROLLOVER}"
SAME_ORIGIN = {"sec-fetch-site": "same-origin"}
_CSRF = re.compile(r'name="csrf" value="([0-9a-f]+)"')


class Visitor:
    """Someone at the page; `log_in` makes them a somebody."""

    def __init__(self, *, evaluated: bool = True, **given: Any) -> None:  # noqa: D107 - the class says it
        self.api = Api(**given)
        if evaluated:
            self.api.decision()
        self.client = self.api.client
        self.prefix = self.api.deps.prefix

    def get(self, path: str = "/", **given: Any) -> Any:
        return self.client.get(path, follow_redirects=False, **given)

    def log_in(self, scope: Scope = Scope.OPERATE) -> Any:
        return self.post("/login", {"token": self.api.tokens[scope]})

    def post(self, path: str, form: dict[str, str], headers: dict[str, str] | None = None) -> Any:
        return self.client.post(
            path, data=form, follow_redirects=False, headers=SAME_ORIGIN if headers is None else headers
        )

    def act(self, action: str, *, path: str = ROLLOVER_PATH, **form: str) -> str:
        """Send a form of the rollover's page; return what the next page says."""
        found = _CSRF.search(self.get(path).text)
        assert found is not None, "the page has no form"
        answer = self.post(f"{path}/{action}", {**form, "csrf": found[1]})
        assert answer.status_code == 303, answer.text
        return str(self.get(answer.headers["location"]).text)
