"""What of a document can change the result of a tool's calls, and what cannot."""

import pytest

from cwl_prefect.cwl.binding.reuse import reuse_wanted, tool_identity, updates_in_place
from cwl_prefect.cwl.javascript import engine
from cwl_prefect.errors import ExpressionError
from cwl_prefect.model.plan import ToolPlan
from tests.unit.documents import tool_of

TOOL = """
    cwlVersion: v1.2
    class: CommandLineTool
    requirements:
      EnvVarRequirement: {envDef: {LEVEL: high, MODE: fast}}
    hints:
      DockerRequirement: {dockerPull: "debian:stable-slim"}
    baseCommand: [sort, -u]
    inputs:
      reads: {type: File, inputBinding: {position: 1}}
      kind: {type: {type: enum, symbols: [plain, fancy]}, default: plain}
    outputs:
      sorted: stdout
    """


def relevant(plan: ToolPlan, *, containers: bool = True) -> tuple:
    found = tool_identity(plan, (), containers=containers)
    return found.parts, found.requirements, found.defaults, found.ports, found.formats


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("baseCommand", "label: sorts\n    doc: a long text\n    baseCommand"),
        ("baseCommand", "# a comment\n    baseCommand"),
        (
            "{type: File, inputBinding: {position: 1}}",
            "{inputBinding: {position: 1}, doc: the reads, label: r, type: File}",
        ),
        ("{LEVEL: high, MODE: fast}", "{MODE: fast, LEVEL: high}"),
        ("sorted: stdout", "sorted: {type: stdout, doc: sorted reads}"),
        ("baseCommand", "id: another\n    baseCommand"),
        ("baseCommand", "$namespaces: {s: 'https://schema.org/'}\n    s:author: nobody\n    baseCommand"),
        ("hints:", "hints:\n      ToolTimeLimit: {timelimit: 5}"),
        ("hints:", "hints:\n      ResourceRequirement: {coresMin: 4}"),
        ("hints:", "hints:\n      WorkReuse: {enableReuse: true}"),
        ("requirements:", "requirements:\n      InlineJavascriptRequirement: {}"),
        ("symbols: [plain, fancy]", "doc: kinds, symbols: [plain, fancy]"),
        ("debian:stable-slim", "debian:testing"),
    ],
    ids=[
        "label and doc",
        "comment",
        "doc of an input and order of keys",
        "order of variables",
        "doc of an output",
        "id",
        "metadata",
        "time limit",
        "resources that no expression sees",
        "work reuse",
        "JavaScript that is not used",
        "doc of a type",
        "name of the image",
    ],
)
def test_what_cannot_change_a_result_does_not_count(old: str, new: str):
    assert old in TOOL
    changed = tool_of(TOOL.replace(old, new))
    assert relevant(changed) == relevant(tool_of(TOOL))


@pytest.mark.parametrize("name", ["renamed.cwl", "with space.cwl"])
def test_name_and_place_of_the_document_do_not_count(name: str):
    assert relevant(tool_of(TOOL, name=name)) == relevant(tool_of(TOOL))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[sort, -u]", "[sort, -r]"),
        ("position: 1", "position: 2"),
        ("position: 1", "prefix: --in, position: 1"),
        ("high", "low"),
        ("sorted: stdout", "sorted: {type: File, outputBinding: {glob: '*'}}"),
        ("sorted: stdout", "unsorted: stdout"),
        ("outputs:", "outputs:\n      more: stderr"),
        ("baseCommand", "stdout: named.txt\n    baseCommand"),
        ("baseCommand", "stdin: $(inputs.reads.path)\n    baseCommand"),
        ("baseCommand", "successCodes: [3]\n    baseCommand"),
        ("baseCommand", "arguments: [-n]\n    baseCommand"),
        ("requirements:", "requirements:\n      ShellCommandRequirement: {}"),
        ("requirements:", "requirements:\n      NetworkAccess: {networkAccess: true}"),
        ("requirements:", "requirements:\n      InitialWorkDirRequirement: {listing: [$(inputs.reads)]}"),
        ("[plain, fancy]", "[plain, fancy, other]"),
        ("default: plain", "default: fancy"),
        ("cwlVersion: v1.2", "cwlVersion: v1.1"),
    ],
)
def test_what_can_change_a_result_counts(old: str, new: str):
    assert old in TOOL
    changed = tool_of(TOOL.replace(old, new))
    assert relevant(changed) != relevant(tool_of(TOOL))


def test_with_an_initial_working_directory_it_counts_whether_the_image_is_required():
    """An absolute ``entryname`` is allowed only where it is (CWL CommandLineTool, §InitialWorkDirRequirement)."""
    listing = "InitialWorkDirRequirement: {listing: [{entryname: /data/a.txt, entry: hi}]}"
    hinted = TOOL.replace("requirements:", f"requirements:\n      {listing}")
    required = hinted.replace("    hints:\n", "")
    assert relevant(tool_of(hinted)) != relevant(tool_of(required))
    assert relevant(tool_of(hinted), containers=False) == relevant(tool_of(required), containers=False)


def test_what_a_tool_asks_for_is_known_apart():
    more = tool_of(TOOL.replace("hints:", "hints:\n      ResourceRequirement: {coresMin: 4}"))
    assert relevant(more) == relevant(tool_of(TOOL))
    assert tool_identity(more, (), containers=False).resources == {"class": "ResourceRequirement", "coresMin": 4}


def test_the_image_is_none_for_a_process():
    plan = tool_of(TOOL)
    found = tool_identity(plan, (), containers=True).image
    assert found is not None
    assert found.pull == "debian:stable-slim"
    assert tool_identity(plan, (), containers=False).image is None


def test_the_first_word_of_the_command_is_known():
    assert tool_identity(tool_of(TOOL), (), containers=False).command == "sort"


def test_formats_count_where_an_input_declares_one():
    declared = tool_of(TOOL.replace("{type: File,", "{type: File, format: 'urn:fasta',"))
    found = tool_identity(declared, (("a", "b", "c"),), containers=False)
    assert found.formats
    assert found.parts["ontology"] == [["a", "b", "c"]]


@pytest.mark.parametrize(
    ("requirement", "obstacle"),
    [
        ("'cwltool:Secrets': {secrets: [kind]}", "secret"),
        ("InplaceUpdateRequirement: {inplaceUpdate: true}", "in place"),
        ("InplaceUpdateRequirement: {inplaceUpdate: false}", None),
    ],
)
def test_calls_that_must_not_be_kept(requirement: str, obstacle: str | None):
    where = "hints:" if "Secrets" in requirement else "requirements:"
    text = TOOL.replace(where, f"{where}\n      {requirement}").replace(
        "baseCommand", "$namespaces: {cwltool: 'http://commonwl.org/cwltool#'}\n    baseCommand"
    )
    plan = tool_of(text)
    found = tool_identity(plan, (), containers=False).obstacle
    assert (found is None) if obstacle is None else (obstacle in (found or ""))
    assert updates_in_place(plan) == (obstacle == "in place")


@pytest.mark.parametrize(
    ("new", "ordered"),
    [
        ("baseCommand", False),
        ("arguments: [$(inputs.kind), 'a $(inputs.kind)']\n    baseCommand", False),
        ("arguments: [$(JSON.stringify(inputs.kind))]\n    baseCommand", True),
        ("arguments: ['${return Object.keys(inputs.kind)[0];}']\n    baseCommand", True),
    ],
    ids=["no expression", "references", "script in parentheses", "script in braces"],
)
def test_javascript_sees_the_order_of_keys(new: str, ordered: bool):
    plan = tool_of(TOOL.replace("baseCommand", new))
    assert tool_identity(plan, (), containers=True).ordered is ordered


def test_javascript_of_a_requirement_sees_the_order_of_keys():
    plan = tool_of(TOOL.replace("LEVEL: high", 'LEVEL: "$(JSON.stringify(inputs.kind))"'))
    assert tool_identity(plan, (), containers=True).ordered


class TestWorkReuse:
    def wanted(self, enable: str, values: dict | None = None) -> bool:
        engine.install(timeout_s=5, memory_mib=64)
        text = TOOL.replace("requirements:", f"requirements:\n      WorkReuse: {{enableReuse: {enable}}}")
        plan = tool_of(text.replace("EnvVar", "InlineJavascriptRequirement: {}\n      EnvVar"))
        identity = tool_identity(plan, (), containers=False)
        return reuse_wanted(identity, plan, values or {}, name="align")

    @pytest.mark.parametrize(("enable", "wanted"), [("true", True), ("false", False)])
    def test_says_so(self, enable: str, wanted: bool):
        assert self.wanted(enable) is wanted

    @pytest.mark.parametrize(("kind", "wanted"), [(None, True), ("plain", True), ("fancy", False)])
    def test_may_depend_on_inputs(self, kind: str | None, wanted: bool):
        assert self.wanted("\"$(inputs.kind == 'plain')\"", {"kind": kind}) is wanted

    def test_must_be_true_or_false(self):
        with pytest.raises(ExpressionError, match="align: enableReuse: expected true or false"):
            self.wanted('"$(inputs.kind)"')
