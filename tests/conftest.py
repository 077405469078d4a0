"""Fixtures for every test: the real parts live in `tests.parts`."""

pytest_plugins = ["tests.parts", "tests.browser"]
