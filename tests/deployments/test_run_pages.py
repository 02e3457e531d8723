"""What the Prefect UI shows of a run: its task runs, its artifacts and the list of flows, looked at in a browser."""

import re
import struct
import zlib

import pytest
from playwright.sync_api import Page, expect

from tests.deployments.browser import documented, picture
from tests.deployments.site import Site
from tests.prefect_api import matching

pytestmark = pytest.mark.server

WORKFLOW = """\
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}, SubworkflowFeatureRequirement: {}}
inputs: {samples: "string[]", reference: File, raster: File, seconds: int}
outputs:
  counts: {type: "File[]", outputSource: align/counts}
  index: {type: File, outputSource: prepare/index}
  map: {type: File, outputSource: draw/map}
  report: {type: File, outputSource: archive/report}
steps:
  prepare:
    in: {reference: reference}
    out: [index]
    run:
      class: Workflow
      inputs: {reference: File}
      outputs: {index: {type: File, outputSource: index/index}}
      steps:
        index:
          in: {reference: reference}
          out: [index]
          run:
            class: CommandLineTool
            inputs: {reference: {type: File, inputBinding: {}}}
            baseCommand: [wc, -c]
            stdout: index.txt
            outputs: {index: stdout}
  draw:
    in: {raster: raster}
    out: [map]
    run:
      class: CommandLineTool
      inputs: {raster: {type: File, inputBinding: {}}}
      baseCommand: cat
      stdout: map.png
      outputs: {map: stdout}
  align:
    scatter: sample
    in: {sample: samples, index: prepare/index}
    out: [counts]
    run:
      class: CommandLineTool
      inputs: {sample: {type: string, inputBinding: {}}, index: File}
      baseCommand: echo
      stdout: counts-$(inputs.sample).txt
      outputs: {counts: stdout}
  merge:
    in: {counts: align/counts, seconds: seconds}
    out: [report]
    run:
      class: CommandLineTool
      inputs: {counts: "File[]", seconds: int}
      baseCommand: [sh, -c]
      arguments:
        - sleep "$0"; [ "$0" = 0 ] || { echo "sample A3 has no reads" >&2; exit 1; }
        - $(inputs.seconds)
      stdout: report.txt
      outputs: {report: stdout}
  archive:
    in: {report: merge/report}
    out: [report]
    run:
      class: CommandLineTool
      inputs: {report: {type: File, inputBinding: {}}}
      baseCommand: cat
      stdout: report.txt
      outputs: {report: stdout}
"""
ORDER = """\
samples: [A1, A2, A3]
reference: {class: File, path: reference.fa}
raster: {class: File, path: raster.png}
seconds: SECONDS
"""
SHORT_S, LONG_S = 0, 12  # progress is shown of a run that lasts for ten seconds
# What the pages say of where this test runs, as it would read on somebody's machine.
REPLACE = """([from, to]) => {
  document.body.normalize();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) walker.currentNode.data = walker.currentNode.data.replaceAll(from, to);
}"""


def png(width: int, height: int) -> bytes:
    """Give a picture of a gradient."""
    rows = [bytes([0, *(value for x in range(width) for value in (x, y, 128))]) for y in range(height)]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


class Runs:
    """A run that succeeded and one whose last step failed, of the same workflow."""

    def __init__(self, site: Site) -> None:
        self.site = site
        (site.directory / "genomes.cwl").write_text(WORKFLOW)
        (site.directory / "reference.fa").write_text("ACGT\n" * 100)
        (site.directory / "raster.png").write_bytes(png(240, 120))
        self.succeeded = self._run("results", SHORT_S, 0)
        self.failed = self._run("failed", LONG_S, 13)

    def _run(self, outdir: str, seconds: int, code: int) -> str:
        (self.site.directory / "order.yml").write_text(ORDER.replace("SECONDS", str(seconds)))
        said = self.site.run("cwl-prefect", "run", "--outdir", outdir, "genomes.cwl", "order.yml", code=code)
        found = re.search(r"flow-run/([0-9a-f-]{36})", said)
        assert found, said
        return found[1]

    def artifact(self, run: str, name: str) -> str:
        """Give the path of the page of an artifact."""
        found = matching(self.site.api, "artifacts", flow_runs={"id": {"any_": [run]}})
        return next(f"artifacts/artifact/{each['id']}" for each in found if each["key"] == f"genomes-{name}")

    def task_run(self, run: str, name: str) -> str:
        """Give the path of the page of a task run, which is there a moment after its run ended."""

        def named() -> list[str]:
            found = matching(self.site.api, "task_runs", flow_runs={"id": {"any_": [run]}})
            return [each["id"] for each in found if each["name"] == name]

        self.site.wait_for(named)
        return f"runs/task-run/{named()[0]}"


@pytest.fixture(scope="module")
def runs(site: Site) -> Runs:
    """Two runs."""
    return Runs(site)


@pytest.fixture
def shown(page: Page, runs: Runs) -> Page:
    """A page of the size of a picture in the documentation."""
    page.set_viewport_size({"width": 1400, "height": 640})
    return page


def keep(page: Page, runs: Runs, name: str) -> None:
    """Keep a picture for the documentation."""
    page.evaluate(REPLACE, [str(runs.site.directory), "/home/ada"])
    documented(page, name)


def cells(page: Page) -> list[list[str]]:
    """Give the texts of the cells of the table that a page shows, by row."""
    return [row.locator("td").all_inner_texts() for row in page.locator("tbody tr").all()]


def test_the_address_that_server_url_prints_opens_the_ui_logged_in(site: Site, shown: Page) -> None:
    address = site.run("cwl-prefect", "server", "url").strip()
    shown.goto(address)
    expect(shown.get_by_text("Flow Runs", exact=True).first).to_be_visible()
    assert address.partition("#")[2] not in shown.url


def test_a_run_is_drawn_with_its_calls_and_artifacts(runs: Runs, shown: Page) -> None:
    runs.task_run(runs.succeeded, "merge")
    shown.set_viewport_size({"width": 1400, "height": 900})
    runs.site.show(shown, f"runs/flow-run/{runs.succeeded}")
    shown.get_by_role("listitem").filter(has_text="Artifacts").click()
    names = shown.get_by_text(re.compile("^genomes-[a-z]+$"))
    for name in ("steps", "outputs", "summary"):
        expect(names.filter(has_text=name).first).to_be_visible()
    assert set(names.all_inner_texts()) == {"genomes-steps", "genomes-outputs", "genomes-summary"}
    shown.wait_for_timeout(3000)  # its graph is drawn on a canvas
    keep(shown, runs, "ui-run")


def test_what_reads_from_a_subworkflow_is_connected_to_it(runs: Runs) -> None:
    runs.task_run(runs.succeeded, "archive")
    drawn = dict(runs.site.get(f"flow_runs/{runs.succeeded}/graph-v2")["nodes"])
    parents = {node["label"]: [drawn[parent["id"]]["label"] for parent in node["parents"]] for node in drawn.values()}
    assert parents["subworkflow / prepare"] == []
    assert set(parents["align[1]"]) == {"subworkflow / prepare"}
    assert set(parents["merge"]) == {"align[0]", "align[1]", "align[2]"}


def test_a_task_run_says_what_its_call_took_and_ran(runs: Runs, shown: Page) -> None:
    runs.site.show(shown, runs.task_run(runs.succeeded, "align[1]"))
    line = shown.get_by_text("Finished in state Completed")
    expect(line).to_be_visible()
    told = line.inner_text()
    assert 'inputs:    index the File index.txt, sample "A2"' in told
    assert "command:   echo A2" in told
    assert "image:     none (a process on this machine)" in told
    keep(shown, runs, "ui-task-run")


def test_a_failed_task_run_says_what_its_call_took(runs: Runs, shown: Page) -> None:
    runs.site.show(shown, runs.task_run(runs.failed, "merge"))
    line = shown.get_by_text("Finished in state Failed")
    expect(line).to_be_visible()
    assert "inputs:    counts an array of 3 items, seconds 12" in line.inner_text()


def test_steps_are_shown_with_their_states(runs: Runs, shown: Page) -> None:
    runs.site.show(shown, runs.artifact(runs.failed, "steps"))
    expect(shown.get_by_text("How many calls of each step are in which state")).to_be_visible()
    expect(shown.locator("tbody tr")).to_have_count(4)
    columns = [heading.lower() for heading in shown.locator("thead th").all_inner_texts()]
    rows = [dict(zip(columns, row, strict=True)) for row in cells(shown)]
    states = {row.pop("step"): {state: int(count) for state, count in row.items() if count != "0"} for row in rows}
    assert states == {
        "prepare.index": {"cached": 1},
        "align": {"cached": 3},
        "draw": {"cached": 1},
        "merge": {"failed": 1},
    }
    keep(shown, runs, "ui-steps")


def test_outputs_are_shown_with_their_files(runs: Runs, shown: Page) -> None:
    runs.site.show(shown, runs.artifact(runs.succeeded, "outputs"))
    expect(shown.locator("tbody tr")).to_have_count(6)
    names = [next(cell for cell in row if cell.endswith((".txt", ".png"))) for row in cells(shown)]
    assert [name.rpartition("/")[2] for name in names] == [
        "counts-A1.txt",
        "counts-A2.txt",
        "counts-A3.txt",
        "index.txt",
        "map.png",
        "report.txt",
    ]
    image = shown.locator("img[src^='data:image/png']")
    expect(image).to_be_visible()
    assert image.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [240, 120]
    shown.set_viewport_size({"width": 1400, "height": 900})
    keep(shown, runs, "ui-outputs")


def test_the_summary_says_where_results_and_report_are(runs: Runs, shown: Page) -> None:
    runs.site.show(shown, runs.artifact(runs.succeeded, "summary"))
    expect(shown.get_by_text(f"cwl-prefect runs report {runs.succeeded}")).to_be_visible()
    assert str(runs.site.directory / "results") in shown.get_by_text("The results are in").inner_text()
    picture(shown, "ui-summary")


def test_a_failure_is_shown_with_its_evidence_line_by_line(runs: Runs, shown: Page) -> None:
    runs.site.show(shown, runs.artifact(runs.failed, "summary"))
    evidence = shown.locator("pre").filter(has_text="merge failed")
    expect(evidence).to_contain_text("sample A3 has no reads")
    assert len(evidence.inner_text().splitlines()) > 3
    keep(shown, runs, "ui-failure")


def test_the_progress_of_a_run_that_lasts_is_shown(runs: Runs, shown: Page) -> None:
    runs.site.show(shown, runs.artifact(runs.failed, "progress"))
    progress = shown.get_by_text(re.compile(r"Progress: \d+"))
    expect(progress).to_be_visible()
    found = re.search(r"Progress: (\d+)", progress.inner_text())
    assert found
    assert int(found[1]) == 71  # of seven calls one failed, and the step after it is to come
    keep(shown, runs, "ui-progress")


def test_the_list_of_flows_has_what_people_ran_and_one_flow_for_subworkflows(runs: Runs, shown: Page) -> None:
    runs.site.show(shown, "flows")
    expect(shown.get_by_role("link", name="genomes")).to_be_visible()
    expect(shown.get_by_role("link", name="prepare", exact=True)).to_be_visible()  # the last run of subworkflows
    assert shown.get_by_role("link", name="subworkflow").count() == 1
    assert shown.get_by_role("link", name="prepare", exact=True).count() == 1
    picture(shown, "ui-flows")
