"""What every flow of Prefect can do, done by the flow of a workflow."""

import asyncio
import pydoc
from contextlib import asynccontextmanager
from datetime import timedelta
from enum import StrEnum
from pathlib import Path, PurePosixPath

import cloudpickle
import pytest
from prefect import Flow
from prefect.context import TagsContext
from prefect.runner.storage import RunnerStorage
from prefect.settings import PREFECT_API_URL, temporary_settings

from cwl_prefect import Callback, FakeBackend, load_flow
from cwl_prefect.errors import InputError, UsageError
from cwl_prefect.flows import session
from cwl_prefect.flows.deployment.pull_step import unpacked
from cwl_prefect.flows.flow import CwlFlow
from cwl_prefect.flows.parameters import openapi_schema
from cwl_prefect.flows.prefect_names import ENTRYPOINT
from cwl_prefect.server.local_server import ApiEndpoint
from cwl_prefect.settings import Settings
from tests.plans import workflow

OURS = "http://127.0.0.1:1/api"
GREETING = """\
cwlVersion: v1.2
class: CommandLineTool
label: Greet somebody
inputs:
  message: {type: string, label: What to say, default: hi, inputBinding: {}}
  letter: {type: File, default: {class: File, location: letter.txt}}
outputs: {o: stdout}
baseCommand: echo
"""


def made(settings: Settings) -> CwlFlow:
    async def body(message: str) -> object:
        return settings.refresh, settings.cache_expiration_s

    return CwlFlow.of(body, workflow(), settings, rebuild=made, name="said")


@pytest.fixture
def flow(tmp_path):
    return made(Settings(home=tmp_path))


@pytest.fixture
def leases(monkeypatch):
    """Stand for the local server, and for Prefect's engine, which gives the API's address as its result."""
    open_leases: list[str] = []

    @asynccontextmanager
    async def lease(settings):
        open_leases.append("begun")
        yield ApiEndpoint(url=OURS, ui_url="http://127.0.0.1:1", ours=True, started=False)
        open_leases.append("ended")

    async def engine(self, *args, **kwargs):
        assert TagsContext.get().current_tags == {"cwl-prefect"}
        return PREFECT_API_URL.value(), args, kwargs

    monkeypatch.setattr(session, "lease", lease)
    monkeypatch.setattr(Flow, "__call__", engine)
    return open_leases


async def test_without_a_configured_api_a_call_runs_on_the_local_server(flow, leases):
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        address, _, given = await flow(message="hi", return_state=True)
    assert address == OURS
    assert given == {"message": "hi", "return_state": True}
    assert leases == ["begun", "ended"]


async def test_a_configured_api_is_used_as_it_is(flow, leases):
    with temporary_settings(updates={PREFECT_API_URL: "http://elsewhere/api"}):
        address, _, given = await flow(message="hi")
    assert (address, given) == ("http://elsewhere/api", {"message": "hi"})
    assert leases == []


async def test_one_with_other_options_runs_there_too(flow, leases):
    other = flow.with_options(name="other", retries=2)
    assert (other.name, other.retries, flow.name) == ("other", 2, "said")
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        address, _, _ = await other(message="hi")
    assert address == OURS


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({"refresh_cache": True}, (("*",), 60.0)),
        ({"refresh_cache": False}, ((), 60.0)),
        ({"cache_expiration": timedelta(days=1)}, (("align",), 86400.0)),
        ({"name": "other"}, (("align",), 60.0)),
    ],
    ids=repr,
)
def test_options_for_the_cache_of_its_tasks_become_settings(tmp_path, options, changed):
    flow = made(Settings(home=tmp_path, refresh=("align",), cache_expiration_s=60))
    assert asyncio.run(flow.with_options(**options).fn("hi")) == changed
    assert asyncio.run(flow.fn("hi")) == (("align",), 60.0)


@pytest.mark.parametrize(
    ("options", "persisted"),
    [({"name": "other"}, None), ({"persist_result": True}, True), ({"result_serializer": "pickle"}, True)],
    ids=repr,
)
def test_only_an_option_for_results_decides_whether_they_are_persisted(greeting, options, persisted):
    assert greeting.with_options(**options).persist_result is persisted


@pytest.fixture
def document(tmp_path: Path) -> Path:
    (tmp_path / "letter.txt").write_text("Dear all")
    document = tmp_path / "greet.cwl"
    document.write_text(GREETING)
    return document


@pytest.fixture
def greeting(document: Path) -> CwlFlow:
    return load_flow(document, settings=Settings(home=document.parent / "home"))


@pytest.mark.parametrize(("backend", "tags"), [(FakeBackend(), set()), (None, {"cwl-prefect"})], ids=["fake", "real"])
async def test_runs_that_are_only_played_are_not_listed(document, monkeypatch, backend, tags):
    async def engine(self, *args, **kwargs):
        return TagsContext.get().current_tags

    monkeypatch.setattr(Flow, "__call__", engine)
    flow = load_flow(document, settings=Settings(home=document.parent / "home"), backend=backend)
    with temporary_settings(updates={PREFECT_API_URL: "http://elsewhere/api"}):
        assert await flow(message="hi") == tags


class TestJobOrders:
    """Inputs by name, in a mapping and in a file come to the same."""

    @pytest.fixture
    def order(self, document: Path) -> Path:
        order = document.with_name("order.yml")
        order.write_text("message: from a file\nletter: {class: File, path: letter.txt}\n")
        return order

    @pytest.mark.parametrize("as_what", [str, Path], ids=["text", "path"])
    async def test_a_file_gives_them_and_paths_start_from_its_directory(self, greeting, order, leases, as_what) -> None:
        _, _, given = await greeting(as_what(order))
        letter = {"class": "File", "location": order.with_name("letter.txt").as_uri()}
        assert given == {"message": "from a file", "letter": letter}

    async def test_a_mapping_gives_them(self, greeting, leases) -> None:
        _, _, given = await greeting({"message": "ho", "letter": Path("letter.txt"), "another": 1})
        assert given == {"message": "ho", "letter": Path("letter.txt")}

    async def test_a_key_that_names_no_input_is_told(self, greeting, leases, caplog) -> None:
        await greeting({"mesage": "ho"})
        assert "there is no input 'mesage'; it is ignored. Did you mean 'message'?" in caplog.text

    async def test_what_is_given_by_name_goes_over_it(self, greeting, leases) -> None:
        _, _, given = await greeting({"message": "ho"}, message="hey", return_state=True)
        assert given == {"message": "hey", "return_state": True}

    async def test_one_that_changes_the_document_comes_too_late(self, greeting, leases) -> None:
        with pytest.raises(InputError, match="loaded already"):
            await greeting({"cwl:requirements": []})


class TestSynchronous:
    """Code that cannot await has another way."""

    def test_it_takes_what_a_call_takes(self, greeting, leases) -> None:
        assert greeting.run_sync({"message": "ho"}, return_state=True)[2] == {"message": "ho", "return_state": True}

    async def test_it_works_where_a_loop_runs(self, greeting, leases) -> None:
        assert greeting.run_sync(message="ho")[2] == {"message": "ho"}


def test_help_shows_what_it_takes_and_gives(greeting: CwlFlow) -> None:
    shown = pydoc.plain(pydoc.render_doc(greeting))
    assert "greet(*, message: str = 'hi', letter: File | Path | str = " in shown
    assert ") -> dict[str, object]\n    Greet somebody\n" in shown
    assert "message: What to say" in shown
    assert "Returns:\n        o: File" in shown


class TestTravelling:
    """The process that serves a flow sends it to one that runs it."""

    def test_a_flow_arrives_with_its_settings_and_options(self, greeting: CwlFlow) -> None:
        sent = greeting.with_options(retries=3, name="polite", refresh_cache=True)
        arrived = cloudpickle.loads(cloudpickle.dumps(sent))
        assert (arrived.name, arrived.retries, arrived.version) == ("polite", 3, greeting.version)
        assert (arrived.plan, arrived._settings) == (greeting.plan, sent._settings)

    def test_options_stay_over_several_changes(self, greeting: CwlFlow) -> None:
        sent = greeting.with_options(retries=3).with_options(name="polite")
        arrived = cloudpickle.loads(cloudpickle.dumps(sent))
        assert (arrived.name, arrived.retries) == ("polite", 3)


class TestDeployments:
    async def test_a_deployment_carries_the_workflow(self, greeting: CwlFlow, monkeypatch, tmp_path) -> None:
        monkeypatch.setenv("CWL_PREFECT_HOME", str(tmp_path / "worker"))
        deployment = await greeting.to_deployment("daily", parameters={"message": "ho"}, tags=["night"])
        assert (deployment.full_name, deployment.entrypoint) == ("greet/daily", ENTRYPOINT)
        assert (deployment.parameters, deployment.tags) == ({"message": "ho"}, ["night", "cwl-prefect"])
        assert isinstance(deployment.storage, RunnerStorage)
        await deployment.storage.pull_code()
        found = unpacked(deployment.storage.destination)
        assert found.plan.name == "greet"
        assert found.plan.digest[:12] == deployment.version

    async def test_its_files_travel_too(self, greeting: CwlFlow, monkeypatch, tmp_path) -> None:
        monkeypatch.setenv("CWL_PREFECT_HOME", str(tmp_path / "worker"))
        deployment = await greeting.to_deployment("daily")
        (tmp_path / "letter.txt").unlink()
        (location,) = unpacked(deployment.storage.destination).locations.values()
        assert Path(location.removeprefix("file://")).read_text() == "Dear all"

    def test_its_form_has_the_labels_of_the_inputs(self, greeting: CwlFlow) -> None:
        deployment = greeting.to_deployment("daily")  # as synchronous code calls it
        shown = deployment._parameter_openapi_schema.model_dump(exclude_unset=True)
        assert shown["properties"] == openapi_schema(greeting.plan)["properties"]
        assert shown["properties"]["message"]["title"] == "What to say"

    def test_a_version_of_the_users_is_kept(self, greeting: CwlFlow) -> None:
        assert greeting.to_deployment("daily", version="7").version == "7"

    @pytest.mark.parametrize(
        ("given", "named"),
        [
            ({"backend": FakeBackend()}, "the backend of"),
            ({"callbacks": [Callback(action=print)]}, "the callbacks of"),
            ({"backend": FakeBackend(), "callbacks": [Callback(action=print)]}, "the backend and callbacks of"),
        ],
        ids=["backend", "callbacks", "both"],
    )
    def test_what_no_worker_has_is_not_left_behind_in_silence(self, document, given, named) -> None:
        flow = load_flow(document, **given)
        with pytest.raises(UsageError, match=named):
            flow.deploy("daily", work_pool_name="here")
        with pytest.raises(UsageError, match=named):
            flow.with_options(retries=1).deploy("daily", work_pool_name="here")

    def test_the_flow_of_a_repository_is_deployed_from_there(self, document, monkeypatch) -> None:
        monkeypatch.setenv("CWL_PREFECT_HOME", str(document.parent / "home"))
        (document.parent / "flows.py").write_text(
            "from pathlib import Path\nfrom cwl_prefect import load_flow\n"
            "greet = load_flow(Path(__file__).with_name('greet.cwl'))\n"
        )
        flow = CwlFlow.from_source(source=str(document.parent), entrypoint="flows.py:greet")
        assert isinstance(flow, CwlFlow)
        deployment = flow.to_deployment("daily")
        assert (deployment.entrypoint, deployment.full_name) == ("flows.py:greet", "greet/daily")


class TestGraphs:
    def test_a_picture_is_refused_with_what_draws_one(self, greeting: CwlFlow) -> None:
        with pytest.raises(UsageError, match="cwl-prefect graph"):
            greeting.visualize()

    async def test_a_picture_is_refused_where_a_loop_runs_too(self, greeting: CwlFlow) -> None:
        with pytest.raises(UsageError, match="cwl-prefect graph"):
            await greeting.avisualize(message="hi")

    async def test_mermaid_is_drawn_without_running_anything(self, greeting: CwlFlow) -> None:
        assert (await greeting.generate_mermaid_graph()).startswith("flowchart")

    def test_mermaid_is_drawn_for_synchronous_code_too(self, greeting: CwlFlow) -> None:
        assert greeting.generate_mermaid_graph(message="hi").startswith("flowchart")


class TestParameters:
    def test_json_is_shown_as_it_is(self, flow):
        given = {"files": [{"class": "File", "size": 3}], "none": None, "share": 0.5, "really": True}
        assert flow.serialize_parameters(given) == given

    def test_what_is_nested_too_deeply_is_left_to_prefect(self, flow):
        deep: list[object] = []
        for _ in range(100_000):
            deep = [deep]
        assert flow.serialize_parameters({"deep": deep}) == {"deep": "<list>"}

    def test_what_is_no_json_is_left_to_prefect(self, flow):
        assert flow.serialize_parameters({"place": PurePosixPath("/in"), "kind": Kind.FAST}) == {
            "place": "/in",
            "kind": "fast",
        }
        assert type(flow.serialize_parameters({"kind": Kind.FAST})["kind"]) is str


class Kind(StrEnum):
    """A value as Prefect gives it where an input is one of several words."""

    FAST = "fast"
