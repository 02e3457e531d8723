"""What is found before a run, and what is left in peace; ``tests/messages`` has what is told of it."""

import pytest

from cwl_prefect.cwl.checking.validate import check_document
from cwl_prefect.model.findings import Severity

TOOL = """
cwlVersion: v1.2
class: CommandLineTool
requirements: REQUIREMENTS
baseCommand: echo
inputs:
  file: File
  files: File[]
  name: string?
  pair: {type: {type: record, fields: {left: File, right: int}}}
arguments: [ARGUMENT]
outputs: {o: {type: File, outputBinding: {glob: GLOB}}}
"""
STEP = """
cwlVersion: v1.2
class: Workflow
requirements: [{class: StepInputExpressionRequirement}, {class: InlineJavascriptRequirement}]
inputs: {a: int, b: {type: int, default: 1}}
outputs: []
steps:
  one:
    run:
      class: ExpressionTool
      inputs: {n: int, m: int?}
      outputs: {c: int}
      expression: "${return {c: inputs.n};}"
    in: IN
    WHEN
    out: [c]
"""
JAVASCRIPT = "{InlineJavascriptRequirement: {}}"


def rules(text: str, write, severity: Severity = Severity.ERROR) -> list[str]:
    findings = check_document(str(write(text))).findings
    return [found.check for found in findings if found.severity is severity]


def tool(argument: str, *, requirements: str = "{}", glob: str = "x") -> str:
    named = TOOL.replace("REQUIREMENTS", requirements).replace("GLOB", glob)
    return named.replace("ARGUMENT", f"'{argument}'")


@pytest.mark.parametrize(
    ("argument", "requirements"),
    [
        ("$(inputs.file.path)", "{}"),
        ("$(inputs.files[0].nameroot)", "{}"),
        ("$(inputs.files.length)", "{}"),
        ("$(inputs.pair.left.path)", "{}"),
        ("$(runtime.cores) of $(runtime.ram)", "{}"),
        ("\\$(inputs.nothing)", "{}"),
        ("$(null)", "{}"),
        ("${ var inputs = {other: 1}; return inputs.other; }", JAVASCRIPT),
        ('${ return "inputs" in this || /* inputs.nam */ 1; }', JAVASCRIPT),
        ("${ for (var key in inputs) { return key; } }", JAVASCRIPT),
        ("${ return `a}${inputs.name}`; }", JAVASCRIPT),
        ("$(Math.PI)", JAVASCRIPT),
        ("$(inputs)", "{}"),
    ],
)
def test_what_works_is_left_in_peace(write, argument, requirements):
    assert rules(tool(argument, requirements=requirements), write) == []


@pytest.mark.parametrize(
    ("argument", "requirements", "rule"),
    [
        ("$(inputs.fil)", "{}", "unknown-reference"),
        ("$(inputs.file.nameRoot)", "{}", "unknown-reference"),
        ("$(inputs.files.path)", "{}", "unknown-reference"),
        ("$(inputs.pair.middle)", "{}", "unknown-reference"),
        ("$(runtime.core)", "{}", "unknown-reference"),
        ("$(input.file)", "{}", "unknown-reference"),
        ("$(self.path)", "{}", "unknown-reference"),
        ("${ return inputs.nam; }", JAVASCRIPT, "unknown-reference"),
        ('${ return inputs["fil"]; }', JAVASCRIPT, "unknown-reference"),
        ("$(inputs.name + 1)", "{}", "javascript-not-required"),
        ("${ return 1; }", "{}", "javascript-not-required"),
        ("$(inputs.name +)", JAVASCRIPT, "expression-syntax"),
        ("${ return [1; }", JAVASCRIPT, "expression-syntax"),
        ("$(inputs.name", "{}", "expression-syntax"),
    ],
)
def test_what_fails_is_found(write, argument, requirements, rule):
    assert rules(tool(argument, requirements=requirements), write) == [rule]


def test_a_name_like_none_of_the_inputs_may_be_meant_in_javascript(write):
    text = tool("${ return inputs.threads ? 1 : 2; }", requirements=JAVASCRIPT)
    assert rules(text, write) == []
    assert "unknown-reference" in rules(text, write, Severity.WARNING)


def test_an_absolute_glob_is_found_unless_it_is_an_expression(write):
    assert rules(tool("a", glob="/tmp/x"), write) == ["glob-is-absolute"]
    assert rules(tool("a", glob="$(runtime.outdir)/x"), write) == []


@pytest.mark.parametrize(
    ("links", "when", "found"),
    [
        pytest.param("{n: a, m: b}", "", [], id="all-is-well"),
        pytest.param("{n: a, on: b}", "when: $(inputs.on > 1)", [], id="read-by-when"),
        pytest.param("{n: {source: a, valueFrom: $(self + inputs.k)}, k: b}", "", [], id="read-by-valueFrom"),
        pytest.param("{n: {}}", "", ["no-value"], id="no-value"),
        pytest.param("{n: a, mm: b}", "", ["unknown-step-input"], id="misspelt"),
        pytest.param("{n: a}", "when: $(inputs.on)", ["unknown-reference"], id="when-reads-what-is-not-there"),
    ],
)
def test_steps_and_what_they_run_fit(write, links, when, found):
    assert rules(STEP.replace("IN", links, 1).replace("WHEN", when), write) == found


OUTPUTS = """
cwlVersion: v1.2
class: Workflow
inputs: {a: int}
outputs: OUTPUTS
steps:
  one:
    HINTS
    run:
      class: CommandLineTool
      baseCommand: echo
      inputs: {n: int}
      outputs: {said: stdout}
    in: {n: a}
    out: [said]
"""
READ = "{o: {type: File, outputSource: one/said}}"


@pytest.mark.parametrize(
    ("outputs", "hints", "found"),
    [
        pytest.param(READ, "", [], id="all-is-well"),
        pytest.param("{o: File}", "", ["output-without-source", "unread-step"], id="no-step-reaches-an-output"),
        pytest.param("{o: File?}", "", ["output-without-source", "unread-step"], id="an-output-is-always-null"),
        pytest.param("[]", "", ["unread-step"], id="nobody-reads-a-step"),
        pytest.param(READ, "hints: {Priority: {}}", ["unknown-hint"], id="hint-of-a-step"),
        pytest.param(READ, "hints: [{class: 'http://example.org/runner#Priority'}]", [], id="hint-for-another-runner"),
        pytest.param(
            READ, "hints: {ResourceRequirement: {coresMin: $(inputs.nn)}}", ["unknown-reference"], id="reads-of-hints"
        ),
        pytest.param(READ, "requirements: {ResourceRequirement: {coresMin: $(inputs.n)}}", [], id="reads-the-tool's"),
    ],
)
def test_outputs_and_hints_of_steps(write, outputs, hints, found):
    findings = check_document(str(write(OUTPUTS.replace("OUTPUTS", outputs).replace("HINTS", hints)))).findings
    assert [finding.check for finding in findings] == found


def test_an_output_that_is_always_null_is_an_error_unless_it_may_be(write):
    text = OUTPUTS.replace("HINTS", "")
    assert rules(text.replace("OUTPUTS", "{o: File}"), write) == ["output-without-source"]
    assert rules(text.replace("OUTPUTS", "{o: File?}"), write) == []


@pytest.mark.parametrize(
    ("requirement", "found"),
    [("{}", ["no-image"]), ("{DockerRequirement: {dockerPull: debian:stable-slim}}", [])],
    ids=["none", "one"],
)
def test_each_tool_names_an_image_where_it_must(write, requirement, found):
    document = str(write(tool("a", requirements=requirement)))
    assert [finding.check for finding in check_document(document, images=True).findings] == found
    assert check_document(document).findings == ()


def test_a_type_that_contains_itself_is_told_as_not_supported(write):
    tree = "{name: Tree, type: record, fields: [{name: inner, type: {type: array, items: '#Tree'}}]}"
    text = f"""
cwlVersion: v1.2
class: CommandLineTool
requirements: {{SchemaDefRequirement: {{types: [{tree}]}}}}
inputs: {{tree: '#Tree'}}
baseCommand: 'true'
outputs: []
"""
    (found,) = check_document(str(write(text))).findings
    assert (found.check, found.message) == ("unsupported-feature", "the type Tree is unknown, or contains itself.")
