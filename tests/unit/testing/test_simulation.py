"""Workflows are simulated: their meaning is that of runs, their time passes at once."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from cwl_prefect import testing
from cwl_prefect.errors import TemporaryStepError, TimeLimitError, UsageError
from cwl_prefect.settings import Settings
from cwl_prefect.testing import FakeTool, assert_called, assert_completed, simulate
from cwl_prefect.testing.plugin import cwl_settings, cwl_simulate  # noqa: F401 - fixtures, installed or not

DOCUMENT = """
cwlVersion: v1.2
$graph:
- class: CommandLineTool
  id: align
  inputs: {x: {type: string, inputBinding: {}}}
  outputs: {o: {type: File, outputBinding: {glob: '*.bam'}}}
  baseCommand: align
  temporaryFailCodes: [75]
- class: CommandLineTool
  id: merge
  inputs: {x: {type: 'File[]', inputBinding: {}}, go: boolean}
  outputs: {o: stdout}
  stdout: merged.txt
  baseCommand: merge
- class: Workflow
  id: main
  requirements: {ScatterFeatureRequirement: {}}
  inputs: {xs: 'string[]', go: {type: boolean, default: true}}
  outputs: {merged: {type: File?, outputSource: merge/o}}
  steps:
    align: {run: '#align', scatter: x, in: {x: xs}, out: [o]}
    merge: {run: '#merge', when: $(inputs.go), in: {x: align/o, go: go}, out: [o]}
"""
ALIGN = FakeTool(files={"reads.bam": "aligned"}, takes=timedelta(hours=30))
MERGE = FakeTool(stdout="merged", takes=timedelta(days=5))
ORDER = {"xs": ["a", "b", "c"]}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("document") / "align.cwl"
    path.write_text(DOCUMENT)
    return path


@pytest.fixture
def run(document: Path, tmp_path: Path):
    """Simulate the workflow with one call at a time."""

    def run(tools, order=ORDER, **settings):
        chosen = Settings(home=tmp_path / "home", **{"max_cores": 1, **settings})
        return simulate(document, order, tools=tools, directory=tmp_path, settings=chosen)

    return run


def test_days_pass_at_once_and_calls_wait_for_cores(run):
    done = run({"align": ALIGN, "merge": MERGE})
    assert_completed(done)
    assert done.took == timedelta(days=5, hours=90)
    assert [call.step for call in done.calls] == ["align", "align", "align", "merge"]
    assert [call.began for call in done.calls[:3]] == [timedelta(hours=30) * number for number in range(3)]
    assert Path(done.outputs["merged"]["path"]).read_text() == "merged"


def test_more_cores_make_it_faster(run):
    assert run({"align": ALIGN, "merge": MERGE}, max_cores=3).took == timedelta(days=5, hours=30)


def test_conditions_hold_as_in_a_run(run):
    done = run({"align": ALIGN}, {**ORDER, "go": False})
    assert done.outputs == {"merged": None}
    assert_called(done.calls, "align", times=3)


def test_a_call_that_fails_for_a_while_is_tried_again_after_its_pause(run):
    tools = {"align": FakeTool(files={"a.bam": ""}, exits=(75, 0))}
    done = run(tools, {"xs": ["a"]}, retries=1, retry_delay_s=3600, retry_delay_most_s=3600)
    assert_completed(done)
    assert [call.exit_code for call in done.calls if call.step == "align"] == [75, 0]
    assert done.took == timedelta(hours=1)


def test_a_failure_is_told_with_its_evidence(run):
    done = run({"align": FakeTool(stderr="no index\n", exits=(75,))})
    assert [type(error) for error in done.errors] == [TemporaryStepError]
    with pytest.raises(AssertionError, match=r"(?s)the run failed:.*align\[0\].*no index"):
        assert_completed(done)


def test_a_call_that_takes_too_long_is_ended(run):
    done = run({"align": ALIGN}, {"xs": ["a"]}, step_timeout_s=3600)
    assert "align" in str(done.errors[0])
    assert done.took == timedelta(hours=1)


def test_so_is_a_run(run):
    done = run({"align": ALIGN}, run_timeout_s=3600)
    assert [type(error) for error in done.errors] == [TimeLimitError]
    assert (done.took, done.outputs) == (timedelta(hours=1), {})


def test_a_tool_of_no_step_is_an_error(run):
    with pytest.raises(UsageError, match="did you mean 'align'"):
        run({"aligned": ALIGN})


async def test_where_a_loop_runs_it_is_refused(run):
    with pytest.raises(UsageError, match="make it a plain function"):
        run({})


def test_what_was_not_called_is_told_with_what_was(run):
    done = run({"align": ALIGN})
    assert_called(done.calls, "merge")
    with pytest.raises(AssertionError, match="align was called 3 times and not 2 times; called were: align, merge"):
        assert_called(done.calls, "align", times=2)
    with pytest.raises(AssertionError, match="sort was called 0 times and not at least once"):
        assert_called(done.calls, "sort")


def test_the_fixture_has_a_home_of_its_own(cwl_simulate, cwl_settings, document, tmp_path):  # noqa: F811
    assert_completed(cwl_simulate(document, ORDER, tools={"align": ALIGN}))
    assert cwl_settings.home.is_relative_to(tmp_path)


@pytest.mark.parametrize("name", testing.__all__)
def test_every_public_name_is_there_and_has_an_example_or_says_what_it_is(name):
    assert getattr(testing, name).__doc__


def test_the_plugin_costs_other_tests_nothing():
    code = (
        "import sys, cwl_prefect.testing.plugin;"
        "sys.exit(any(name in sys.modules for name in ('prefect', 'cwltool', 'pydantic')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
