import asyncio
import re
from html.parser import HTMLParser

import pytest

from cwl_prefect.errors import StepError
from cwl_prefect.model.events import RunEnded, RunStarted, RunState, StepEvent, StepEventKind
from cwl_prefect.reports import notebook
from cwl_prefect.reports.notebook import SHOWN_ITEMS, SHOWN_STEPS, NotebookProgress
from cwl_prefect.reports.result import RunResult, RunStatus

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 100
NASTY = "<script>alert('x')</script>&\""


class Tags(HTMLParser):
    """Collects the tags of a page with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.tags if found == tag]


def shown(outputs, *, errors=(), url="http://ui/runs/7", status=RunStatus.COMPLETED) -> Tags:
    result = RunResult(status=status, outputs=outputs, flow_run_id="7", url=url, errors=errors)
    return Tags(result._repr_html_())


def file(path, **about):
    return {"class": "File", "location": path.as_uri(), "path": str(path), "size": 1234, **about}


class TestResult:
    def test_it_links_the_page_of_the_run(self):
        assert shown({}).all("a") == [{"href": "http://ui/runs/7", "target": "_blank", "rel": "noopener"}]

    @pytest.mark.parametrize("url", [None, "javascript:alert(1)"])
    def test_what_is_no_page_is_no_link(self, url):
        assert shown({}, url=url).all("a") == []

    def test_a_file_below_the_directory_of_the_notebook_is_a_link(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        page = shown({"o": file(tmp_path / "results/a b#1.txt")}, url=None)
        assert [link["href"] for link in page.all("a")] == ["results/a%20b%231.txt"]
        assert "1,234 bytes" in page.text

    def test_one_elsewhere_is_told_by_its_path(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        page = shown({"o": file(tmp_path.parent / "a.txt")}, url=None)
        assert page.all("a") == []
        assert str(tmp_path.parent / "a.txt") in page.text

    def test_small_images_are_shown_and_nothing_is_loaded(self, tmp_path):
        (tmp_path / "plot.png").write_bytes(PNG)
        (tmp_path / "text.png").write_text("no image")
        page = shown({"o": [file(tmp_path / name) for name in ("plot.png", "text.png", "gone.png")]})
        assert [image["src"].partition(",")[0] for image in page.all("img")] == ["data:image/png;base64"]

    def test_what_lies_at_a_url_is_told_without_its_secrets(self):
        page = shown({"o": {"class": "File", "location": "https://me:word@e.org/a.png?token=word"}}, url=None)
        assert page.all("img") == page.all("a") == []
        assert "e.org/a.png" in page.text
        assert "word" not in page.text

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param(NASTY, id="text"),
            pytest.param([NASTY], id="array"),
            pytest.param({NASTY: NASTY}, id="record"),
            pytest.param({"class": "File", "location": f"file:///{NASTY}"}, id="path"),
            pytest.param({"class": "File", "location": f"s3://{NASTY}"}, id="url"),
        ],
    )
    def test_everything_is_escaped(self, value):
        page = shown({NASTY: value}, errors=(StepError(NASTY),), status=RunStatus.FAILED)
        assert not {"script", "iframe", "object"} & {tag for tag, _ in page.tags}
        assert "<script>alert('x')</script>" in page.text

    def test_names_that_are_no_text_can_be_sent(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        html = notebook.result_html(
            "completed", {"o": {"class": "File", "location": str(tmp_path / "\udcff")}}, (), None
        )
        assert "%FF" in html.encode("utf-8").decode()

    def test_long_arrays_and_texts_are_cut(self):
        page = shown({"o": list(range(SHOWN_ITEMS + 5)), "t": "x" * 10_000})
        assert len(page.all("li")) == SHOWN_ITEMS
        assert "… 5 more" in page.text
        assert len(page.text) < 2_000


class Shown:
    """What stands below a cell."""

    def __init__(self) -> None:
        self.pages: list[str] = []

    def __call__(self, what) -> "Shown":
        self.update(what)
        return self

    def update(self, what) -> None:
        self.pages.append(what._repr_html_())


def event(kind: StepEventKind, call: int | None = None, **about) -> StepEvent:
    return StepEvent(kind=kind, step="align", call=None if call is None else f"align[{call}]", **about)


STARTED = RunStarted(flow_run_id="7", name=f"run {NASTY}", url="http://ui/runs/7")


class TestProgress:
    async def test_it_is_drawn_now_and_then_and_at_the_end(self, monkeypatch):
        monkeypatch.setattr(notebook, "REDRAWN_AFTER_S", 0)
        below = Shown()
        progress = NotebookProgress(below)
        for told in (STARTED, event(StepEventKind.PLANNED, count=500)):
            progress(told)
        assert len(below.pages) == 1
        await asyncio.sleep(0.01)
        assert len(below.pages) == 2
        assert "0/500" in below.pages[-1]
        for number in range(500):
            progress(event(StepEventKind.STARTED, number))
            progress(event(StepEventKind.SUCCEEDED, number))
        progress(RunEnded(state=RunState.SUCCEEDED, message=None, outputs={}))
        assert len(below.pages) == 3
        assert "500/500" in below.pages[-1]
        assert re.search("run .* succeeded", repr(progress))

    async def test_names_are_escaped_and_the_run_is_a_link(self):
        below = Shown()
        progress = NotebookProgress(below)
        progress(STARTED)
        progress(StepEvent(kind=StepEventKind.STARTED, step=NASTY))
        progress(RunEnded(state=RunState.FAILED, message=None, outputs={}))
        page = Tags(below.pages[-1])
        assert "script" not in {tag for tag, _ in page.tags}
        assert [link["href"] for link in page.all("a")] == ["http://ui/runs/7"]

    async def test_of_many_steps_the_first_are_shown(self):
        below = Shown()
        progress = NotebookProgress(below)
        for number in range(SHOWN_STEPS + 7):
            progress(StepEvent(kind=StepEventKind.STARTED, step=f"step{number}"))
        progress(RunEnded(state=RunState.SUCCEEDED, message=None, outputs={}))
        assert "… 7 more steps" in below.pages[-1]
        assert "step50" not in below.pages[-1]
