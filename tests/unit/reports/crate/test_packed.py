import json

import pytest

from cwl_prefect.reports.crate.packed import names_of, packed
from tests.unit.reports.crate.crates import NESTED, PLAIN, compiled

LOOP = """
cwlVersion: v1.3.0-dev1
$graph:
- class: Workflow
  id: main
  requirements: {InlineJavascriptRequirement: {}}
  inputs: {n: int}
  outputs: {all: {type: 'int[]', outputSource: up/n}}
  steps:
    up:
      when: $(inputs.n < 3)
      loop: {n: n}
      outputMethod: all_iterations
      run: {class: ExpressionTool, inputs: {n: int}, outputs: {n: int}, expression: '$({"n": inputs.n + 1})'}
      in: {n: n}
      out: [n]
"""


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(PLAIN, id="tools"),
        pytest.param(NESTED, id="scatter-and-subworkflow"),
        pytest.param(LOOP, id="loop"),
    ],
)
def test_the_document_means_what_was_run(tmp_path, document):
    plan = compiled(tmp_path, document)
    again = compiled(tmp_path, json.dumps(packed(plan, lambda file: file)))
    assert packed(again, lambda file: file) == packed(plan, lambda file: file)
    assert [(step.id, step.links, step.scatter, step.loop) for step in again.steps] == [
        (step.id, step.links, step.scatter, step.loop) for step in plan.steps
    ]


def test_processes_of_one_name_get_names_of_their_own(tmp_path):
    document = PLAIN.replace("run: '#join'", "run: {class: Operation, id: say, inputs: {x: Any}, outputs: {o: string}}")
    names = names_of(compiled(tmp_path, document.replace("y: x}", "}")))
    assert len(set(names.values())) == len(names)


def test_files_that_the_document_names_are_named_anew(tmp_path):
    (tmp_path / "scores.txt").write_text("1")
    plan = compiled(
        tmp_path,
        """
        cwlVersion: v1.2
        $graph:
        - class: Workflow
          id: main
          inputs: {f: {type: File, default: {class: File, location: scores.txt}}}
          outputs: {}
          steps: {}
        """,
    )
    document = packed(plan, lambda file: {**file, "location": "data/scores.txt"})
    assert document["$graph"][0]["inputs"][0]["default"]["location"] == "data/scores.txt"
    assert str(tmp_path) not in json.dumps(document)
