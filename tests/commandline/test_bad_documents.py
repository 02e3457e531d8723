"""Documents that are wrong: refused before anything runs, each with its place."""

import pytest

from tests.commandline.driving import CommandLine, assert_refused

pytestmark = [pytest.mark.server, pytest.mark.standby]

TOOL = """
    cwlVersion: v1.2
    class: CommandLineTool
    baseCommand: echo
    inputs:
      message: {type: string, inputBinding: {}}
    outputs:
      text: stdout
    """

NOT_YAML = """
    cwlVersion: v1.2
    class: CommandLineTool
    inputs: {a: [string
    outputs: []
    """
UNKNOWN_FIELD = """
    cwlVersion: v1.2
    class: CommandLineTool
    baseComand: echo
    inputs: []
    outputs: []
    """
UNKNOWN_FIELD_OF_BINDING = """
    cwlVersion: v1.2
    class: CommandLineTool
    baseCommand: echo
    inputs:
      count:
        type: [int, {type: array, items: {type: record, filds: []}}]
        inputBinding: {position: 1, prefx: -n}
    outputs: []
    """
WRONG_VALUE = """
    cwlVersion: v1.2
    class: CommandLineTool
    baseCommand: {a: 1}
    inputs: []
    outputs: []
    """
UNKNOWN_TYPE = """
    cwlVersion: v1.2
    class: CommandLineTool
    baseCommand: echo
    inputs:
      message: strng
    outputs: []
    """
UNKNOWN_CLASS = """
    cwlVersion: v1.2
    class: CommandLineToool
    inputs: []
    outputs: []
    """
UNKNOWN_VERSION = """
    cwlVersion: v9.9
    class: CommandLineTool
    inputs: []
    outputs: []
    """
NO_OUTPUTS = """
    cwlVersion: v1.2
    class: CommandLineTool
    baseCommand: echo
    inputs: []
    """
DUPLICATE_KEY = """
    cwlVersion: v1.2
    class: CommandLineTool
    baseCommand: echo
    baseCommand: cat
    inputs: []
    outputs: []
    """
DUPLICATE_ID = """
    cwlVersion: v1.2
    class: Workflow
    inputs:
      - {id: a, type: string}
      - {id: a, type: int}
    outputs: []
    steps: []
    """
LINK_OF_WRONG_TYPE = """
    cwlVersion: v1.2
    class: Workflow
    inputs:
      count: int
    outputs: []
    steps:
      say:
        run: tool.cwl
        in:
          message: count
        out: [text]
    """
OUTPUT_OF_WRONG_TYPE = """
    cwlVersion: v1.2
    class: Workflow
    inputs:
      message: string
    outputs:
      said: {type: int, outputSource: say/text}
    steps:
      say:
        run: tool.cwl
        in: {message: message}
        out: [text]
    """
UNKNOWN_SOURCE = """
    cwlVersion: v1.2
    class: Workflow
    inputs: []
    outputs: []
    steps:
      say:
        run: tool.cwl
        in:
          message: nosuch
        out: [text]
    """
UNKNOWN_OUTPUT = """
    cwlVersion: v1.2
    class: Workflow
    inputs: {message: string}
    outputs: []
    steps:
      say:
        run: tool.cwl
        in: {message: message}
        out: [words]
    """
INPUT_WITHOUT_SOURCE = """
    cwlVersion: v1.2
    class: Workflow
    inputs: []
    outputs: []
    steps:
      say:
        run: tool.cwl
        in: {}
        out: [text]
    """
CYCLE = """
    cwlVersion: v1.2
    class: Workflow
    inputs: []
    outputs: []
    steps:
      first:
        run: copy.cwl
        in: {data: second/copied}
        out: [copied]
      second:
        run: copy.cwl
        in: {data: first/copied}
        out: [copied]
    """
RUNS_ITSELF = """
    cwlVersion: v1.2
    class: Workflow
    requirements: {SubworkflowFeatureRequirement: {}}
    inputs: []
    outputs: []
    steps:
      again:
        run: document.cwl
        in: {}
        out: []
    """
MISSING_IMPORT = """
    cwlVersion: v1.2
    class: CommandLineTool
    requirements:
      SchemaDefRequirement:
        types:
          - $import: nowhere.yml
    baseCommand: echo
    inputs: []
    outputs: []
    """
MISSING_INCLUDE = """
    cwlVersion: v1.2
    class: CommandLineTool
    requirements:
      InlineJavascriptRequirement:
        expressionLib:
          - $include: nowhere.js
    baseCommand: echo
    inputs: []
    outputs: []
    """
MISSING_RUN = """
    cwlVersion: v1.2
    class: Workflow
    inputs: []
    outputs: []
    steps:
      say:
        run: nowhere.cwl
        in: {}
        out: []
    """
BROKEN_RUN = """
    cwlVersion: v1.2
    class: Workflow
    inputs: []
    outputs: []
    steps:
      say:
        run: broken.cwl
        in: {}
        out: []
    """
SCATTER_NOT_REQUIRED = """
    cwlVersion: v1.2
    class: Workflow
    inputs: {messages: "string[]"}
    outputs: []
    steps:
      say:
        run: tool.cwl
        scatter: message
        in: {message: messages}
        out: [text]
    """
GRAPH = """
    cwlVersion: v1.2
    $graph:
      - {class: CommandLineTool, id: one, baseCommand: echo, inputs: [], outputs: []}
      - {class: CommandLineTool, id: two, baseCommand: echo, inputs: [], outputs: []}
    """
COPY = """
    cwlVersion: v1.2
    class: CommandLineTool
    baseCommand: cat
    inputs: {data: {type: File, inputBinding: {}}}
    outputs: {copied: stdout}
    """

CASES = [
    pytest.param(NOT_YAML, ["document.cwl:4:8: not YAML: expected ',' or ']'"], id="not-yaml"),
    pytest.param("apples: 3\n", ["document.cwl: ", "not a CWL document"], id="yaml-but-not-cwl"),
    pytest.param("just a text\n", ["document.cwl: ", "found a text"], id="a-text"),
    pytest.param("[1, 2]\n", ["document.cwl: ", "found a list"], id="a-list"),
    pytest.param("", ["document.cwl: ", "found nothing"], id="empty"),
    pytest.param(UNKNOWN_FIELD, ["document.cwl:3:1: unknown field 'baseComand'", "'baseCommand'?"], id="unknown-field"),
    pytest.param(
        UNKNOWN_FIELD_OF_BINDING,
        ["document.cwl:6:53: ", "unknown field 'filds'", "document.cwl:7:33: ", "unknown field 'prefx'"],
        id="unknown-fields-below",
    ),
    pytest.param(WRONG_VALUE, ["document.cwl:3:1: baseCommand: ", "expected null or string"], id="field-of-wrong-type"),
    pytest.param(UNKNOWN_TYPE, ["document.cwl:5:3: ", "'strng'"], id="unknown-type"),
    pytest.param(UNKNOWN_CLASS, ["document.cwl:2:1: class: 'CommandLineToool' is unknown"], id="unknown-class"),
    pytest.param(UNKNOWN_VERSION, ["document.cwl:1:1: cwlVersion: ", "v1.2"], id="unknown-version"),
    pytest.param(NO_OUTPUTS, ["document.cwl:1:1: outputs: missing"], id="missing-field"),
    pytest.param(DUPLICATE_KEY, ["document.cwl:4:1: ", "the key 'baseCommand' is there twice"], id="duplicate-key"),
    pytest.param(DUPLICATE_ID, ["document.cwl:5:5: ", "'a' is declared twice"], id="duplicate-id"),
    pytest.param(
        LINK_OF_WRONG_TYPE, ["document.cwl:10:7: message has the type", "type int"], id="type-error-in-a-link"
    ),
    pytest.param(
        OUTPUT_OF_WRONG_TYPE, ["document.cwl:6:10: said has the type", "type File"], id="type-error-of-an-output"
    ),
    pytest.param(UNKNOWN_SOURCE, ["document.cwl:9:7: ", "there is no 'nosuch'"], id="unknown-source"),
    pytest.param(UNKNOWN_OUTPUT, ["document.cwl:9:11: ", "'words'"], id="unknown-step-output"),
    pytest.param(INPUT_WITHOUT_SOURCE, ["document.cwl:8:5: ", "'message'"], id="step-input-without-source"),
    pytest.param(CYCLE, ["document.cwl:6:3: ", "in a cycle: first, second"], id="cycle"),
    pytest.param(RUNS_ITSELF, ["document.cwl: ", "runs itself"], id="workflow-that-runs-itself"),
    pytest.param(MISSING_IMPORT, ["document.cwl:6:9: nowhere.yml: no such file"], id="missing-import"),
    pytest.param(MISSING_INCLUDE, ["document.cwl:6:9: nowhere.js: no such file"], id="missing-include"),
    pytest.param(MISSING_RUN, ["document.cwl:7:5: run: nowhere.cwl: no such file"], id="missing-step"),
    pytest.param(BROKEN_RUN, ["broken.cwl:4:8", "expected ',' or ']'"], id="step-that-is-not-yaml"),
    pytest.param(SCATTER_NOT_REQUIRED, ["document.cwl", "ScatterFeatureRequirement"], id="feature-not-required"),
    pytest.param(GRAPH, ["document.cwl: ", "main: one, two", "document.cwl#one"], id="graph-without-main"),
]


@pytest.mark.parametrize(("document", "texts"), CASES)
def test_a_wrong_document_is_refused(command: CommandLine, document: str, texts: list[str]) -> None:
    command.write("tool.cwl", TOOL)
    command.write("copy.cwl", COPY)
    command.write("broken.cwl", NOT_YAML)
    command.write("document.cwl", document)

    ended = command.run("document.cwl")

    assert_refused(ended, 10, *texts, outdir=command.outdir)
    assert len(ended.stderr.splitlines()) <= 4


def test_a_missing_document_is_refused(command: CommandLine) -> None:
    assert_refused(command.run("nowhere.cwl"), 10, "nowhere.cwl: no such file", outdir=command.outdir)


def test_a_directory_is_no_document(command: CommandLine) -> None:
    assert_refused(command.run("."), 10, ".: this is a directory", outdir=command.outdir)


def test_a_fragment_that_does_not_exist_is_refused(command: CommandLine) -> None:
    command.write("document.cwl", GRAPH)

    assert_refused(
        command.run("document.cwl#three"),
        10,
        "document.cwl#three: it has no process 'three'",
        "'one', 'two'",
        outdir=command.outdir,
    )


def test_a_document_that_is_not_text_is_refused(command: CommandLine) -> None:
    (command.directory / "document.cwl").write_bytes(b"\xff\xfe\x00\x80")

    assert_refused(command.run("document.cwl"), 10, "document.cwl: this is not a text", outdir=command.outdir)


def test_an_unknown_requirement_is_unsupported(command: CommandLine) -> None:
    requirement = TOOL.replace("baseCommand", "requirements:\n      - class: MagicRequirement\n    baseCommand")
    command.write("document.cwl", requirement)

    assert_refused(command.run("document.cwl"), 33, "document.cwl:4:5: ", "'MagicRequirement'", outdir=command.outdir)


def test_aliases_that_multiply_without_end_are_refused_quickly(command: CommandLine) -> None:
    lines = ["  a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"  {new}: &{new} [{', '.join(['*' + old] * 9)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    command.write("document.cwl", "cwlVersion: v1.2\nclass: CommandLineTool\n$more:\n" + "\n".join(lines) + "\n")

    ended = command.run("document.cwl")

    assert_refused(ended, 10, "document.cwl: ", "aliases", outdir=command.outdir)
    assert ended.seconds < 30


def test_endless_nesting_is_refused(command: CommandLine) -> None:
    command.write("document.cwl", "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: " + "[" * 1000 + "]" * 1000)

    assert_refused(command.run("document.cwl"), 10, "document.cwl: ", "nested", outdir=command.outdir)


@pytest.mark.parametrize("name", ["validate", "compile", "graph", "inputs"])
def test_other_commands_say_the_same(command: CommandLine, name: str) -> None:
    command.write("document.cwl", UNKNOWN_FIELD)

    assert_refused(command(name, "document.cwl"), 10, "document.cwl:3:1: unknown field 'baseComand'")
