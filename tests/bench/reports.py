"""The report of a wide run: how long it takes to make and to open, and how large it is."""

import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser

from cwl_prefect.reports.files import REPORT, write_report
from tests.deployments.browser import opened_browser
from tests.unit.reports.traces import ENDED, STARTED, tried, write

_STEPS = ("prepare", "align", "sort", "call", "report")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Seconds, one for each repetition, and the size of the file."""

    made_s: tuple[float, ...]
    opened_s: tuple[float, ...]
    mib: float


def measure(directory: Path, *, calls: int, repeat: int) -> Measured:
    """Make the report of a run with many calls, and open it in Chromium."""
    write(directory, STARTED, *_calls(calls), {**ENDED, "at": 1000 + calls / 100})
    path = directory / REPORT
    with opened_browser() as browser:
        pairs = [(_made_s(directory), _opened_s(browser, path)) for _ in range(repeat)]
    made_s, opened_s = zip(*pairs, strict=True)
    return Measured(made_s=made_s, opened_s=opened_s, mib=path.stat().st_size / (1 << 20))


def _calls(count: int) -> Iterator[Mapping[str, object]]:
    chance = random.Random(1)
    for number in range(count):
        at, runs_s = 1000 + number / 100, chance.expovariate(1 / 3)
        yield tried(
            f"{_STEPS[number % len(_STEPS)]}[{number}]",
            "failed" if number % 100 == 0 else "succeeded",
            prepared_at=at,
            ready_at=at + 0.1,
            started_at=at + 0.2,
            ended_at=at + 0.2 + runs_s,
            collected_at=at + 0.3 + runs_s,
            cpu_s=runs_s * chance.uniform(0.2, 2),
            peak_memory_mib=chance.uniform(20, 500),
            container="c" * 64,
        )


def _made_s(directory: Path) -> float:
    began = time.perf_counter()
    write_report(directory)
    return time.perf_counter() - began


def _opened_s(browser: Browser, path: Path) -> float:
    page = browser.new_page()
    began = time.perf_counter()
    page.goto(path.as_uri())
    page.wait_for_function("document.body.dataset.ready === '1'")
    page.evaluate("new Promise((shown) => requestAnimationFrame(() => requestAnimationFrame(shown)))")
    opened_s = time.perf_counter() - began
    page.close()
    return opened_s
