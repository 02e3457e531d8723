import logging
from pathlib import Path

import pytest
from cwltool.process import get_schema

from cwl_prefect.cwl.binding.bind import Binder
from cwl_prefect.cwl.loading.compile import compile_process
from cwl_prefect.cwl.loading.load import (
    EXTENSION_SCHEMAS,
    document_uri,
    load_process,
    load_processes,
    load_recorded,
    quiet_libraries,
    use_extensions,
)
from cwl_prefect.cwl.loading.plans import loaded_plan
from cwl_prefect.errors import DocumentError, UnsupportedError
from cwl_prefect.model.plan import ToolPlan

ECHO = """
cwlVersion: v1.2
class: CommandLineTool
inputs:
  x: string
  f: File?
outputs:
  o: stdout
baseCommand: echo
"""

GRAPH = """
cwlVersion: v1.2
$graph:
- class: CommandLineTool
  id: echo
  inputs: {x: string}
  outputs: {o: stdout}
  baseCommand: echo
- class: Workflow
  id: main
  inputs: {n: string}
  outputs: {r: {type: File, outputSource: say/o}}
  steps:
    say: {run: '#echo', in: {x: n}, out: [o]}
"""

ECHO_TWICE = """
cwlVersion: v1.2
class: Workflow
requirements: {SubworkflowFeatureRequirement: {}}
inputs: {x: string}
outputs: {}
steps:
  a: {run: used.cwl, in: {x: x}, out: []}
  b: {run: used.cwl, in: {x: x}, out: []}
"""

OLD_TOOL = """
cwlVersion: v1.0
class: CommandLineTool
baseCommand: echo
arguments: ['$(inputs.x)\\n$(inputs.x)']
inputs: {x: string}
outputs: []
"""

OLD_WORKFLOW = """
cwlVersion: v1.0
class: Workflow
inputs: {x: string}
outputs: []
steps:
  say: {run: tool.cwl, in: {x: x}, out: []}
"""

OLD_GRAPH = """
cwlVersion: v1.0
$graph:
- class: CommandLineTool
  id: echo
  inputs: {x: string}
  outputs: []
  baseCommand: echo
- class: Workflow
  id: main
  inputs: {x: string}
  outputs: []
  steps:
    a: {run: '#echo', in: {x: x}, out: []}
    b: {run: '#echo', in: {x: x}, out: []}
"""

CHAIN = """
cwlVersion: v1.2
class: Workflow
inputs:
  n: string
outputs:
  r:
    type: File
    outputSource: two/o
steps:
  one:
    run: echo.cwl
    in:
      x: n
    out: [o]
  two:
    run: echo.cwl
    in:
      f: one/o
      x: n
    out: [o]
"""


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The current directory, so that messages name files by their names alone."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestPlaces:
    def test_a_local_path_is_loaded(self, write):
        assert load_process(str(write(ECHO))).tool["class"] == "CommandLineTool"

    def test_a_relative_path_starts_from_the_current_directory(self, write, here):
        write(ECHO)
        assert load_process("main.cwl").tool["id"] == f"{here.as_uri()}/main.cwl"

    def test_a_file_url_is_loaded(self, write):
        assert load_process(write(ECHO).as_uri()).tool["class"] == "CommandLineTool"

    @pytest.mark.parametrize("name", ["a b.cwl", "a#b.cwl", "100%.cwl", "méthode.cwl", "it's.cwl"])
    def test_names_may_hold_any_character(self, write, name):
        assert load_process(str(write(ECHO, name))).tool["class"] == "CommandLineTool"

    def test_a_fragment_names_one_process_of_a_graph(self, write):
        assert load_process(f"{write(GRAPH)}#echo").tool["class"] == "CommandLineTool"

    def test_main_is_taken_from_a_graph_without_a_fragment(self, write):
        assert load_process(str(write(GRAPH))).tool["class"] == "Workflow"

    def test_a_fragment_may_follow_a_file_url(self, write):
        assert document_uri(f"{write(GRAPH).as_uri()}#echo").endswith("main.cwl#echo")

    def test_an_http_url_is_left_as_it_is(self):
        assert document_uri("https://example.com/a.cwl#main") == "https://example.com/a.cwl#main"

    @pytest.mark.parametrize("directory", [None, "plans"], ids=["compiled", "kept"])
    def test_a_name_that_is_not_utf_8_is_told(self, tmp_path, directory):
        path = tmp_path / "a\udce9.cwl"
        path.write_text(ECHO)
        with pytest.raises(DocumentError, match=r"\.cwl: its name is not UTF-8"):
            loaded_plan(str(path), None, directory and tmp_path / directory)

    def test_a_link_keeps_its_own_name(self, write, tmp_path):
        (tmp_path / "link.cwl").symlink_to(write(ECHO))
        assert document_uri(str(tmp_path / "link.cwl")).endswith("/link.cwl")


class TestParts:
    def test_import_takes_a_part_from_another_file(self, write):
        write("[{id: x, type: string}]\n", "inputs.yml")
        path = write(
            "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: echo\n"
            "inputs: {$import: inputs.yml}\noutputs: {o: stdout}\n",
        )
        assert [entry["id"].rpartition("#")[2] for entry in load_process(str(path)).tool["inputs"]] == ["x"]

    def test_include_takes_a_text_from_another_file(self, write):
        write("function twice(x) { return 2 * x; }\n", "library.js")
        path = write(
            "cwlVersion: v1.2\nclass: ExpressionTool\nrequirements:\n  InlineJavascriptRequirement:\n"
            "    expressionLib: [{$include: library.js}]\ninputs: {}\noutputs: {}\nexpression: '${return {};}'\n"
        )
        assert "return 2 * x" in load_process(str(path)).requirements[0]["expressionLib"][0]

    def test_every_file_that_was_read_is_told(self, write):
        write("[{id: x, type: string}]\n", "inputs.yml")
        tool = write(ECHO.replace("inputs:\n  x: string\n  f: File?", "inputs: {$import: inputs.yml}"), "echo.cwl")
        main = write(CHAIN.replace("      f: one/o\n", ""))
        _, read = load_recorded(str(main))
        assert read == {main.as_uri(), tool.as_uri(), (main.parent / "inputs.yml").as_uri()}


class TestVersions:
    @pytest.mark.parametrize("version", ["v1.0", "v1.1", "v1.2"])
    def test_every_released_version_is_loaded(self, write, version):
        process = load_process(str(write(ECHO.replace("v1.2", version))))
        assert process.metadata["http://commonwl.org/cwltool#original_cwlVersion"] == version

    def test_the_author_s_version_stays_in_the_plan(self, compiled):
        assert compiled(ECHO.replace("v1.2", "v1.0")).cwl_version == "v1.0"

    @pytest.mark.parametrize("version", ["v1.0", "v1.1", "v1.2"])
    def test_a_tool_file_has_its_own_version_in_each_step(self, write, compiled, version):
        write(OLD_TOOL.replace("v1.0", version), "used.cwl")
        a, b = (step.run for step in compiled(ECHO_TWICE).steps)
        assert a.cwl_version == b.cwl_version == version
        assert a.digest == b.digest

    def test_a_subworkflow_file_has_its_own_version_in_each_step(self, write, compiled):
        write(OLD_WORKFLOW, "used.cwl")
        write(OLD_TOOL, "tool.cwl")
        a, b = (step.run for step in compiled(ECHO_TWICE).steps)
        assert a.cwl_version == b.cwl_version == a.steps[0].run.cwl_version == b.steps[0].run.cwl_version == "v1.0"
        assert a.digest == b.digest

    def test_all_of_a_graph_have_its_version(self, compiled):
        plan = compiled(OLD_GRAPH)
        assert {plan.cwl_version, *(step.run.cwl_version for step in plan.steps)} == {"v1.0"}

    def test_an_old_tool_is_bound_alike_in_each_step(self, write, compiled, place):
        write(OLD_TOOL, "used.cwl")
        bound = [Binder().bind(step.run, {"x": "v"}, place, name="a").call for step in compiled(ECHO_TWICE).steps]
        assert bound[0].command == bound[1].command == ("echo", "vnv")

    def test_an_old_tool_keeps_what_was_its_default(self, compiled):
        run = compiled(ECHO.replace("v1.2", "v1.0")).steps[0].run
        assert isinstance(run, ToolPlan)
        found = {entry["class"]: entry for entry in (*run.requirements, *run.hints)}
        assert found["NetworkAccess"]["networkAccess"] is True
        assert found["LoadListingRequirement"]["loadListing"] == "deep_listing"

    def test_the_loop_of_the_draft_is_accepted(self, compiled):
        plan = compiled("""
            cwlVersion: v1.2
            class: Workflow
            $namespaces: {cwltool: "http://commonwl.org/cwltool#"}
            requirements: {InlineJavascriptRequirement: {}}
            inputs: {n: int}
            outputs: {r: {type: int, outputSource: grow/o}}
            steps:
              grow:
                run:
                  class: ExpressionTool
                  inputs: {i: int}
                  outputs: {o: int}
                  expression: '${return {o: inputs.i + 1};}'
                in: {i: n}
                out: [o]
                requirements:
                  cwltool:Loop:
                    loopWhen: $(inputs.i < 3)
                    loop: {i: o}
                    outputMethod: last
            """)
        loop = plan.steps[0].loop
        assert loop is not None
        assert loop.when == "$(inputs.i < 3)"

    def test_extensions_are_accepted(self, compiled):
        run = (
            compiled(
                ECHO + "$namespaces: {cwltool: 'http://commonwl.org/cwltool#'}\n"
                "requirements:\n  cwltool:CUDARequirement:\n"
                "    {cudaVersionMin: '11.0', cudaComputeCapability: '3.0', cudaDeviceCountMin: 1}\n"
            )
            .steps[0]
            .run
        )
        assert any(entry["class"].endswith("#CUDARequirement") for entry in run.requirements)

    def test_a_hint_that_nobody_knows_is_let_pass(self, compiled):
        assert compiled(ECHO + "hints: {FancyRequirement: {a: 1}}\n").name == "main"


class TestOverrides:
    @pytest.mark.parametrize(
        ("key", "requirements"),
        [
            pytest.param("cwl:requirements", {"ResourceRequirement": {"coresMin": 3}}, id="as-a-mapping"),
            pytest.param("cwl:requirements", [{"class": "ResourceRequirement", "coresMin": 3}], id="as-a-list"),
            pytest.param(
                "https://w3id.org/cwl/cwl#requirements",
                [{"class": "ResourceRequirement", "coresMin": 3}],
                id="by-their-full-name",
            ),
        ],
    )
    def test_requirements_of_a_job_order_apply(self, write, key, requirements):
        process = load_process(str(write(ECHO)), defaults={key: requirements})
        assert process.get_requirement("ResourceRequirement")[0]["coresMin"] == 3

    def test_overrides_of_a_job_order_apply_to_their_target(self, write, tmp_path):
        path = write(ECHO)
        order = {
            "cwltool:overrides": [
                {"overrideTarget": path.as_uri(), "requirements": [{"class": "ResourceRequirement", "coresMin": 3}]}
            ]
        }
        assert load_process(str(path), defaults=order).get_requirement("ResourceRequirement")[0]["coresMin"] == 3


def document(body: str) -> str:
    return f"cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: x\n{body}"


PLACED = [
    pytest.param("cwlVersion: v1.2\nclass: [unclosed\n", "main.cwl:3:1", "expected ',' or ']'", id="not-yaml"),
    pytest.param("cwlVersion: v1.2\n\tclass: x\n", "main.cwl:2:1", "a tabulator", id="tab"),
    pytest.param(document("inputs: {}\noutputs: {}\nbananas: 3\n"), "main.cwl:6:1", "bananas", id="unknown-field"),
    pytest.param(document("inputs:\n  a: strng\noutputs: {}\n"), "main.cwl:5:3", "strng", id="unknown-type"),
    pytest.param(
        "cwlVersion: v1.2\nclass: Frobnicator\ninputs: {}\n", "main.cwl:2:1", "Frobnicator", id="unknown-class"
    ),
    pytest.param(
        document("inputs:\n  a: string\n  a: int\noutputs: {}\n"),
        "main.cwl:6:3",
        "the key 'a' is there twice",
        id="repeated-key",
    ),
    pytest.param(
        document("inputs:\n- {id: a, type: string}\n- {id: a, type: int}\noutputs: {}\n"),
        "main.cwl:6:3",
        "input 'a' is declared twice",
        id="repeated-input",
    ),
    pytest.param(
        document("inputs: []\noutputs:\n- {id: a, type: stdout}\n- {id: a, type: stderr}\n"),
        "main.cwl:7:3",
        "output 'a' is declared twice",
        id="repeated-output",
    ),
    pytest.param(
        document("inputs: {$import: gone.yml}\noutputs: {}\n"), "main.cwl:4:", "gone.yml", id="missing-import"
    ),
    pytest.param(CHAIN.replace("n: string", "n: int"), "main.cwl:14:7", "type int", id="link-of-another-type"),
    pytest.param(CHAIN.replace("x: n", "x: nope", 1), "main.cwl:14:7", "'nope'", id="unknown-source"),
    pytest.param(CHAIN.replace("f: one/o", "f: one/nope"), "main.cwl:19:7", "'one/nope'", id="unknown-step-output"),
    pytest.param(CHAIN.replace("two/o", "two/nope"), "main.cwl:9:5", "'two/nope'", id="unknown-output-source"),
    pytest.param(CHAIN.replace("out: [o]", "out: [o, nope]", 1), "main.cwl:15:", "nope", id="unknown-port-of-a-tool"),
    pytest.param(CHAIN.replace("x: n", "f: {default: null}", 1), "main.cwl:13:5", "'x'", id="required-port-not-linked"),
    pytest.param(CHAIN.replace("x: n", "x: n\n      f: two/o", 1), "main.cwl:", "two", id="cycle"),
    pytest.param(CHAIN.replace("run: echo.cwl", "run: gone.cwl", 1), "main.cwl:12:5", "gone.cwl", id="missing-tool"),
    pytest.param(
        CHAIN + "  one:\n    run: echo.cwl\n    in: {x: n}\n    out: [o]\n", "main.cwl:22:3", "one", id="repeated-step"
    ),
    pytest.param(
        CHAIN.replace("  one:\n", "  - id: one\n").replace("  two:\n", "  - id: one\n").replace("two/", "one/"),
        "main.cwl:16:5",
        "step 'one' is declared twice",
        id="repeated-step-of-a-list",
    ),
    pytest.param(
        CHAIN.replace("    in:\n      x: n\n", "    in:\n    - {id: x, source: n}\n    - {id: x, source: n}\n", 1),
        "main.cwl:15:7",
        "'x' is declared twice",
        id="repeated-port-of-a-step",
    ),
    pytest.param(
        GRAPH + "- {class: CommandLineTool, id: echo, inputs: {}, outputs: {}}\n",
        "main.cwl:15:3",
        "'echo' is declared twice",
        id="repeated-process",
    ),
]


class TestBadDocuments:
    @pytest.mark.parametrize(("text", "place", "words"), PLACED)
    def test_the_place_is_named(self, write, here, text, place, words):
        write(ECHO, "echo.cwl")
        write(text)
        with pytest.raises(DocumentError) as found:
            compile_process(load_process("main.cwl"), origin="main.cwl")
        assert place in str(found.value)
        assert words in str(found.value)
        assert "Traceback" not in str(found.value)
        assert str(here) not in str(found.value)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            pytest.param("", "found nothing", id="empty"),
            pytest.param("- a\n- b\n", "found a list", id="list"),
            pytest.param("hello\n", "found a text", id="text"),
            pytest.param("message: hi\n", "neither cwlVersion nor class", id="job-order"),
            pytest.param("class: CommandLineTool\ninputs: {}\noutputs: {}\n", "cwlVersion", id="no-version"),
            pytest.param("cwlVersion: v9\nclass: CommandLineTool\n", "v1.2", id="unknown-version"),
            pytest.param(
                CHAIN.replace("    out: [o]", "    scatter: x\n    out: [o]", 1).replace("n: string", "n: string[]"),
                "ScatterFeature",
                id="scatter-feature",
            ),
            pytest.param(CHAIN.replace("echo.cwl", "main.cwl"), "", id="workflow-that-runs-itself"),
        ],
    )
    def test_what_is_missing_is_said(self, write, here, text, words):
        write(ECHO, "echo.cwl")
        write(text)
        with pytest.raises(DocumentError, match=r"main\.cwl") as found:
            load_process("main.cwl")
        assert words in str(found.value)

    @pytest.mark.parametrize(
        "requirements",
        [
            pytest.param("requirements: {FancyRequirement: {a: 1}}\n", id="of-a-mapping"),
            pytest.param("requirements: [{class: FancyRequirement}]\n", id="of-a-list"),
        ],
    )
    def test_an_unknown_requirement_is_unsupported(self, write, here, requirements):
        write(document(f"inputs: {{}}\noutputs: {{}}\n{requirements}"))
        with pytest.raises(UnsupportedError, match="FancyRequirement") as found:
            load_process("main.cwl")
        assert "main.cwl:6:" in str(found.value)
        assert found.value.exit_code == 33

    def test_an_unknown_requirement_is_unsupported_however_long_its_document_s_path_is(self, write):
        text = document("inputs: {}\noutputs: {}\nrequirements: {FancyRequirement: {}}\n")
        documents = [write(text, f"{'d' * length}/main.cwl") for length in range(1, 80, 4)]
        for path in documents:
            with pytest.raises(UnsupportedError, match="FancyRequirement"):
                load_process(str(path))

    def test_a_graph_without_main_asks_for_a_fragment(self, write):
        with pytest.raises(DocumentError, match=r"echo, other\.\nTo fix: Name one, as in .*main\.cwl#other"):
            load_process(str(write(GRAPH.replace("id: main", "id: other"))))

    @pytest.mark.parametrize(
        ("fragment", "told"),
        [
            ("ecoh", "it has no process 'ecoh'.\nTo fix: did you mean 'echo'?"),
            ("zzz", "it has no process 'zzz'.\nTo fix: it has: 'echo', 'main'."),
            ("say", "'say' is a step of a workflow.*run --single-step say .*main.cwl#main` runs it alone"),
            ("main/say", "'say' is a step of a workflow.*run --single-step say .*main.cwl#main` runs it alone"),
        ],
    )
    def test_a_part_of_a_graph_that_is_no_process_is_told_with_what_there_is(self, write, fragment, told):
        with pytest.raises(DocumentError, match=f"(?s){told}") as found:
            load_process(f"{write(GRAPH)}#{fragment}")
        assert "#" + fragment in str(found.value)

    def test_a_part_of_one_process_is_told_as_a_step_or_as_nothing(self, write):
        write(GRAPH, "echo.cwl")
        path = write(CHAIN.replace("echo.cwl", "echo.cwl#echo"))
        with pytest.raises(DocumentError, match=r"run --single-step one .*main\.cwl` runs it alone"):
            load_process(f"{path}#one")
        with pytest.raises(DocumentError, match=r"no process 'zzz'\.\nTo fix: leave out '#zzz'"):
            load_process(f"{path}#zzz")

    def test_faults_of_a_part_are_told_as_they_are(self, write):
        with pytest.raises(DocumentError, match="baseComand"):
            load_process(f"{write(GRAPH.replace('baseCommand', 'baseComand'))}#echo")

    def test_the_only_process_of_a_graph_needs_no_fragment(self, write):
        tool = GRAPH.partition("- class: Workflow")[0]
        assert load_process(str(write(tool))).tool["id"].endswith("#echo")

    def test_each_process_of_a_graph_without_main_can_be_loaded(self, write):
        found = load_processes(str(write(GRAPH.replace("id: main", "id: other"))))
        assert [process.tool["class"] for process in found] == ["CommandLineTool", "Workflow"]

    @pytest.mark.parametrize("fragment", [pytest.param("", id="main"), pytest.param("#echo", id="named")])
    def test_one_process_is_loaded_where_it_is_plain_which(self, write, fragment):
        assert len(load_processes(f"{write(GRAPH)}{fragment}")) == 1

    def test_a_place_names_a_directory_as_it_is_called(self, write, tmp_path, monkeypatch):
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        document = write(CHAIN.replace("echo.cwl", "gone.cwl"), "my tools+more/main.cwl")
        with pytest.raises(DocumentError, match=r"my tools\+more/main\.cwl:12:5"):
            load_process(str(document))

    def test_a_fault_of_an_inner_workflow_has_its_own_place(self, write, here):
        write(CHAIN.replace("echo.cwl", "gone.cwl"), "inner.cwl")
        write(CHAIN.replace("echo.cwl", "inner.cwl"))
        with pytest.raises(DocumentError) as found:
            load_process("main.cwl")
        assert found.value.message.splitlines() == [
            "inner.cwl:12:5: run: gone.cwl: no such file",
            "inner.cwl:17:5: run: gone.cwl: no such file",
        ]

    @pytest.mark.parametrize(
        ("text", "place"),
        [
            pytest.param(CHAIN.replace("echo.cwl", "http://127.0.0.1:9/a.cwl", 1), "main.cwl:12:5", id="tool"),
            pytest.param(
                document("requirements:\n  SchemaDefRequirement: {types: [{$import: 'http://127.0.0.1:9/a.cwl'}]}\n"),
                "main.cwl:5:",
                id="import",
            ),
        ],
    )
    def test_what_cannot_be_fetched_is_told_in_one_line(self, write, here, text, place):
        write(ECHO, "echo.cwl")
        write(text)
        with pytest.raises(DocumentError) as found:
            load_process("main.cwl")
        (line,) = str(found.value).splitlines()
        assert line.startswith(place)
        assert line.endswith("http://127.0.0.1:9/a.cwl: it cannot be fetched; check the address and the network")

    @pytest.mark.parametrize("part", ["", "#main"])
    def test_a_document_that_cannot_be_fetched_is_told_in_a_line(self, part):
        with pytest.raises(DocumentError) as caught:
            load_process(f"http://127.0.0.1:9/a.cwl{part}")
        assert str(caught.value) == (
            f"http://127.0.0.1:9/a.cwl{part}: it cannot be fetched; check the address and the network"
        )

    def test_a_document_elsewhere_that_is_not_yaml_is_named_by_its_path(self, write, tmp_path, monkeypatch):
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        path = write("a: [", "not yaml/main.cwl")
        with pytest.raises(DocumentError, match=rf"^{path}:\d+:\d+: not YAML"):
            load_process(str(path))

    def test_an_input_that_is_declared_again_in_the_same_words_counts_once(self, write, here):
        declared = "{id: a, type: string, doc: text}"
        write(
            document(
                f"inputs:\n- {declared}\n- {{id: b, type: int}}\n- {declared}\n- {{id: c, type: int}}\noutputs: []\n"
            )
        )
        process = load_process("main.cwl")
        assert [entry["id"].partition("#")[2] for entry in process.tool["inputs"]] == ["a", "b", "c"]
        plan = compile_process(process, origin="main.cwl")
        assert [port.id for port in plan.inputs] == ["a", "b", "c"]

    def test_faults_come_in_the_order_of_their_lines(self, write, here):
        write(CHAIN.replace("echo.cwl", "gone.cwl"))
        with pytest.raises(DocumentError) as found:
            load_process("main.cwl")
        assert [line.split(":")[1] for line in found.value.message.splitlines()] == ["12", "17"]

    def test_a_fragment_that_does_not_exist_is_refused(self, write):
        with pytest.raises(DocumentError, match="nope"):
            load_process(f"{write(GRAPH)}#nope")

    @pytest.mark.parametrize("document", ["gone.cwl", "file:///gone.cwl", "gone.cwl#main"])
    def test_a_missing_document_is_named(self, here, document):
        with pytest.raises(DocumentError, match="no such file"):
            load_process(document)

    @pytest.mark.parametrize("fragment", ["", "#main"])
    def test_a_directory_is_refused(self, tmp_path, fragment):
        with pytest.raises(DocumentError, match="this is a directory"):
            load_process(f"{tmp_path}{fragment}")

    def test_a_binary_file_is_refused(self, tmp_path):
        (tmp_path / "main.cwl").write_bytes(bytes(range(256)))
        with pytest.raises(DocumentError, match=r"main\.cwl"):
            load_process(str(tmp_path / "main.cwl"))

    def test_a_bad_feature_use_stays_a_document_error(self, write):
        text = CHAIN.replace("two/o", "n").replace("type: File", "type: File\n    linkMerge: nope")
        write(ECHO, "echo.cwl")
        with pytest.raises(DocumentError):
            load_process(str(write(text)))


def test_libraries_are_kept_silent():
    quiet_libraries()
    assert not logging.getLogger("cwltool").isEnabledFor(logging.CRITICAL)


def test_the_types_that_no_document_declares_are_the_same_in_each_version():
    use_extensions()

    def declared(value):
        if isinstance(value, list):  # v1.3 says that a size is an int or a long, which any int is
            return [declared(each) for each in value if (each, "long" in value) != ("int", True)]
        if isinstance(value, dict):
            return {key: declared(each) for key, each in value.items() if key not in ("doc", "jsonldPredicate")}
        return value

    schemas = [get_schema(version)[3].idx for version in EXTENSION_SCHEMAS]
    for name in ("salad#Any", "cwl#Directory", "cwl#File"):
        first, *others = (declared(schema[f"https://w3id.org/cwl/{name}"]) for schema in schemas)
        assert all(other == first for other in others)
