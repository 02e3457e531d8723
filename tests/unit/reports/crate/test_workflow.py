from tests.unit.reports.crate.crates import NESTED, PLAIN, entities, references
from tests.unit.reports.traces import tried


def test_the_workflow_has_its_tools_steps_parameters_and_links(tmp_path):
    found = entities(tmp_path, PLAIN, tried("first"), tried("second"))
    workflow = found["packed.cwl"]
    assert workflow["@type"] == ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"]
    assert references(workflow, "hasPart") == ["packed.cwl#say", "packed.cwl#join"]
    assert references(workflow, "step") == ["packed.cwl#main/first", "packed.cwl#main/second"]
    assert references(workflow, "input") == ["packed.cwl#main/in/x"]
    ends = [
        (references(one, "sourceParameter")[0], references(one, "targetParameter")[0])
        for one in (found[name] for name in references(found["packed.cwl#main/second"], "connection"))
    ]
    assert ("packed.cwl#say/out/o", "packed.cwl#join/in/x") in ends
    assert found["packed.cwl#main/in/x"]["additionalType"] == "Text"


def test_tools_that_were_not_called_are_described_but_no_part_of_what_ran(tmp_path):
    found = entities(tmp_path, PLAIN, tried("first"))
    assert references(found["packed.cwl"], "hasPart") == ["packed.cwl#say"]
    assert references(found["packed.cwl#main/second"], "workExample") == ["packed.cwl#join"]


def test_a_subworkflow_that_called_nothing_is_shown_without_its_steps(tmp_path):
    ended = {"event": "subworkflow_ended", "at": 1008, "step": "part", "call": "part[0]", "state": "failed"}
    found = entities(tmp_path, NESTED, ended)
    assert found["packed.cwl#inner"]["@type"] == ["SoftwareSourceCode"]
    assert "packed.cwl#inner/say" not in found
