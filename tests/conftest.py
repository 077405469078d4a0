"""Fixtures for every test: the real parts live in `tests.parts`. Properties are tried with new examples by people only.

In continuous integration the same examples are drawn each time: a failure there is of the change, not of the dice.
"""

import os

from hypothesis import settings

pytest_plugins = ["tests.parts", "tests.browser"]

settings.register_profile("people", deadline=None)
settings.register_profile("integration", deadline=None, derandomize=True)
settings.load_profile("integration" if os.environ.get("CI") else "people")
