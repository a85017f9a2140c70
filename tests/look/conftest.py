"""A browser for all tests of this folder; they are skipped where there is none."""

from __future__ import annotations

import pytest

from tests.browser import Browser, find_browser


@pytest.fixture(scope="session")
def _browser():
    executable = find_browser()
    if executable is None:
        pytest.skip("needs Chromium")
    try:
        browser = Browser(executable)
    except (AssertionError, OSError) as error:
        pytest.skip(f"Chromium does not start here: {error}")
    yield browser
    browser.close()


@pytest.fixture
def browser(_browser):
    yield _browser
    _browser.open(None)
