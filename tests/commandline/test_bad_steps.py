"""Steps that fail: each failure says which step, why, and what to do, and nothing is published."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commandline.driving import CommandLine, assert_refused, processes

pytestmark = [pytest.mark.server, pytest.mark.standby]


def tool(command: str, outputs: str, *more: str) -> str:
    lines = [
        "cwlVersion: v1.2",
        "class: CommandLineTool",
        f"baseCommand: {command}",
        "inputs: []",
        f"outputs: {outputs}",
    ]
    return "\n".join([*lines, *more]) + "\n"


NO_MATCH = tool('["touch", "a.txt"]', "{found: {type: File, outputBinding: {glob: '*.bam'}}}")
TWO_MATCHES = tool("[touch, a.txt, b.txt]", "{found: {type: File, outputBinding: {glob: '*.txt'}}}")
LINK_OUT = tool("[ln, -s, /etc/passwd, a.txt]", "{found: {type: File, outputBinding: {glob: a.txt}}}")
LINK_OUT_BELOW = tool(
    "[sh, -c, 'mkdir d && ln -s /etc/passwd d/a.txt']", "{found: {type: Directory, outputBinding: {glob: d}}}"
)
CONTENTS_OUT = tool(
    "[ln, -s, /etc/passwd, a.txt]",
    "{found: {type: string, outputBinding: {glob: a.txt, loadContents: true, outputEval: '$(self[0].contents)'}}}",
)
GLOB_ABOVE = tool('["true"]', "{found: {type: Any, outputBinding: {glob: '../../*'}}}")
GLOB_ABSOLUTE = tool('["true"]', "{found: {type: File, outputBinding: {glob: /etc/passwd}}}")
OUTPUT_OBJECT_OUT = tool(
    """[sh, -c, 'echo "{\\"found\\": {\\"class\\": \\"File\\", \\"path\\": \\"/etc/passwd\\"}}" > cwl.output.json']""",
    "{found: File}",
)
OUTPUT_OBJECT_LOCATION_OUT = OUTPUT_OBJECT_OUT.replace("path", "location")
WHOLE_WITH_LINK_OUT = tool("[ln, -s, /etc/passwd, a.txt]", "{found: {type: Directory, outputBinding: {glob: .}}}")
PIPE = tool("[mkfifo, a.txt]", "{found: {type: File, outputBinding: {glob: a.txt, loadContents: true}}}")
OUTPUT_OBJECT_BROKEN = tool("""[sh, -c, 'echo "{" > cwl.output.json']""", "{found: File}")
WRONG_TYPE = tool(
    '["true"]',
    "{found: {type: int, outputBinding: {outputEval: \"$('five')\"}}}",
    "requirements: {InlineJavascriptRequirement: {}}",
)


@pytest.mark.parametrize(
    ("document", "texts"),
    [
        pytest.param(NO_MATCH, ["output found: no file matches the glob '*.bam'", "'a.txt'"], id="no-match"),
        pytest.param(TWO_MATCHES, ["output found: several files match", "'a.txt', 'b.txt'"], id="two-for-one"),
        pytest.param(LINK_OUT, ["output found: a.txt leads to /etc/passwd"], id="link-out"),
        pytest.param(LINK_OUT_BELOW, ["output found: ", "d/a.txt leads to /etc/passwd"], id="link-out-in-a-directory"),
        pytest.param(CONTENTS_OUT, ["output found: a.txt leads to /etc/passwd"], id="contents-of-a-link-out"),
        pytest.param(GLOB_ABOVE, ["output found: ", "outside the output directory"], id="glob-above"),
        pytest.param(GLOB_ABSOLUTE, ["output found: glob patterns must not start with '/'"], id="absolute-glob"),
        pytest.param(OUTPUT_OBJECT_OUT, ["/etc/passwd is outside the output directory"], id="output-object-out"),
        pytest.param(
            OUTPUT_OBJECT_LOCATION_OUT,
            ["/etc/passwd is outside the output directory"],
            id="location-in-output-object-out",
        ),
        pytest.param(
            WHOLE_WITH_LINK_OUT, ["output found: ", "a.txt leads to /etc/passwd"], id="link-out-in-whole-directory"
        ),
        pytest.param(PIPE, ["output found: a.txt is neither a file nor a directory"], id="pipe"),
        pytest.param(OUTPUT_OBJECT_BROKEN, ["cwl.output.json is not JSON"], id="output-object-not-json"),
        pytest.param(WRONG_TYPE, ["output found: expected int"], id="wrong-type"),
    ],
)
def test_an_output_that_is_not_what_it_declares(command: CommandLine, document: str, texts: list[str]) -> None:
    command.write("tool.cwl", document)

    ended = command.run("tool.cwl")

    assert_refused(ended, 15, " tool: ", *texts, outdir=command.outdir)
    assert "root:" not in ended.stderr


EXPRESSIONS = """
    cwlVersion: v1.2
    class: Workflow
    requirements:
      InlineJavascriptRequirement: {}
      StepInputExpressionRequirement: {}
    inputs:
      message: {type: string, default: hello}
    outputs:
      text: {type: File, outputSource: say/text}
    steps:
      say:
        run:
          class: CommandLineTool
          baseCommand: echo
          inputs:
            message: {type: string, inputBinding: {}}
          outputs:
            text: stdout
        in:
          message: {source: message, valueFrom: "${ EXPRESSION }"}
        out: [text]
    """


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        pytest.param("throw new Error('no luck');", "no luck", id="throws"),
        pytest.param("while (true) {}", "did not end within 2 s", id="never-ends"),
        pytest.param("var a = []; while (true) { a.push(new Array(9999).fill(7)) }", "MiB of memory", id="eats-memory"),
        pytest.param("return inputs.nothing.at.all;", "undefined", id="follows-nothing"),
        pytest.param("return (", "Error", id="is-no-javascript"),
        pytest.param("return require('fs').readdirSync('/')", "require", id="wants-out"),
    ],
)
def test_an_expression_that_fails(command: CommandLine, expression: str, text: str) -> None:
    command.write("workflow.cwl", EXPRESSIONS.replace("EXPRESSION", expression))

    ended = command.run("workflow.cwl", environment={"CWL_PREFECT_JAVASCRIPT_TIMEOUT_S": "2"})

    assert_refused(ended, 14, "Error: workflow.cwl:", ": say: valueFrom of message: ", text, outdir=command.outdir)
    assert ended.seconds < 30


def test_an_expression_of_a_tool_that_fails(command: CommandLine) -> None:
    document = tool("[echo]", "{}", 'arguments: ["$(inputs.a.b)"]', "requirements: {InlineJavascriptRequirement: {}}")
    command.write("tool.cwl", document)

    assert_refused(command.run("tool.cwl"), 14, "Error: tool.cwl:", ": tool: ", outdir=command.outdir)


def test_a_command_that_does_not_exist(command: CommandLine) -> None:
    command.write("tool.cwl", tool("[no-such-program, 'two words']", "{}"))

    ended = command.run("tool.cwl")

    texts = [
        "Error: tool.cwl:3:1: tool failed: its command was not found",
        "command:   no-such-program 'two words'",
        "To fix: ",
    ]
    assert_refused(ended, 13, *texts, outdir=command.outdir)


def test_a_failure_tells_all_that_is_known(command: CommandLine) -> None:
    command.write(
        "workflow.cwl",
        """
        cwlVersion: v1.2
        class: Workflow
        requirements: {ScatterFeatureRequirement: {}}
        inputs: {codes: {type: "int[]", default: [0, 3, 0]}}
        outputs: {texts: {type: "File[]", outputSource: align/text}}
        steps:
          align:
            scatter: code
            run:
              class: CommandLineTool
              baseCommand: [sh, -c, 'for i in 1 2 3 4 5; do echo "line $i" >&2; done; exit $0']
              inputs: {code: {type: int, inputBinding: {}}}
              outputs: {text: stdout}
            in: {code: codes}
            out: [text]
        """,
    )

    ended = command.run("workflow.cwl", environment={"CWL_PREFECT_LOG_TAIL_LINES": "2"})

    assert_refused(
        ended,
        13,
        "Error: workflow.cwl:11:7: align[1] failed: it exited with code 3",
        "exit $0' 3",
        outdir=command.outdir,
    )
    evidence = ended.stderr.partition("Error: ")[2]
    assert "image:     none" in evidence
    assert evidence.rstrip().endswith("    line 4\n    line 5")
    assert "line 3" not in evidence
    found = re.search(r"workspace: (.*)", evidence)
    assert found is not None
    workspace = Path(found[1])
    assert workspace.is_dir()
    log = re.search(r"last lines of stderr \((.*)\):", evidence)
    assert log is not None
    assert Path(log[1]).read_text() == "".join(f"line {number}\n" for number in range(1, 6))


@pytest.mark.docker
def test_an_image_that_does_not_exist(command: CommandLine) -> None:
    image = "localhost:1/no-such-image:1"
    command.write("tool.cwl", tool('["true"]', "{}", f"requirements: {{DockerRequirement: {{dockerPull: '{image}'}}}}"))

    ended = command.run("tool.cwl")

    assert_refused(ended, 18, "Error: tool.cwl:6:", ": tool: ", image, "To fix: ", outdir=command.outdir)


@pytest.mark.docker
def test_a_failure_in_a_container_names_its_image(command: CommandLine) -> None:
    image = "requirements: {DockerRequirement: {dockerPull: 'busybox:latest'}}"
    command.write("tool.cwl", tool("[sh, -c, 'echo from inside >&2; exit 4']", "{}", image))

    ended = command.run("tool.cwl")

    texts = ["tool failed: it exited with code 4", "image:     busybox:latest", "from inside"]
    assert_refused(ended, 13, *texts, outdir=command.outdir)


@pytest.mark.docker
def test_a_container_cannot_read_this_machine_by_a_link(command: CommandLine) -> None:
    image = "requirements: {InlineJavascriptRequirement: {}, DockerRequirement: {dockerPull: 'busybox:latest'}}"
    command.write("tool.cwl", f"{CONTENTS_OUT}{image}\n")

    ended = command.run("tool.cwl")

    assert_refused(ended, 15, "output found: a.txt leads to /etc/passwd", outdir=command.outdir)
    assert "root:" not in ended.stdout + ended.stderr


WRITES = tool(
    "[sh, -c, 'head -c 4000000 /dev/zero > a.bin; echo done > b.txt']",
    """
  a: {type: File, outputBinding: {glob: a.bin}}
  b: {type: File, outputBinding: {glob: b.txt}}""",
)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB of its own."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_output_directory(command: CommandLine, mounted: Path) -> None:
    command.write("tool.cwl", WRITES)

    ended = command("run", "--outdir", mounted, "tool.cwl")

    assert_refused(ended, 20, str(mounted), "No space left", "To fix: free space", outdir=mounted)


def test_a_read_only_output_directory(command: CommandLine, mounted: Path) -> None:
    command.write("tool.cwl", WRITES)
    subprocess.run(["mount", "-o", "remount,ro", mounted], check=True)

    ended = command("run", "--outdir", mounted, "tool.cwl")

    assert_refused(ended, 20, str(mounted), "Read-only file system", "To fix: ", outdir=mounted)


@pytest.mark.parametrize("below", ["", "deeper"])
def test_an_output_directory_that_is_a_file(command: CommandLine, below: str) -> None:
    command.write("tool.cwl", WRITES)
    file = command.write("file", "kept")

    ended = command("run", "--outdir", file / below, "tool.cwl")

    assert_refused(ended, 20, str(file), "To fix: ")
    assert file.read_text() == "kept"


def test_a_full_work_directory(command: CommandLine, mounted: Path) -> None:
    command.write("tool.cwl", WRITES)

    ended = command.run("--workdir", mounted, "tool.cwl", environment={"CWL_PREFECT_LEAST_FREE_MIB": "0"})

    assert_refused(
        ended, 13, "Error: tool.cwl:3:1: tool failed: ", "no space is left", "by --workdir", outdir=command.outdir
    )


def test_no_call_starts_where_little_space_is_left(command: CommandLine, mounted: Path) -> None:
    command.write("tool.cwl", WRITES)

    ended = command.run("--workdir", mounted, "tool.cwl")

    assert_refused(
        ended, 17, "Error: tool: the disk is full: ", str(mounted), "`cwl-prefect workspace du`", outdir=command.outdir
    )


def test_a_read_only_work_directory(command: CommandLine, mounted: Path) -> None:
    command.write("tool.cwl", WRITES)
    subprocess.run(["mount", "-o", "remount,ro", mounted], check=True)

    ended = command.run("--workdir", mounted, "tool.cwl")

    assert_refused(
        ended,
        17,
        "Error: the workspaces of the run cannot be made: ",
        str(mounted),
        "Read-only file system",
        outdir=command.outdir,
    )


def test_a_tool_that_takes_too_long_is_killed_with_its_children(command: CommandLine) -> None:
    command.write(
        "tool.cwl", tool("[sh, -c, 'sleep 61.25 & sleep 61.25']", "{}", "requirements: {ToolTimeLimit: {timelimit: 1}}")
    )

    ended = command.run("tool.cwl")

    assert_refused(
        ended, 13, "Error: tool.cwl:3:1: tool failed: it ran longer than its time limit of 1 s", outdir=command.outdir
    )
    assert processes(["sleep", "61.25"]) == []
