"""A real Chromium for the tests of the pages."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import skip_missing

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's chromium, driven by Playwright; one for a file's tests, each test has a context of its own.

    Playwright's event loop runs in the main thread for as long as the browser lives, and the tests of other
    files that come after in the same process have loops of their own.
    """
    if CHROMIUM is None:
        skip_missing("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()
