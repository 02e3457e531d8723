import doctest
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypedDict

import pytest
from prefect import Flow

import cwl_prefect
from cwl_prefect import api
from cwl_prefect.api import (
    File,
    RunStatus,
    compile_document,
    document_of,
    load_flow,
    load_plan,
    read_job_order,
    run,
    run_sync,
)
from cwl_prefect.engine.records.manifest import Outcome
from cwl_prefect.errors import DocumentError, InputError, StepError, StorageError, UsageError
from cwl_prefect.flows import invoke
from cwl_prefect.flows.execution.run import Progress, RunReport
from cwl_prefect.model.plan import WorkflowPlan, encode_plan
from cwl_prefect.model.values import WrittenJobOrder
from cwl_prefect.settings import OnError, Settings
from tests.commands import PROJECT

TOOL = """
cwlVersion: v1.2
class: CommandLineTool
inputs: {message: {type: string, inputBinding: {}}}
outputs: {o: stdout}
baseCommand: echo
"""


@pytest.fixture
def document(tmp_path) -> Path:
    path = tmp_path / "echo.cwl"
    path.write_text(TOOL)
    return path


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def plan(document) -> WorkflowPlan:
    return compile_document(document)


class TestPackage:
    @pytest.mark.parametrize("name", cwl_prefect.__all__)
    def test_every_public_name_is_there(self, name):
        assert getattr(cwl_prefect, name) is not None

    def test_another_name_is_not(self):
        with pytest.raises(AttributeError, match="nothing"):
            cwl_prefect.nothing  # noqa: B018

    def test_importing_it_imports_neither_prefect_nor_cwltool(self):
        code = (
            "import sys, cwl_prefect; assert cwl_prefect.__version__;"
            "sys.exit(any(name in sys.modules for name in ('prefect', 'cwltool', 'pydantic')))"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestPlans:
    def test_a_document_is_compiled(self, document):
        assert compile_document(document).name == "echo"

    def test_requirements_of_a_job_order_are_compiled_in(self, document, plan):
        order = {"cwl:requirements": [{"class": "EnvVarRequirement", "envDef": {"A": "1"}}]}
        changed = compile_document(document, job_order=order)
        assert changed.digest != plan.digest
        assert any(entry["class"] == "EnvVarRequirement" for entry in changed.steps[0].run.requirements)

    def test_a_loaded_plan_is_the_compiled_one(self, document, settings, plan):
        assert load_plan(document, settings=settings) == plan
        assert load_plan(document, settings=settings) == plan

    def test_it_is_kept_for_the_next_time(self, document, settings):
        load_plan(document, settings=settings)
        assert len(list(settings.plans.iterdir())) == 1

    def test_the_settings_can_switch_that_off(self, document, tmp_path):
        settings = Settings(home=tmp_path / "home", plan_cache=False)
        load_plan(document, settings=settings)
        assert not settings.plans.exists()

    def test_one_with_overrides_is_not_kept(self, document, settings):
        order = {"cwl:requirements": [{"class": "NetworkAccess", "networkAccess": True}]}
        load_plan(document, job_order=order, settings=settings)
        assert not settings.plans.exists()

    def test_a_written_plan_is_read(self, tmp_path, settings, plan):
        (tmp_path / "plan.json").write_bytes(encode_plan(plan))
        assert load_plan(tmp_path / "plan.json", settings=settings) == replace(plan, origin=str(tmp_path / "plan.json"))

    def test_a_missing_document_is_an_error(self, tmp_path, settings):
        with pytest.raises(DocumentError, match="no such file"):
            load_plan(tmp_path / "gone.cwl", settings=settings)


@pytest.fixture
def web(tmp_path) -> Iterator[str]:
    """A web server of this machine that serves the test's directory."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class TestJobOrders:
    def write(self, directory: Path, text: str, name: str = "job.yml") -> Path:
        path = directory / name
        path.write_text(text, "utf-8")
        return path

    def test_none_is_empty(self, plan):
        assert read_job_order(None) == {}

    def test_paths_start_from_its_directory(self, plan, tmp_path):
        path = self.write(tmp_path, "f: {class: File, path: 'a b.txt'}\n")
        assert read_job_order(path) == {"f": {"class": "File", "location": f"{tmp_path.as_uri()}/a%20b.txt"}}

    def test_a_relative_path_starts_from_the_current_directory(self, plan, tmp_path, monkeypatch):
        self.write(tmp_path, "f: {class: File, path: a}\n")
        monkeypatch.chdir(tmp_path)
        assert read_job_order("job.yml")["f"]["location"] == f"{tmp_path.as_uri()}/a"

    @pytest.mark.parametrize("name", ["a b.yml", "a#b.yml", "100%.yml", "é.yml"])
    def test_it_may_have_any_name(self, plan, tmp_path, name):
        path = self.write(tmp_path, "message: hi\n", name)
        assert read_job_order(path) == {"message": "hi"}
        assert read_job_order(path.as_uri()) == {"message": "hi"}

    def test_json_will_do(self, plan, tmp_path):
        assert read_job_order(self.write(tmp_path, '{"message": "hi"}', "job.json")) == {"message": "hi"}

    def test_formats_lose_the_prefixes_of_the_job_order(self, plan, tmp_path):
        text = "$namespaces: {e: 'http://e.org/#'}\nf: {class: File, path: a, format: e:bam}\n"
        assert read_job_order(self.write(tmp_path, text))["f"]["format"] == "http://e.org/#bam"

    def test_it_can_be_fetched(self, plan, tmp_path, web):
        self.write(tmp_path, "f: {class: File, path: a}\n")
        assert read_job_order(f"{web}/job.yml")["f"]["location"] == f"{web}/a"

    def test_an_address_without_one_is_an_error(self, plan, web):
        with pytest.raises(StorageError, match=r"gone\.yml cannot be read: there is no such object"):
            read_job_order(f"{web}/gone.yml")

    def test_a_missing_one_is_an_error(self, plan, tmp_path):
        with pytest.raises(InputError, match=r"gone\.yml"):
            read_job_order(tmp_path / "gone.yml")

    def test_one_that_is_no_text_is_an_error(self, plan, tmp_path):
        (tmp_path / "job.yml").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(InputError, match="UTF-8"):
            read_job_order(tmp_path / "job.yml")


class TestDocumentOf:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("cwl:tool: tool.cwl\n", "{here}/tool.cwl"),
            ("cwl:tool: ../tool.cwl#main\n", "{above}/tool.cwl#main"),
            ("cwl:tool: https://e.org/a.cwl\n", "https://e.org/a.cwl"),
            ("cwl:tool: 5\n", None),
            ("message: hi\n", None),
            ("message: about cwl:tool\n", None),
        ],
        ids=["beside", "elsewhere", "url", "no-text", "none", "only-mentioned"],
    )
    def test_a_job_order_can_name_its_document(self, tmp_path, text, found):
        (tmp_path / "job.yml").write_text(text)
        expected = found and found.format(here=tmp_path.as_uri(), above=tmp_path.parent.as_uri())
        assert document_of(tmp_path / "job.yml") == expected


class TestFlows:
    def test_a_document_is_a_flow(self, document, settings):
        flow = load_flow(document, settings=settings)
        assert isinstance(flow, Flow)
        assert flow.name == "echo"
        assert flow.parameters.required == ["message"]

    def test_a_plan_is_one_too(self, plan, settings):
        assert load_flow(plan, settings=settings).version == plan.digest[:12]

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            pytest.param({"o": File, "gone": int}, "Typed has an output 'gone', echo has not", id="one-too-many"),
            pytest.param({}, "echo has an output 'o', Typed has not", id="one-missing"),
        ],
    )
    async def test_a_type_of_outputs_that_does_not_fit_is_refused(self, plan, settings, fields, message):
        outputs = TypedDict("Typed", fields)
        with pytest.raises(UsageError, match=message):
            load_flow(plan, settings=settings, outputs=outputs)
        with pytest.raises(UsageError, match=message):
            await run(plan, settings=settings, outputs=outputs)

    def test_one_that_fits_is_taken(self, plan, settings):
        assert load_flow(plan, settings=settings, outputs=TypedDict("Typed", {"o": File})).name == "echo"


class TestRunning:
    async def test_a_document_and_a_job_order_are_read(self, document, settings, monkeypatch):
        seen = []

        async def fake(plan, job_order, **options):
            seen.append((plan.name, job_order))
            return RunReport(outcome=Outcome.COMPLETED)

        monkeypatch.setattr(invoke, "invoke", fake)
        order = document.with_name("job.yml")
        order.write_text("message: hi\n")
        await run(document, order, settings=settings)
        await run(str(document), {"message": "ho"}, settings=settings)
        assert seen == [("echo", {"message": "hi"}), ("echo", {"message": "ho"})]

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param({"class": "File", "path": "a.txt"}, id="path"),
            pytest.param({"class": "File", "location": "a.txt"}, id="location"),
            pytest.param({"class": "File", "path": Path("a.txt")}, id="path-object-within"),
            pytest.param(Path("a.txt"), id="path-object"),
            pytest.param("a.txt", id="text"),
        ],
    )
    async def test_files_may_be_given_in_any_way(self, settings, tmp_path, monkeypatch, value):
        seen = []

        async def fake(plan, job_order, **options):
            seen.append(job_order)
            return RunReport(outcome=Outcome.COMPLETED)

        monkeypatch.setattr(invoke, "invoke", fake)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "cat.cwl").write_text(TOOL.replace("type: string", "type: File"))
        await run("cat.cwl", {"message": value}, settings=settings)
        assert seen == [{"message": {"class": "File", "location": (tmp_path / "a.txt").as_uri()}}]

    def test_code_that_cannot_await_has_another_way(self, ends_with, plan, settings):
        ends_with()
        assert run_sync(plan, {"message": "hi"}, settings=settings, outdir="out").outputs == {"o": "out"}

    async def test_what_a_job_order_overrides_is_compiled_in(self, document, settings, monkeypatch):
        seen = []

        async def fake(plan, job_order, **options):
            seen.append(plan.steps[0].run.requirements)
            return RunReport(outcome=Outcome.COMPLETED)

        monkeypatch.setattr(invoke, "invoke", fake)
        order = document.with_name("job.yml")
        order.write_text("cwl:requirements: [{class: EnvVarRequirement, envDef: {A: b}}]\n")
        await run(document, order, settings=settings)
        assert any(entry["class"] == "EnvVarRequirement" for entry in seen[0])

    @pytest.fixture
    def ends_with(self, monkeypatch):
        """Let a run end with errors of the test's choice."""

        def ends_with(*errors):
            async def fake(plan, job_order, *, settings, outdir, **options):
                outcome = Progress(failures=list(errors)).outcome(settings.on_error)
                return RunReport(
                    outcome=outcome, outputs={"o": outdir}, errors=errors, flow_run_id="7", url="http://ui/7"
                )

            monkeypatch.setattr(invoke, "invoke", fake)

        return ends_with

    async def test_a_run_without_errors_is_completed(self, plan, ends_with, settings):
        ends_with()
        result = await run(plan, {"message": "hi"}, settings=settings, outdir=Path("out"))
        assert (result.status, result.outputs, result.errors) == (RunStatus.COMPLETED, {"o": Path("out")}, ())
        assert (result.flow_run_id, result.url) == ("7", "http://ui/7")

    @pytest.mark.parametrize(
        ("on_error", "status"), [(OnError.STOP, RunStatus.FAILED), (OnError.CONTINUE, RunStatus.PARTIAL)]
    )
    async def test_one_with_errors_says_whether_it_went_on(self, plan, ends_with, tmp_path, on_error, status):
        error = StepError("broken")
        ends_with(error)
        result = await run(plan, {}, settings=Settings(home=tmp_path, on_error=on_error))
        assert (result.status, result.errors) == (status, (error,))

    @pytest.mark.parametrize(
        ("order", "told"), [({"mesage": "x"}, 1), (WrittenJobOrder(mesage="x"), 0)], ids=["given", "looked-at"]
    )
    async def test_a_key_that_names_no_input_is_told_once(self, plan, ends_with, tmp_path, caplog, order, told):
        ends_with()
        await run(plan, order, settings=Settings(home=tmp_path))
        assert caplog.text.count("there is no input 'mesage'") == told


RUNNING = ("File", "RunObserver", "RunResult", "Workflow")  # their examples run a workflow on a server


class TestPublicNames:
    def test_the_package_has_those_of_the_api_and_its_version(self):
        assert sorted(cwl_prefect.__all__) == sorted([*api.__all__, "__version__"])

    def test_no_room_has_the_name_of_one_since_its_import_would_replace_it(self):
        assert {path.stem for path in Path(cwl_prefect.__file__).parent.iterdir()} & {*api.__all__} == set()

    @pytest.mark.parametrize("name", api.__all__)
    def test_each_has_an_example(self, name):
        assert "Examples:\n" in getattr(api, name).__doc__

    @pytest.mark.parametrize(
        "name",
        [name for name in api.__all__ if isinstance(getattr(api, name), type) and name not in RUNNING],
    )
    def test_the_examples_of_data_do_what_they_show(self, name, monkeypatch):
        monkeypatch.chdir(PROJECT)
        found = doctest.DocTestFinder(recurse=False).find(getattr(api, name), name, globs={})
        failures = [doctest.DocTestRunner().run(test) for test in found]
        assert [(len(test.examples) > 0, result.failed) for test, result in zip(found, failures, strict=True)] == [
            (True, 0)
        ]


def test_a_job_order_of_python_may_refer_to_a_file_over_which_it_goes(tmp_path, settings, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/job.yml").write_text("message: hi\nf: {class: File, path: a.txt}\ng: {class: File, path: c.txt}")
    (tmp_path / "two.cwl").write_text(TOOL.replace("inputs: {", "inputs: {f: File, g: File, "))

    _, order = api.read_run(tmp_path / "two.cwl", {"$ref": "sub/job.yml", "g": Path("b.txt")}, settings)

    assert order["message"] == "hi"
    assert [order[name]["location"] for name in "fg"] == [f"{tmp_path.as_uri()}/{name}.txt" for name in ("sub/a", "b")]
