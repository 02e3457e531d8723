import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cwl_prefect.cwl.loading import load, plans
from cwl_prefect.cwl.loading.compile import compile_process
from cwl_prefect.cwl.loading.load import load_process
from cwl_prefect.cwl.loading.plans import cached_plan, read_plan
from cwl_prefect.errors import DocumentError
from cwl_prefect.model.plan import WorkflowPlan, encode_plan
from cwl_prefect.model.plan_formats import PLAN_FORMAT

TOOL = """
cwlVersion: v1.2
class: CommandLineTool
doc: Says it.
inputs: {x: {type: string, inputBinding: {}}}
outputs: {o: stdout}
baseCommand: echo
"""
FLOW = """
cwlVersion: v1.2
class: Workflow
inputs: {n: string}
outputs: {r: {type: File, outputSource: say/o}}
steps:
  say: {run: tool.cwl, in: {x: n}, out: [o]}
"""


def compile_at(path: Path) -> WorkflowPlan:
    return compile_process(load_process(str(path)), origin=str(path))


@pytest.fixture
def document(write) -> Path:
    write(TOOL, "tool.cwl")
    return write(FLOW)


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache" / "plans"


@pytest.fixture
def loads(monkeypatch) -> list[str]:
    """Documents that were loaded, in order."""
    found: list[str] = []
    real = load.load_recorded

    def recorded(document: str, **options: bool):
        found.append(document)
        return real(document, **options)

    monkeypatch.setattr(load, "load_recorded", recorded)
    return found


class TestCache:
    def test_an_unchanged_document_is_loaded_once(self, document, cache, loads):
        first = cached_plan(str(document), cache)
        assert cached_plan(str(document), cache) == first
        assert loads == [str(document)]

    def test_a_hit_imports_nothing_that_loads_schemas(self, document, cache):
        cached_plan(str(document), cache)
        code = (
            "import sys; from pathlib import Path; from cwl_prefect.cwl.loading.plans import cached_plan;"
            f"print(cached_plan({str(document)!r}, Path({str(cache)!r})).name);"
            "sys.exit(any(name.split('.')[0] in ('schema_salad', 'cwltool', 'prefect') for name in sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "main\n", "")

    @pytest.mark.parametrize(
        ("name", "old", "new"),
        [
            pytest.param("main.cwl", "class", "label: changed\nclass", id="the-document"),
            pytest.param("tool.cwl", "echo", "cat", id="a-file-that-it-refers-to"),
        ],
    )
    def test_a_change_is_noticed_in(self, document, cache, loads, name, old, new):
        first = cached_plan(str(document), cache)
        path = document.parent / name
        path.write_text(path.read_text().replace(old, new))
        assert cached_plan(str(document), cache).digest != first.digest
        assert len(loads) == 2

    def test_a_file_that_is_gone_is_noticed(self, document, cache):
        cached_plan(str(document), cache)
        (document.parent / "tool.cwl").unlink()
        with pytest.raises(DocumentError, match=r"tool\.cwl"):
            cached_plan(str(document), cache)

    @pytest.mark.parametrize(
        "damage",
        [
            pytest.param(lambda text: b"", id="emptied"),
            pytest.param(lambda text: text[: len(text) // 2], id="cut-off"),
            pytest.param(lambda text: text.replace(b'"say"', b'"sag"'), id="altered"),
            pytest.param(lambda text: text.replace(b"\n", b" ", 1), id="without-a-body"),
            pytest.param(lambda text: b"\xff\xfe" + text, id="not-text"),
            pytest.param(lambda text: b"[]\n{}", id="another-header"),
            pytest.param(lambda text: b'{"plan": 1, "files": []}\n{}', id="another-manifest"),
        ],
    )
    def test_a_damaged_entry_is_compiled_anew(self, document, cache, loads, damage):
        first = cached_plan(str(document), cache)
        (entry,) = cache.iterdir()
        entry.write_bytes(damage(entry.read_bytes()))
        assert cached_plan(str(document), cache) == first
        assert cached_plan(str(document), cache) == first
        assert len(loads) == 2

    def test_an_entry_of_another_format_is_compiled_anew(self, document, cache, loads):
        cached_plan(str(document), cache)
        (entry,) = cache.iterdir()
        header, _, body = entry.read_bytes().partition(b"\n")
        body = body.replace(b'"format":2', b'"format":0')
        manifest = json.loads(header) | {"plan": hashlib.sha256(body).hexdigest()}
        entry.write_bytes(json.dumps(manifest).encode() + b"\n" + body)
        assert cached_plan(str(document), cache).format == PLAN_FORMAT
        assert len(loads) == 2

    def test_another_release_of_the_compiler_compiles_anew(self, document, cache, loads, monkeypatch):
        cached_plan(str(document), cache)
        monkeypatch.setattr(plans, "version", lambda name: f"{name} of tomorrow")
        monkeypatch.setattr(plans, "_COMPILER", plans._compiler())
        cached_plan(str(document), cache)
        assert len(loads) == 2

    def test_an_unwritable_directory_is_done_without(self, document, tmp_path, loads):
        (tmp_path / "file").touch()
        assert cached_plan(str(document), tmp_path / "file" / "plans").name == "main"
        assert len(loads) == 1

    def test_nothing_half_written_is_left(self, document, cache):
        cached_plan(str(document), cache)
        assert [path.suffix for path in cache.iterdir()] == [".json"]

    def test_a_bad_document_is_not_kept(self, document, cache):
        document.write_text("cwlVersion: v1.2\nclass: Nope\n")
        with pytest.raises(DocumentError):
            cached_plan(str(document), cache)
        assert not cache.exists()

    def test_fragments_have_entries_of_their_own(self, write, cache):
        graph = TOOL.replace("class:", "$graph:\n- id: a\n  class:").replace("\ndoc", "\n  doc")
        graph = (
            graph.replace("\ninputs", "\n  inputs").replace("\noutputs", "\n  outputs").replace("\nbase", "\n  base")
        )
        path = write(graph + "- {id: b, class: ExpressionTool, inputs: [], outputs: [], expression: $(null)}\n")
        assert cached_plan(f"{path}#a", cache).name == "a"
        assert cached_plan(f"{path}#b", cache).name == "b"
        assert len(list(cache.iterdir())) == 2

    def test_a_relative_path_and_an_absolute_one_share_an_entry(self, document, cache, loads, monkeypatch):
        cached_plan(str(document), cache)
        monkeypatch.chdir(document.parent)
        cached_plan(document.name, cache)
        assert len(loads) == 1


class TestWrittenPlans:
    def test_a_plan_is_read_back(self, document, tmp_path):
        plan = compile_at(document)
        (tmp_path / "plan.json").write_bytes(encode_plan(plan, indent=2))
        assert read_plan(tmp_path / "plan.json") == replace(plan, origin=str(tmp_path / "plan.json"))

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda text: text[:-10], id="cut-off"),
            pytest.param(lambda text: text.replace(b'"format":2', b'"format":99'), id="of-another-format"),
            pytest.param(lambda text: text.replace(b'"steps"', b'"stepps"'), id="with-an-unknown-field"),
        ],
    )
    def test_a_damaged_plan_asks_to_compile_again(self, document, tmp_path, change):
        (tmp_path / "plan.json").write_bytes(change(encode_plan(compile_at(document))))
        with pytest.raises(DocumentError, match="cwl-prefect compile"):
            read_plan(tmp_path / "plan.json")

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            pytest.param("main.cwl", FLOW, id="cwl"),
            pytest.param("gone.json", None, id="a-file-that-does-not-exist"),
            pytest.param("tool.json", '{"cwlVersion": "v1.2", "class": "CommandLineTool"}', id="cwl-in-json"),
            pytest.param("tool.json", '{"class": "CommandLineTool", "inputs": {"kind": "string"}}', id="an-input-kind"),
            pytest.param("tool.json", '{"kind": "tool"}', id="something-of-another-kind"),
        ],
    )
    def test_anything_else_is_left_to_the_compiler(self, write, tmp_path, name, text):
        if text is not None:
            write(text, name)
        assert read_plan(tmp_path / name) is None

    def test_a_directory_is_left_to_the_compiler(self, tmp_path):
        (tmp_path / "a.json").mkdir()
        assert read_plan(tmp_path / "a.json") is None
