"""A browser, as a person has it before them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, sync_playwright

from tests.conftest import missing_engine


def chromium() -> str:
    """Give the path of Chromium; the test is skipped, or fails where engines are required, without one."""
    found = shutil.which("chromium")
    if found is None:
        missing_engine("there is no Chromium to show the user interface")
    return str(found)


@contextmanager
def opened_browser() -> Iterator[Browser]:
    """Have a headless Chromium; the test is skipped, or fails where engines are required, without one."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


def picture(page: Page, name: str) -> None:
    """Keep a screenshot of a whole page where somebody wants to look at it."""
    if folder := os.environ.get("CWL_PREFECT_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def documented(shown: Page | Locator, name: str) -> None:
    """Keep a screenshot of what is in view, for `make screenshots`, which puts it into the documentation."""
    if folder := os.environ.get("CWL_PREFECT_SCREENSHOTS"):
        shown.screenshot(path=Path(folder) / "documented" / f"{name}.png")
