import json
from dataclasses import replace
from pathlib import Path

import pytest

from cwl_prefect.cwl.binding import bind as binding
from cwl_prefect.cwl.binding.bind import HOPS, MOST_TRIALS, PATIENCE_S, Binder
from cwl_prefect.cwl.javascript import engine as javascript
from cwl_prefect.errors import CwlPrefectError, ExpressionError, InputError, OutputError, StepError, UnsupportedError
from cwl_prefect.model.job import DockerImage, EntryKind, Resources


@pytest.fixture(autouse=True)
def _engine():
    javascript.install(timeout_s=5, memory_mib=64)


def inputs(declared: str) -> str:
    return f"inputs: {declared}\noutputs: {{}}\nbaseCommand: tool\n"


def requires(requirements: str, rest: str = "inputs: {}\noutputs: {}\nbaseCommand: tool\n") -> str:
    return f"requirements: {requirements}\n{rest}"


def file(path: Path, text: str = "text\n", **more) -> dict:
    path.write_text(text)
    return {"class": "File", "location": path.as_uri(), **more}


class TestCommandLine:
    @pytest.mark.parametrize(
        ("declared", "value", "arguments"),
        [
            pytest.param("{type: string, inputBinding: {}}", "a b;$(rm)", ["a b;$(rm)"], id="text-stays-one-argument"),
            pytest.param("{type: string, inputBinding: {prefix: -x}}", "a", ["-x", "a"], id="prefix"),
            pytest.param(
                "{type: string, inputBinding: {prefix: --x=, separate: false}}", "a", ["--x=a"], id="prefix-joined"
            ),
            pytest.param("{type: int, inputBinding: {prefix: -n}}", 5, ["-n", "5"], id="int"),
            pytest.param("{type: float, inputBinding: {}}", 0.1, ["0.1"], id="float"),
            pytest.param("{type: double, inputBinding: {}}", 1e-9, ["0.000000001"], id="float-without-exponent"),
            pytest.param("{type: boolean, inputBinding: {prefix: -v}}", True, ["-v"], id="true"),
            pytest.param("{type: boolean, inputBinding: {prefix: -v}}", False, [], id="false"),
            pytest.param("{type: string?, inputBinding: {prefix: -x}}", None, [], id="null"),
            pytest.param("string", "a", [], id="unbound"),
            pytest.param("{type: 'string[]', inputBinding: {prefix: -x}}", ["a", "b"], ["-x", "a", "b"], id="array"),
            pytest.param(
                "{type: 'int[]', inputBinding: {prefix: -x, itemSeparator: ','}}",
                [1, 2],
                ["-x", "1,2"],
                id="array-joined",
            ),
            pytest.param(
                "{type: {type: array, items: ['null', string]}, inputBinding: {prefix: -x, itemSeparator: ','}}",
                ["a", None, "b"],
                ["-x", "a,b"],
                id="array-joined-without-null",
            ),
            pytest.param(
                "{type: {type: array, items: ['null', string]}, inputBinding: {prefix: -x, itemSeparator: ','}}",
                [None],
                [],
                id="array-of-null-alone",
            ),
            pytest.param(
                "{type: {type: array, items: string, inputBinding: {prefix: -x}}}",
                ["a", "b"],
                ["-x", "a", "-x", "b"],
                id="prefix-for-each-item",
            ),
            pytest.param("{type: 'string[]', inputBinding: {prefix: -x}}", [], [], id="empty-array"),
            pytest.param(
                "{type: {type: enum, symbols: [red, blue]}, inputBinding: {prefix: -c}}",
                "blue",
                ["-c", "blue"],
                id="enum",
            ),
            pytest.param(
                "{type: {type: record, fields: {a: {type: int, inputBinding: {prefix: -a, position: 2}},"
                " b: {type: string, inputBinding: {prefix: -b, position: 1}}}}}",
                {"a": 1, "b": "x"},
                ["-b", "x", "-a", "1"],
                id="record-by-position",
            ),
            pytest.param(
                "{type: [int, string], inputBinding: {prefix: -u}}", "text", ["-u", "text"], id="union-of-text-and-int"
            ),
            pytest.param(
                "{type: string, inputBinding: {valueFrom: $(self)-$(inputs.x)}}", "a", ["a-a"], id="value-from"
            ),
        ],
    )
    def test_an_input_is_written(self, bind, declared, value, arguments):
        assert list(bind(inputs(f"{{x: {declared}}}"), {"x": value}).call.command) == ["tool", *arguments]

    def test_positions_decide_the_order(self, bind):
        text = "arguments: [{valueFrom: last, position: 9}, first]\n" + inputs(
            "{a: {type: int, inputBinding: {position: 3}}, b: {type: int, inputBinding: {position: 2}}}"
        )
        assert bind(text, {"a": 3, "b": 2}).call.command == ("tool", "first", "2", "3", "last")

    def test_a_default_stands_in(self, bind):
        assert bind(inputs("{x: {type: int, default: 7, inputBinding: {}}}")).call.command == ("tool", "7")

    def test_without_shell_command_nothing_is_a_shell(self, bind):
        text = "arguments: ['|', cat]\n" + inputs("{}")
        assert bind(text).call.command == ("tool", "|", "cat")

    def test_shell_command_quotes_all_but_what_says_no(self, bind):
        text = requires(
            "{ShellCommandRequirement: {}}",
            "arguments: [{valueFrom: '| cat', shellQuote: false, position: 9}]\n"
            + inputs("{x: {type: string, inputBinding: {}}}"),
        )
        command = bind(text, {"x": "a; b"}).call.command
        assert command[:2] == ("/bin/sh", "-c")
        assert command[2] == "tool 'a; b' | cat"

    def test_an_empty_command_line_is_refused(self, bind):
        with pytest.raises(StepError, match=r"align\[3\]: the command line is empty"):
            bind("inputs: {}\noutputs: {}\n")

    def test_javascript_is_evaluated(self, bind):
        text = requires("{InlineJavascriptRequirement: {}}", "arguments: ['${return 6 * 7;}']\n" + inputs("{}"))
        assert bind(text).call.command == ("tool", "42")


class TestAny:
    def test_calls_with_different_kinds_follow_each_other(self, tool, place, tmp_path):
        plan, binder = tool(inputs("{x: {type: Any, inputBinding: {}}}")), Binder()
        given = file(tmp_path / "a.txt")
        found = [
            binder.bind(plan, {"x": value}, place, name="echo").call.command[1:]
            for value in ("text", 5, ["a", "b"], given, True, "again")
        ]
        assert found[:3] == [("text",), ("5",), ("a", "b")]
        assert found[3][0].endswith("/a.txt")
        assert found[5] == ("again",)

    def test_the_first_call_does_not_change_the_tool(self, tool, place):
        plan, binder = tool(inputs("{x: {type: 'Any[]', inputBinding: {}}}")), Binder()
        first = binder.bind(plan, {"x": [1, "a"]}, place, name="echo").call.command
        assert binder.bind(plan, {"x": [1, "a"]}, place, name="echo").call.command == first


class TestSurroundings:
    def test_home_and_the_temporary_directory_are_the_call_s_own(self, bind, place):
        env = bind(inputs("{}")).call.env
        assert (env["HOME"], env["TMPDIR"]) == (str(place.outdir), str(place.tmpdir))

    def test_a_process_has_the_search_path(self, bind, place):
        assert bind(inputs("{}")).call.env["PATH"] == place.search_path

    def test_a_container_has_its_own_search_path(self, bind, place):
        text = requires("{DockerRequirement: {dockerPull: busybox}}")
        assert "PATH" not in bind(text, where=replace(place, containers=True)).call.env

    def test_nothing_else_of_the_environment_is_seen(self, bind, monkeypatch):
        monkeypatch.setenv("PREFECT_API_KEY", "secret")
        monkeypatch.setenv("SOMETHING", "else")
        assert set(bind(inputs("{}")).call.env) == {"HOME", "TMPDIR", "PATH"}

    def test_variables_are_evaluated(self, bind):
        text = requires("{EnvVarRequirement: {envDef: {A: $(inputs.x), B: '1'}}}", inputs("{x: string}"))
        env = bind(text, {"x": "v"}).call.env
        assert (env["A"], env["B"]) == ("v", "1")

    def test_streams_are_named(self, bind, tmp_path):
        text = "stdin: $(inputs.f.path)\nstdout: $(inputs.f.nameroot).out\nstderr: e/err.txt\n" + inputs("{f: File}")
        call = bind(text, {"f": file(tmp_path / "a.txt")}).call
        assert call.stdin == call.entries[0].target
        assert (call.stdout, call.stderr) == ("a.out", "e/err.txt")

    def test_streams_that_nobody_asks_for_have_no_name(self, bind):
        call = bind(inputs("{}")).call
        assert (call.stdin, call.stdout, call.stderr) == (None, None, None)

    @pytest.mark.parametrize(
        ("requirements", "limit"),
        [
            ("{}", None),
            ("{ToolTimeLimit: {timelimit: 5}}", 5.0),
            ("{ToolTimeLimit: {timelimit: 0}}", None),
            ("{ToolTimeLimit: {timelimit: $(inputs.n)}}", 7.0),
        ],
        ids=["none", "written", "zero-is-none", "expression"],
    )
    def test_the_time_limit_is(self, bind, requirements, limit):
        assert bind(requires(requirements, inputs("{n: int}")), {"n": 7}).call.timeout_s == limit

    @pytest.mark.parametrize(
        ("requirements", "version", "network"),
        [
            ("{}", "v1.2", False),
            ("{NetworkAccess: {networkAccess: true}}", "v1.2", True),
            ("{NetworkAccess: {networkAccess: $(inputs.n == 7)}, InlineJavascriptRequirement: {}}", "v1.2", True),
            ("{}", "v1.0", True),
        ],
        ids=["off", "asked-for", "expression", "on-in-v1.0"],
    )
    def test_the_network_is(self, bind, requirements, version, network):
        text = requires(requirements, inputs("{n: int}"))
        assert bind(text, {"n": 7}, version=version).call.network is network

    def test_exit_codes_are_kept(self, bind):
        text = "successCodes: [0, 1]\ntemporaryFailCodes: [75]\npermanentFailCodes: [2]\n" + inputs("{}")
        call = bind(text).call
        assert call.success_codes == {0, 1}
        assert call.temporary_fail_codes == {75}
        assert call.permanent_fail_codes == {2}

    def test_mpi_starts_the_command(self, bind):
        text = "$namespaces: {cwltool: 'http://commonwl.org/cwltool#'}\n" + requires(
            "{cwltool:MPIRequirement: {processes: 4}}"
        )
        assert bind(text).call.command == ("mpirun", "-n", "4", "tool")


class TestResources:
    def test_what_nobody_asks_for_has_cwl_s_defaults(self, bind):
        assert bind(inputs("{}")).call.resources == Resources(cores=1, ram_mib=256, tmpdir_mib=1024, outdir_mib=1024)

    def test_the_least_of_what_is_asked_is_taken(self, bind):
        text = requires(
            "{ResourceRequirement: {coresMin: 1.5, coresMax: 8, ramMin: 100.2, tmpdirMin: 5, outdirMin: 6}}"
        )
        assert bind(text).call.resources == Resources(cores=1.5, ram_mib=101, tmpdir_mib=5, outdir_mib=6)

    def test_a_maximum_alone_is_taken(self, bind):
        assert bind(requires("{ResourceRequirement: {coresMax: 3}}")).call.resources.cores == 3

    def test_expressions_see_the_inputs(self, bind):
        text = requires(
            "{ResourceRequirement: {coresMin: $(inputs.n), ramMin: '$(inputs.n * 100)'},"
            " InlineJavascriptRequirement: {}}",
            inputs("{n: int}"),
        )
        found = bind(text, {"n": 3}).call.resources
        assert (found.cores, found.ram_mib) == (3, 300)

    def test_expressions_see_what_the_call_was_given(self, bind):
        text = requires("{ResourceRequirement: {coresMin: 2}}", "arguments: [$(runtime.cores)]\n" + inputs("{}"))
        assert bind(text).call.command == ("tool", "2")

    @pytest.mark.parametrize(
        ("size", "mib"), [("64m", 64), ("1g", 1024), ("2048k", 2), ("1048576", 1), ("1 Gib", 1024)]
    )
    def test_shared_memory_has_a_size(self, bind, size, mib):
        text = "$namespaces: {cwltool: 'http://commonwl.org/cwltool#'}\n" + requires(
            f"{{cwltool:ShmSize: {{shmSize: '{size}'}}, DockerRequirement: {{dockerPull: x}}}}"
        )
        assert bind(text).call.resources.shm_mib == mib

    def test_a_size_that_is_none_is_refused(self, bind):
        text = "$namespaces: {cwltool: 'http://commonwl.org/cwltool#'}\n" + requires(
            "{cwltool:ShmSize: {shmSize: plenty}}"
        )
        with pytest.raises(StepError, match="plenty"):
            bind(text)

    CUDA = "$namespaces: {cwltool: 'http://commonwl.org/cwltool#'}\n" + requires(
        "{cwltool:CUDARequirement: {cudaVersionMin: '1.0', cudaComputeCapability: '1.0', cudaDeviceCountMin: 2},"
        " DockerRequirement: {dockerPull: x}}"
    )

    def test_devices_are_asked_of_a_container(self, bind, place):
        assert bind(self.CUDA, where=replace(place, containers=True)).call.resources.gpus == 2

    def test_devices_that_this_machine_has_not_are_told(self, bind, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(StepError, match="CUDARequirement"):
            bind(self.CUDA)


class TestImages:
    @pytest.mark.parametrize(
        ("docker", "image"),
        [
            ("{dockerPull: 'a:1'}", DockerImage(pull="a:1", image_id="a:1")),
            ("{dockerPull: 'a:1', dockerImageId: b}", DockerImage(pull="a:1", image_id="b")),
            ("{dockerFile: FROM a, dockerImageId: b}", DockerImage(file="FROM a", image_id="b")),
            ("{dockerLoad: a.tar, dockerImageId: b}", DockerImage(load="a.tar", image_id="b")),
            ("{dockerImport: a.tgz, dockerImageId: b}", DockerImage(import_="a.tgz", image_id="b")),
        ],
        ids=["pull", "pull-and-name", "build", "load", "import"],
    )
    def test_an_image_is_kept_as_it_is_written(self, bind, place, docker, image):
        found = bind(requires(f"{{DockerRequirement: {docker}}}"), where=replace(place, containers=True)).call
        assert found.image is not None
        assert replace(found.image, image_id=image.image_id) == image
        assert found.image.name in (image.image_id, image.pull)

    def test_without_containers_there_is_no_image(self, bind):
        assert bind(requires("{DockerRequirement: {dockerPull: a}}")).call.image is None

    def test_a_container_sees_its_own_directories(self, bind, place):
        call = bind(requires("{DockerRequirement: {dockerPull: a}}"), where=replace(place, containers=True)).call
        assert (call.outdir, call.tmpdir) == ("/var/spool/cwl", "/tmp")

    def test_the_output_directory_of_a_container_can_be_named(self, bind, place):
        text = requires("{DockerRequirement: {dockerPull: a, dockerOutputDirectory: /other}}")
        assert bind(text, where=replace(place, containers=True)).call.outdir == "/other"

    @pytest.mark.parametrize(("kind", "any_path"), [("requirements", True), ("hints", False)])
    def test_only_a_required_image_may_be_written_to_anywhere(self, bind, place, kind, any_path):
        text = requires("{DockerRequirement: {dockerPull: a}}").replace("requirements", kind)
        assert bind(text, where=replace(place, containers=True)).call.any_path is any_path


class TestFiles:
    def test_an_input_has_a_numbered_place(self, bind, place, tmp_path):
        (entry,) = bind(inputs("{f: File}"), {"f": file(tmp_path / "a b#%é.txt")}).call.entries
        assert (entry.kind, entry.source) == (EntryKind.FILE, str(tmp_path / "a b#%é.txt"))
        assert entry.target == f"{place.stagedir}/0/a b#%é.txt"

    def test_a_call_is_described_the_same_each_time(self, tool, place, tmp_path):
        plan = tool(inputs("{f: {type: File, inputBinding: {}}, g: File}"))
        given = {"f": file(tmp_path / "a"), "g": file(tmp_path / "b")}
        first, second = (Binder().bind(plan, given, place, name="x").call for _ in range(2))
        assert first == second

    def test_files_of_one_name_have_places_of_their_own(self, bind, tmp_path):
        for name in ("x", "y"):
            (tmp_path / name).mkdir()
        given = [file(tmp_path / "x" / "a"), file(tmp_path / "y" / "a")]
        targets = {entry.target for entry in bind(inputs("{f: 'File[]'}"), {"f": given}).call.entries}
        assert len(targets) == 2

    def test_secondary_files_lie_beside_their_primary(self, bind, tmp_path):
        given = file(tmp_path / "a.bam", secondaryFiles=[file(tmp_path / "a.bam.bai")])
        call = bind(inputs("{f: {type: File, secondaryFiles: [.bai]}}"), {"f": given}).call
        assert {Path(entry.target).parent for entry in call.entries} == {Path(call.entries[0].target).parent}
        assert len(call.entries) == 2

    def test_a_literal_is_written(self, bind):
        (entry,) = bind(inputs("{f: File}"), {"f": {"class": "File", "basename": "a", "contents": "hi"}}).call.entries
        assert (entry.kind, entry.source) == (EntryKind.LITERAL, "hi")

    def test_an_empty_directory_is_made(self, bind):
        given = {"class": "Directory", "basename": "d", "listing": []}
        (entry,) = bind(inputs("{d: Directory}"), {"d": given}).call.entries
        assert (entry.kind, entry.source) == (EntryKind.EMPTY_DIRECTORY, "")

    def test_contents_are_loaded(self, bind, tmp_path):
        text = inputs("{f: {type: File, loadContents: true, inputBinding: {valueFrom: $(self.contents)}}}")
        assert bind(text, {"f": file(tmp_path / "a", "hello")}).call.command == ("tool", "hello")

    def test_a_missing_file_names_the_call(self, bind, tmp_path):
        given = {"class": "File", "location": (tmp_path / "gone").as_uri()}
        with pytest.raises(CwlPrefectError, match=r"align\[3\]:.*gone"):
            bind(inputs("{f: {type: File, loadContents: true}}"), {"f": given})

    def test_a_value_of_another_type_names_the_call(self, bind):
        with pytest.raises(InputError, match=r"align\[3\]:"):
            bind(inputs("{x: int}"), {"x": "text"})

    def test_a_format_is_checked(self, bind, tmp_path):
        given = file(tmp_path / "a", format="http://e.org/other")
        with pytest.raises(CwlPrefectError, match=r"http://e\.org/other"):
            bind(inputs("{f: {type: File, format: 'http://e.org/wanted'}}"), {"f": given})


class TestInitialWorkDir:
    def entries(self, bind, place, listing, given=None, declared="{f: File?, d: Directory?}", more=""):
        text = requires(
            f"{{InitialWorkDirRequirement: {{listing: {listing}}}, InlineJavascriptRequirement: {{}}{more}}}",
            inputs(declared),
        )
        call = bind(text, given).call
        return [entry for entry in call.entries if entry.target.startswith(f"{place.outdir}/")]

    def test_a_text_becomes_a_file(self, bind, place):
        (entry,) = self.entries(bind, place, "[{entryname: a.txt, entry: 'x = $(1 + 1)'}]")
        assert (entry.kind, entry.source) == (EntryKind.LITERAL, "x = 2")
        assert entry.target == f"{place.outdir}/a.txt"

    def test_a_writable_text_says_so(self, bind, place):
        (entry,) = self.entries(bind, place, "[{entryname: a.txt, entry: x, writable: true}]")
        assert entry.kind is EntryKind.WRITABLE_LITERAL

    def test_an_input_is_shown_there(self, bind, place, tmp_path):
        (entry,) = self.entries(bind, place, "[$(inputs.f)]", {"f": file(tmp_path / "a.txt")})
        assert (entry.kind, entry.source) == (EntryKind.FILE, str(tmp_path / "a.txt"))

    def test_an_input_can_be_renamed_and_written_to(self, bind, place, tmp_path):
        (entry,) = self.entries(
            bind, place, "[{entryname: b.txt, entry: $(inputs.f), writable: true}]", {"f": file(tmp_path / "a.txt")}
        )
        assert (entry.kind, entry.target) == (EntryKind.WRITABLE_FILE, f"{place.outdir}/b.txt")

    def test_a_directory_can_be_written_to(self, bind, place, tmp_path):
        given = {"class": "Directory", "location": tmp_path.as_uri()}
        (entry,) = self.entries(bind, place, "[{entry: $(inputs.d), writable: true}]", {"d": given})
        assert entry.kind is EntryKind.WRITABLE_DIRECTORY

    def test_an_object_becomes_json(self, bind, place):
        (entry,) = self.entries(bind, place, "[{entryname: a.json, entry: '${return {a: [1]};}'}]")
        assert entry.source.replace(" ", "") == '{"a":[1]}'

    def test_an_expression_gives_the_whole_listing(self, bind, place):
        listing = '\'${return [{"class": "File", "basename": "a", "contents": "x"}];}\''
        (entry,) = self.entries(bind, place, listing)
        assert entry.target == f"{place.outdir}/a"

    def test_updates_in_place_are_told(self, bind):
        text = requires("{InplaceUpdateRequirement: {inplaceUpdate: true}}")
        assert bind(text).call.inplace_update
        assert not bind(inputs("{}")).call.inplace_update


class TestCollecting:
    def test_outputs_are_found_with_size_and_checksum(self, bind, place):
        text = "inputs: {}\noutputs: {o: {type: File, outputBinding: {glob: a.txt}}}\nbaseCommand: tool\n"
        bound = bind(text)
        (place.outdir / "a.txt").write_text("hello")
        found = bound.collect(place.outdir, 0)["o"]
        assert found["location"] == (place.outdir / "a.txt").as_uri()
        assert (found["size"], found["checksum"]) == (5, "sha1$aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d")

    def test_the_exit_code_can_be_an_output(self, bind, place):
        text = requires(
            "{InlineJavascriptRequirement: {}}",
            "successCodes: [7]\ninputs: {}\nbaseCommand: tool\n"
            "outputs: {c: {type: int, outputBinding: {outputEval: $(runtime.exitCode)}}}\n",
        )
        assert bind(text).collect(place.outdir, 7) == {"c": 7}

    def test_an_output_object_of_the_tool_is_taken(self, bind, place):
        bound = bind("inputs: {}\noutputs: {n: int}\nbaseCommand: tool\n")
        (place.outdir / "cwl.output.json").write_text('{"n": 5}')
        assert bound.collect(place.outdir, 0)["n"] == 5

    def test_an_output_object_cannot_name_a_file_elsewhere(self, bind, place, tmp_path):
        bound = bind("inputs: {}\noutputs: {o: File}\nbaseCommand: tool\n")
        found = {"o": {**file(tmp_path / "secret"), "location": str(tmp_path / "secret")}}
        (place.outdir / "cwl.output.json").write_text(json.dumps(found))
        with pytest.raises(OutputError, match=r"align\[3\]: .*secret is outside the output directory") as raised:
            bound.collect(place.outdir, 0)
        assert raised.value.step == "align[3]"

    @pytest.mark.parametrize(
        "found", [{"class": "File"}, {"class": "Directory", "basename": "d"}], ids=["file", "directory"]
    )
    def test_a_literal_of_an_output_object_holds_something(self, bind, place, found):
        bound = bind("inputs: {}\noutputs: {o: Any}\nbaseCommand: tool\n")
        (place.outdir / "cwl.output.json").write_text(json.dumps({"o": found | {"location": "_:x"}}))
        with pytest.raises(StepError, match=f"a {found['class']} needs a path or location"):
            bound.collect(place.outdir, 0)

    def test_what_is_listed_of_an_input_can_be_passed_on_though_it_is_a_link(self, bind, place, tmp_path):
        (tmp_path / "d").mkdir()
        file(tmp_path / "elsewhere")
        (tmp_path / "d" / "link").symlink_to(tmp_path / "elsewhere")
        text = requires(
            "{InlineJavascriptRequirement: {}}",
            "inputs: {d: {type: Directory, loadListing: shallow_listing}}\nbaseCommand: tool\n"
            "outputs: {o: {type: 'File[]', outputBinding: {outputEval: $(inputs.d.listing)}}}\n",
        )
        bound = bind(text, {"d": {"class": "Directory", "location": (tmp_path / "d").as_uri()}})
        (found,) = bound.collect(place.outdir, 0)["o"]
        assert found["size"] == len("text\n")

    def test_a_glob_without_a_match_is_an_error(self, bind, place):
        bound = bind("inputs: {}\noutputs: {o: {type: File, outputBinding: {glob: a.txt}}}\nbaseCommand: tool\n")
        with pytest.raises(CwlPrefectError, match=r"a\.txt"):
            bound.collect(place.outdir, 0)

    def test_a_literal_of_the_working_directory_can_be_an_output(self, bind, place):
        text = requires(
            "{InitialWorkDirRequirement: {listing: [{entryname: a.txt, entry: hi}]}}",
            "inputs: {}\noutputs: {o: {type: File, outputBinding: {glob: a.txt}}}\nbaseCommand: tool\n",
        )
        bound = bind(text)
        (place.outdir / "a.txt").write_text("hi")
        assert bound.collect(place.outdir, 0)["o"]["location"] == (place.outdir / "a.txt").as_uri()


class TestBindingAtOnce:
    LOOPS = "{InlineJavascriptRequirement: {}}"

    def bind_at_once(self, tool, place, argument, binder=None):
        text = f"inputs: {{}}\noutputs: {{}}\nbaseCommand: tool\narguments: [{argument}]\n"
        return (binder or Binder()).bind_at_once(tool(requires(self.LOOPS, text)), {}, place, name="x")

    @pytest.fixture
    def started(self):
        javascript.install(timeout_s=5, memory_mib=64).eval("(1)")

    @pytest.fixture
    def patient(self, monkeypatch):
        monkeypatch.setattr(binding, "PATIENCE_S", 5)  # for a busy machine

    def test_without_javascript_it_always_does(self, tool, place):
        bound = Binder().bind_at_once(tool(inputs("{x: {type: int, inputBinding: {}}}")), {"x": 1}, place, name="x")
        assert bound.call.command[-1] == "1"

    def test_javascript_that_is_fast_is_evaluated(self, tool, place, started, patient):
        bound = self.bind_at_once(tool, place, "$(1 + 1)")
        assert bound.call.command[-1] == "2"

    def test_no_process_is_started_for_it(self, tool, place):
        javascript.install(timeout_s=5, memory_mib=64).close()
        assert self.bind_at_once(tool, place, "$(1 + 1)") is None

    @pytest.mark.parametrize("argument", ["'$(function(){while (true) {}}())'", "'${while (true) {}}'"])
    def test_javascript_that_is_slow_is_left_to_a_thread(self, tool, place, started, argument):
        assert self.bind_at_once(tool, place, argument) is None

    def test_slow_javascript_is_tried_a_few_times_only(self, tool, place, monkeypatch):
        engine, binder, trials = javascript.install(timeout_s=5, memory_mib=64), Binder(), []
        at_once = javascript.at_once
        monkeypatch.setattr(javascript, "at_once", lambda patience_s: trials.append(patience_s) or at_once(patience_s))
        for _ in range(MOST_TRIALS + 2):
            engine.eval("(1)")
            assert self.bind_at_once(tool, place, "'${while (true) {}}'", binder) is None
        assert trials == [PATIENCE_S] * MOST_TRIALS

    def test_calls_that_are_fast_make_up_for_slow_ones(self, tool, place, started, patient, monkeypatch):
        engine, binder = javascript.install(timeout_s=5, memory_mib=64), Binder()
        for _ in range(MOST_TRIALS):
            engine.eval("(1)")
            with monkeypatch.context() as impatient:
                impatient.setattr(binding, "PATIENCE_S", 0)
                assert self.bind_at_once(tool, place, "$(1 + 1)", binder) is None
            engine.eval("(1)")
            for _ in range(HOPS):
                assert self.bind_at_once(tool, place, "$(1 + 1)", binder) is not None
        assert self.bind_at_once(tool, place, "$(1 + 1)", binder) is not None

    def test_processes_that_are_busy_or_not_yet_started_are_no_trial(self, tool, place, patient):
        engine, binder = javascript.install(timeout_s=5, memory_mib=64), Binder()
        engine.close()
        for _ in range(MOST_TRIALS + 2):
            assert self.bind_at_once(tool, place, "$(1 + 1)", binder) is None
        engine.eval("(1)")
        assert self.bind_at_once(tool, place, "$(1 + 1)", binder) is not None

    def test_an_expression_that_throws_is_an_error_as_ever(self, tool, place, started, patient):
        with pytest.raises(ExpressionError, match="nothing"):
            self.bind_at_once(tool, place, "$(nothing.at)")


@pytest.mark.parametrize("recording", [True, False])
def test_what_expressions_read_is_recorded_where_somebody_asks(tool, place, recording):
    tool = tool(requires("{InlineJavascriptRequirement: {}}", "inputs: {}\noutputs: {}\narguments: [a, $(1 + 1)]\n"))
    bound = Binder().bind(tool, {}, replace(place, recording=recording), name="x")
    assert bound.call.command[-1] == "2"
    assert (bound.recorder is not None) is recording


class TestExpressionTools:
    def evaluate(self, tool, text, given=None, **about):
        plan = tool(requires("{InlineJavascriptRequirement: {}}", text), kind="ExpressionTool")
        return Binder().evaluate(plan, given or {}, name="count")

    def test_a_file_that_it_makes_has_what_later_expressions_may_ask_for(self, tool):
        text = """inputs: {}
outputs: {f: File}
expression: '${return {f: {class: "File", basename: "sheet.csv", contents: "a,b"}};}'
"""
        found = self.evaluate(tool, text)["f"]
        assert (found["nameroot"], found["nameext"], found["location"][:2]) == ("sheet", ".csv", "_:")

    def test_a_file_that_it_names_by_its_path_is_one_with_a_location(self, tool):
        text = """inputs: {}
outputs: {f: File}
expression: '${return {f: {class: "File", path: "/data/sheet.csv"}};}'
"""
        found = self.evaluate(tool, text)["f"]
        assert (found["location"], found["basename"]) == ("/data/sheet.csv", "sheet.csv")

    def test_a_file_of_nothing_is_an_error(self, tool):
        text = """inputs: {}
outputs: {f: File}
expression: '${return {f: {class: "File", basename: "a"}};}'
"""
        with pytest.raises(StepError, match="count: a File needs a path or location"):
            self.evaluate(tool, text)

    def test_its_object_is_its_outputs(self, tool):
        text = "inputs: {n: int}\noutputs: {m: int}\nexpression: '${return {m: inputs.n + 1};}'\n"
        assert self.evaluate(tool, text, {"n": 1}) == {"m": 2}

    def test_it_can_be_called_many_times(self, tool):
        plan = tool(
            requires(
                "{InlineJavascriptRequirement: {}}",
                "inputs: {n: Any}\noutputs: {m: Any}\nexpression: '${return {m: inputs.n};}'\n",
            ),
            kind="ExpressionTool",
        )
        binder = Binder()
        values = [1, "text", [1, "a"], {"a": 1}, True]
        assert [binder.evaluate(plan, {"n": value}, name="x")["m"] for value in values] == values

    @pytest.mark.parametrize(
        ("expression", "words"),
        [("'${return 5;}'", "expected an object"), ("'${return {};}'", "'m'")],
        ids=["no-object", "a-missing-output"],
    )
    def test_what_it_gives_is_checked(self, tool, expression, words):
        with pytest.raises(StepError, match=words):
            self.evaluate(tool, f"inputs: {{}}\noutputs: {{m: int}}\nexpression: {expression}\n")

    def test_an_optional_output_may_be_left_out(self, tool):
        text = "inputs: {}\noutputs: {m: int?, k: Any}\nexpression: '${return {};}'\n"
        assert self.evaluate(tool, text) == {}

    def test_an_expression_that_throws_is_named(self, tool):
        text = "inputs: {}\noutputs: {m: int}\nexpression: '${throw \"no luck\";}'\n"
        with pytest.raises(ExpressionError, match="no luck") as found:
            self.evaluate(tool, text)
        assert found.value.step == "count"

    def test_its_inputs_are_checked(self, tool):
        with pytest.raises(InputError, match="count"):
            self.evaluate(tool, "inputs: {n: int}\noutputs: {}\nexpression: '${return {};}'\n", {"n": "x"})

    def test_an_operation_cannot_run(self, tool):
        plan = tool("inputs: {}\noutputs: {}\n", kind="Operation")
        with pytest.raises(UnsupportedError, match="Operation"):
            Binder().evaluate(plan, {}, name="later")
