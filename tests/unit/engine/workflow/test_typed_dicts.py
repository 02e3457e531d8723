import re
from typing import get_type_hints, is_typeddict

import pytest

from cwl_prefect.api import load_plan
from cwl_prefect.engine.workflow.typed_dicts import typed_dicts
from cwl_prefect.model.output_types import Directory, File
from cwl_prefect.model.plan import InputPort, OutputPort
from cwl_prefect.settings import Settings
from tests.commands import PROJECT
from tests.plans import workflow

PAIR = {
    "type": "record",
    "name": "pair",
    "fields": [{"name": "left-end", "type": "File"}, {"name": "depth", "type": ["null", "int"]}],
}


def written(**said) -> dict[str, object]:
    """Run the code that is written for a workflow, and return what it defines."""
    names: dict[str, object] = {}
    exec(typed_dicts(workflow(**{"name": "align all", **said})), names)
    return names


def test_the_types_that_type_checkers_are_tried_with_are_those_of_the_example(tmp_path):
    plan = load_plan(PROJECT / "examples/cwl/vegetation/vegetation.cwl", settings=Settings(home=tmp_path))
    assert (PROJECT / "tests/typing/vegetation_types.py").read_text() == typed_dicts(plan)


def test_outputs_are_all_there_and_inputs_with_a_default_need_not_be():
    inputs = (InputPort(id="reads", type="File"), InputPort(id="most", type="int", default=3))
    found = written(inputs=inputs, outputs=(OutputPort(id="o", type=["null", "Directory"]),))
    assert found["AlignAllInputs"].__required_keys__ == {"reads"}
    assert get_type_hints(found["AlignAllOutputs"]) == {"o": Directory | None}


def test_records_have_types_of_their_own():
    found = written(outputs=(OutputPort(id="pairs", type={"type": "array", "items": PAIR}),))
    pair = found["AlignAllOutputsPairs"]
    assert get_type_hints(found["AlignAllOutputs"]) == {"pairs": list[pair]}
    assert get_type_hints(pair) == {"left-end": File, "depth": int | None}
    assert (pair.__required_keys__, pair.__optional_keys__) == ({"left-end"}, {"depth"})


@pytest.mark.parametrize("identifier", ["min-depth", "class", "1st", "__x", 'a"b\\', "größe"])
def test_an_output_may_have_any_name(identifier):
    found = written(outputs=(OutputPort(id=identifier, type="int"),))
    assert get_type_hints(found["AlignAllOutputs"]) == {identifier: int}


@pytest.mark.parametrize("name", ["2nd step", "---", 'say """ and \\', "file\nname", "größe"])
def test_a_workflow_may_have_any_name(name):
    found = written(name=name, outputs=(OutputPort(id="o", type="int"),))
    assert [each for each in found if is_typeddict(found[each]) and re.search("Outputs$", each)]


def test_names_that_come_to_the_same_are_numbered():
    found = written(outputs=(OutputPort(id="a b", type=PAIR), OutputPort(id="a-b", type=PAIR)))
    assert {"AlignAllOutputsAB", "AlignAllOutputsAB2"} <= found.keys()
