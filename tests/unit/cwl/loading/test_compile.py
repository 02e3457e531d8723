from dataclasses import replace
from pathlib import Path

import pytest

from cwl_prefect.cwl.loading.compile import compile_process
from cwl_prefect.cwl.loading.load import load_process
from cwl_prefect.errors import DocumentError
from cwl_prefect.model.plan import (
    LinkMerge,
    LoopOutput,
    PickValue,
    ProcessClass,
    ScatterMethod,
    Source,
    StepId,
    ToolPlan,
    WorkflowPlan,
    decode_plan,
    encode_plan,
)

TOOL = """
cwlVersion: v1.2
class: CommandLineTool
label: Echo
doc: [Says, it.]
requirements: {ToolTimeLimit: {timelimit: 5}}
hints: {DockerRequirement: {dockerPull: busybox}}
inputs:
  x: {type: string, inputBinding: {}, doc: what}
  n: {type: float, default: 1.5}
  big: {type: long?, default: 1.0e+6}
  f: {type: File?, format: edam:format_1929}
outputs: {o: stdout}
baseCommand: echo
$namespaces: {edam: "http://edamontology.org/"}
"""

ORDERED = """
cwlVersion: v1.2
class: CommandLineTool
inputs:
  z: int
  a: {type: {type: record, fields: {right: int, left: {type: int}}}}
  m: Any?
outputs: {}
baseCommand: "true"
"""

RICH = """
cwlVersion: v1.2
class: Workflow
label: Rich
doc: All of it.
requirements:
  ScatterFeatureRequirement: {}
  MultipleInputFeatureRequirement: {}
  StepInputExpressionRequirement: {}
  SubworkflowFeatureRequirement: {}
  InlineJavascriptRequirement: {expressionLib: ["var a = 1;"]}
inputs:
  texts: string[]
  flag: {type: boolean, default: true}
outputs:
  all:
    type: {type: array, items: {type: array, items: [File, "null"]}}
    outputSource: say/o
  last:
    type: File[]
    outputSource: [inner/r, inner/r]
    linkMerge: merge_flattened
    pickValue: all_non_null
steps:
  inner:
    label: Inner
    doc: one below
    run:
      class: Workflow
      inputs: {t: "File"}
      outputs: {r: {type: File, outputSource: t}}
      steps: []
    in: {t: {source: [first/o], pickValue: first_non_null}}
    out: [r]
  say:
    run: tool.cwl
    scatter: [x, n]
    scatterMethod: nested_crossproduct
    when: $(inputs.flag)
    in:
      x: texts
      n: {default: [1, 2]}
      flag: flag
    out: [o]
  first:
    run: tool.cwl
    hints: {ResourceRequirement: {coresMin: 2}}
    in:
      x: {source: texts, valueFrom: "$(self[0])"}
      f: {default: null, loadContents: true}
    out: [o]
"""


def write_rich(directory: Path) -> str:
    (directory / "tool.cwl").write_text(TOOL)
    (directory / "main.cwl").write_text(RICH)
    return str(directory / "main.cwl")


@pytest.fixture(scope="module")
def rich(tmp_path_factory) -> WorkflowPlan:
    path = write_rich(tmp_path_factory.mktemp("rich"))
    return compile_process(load_process(path), origin=path)


def steps(plan: WorkflowPlan):
    return {step.id: step for step in plan.steps}


def links(step):
    return {link.port: link for link in step.links}


class TestWorkflows:
    def test_what_people_read_is_kept(self, rich):
        assert (rich.name, rich.label, rich.doc, rich.cwl_version) == ("main", "Rich", "All of it.", "v1.2")
        assert (steps(rich)["inner"].label, steps(rich)["inner"].doc) == ("Inner", "one below")

    def test_inputs_have_short_types_and_defaults(self, rich):
        assert [(port.id, port.type, port.default) for port in rich.inputs] == [
            ("texts", {"type": "array", "items": "string"}, None),
            ("flag", "boolean", True),
        ]

    def test_inputs_and_fields_keep_their_author_s_order(self, compiled):
        plan = compiled(ORDERED)
        assert [port.id for port in plan.inputs] == ["z", "a", "m"]
        assert [field["name"] for field in plan.inputs[1].type["fields"]] == ["right", "left"]

    def test_sources_name_a_step_or_an_input_of_the_workflow(self, rich):
        say = links(steps(rich)["say"])
        assert say["x"].sources == (Source(step=None, port="texts"),)
        assert links(steps(rich)["inner"])["t"].sources == (Source(step=StepId("first"), port="o"),)

    def test_steps_come_after_their_sources_whatever_the_document_s_order(self, rich):
        assert [step.id for step in rich.steps] == ["first", "say", "inner"]

    def test_scatter_keeps_its_ports_and_method(self, rich):
        scatter = steps(rich)["say"].scatter
        assert (scatter.ports, scatter.method) == (("x", "n"), ScatterMethod.NESTED_CROSSPRODUCT)

    def test_when_is_kept(self, rich):
        assert steps(rich)["say"].when == "$(inputs.flag)"

    def test_value_from_and_load_contents_are_kept(self, rich):
        first = links(steps(rich)["first"])
        assert first["x"].value_from == "$(self[0])"
        assert first["f"].load_contents

    def test_a_default_of_a_step_input_is_kept(self, rich):
        assert links(steps(rich)["say"])["n"].default == [1, 2]

    def test_merging_and_picking_are_kept(self, rich):
        last = rich.outputs[1].link
        assert (last.link_merge, last.pick_value, last.single) == (LinkMerge.FLATTENED, PickValue.ALL_NON_NULL, False)
        assert links(steps(rich)["inner"])["t"].pick_value is PickValue.FIRST_NON_NULL

    def test_a_subworkflow_is_a_plan_with_a_digest(self, rich):
        inner = steps(rich)["inner"].run
        assert isinstance(inner, WorkflowPlan)
        assert len(inner.digest) == 64
        assert inner.outputs[0].link.sources == (Source(step=None, port="t"),)

    def test_expressions_of_a_step_see_the_workflow_s_javascript(self, rich):
        (found,) = steps(rich)["first"].requirements
        assert found == {"class": "InlineJavascriptRequirement", "expressionLib": ["var a = 1;"]}

    def test_the_main_one_of_a_document_is_called_after_the_document(self, compiled):
        graph = """
            cwlVersion: v1.2
            $graph:
            - {class: CommandLineTool, id: main, baseCommand: "true", inputs: [], outputs: []}
            """
        assert compiled(graph, "water.cwl").name == "water"

    def test_a_process_without_a_name_is_called_after_its_class(self, rich):
        assert steps(rich)["inner"].run.name == "Workflow"


class TestTools:
    @pytest.fixture
    def plan(self, compiled) -> WorkflowPlan:
        return compiled(TOOL, "echo tool.cwl")

    def test_a_tool_alone_is_a_plan_of_one_step(self, plan):
        (step,) = plan.steps
        assert isinstance(step.run, ToolPlan)
        assert (plan.name, step.id, step.label, step.doc) == ("echo tool", "echo tool", "Echo", "Says\nit.")
        assert [link.sources for link in step.links] == [(Source(step=None, port=p.id),) for p in plan.inputs]
        assert plan.outputs[0].link.sources == (Source(step=step.id, port="o"),)

    @pytest.mark.parametrize(("default", "name"), [(".nan", "NaN"), ("-1e400", "-Infinity"), (".inf", "Infinity")])
    def test_a_default_that_json_has_no_number_for_is_refused_with_its_place(self, compiled, default, name):
        with pytest.raises(DocumentError, match=f"default of n cannot be used: {name} is no number of JSON") as raised:
            compiled(TOOL.replace("default: 1.5", f"default: {default}"), "echo.cwl")
        assert raised.value.faults[0].place.line == 10

    def test_its_image_can_be_read(self, plan):
        assert plan.steps[0].run.image == "busybox"

    @pytest.mark.parametrize(
        ("docker", "image"),
        [
            ("{dockerImageId: mine, dockerFile: FROM x}", "mine"),
            ("{dockerFile: FROM x, dockerImageId: ''}", "dockerFile"),
            ("{dockerLoad: a.tar}", "a.tar"),
            ("{dockerImport: a.tgz}", "a.tgz"),
        ],
    )
    def test_any_way_to_get_an_image_is_shown(self, tool, docker, image):
        found = tool(f"requirements: {{DockerRequirement: {docker}}}\ninputs: {{}}\noutputs: {{}}\nbaseCommand: x\n")
        assert found.image == image

    def test_numbers_lose_their_notation(self, plan):
        defaults = {port.id: port.default for port in plan.inputs}
        assert defaults["n"] == 1.5
        assert defaults["big"] == 1_000_000
        assert isinstance(defaults["big"], int)

    def test_formats_are_whole_names(self, plan):
        assert {port.id: port.format for port in plan.inputs}["f"] == ("http://edamontology.org/format_1929",)

    def test_namespaces_are_kept_for_job_orders(self, plan):
        assert plan.namespaces == (("edam", "http://edamontology.org/"),)

    def test_required_inputs_are_told_from_optional_ones(self, plan):
        assert [port.id for port in plan.inputs if port.required] == ["x"]

    def test_requirements_stay_beside_the_document(self, plan):
        run = plan.steps[0].run
        assert {"requirements", "hints", "cwlVersion", "label", "doc"}.isdisjoint(run.document)
        assert run.requirements == ({"class": "ToolTimeLimit", "timelimit": 5},)
        assert run.hints[-1] == {"class": "DockerRequirement", "dockerPull": "busybox"}

    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            ("class: ExpressionTool\ninputs: {}\noutputs: {}\nexpression: $(null)", ProcessClass.EXPRESSION_TOOL),
            ("class: Operation\ninputs: {}\noutputs: {}", ProcessClass.OPERATION),
        ],
        ids=["expression-tool", "operation"],
    )
    def test_any_process_can_stand_alone(self, compiled, text, kind):
        assert compiled(f"cwlVersion: v1.2\n{text}\n").steps[0].run.process_class is kind

    def test_an_ontology_is_kept_without_what_else_its_file_says(self, write, compiled):
        write(
            "<http://e.org/#bam> <http://www.w3.org/2000/01/rdf-schema#subClassOf> <http://e.org/#binary> .\n"
            '<http://e.org/#bam> <http://www.w3.org/2000/01/rdf-schema#label> "BAM" .\n',
            "formats.ttl",
        )
        plan = compiled(TOOL + "$schemas: [formats.ttl]\n")
        assert plan.ontology == (
            ("http://e.org/#bam", "http://www.w3.org/2000/01/rdf-schema#subClassOf", "http://e.org/#binary"),
        )

    def test_an_ontology_is_that_of_its_document_and_as_it_is_now(self, write, compiled):
        relation = "http://www.w3.org/2000/01/rdf-schema#subClassOf"
        for name in ("before", "after"):
            write(f"<http://e.org/#{name}> <{relation}> <http://e.org/#binary> .\n", "formats.ttl")
            plan = compiled(TOOL + "$schemas: [formats.ttl]\n")
            assert plan.ontology == ((f"http://e.org/#{name}", relation, "http://e.org/#binary"),)
        assert compiled(TOOL).ontology == ()


class TestInheritance:
    FLOW = """
    cwlVersion: v1.2
    class: Workflow
    requirements: {{EnvVarRequirement: {{envDef: {{A: outer}}}}}}
    hints: {{ResourceRequirement: {{coresMin: 2}}}}
    inputs: {{x: string}}
    outputs: {{}}
    steps:
      one:
        run:
          class: CommandLineTool
          {own}
          inputs: {{x: string}}
          outputs: {{}}
          baseCommand: echo
        {step}
        in: {{x: x}}
        out: []
    """

    def effective(self, compiled, kind, *, own="", step=""):
        run = compiled(self.FLOW.format(own=own, step=step)).steps[0].run
        found = [entry for entry in (*run.hints, *run.requirements) if entry["class"] == kind]
        return found[-1] if found else None

    def test_requirements_of_the_workflow_apply_to_its_steps(self, compiled):
        assert self.effective(compiled, "EnvVarRequirement")["envDef"][0]["envValue"] == "outer"

    def test_hints_of_the_workflow_apply_to_its_steps(self, compiled):
        assert self.effective(compiled, "ResourceRequirement")["coresMin"] == 2

    def test_a_step_overrides_the_workflow(self, compiled):
        found = self.effective(
            compiled, "EnvVarRequirement", step="requirements: {EnvVarRequirement: {envDef: {A: step}}}"
        )
        assert found["envDef"][0]["envValue"] == "step"

    def test_a_requirement_of_a_tool_overrides_its_step(self, compiled):
        found = self.effective(
            compiled, "EnvVarRequirement", own="requirements: {EnvVarRequirement: {envDef: {A: own}}}"
        )
        assert found["envDef"][0]["envValue"] == "own"


class TestLoops:
    FLOW = """
    cwlVersion: v1.3.0-dev1
    class: Workflow
    requirements: {{InlineJavascriptRequirement: {{}}, StepInputExpressionRequirement: {{}}}}
    inputs: {{n: int}}
    outputs: {{r: {{type: Any, outputSource: grow/o}}}}
    steps:
      grow:
        run:
          class: ExpressionTool
          inputs: {{i: int}}
          outputs: {{o: int}}
          expression: '${{return {{o: inputs.i + 1}};}}'
        in: {{i: n}}
        out: [o]
        when: $(inputs.i < 3)
        loop: {{i: {loop}}}
        outputMethod: {method}
    """

    def test_the_last_iteration(self, compiled):
        loop = compiled(self.FLOW.format(loop="o", method="last_iteration")).steps[0].loop
        assert loop.output is LoopOutput.LAST_ITERATION
        assert loop.when == "$(inputs.i < 3)"
        assert loop.links[0].sources == (Source(step=StepId("self"), port="o"),)

    def test_all_iterations(self, compiled):
        loop = compiled(self.FLOW.format(loop="o", method="all_iterations")).steps[0].loop
        assert loop.output is LoopOutput.ALL_ITERATIONS

    def test_the_condition_belongs_to_the_loop_alone(self, compiled):
        assert compiled(self.FLOW.format(loop="o", method="last_iteration")).steps[0].when is None

    def test_an_expression_may_change_what_comes_next(self, compiled):
        loop = compiled(self.FLOW.format(loop="{valueFrom: $(inputs.i + 1)}", method="last_iteration")).steps[0].loop
        assert loop.links[0].value_from == "$(inputs.i + 1)"
        assert loop.links[0].sources == ()

    def test_a_source_that_is_no_output_of_the_step_is_refused(self, compiled):
        with pytest.raises(DocumentError, match="nope"):
            compiled(self.FLOW.format(loop="nope", method="last_iteration"))


class TestPlans:
    def test_json_gives_the_same_plan_back(self, rich):
        assert decode_plan(encode_plan(rich)) == rich
        assert decode_plan(encode_plan(rich, indent=2).decode()) == rich

    def test_equal_plans_give_equal_bytes(self, rich):
        assert encode_plan(rich) == encode_plan(decode_plan(encode_plan(rich)))

    def test_the_digest_does_not_depend_on_the_directory(self, rich, tmp_path):
        moved = tmp_path / "else where" / "é"
        moved.mkdir(parents=True)
        again = compile_process(load_process(write_rich(moved)), origin="elsewhere")
        assert again.digest == rich.digest
        assert again.steps == rich.steps

    @pytest.mark.parametrize(
        ("name", "old", "new"),
        [
            pytest.param("main.cwl", "default: true", "default: false", id="a-default"),
            pytest.param("main.cwl", "doc: All of it.", "doc: Some of it.", id="a-description"),
            pytest.param("main.cwl", "when: $(inputs.flag)", "when: $(!inputs.flag)", id="a-condition"),
            pytest.param("main.cwl", "[1, 2]", "[1, 3]", id="a-step-default"),
            pytest.param("main.cwl", "self[0]", "self[1]", id="an-expression"),
            pytest.param("main.cwl", "var a = 1", "var a = 2", id="a-library"),
            pytest.param("main.cwl", "coresMin: 2", "coresMin: 3", id="a-hint-of-a-step"),
            pytest.param("main.cwl", "steps: []", "steps: []\n      doc: new", id="a-description-below"),
            pytest.param("tool.cwl", "timelimit: 5", "timelimit: 6", id="a-requirement-of-a-tool"),
            pytest.param("tool.cwl", "busybox", "alpine", id="an-image"),
            pytest.param("tool.cwl", "baseCommand: echo", "baseCommand: cat", id="a-command"),
            pytest.param("tool.cwl", "default: 1.5", "default: 2.5", id="a-default-of-a-tool"),
        ],
    )
    def test_the_digest_changes_with(self, rich, tmp_path, name, old, new):
        main, path = write_rich(tmp_path), tmp_path / name
        assert path.read_text().count(old)
        path.write_text(path.read_text().replace(old, new))
        again = compile_process(load_process(main), origin="main.cwl")
        assert again.digest != rich.digest

    def test_two_loads_of_one_document_are_equal(self, rich):
        assert compile_process(load_process(rich.origin), origin=rich.origin) == rich

    def test_nameless_parts_do_not_change_the_digest(self, compiled, tmp_path):
        text = """
            cwlVersion: v1.2
            class: Workflow
            inputs: {p: {type: {type: record, fields: {a: int, b: {type: {type: enum, symbols: [x, y]}}}}}}
            outputs: {r: {type: File, outputSource: one/o}}
            steps:
              one:
                run:
                  class: CommandLineTool
                  inputs: {p: {type: {type: record, fields: {a: int, b: {type: {type: enum, symbols: [x, y]}}}}}}
                  outputs: {o: {type: stdout}, e: {type: stderr}}
                  baseCommand: echo
                in: {p: p}
                out: [o]
            """
        first, second = compiled(text), compiled(text, "other/main.cwl")
        assert first.steps == second.steps
        assert first.digest == second.digest

    def test_steps_with_one_tool_share_its_digest(self, rich):
        assert steps(rich)["say"].run.digest != steps(rich)["first"].run.digest  # hints of the step are inherited
        assert len({step.run.digest for step in rich.steps}) == 3

    def test_a_plan_is_free_of_the_directory_it_was_compiled_in(self, rich, tmp_path):
        assert str(tmp_path).encode() not in encode_plan(replace(rich, origin=None))
