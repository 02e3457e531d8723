"""The page of a run, looked at in a browser: what it shows, by mouse, by keyboard and on paper."""

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from cwl_prefect.reports.page.build import page
from cwl_prefect.reports.record import read_record
from tests.deployments.browser import documented, opened_browser, picture
from tests.unit.reports.traces import ENDED, STARTED, tried, write

pytestmark = pytest.mark.server

TODAY_S = 1_764_000_000  # seconds since 1970
IMAGE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAF0lEQVR4nGPQqT9OEmIY1TCqYfhqAACnyVUQjvVvmwAAAABJRU5ErkJggg=="
)
INNER = {
    "id": "w2",
    "lines": ["map"],
    "nodes": [{"id": "s2", "kind": "tool", "lines": ["align"]}, {"id": "s3", "kind": "tool", "lines": ["sort"]}],
    "inner": [],
}
DRAWING = {
    "id": "w1",
    "lines": ["genome"],
    "nodes": [
        {"id": "i1", "kind": "input", "lines": ["reads"]},
        {"id": "s1", "kind": "tool", "lines": ["prepare"]},
        {"id": "s4", "kind": "tool", "lines": ["call"]},
    ],
    "inner": [INNER],
    "edges": [
        {"source": "i1", "target": "s1"},
        {"source": "s1", "target": "s2"},
        {"source": "s2", "target": "s3"},
        {"source": "s3", "target": "s4"},
    ],
}


def traced(directory: Path) -> Path:
    """Write the trace of a run whose last step failed, with three results that were there before."""
    outdir = directory / "results"
    outdir.mkdir()
    (outdir / "plot.png").write_bytes(IMAGE)
    (outdir / "counts.tsv").write_text("gene\tcount\nBRCA2\t17\n")
    (outdir / "log.txt").write_text("all is well\n")
    files = [
        {"class": "File", "location": (outdir / name).as_uri(), "basename": name, "size": 12}
        for name in ("plot.png", "counts.tsv", "log.txt")
    ]
    lines = [tried("prepare", prepared_at=1000.1, started_at=1000.5, ended_at=1002, collected_at=1002.2)]
    for n in range(12):
        times = {"prepared_at": 1002.2, "ready_at": 1002.2 + n / 4, "started_at": 1002.5 + n / 4}
        lines.append(
            tried(f"map.align[{n}]", **times, ended_at=1005 + n / 3, collected_at=1005.2 + n / 3, cpu_s=1 + n / 3)
        )
        cached = {"event": "call_ended", "at": 1008, "step": "map.sort", "call": f"map.sort[{n}]", "state": "cached"}
        lines.append({**cached, "saved_s": 3.0})
    lines.append(tried("call", "failed", started_at=1009, ended_at=1009.8, message="it went <b>wrong</b>", exit_code=1))
    started = {**STARTED, "workflow": "genome", "drawing": DRAWING, "secret": False, "outdir": str(outdir)}
    ended = {**ENDED, "state": "failed", "outputs": {"all": files}}
    return write(directory / "trace", *map(_today, (started, *lines, ended)))


def _today(line: Mapping[str, object]) -> Mapping[str, object]:
    """Give a line as it would be written in our time."""
    moments = (name for name, value in line.items() if name.endswith("at") and isinstance(value, int | float))
    return {**line, **{name: line[name] + TODAY_S for name in moments}}


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Page]:
    """The page of that run in a browser, in which nothing went wrong."""
    path = tmp_path / "report.html"
    path.write_text(page(read_record(traced(tmp_path))))
    with opened_browser() as browser:
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        wrong: list[str] = []
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.on("console", lambda said: wrong.append(said.text))
        opened.goto(path.as_uri())
        expect(opened.locator("body[data-ready]")).to_be_attached()
        yield opened
        assert wrong == []


def test_a_subworkflow_folds_and_says_what_became_of_its_calls(shown: Page) -> None:
    documented(shown, "report")
    graph = shown.locator(".graph")
    expect(graph.get_by_text("12 succeeded, 12 cached", exact=True)).to_be_visible()
    expect(graph.get_by_text("align", exact=True)).to_be_hidden()
    summary = graph.locator("summary")
    expect(summary).to_have_text("map: 12 succeeded, 12 cached")
    summary.focus()
    shown.keyboard.press("Enter")
    expect(graph.get_by_text("align", exact=True)).to_be_visible()
    assert summary.locator("xpath=..").get_attribute("open") is not None


def test_results_are_shown_as_what_they_are(shown: Page) -> None:
    previews = shown.locator(".preview")
    expect(previews).to_have_count(3)
    assert previews.locator("img").evaluate("image => image.naturalWidth") == 16
    expect(previews.nth(1).get_by_role("row")).to_have_text(["genecount", "BRCA217"])
    expect(previews.nth(2).locator("pre")).to_have_text("all is well\n")
    shown.locator("#calls").scroll_into_view_if_needed()
    picture(shown, "report")


def test_the_timeline_is_read_and_zoomed_by_keys(shown: Page) -> None:
    timeline = shown.get_by_label("timeline")
    timeline.focus()
    shown.keyboard.press("ArrowDown")
    expect(shown.get_by_text("prepare: succeeded, waited 0.90 s, ran 1.50 s")).to_be_visible()
    drawn = "document.querySelector('[aria-label=timeline] canvas').toDataURL()"
    before = shown.evaluate(drawn)
    shown.keyboard.press("+")
    shown.wait_for_function(f"before => {drawn} !== before", arg=before)
    shown.keyboard.press("0")
    shown.wait_for_function(f"before => {drawn} === before", arg=before)
    assert timeline.evaluate("found => found === document.activeElement")
    documented(shown.locator("section").filter(has=timeline), "timeline")


def test_the_table_of_calls_is_searched_and_sorted_by_keys(shown: Page) -> None:
    rows = shown.locator("#calls tbody tr")
    shown.get_by_label("search calls").fill("align")
    expect(rows).to_have_count(12)
    shown.locator("#calls").get_by_role("button", name="CPU").focus()
    shown.keyboard.press("Enter")
    expect(rows.first).to_contain_text("map.align[11]")
    assert "map.align[10]" in rows.nth(1).inner_text()


def test_on_paper_everything_is_unfolded_and_drawn(shown: Page) -> None:
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(shown.locator("figure canvas")).to_have_count(3)
    expect(shown.locator("details:not([open])")).to_have_count(0)
    assert shown.pdf().startswith(b"%PDF")
