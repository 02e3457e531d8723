"""One call of a run, found again in its record."""

from pathlib import Path

import pytest

from cwl_prefect.errors import DocumentError, InputError
from cwl_prefect.model.plan import InputPort, encode_plan
from cwl_prefect.reports.calls import recorded_call
from tests.plans import link, step, tool, workflow
from tests.unit.reports.traces import ENDED, STARTED, tried, write

X = InputPort(id="x", type="string")
PLAN = workflow(step("align", link("x"), run=tool(inputs=(X,), digest="a")), step("merge", link("x")))
CALLS = (
    tried("align[0]", "failed", inputs={"x": "first"}),
    tried("align[0]", "succeeded", inputs={"x": "again"}),
    tried("align[1]", "failed", inputs={"x": "one"}),
    tried("merge", "cached", inputs={}),
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = write(tmp_path / "run-1", {**STARTED, "secret": True}, *CALLS, ENDED)
    (directory / "plan.json").write_bytes(encode_plan(PLAN))
    return directory


def test_the_last_try_of_a_call_is_found_with_what_it_was_given(directory: Path) -> None:
    found = recorded_call(directory, "align[0]")
    assert (found.past.run_id, found.past.tool.digest, found.secret) == ("run-1", "a", True)
    assert (found.past.inputs, found.tried.state) == ({"x": "again"}, "succeeded")


def test_a_step_that_was_called_once_names_its_call(directory: Path) -> None:
    assert recorded_call(directory, "merge").tried.call == "merge"


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("align", "called 2 times", "align[1]"),
        ("aligm[0]", "no call", "align[0]"),
        ("zzz", "no call", "there are: align[0]"),
    ],
    ids=["several", "misspelt", "unknown"],
)
def test_a_call_that_cannot_be_told_is_an_error_with_those_that_there_are(directory, name, message, hint) -> None:
    with pytest.raises(InputError, match=message) as found:
        recorded_call(directory, name)
    assert hint in (found.value.hint or "")


def test_inputs_that_were_too_large_to_be_recorded_are_told(directory: Path) -> None:
    write(directory, STARTED, tried("align", inputs=None), tried("merge", inputs={}), ENDED)
    with pytest.raises(InputError, match="were not recorded"):
        recorded_call(directory, "align")


def test_a_plan_that_cannot_be_read_is_told(directory: Path) -> None:
    (directory / "plan.json").write_text("{}")
    with pytest.raises(DocumentError, match=r"plan\.json"):
        recorded_call(directory, "merge")
