"""The workflow of a deployment: packed, unpacked, built into a flow; inputs by reference."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.utilities.schema_tools.validation import validate as validate_by_schema

from cwl_prefect.errors import DocumentError, InputError, PublishError
from cwl_prefect.flows import entrypoint
from cwl_prefect.flows.build import build_flow
from cwl_prefect.flows.deployment.pull_step import format_of, pack, unpack, unpacked
from cwl_prefect.flows.deployment.reference import Deployed, referred_order
from cwl_prefect.flows.parameters import openapi_schema
from cwl_prefect.model.plan import InputPort, NamedFile, WorkflowPlan
from cwl_prefect.model.plan_formats import PLAN_FORMAT
from cwl_prefect.settings import Settings
from tests.plans import workflow

PLAN = workflow(
    digest="0123456789abcdef",
    name="greet",
    inputs=(InputPort(id="message", type="string"), InputPort(id="times", type="int", default=2)),
)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CWL_PREFECT_HOME", str(tmp_path / "home"))


def deployed_to(directory: str) -> WorkflowPlan:
    """The plan, whose tree is the directory that it was unpacked into."""
    return replace(PLAN, origin=f"{directory}/deployment.json")


def test_a_plan_comes_back_from_the_directory_that_the_flow_starts_in() -> None:
    directory = unpack(pack(PLAN))["directory"]
    assert unpacked(Path(directory)) == Deployed(plan=deployed_to(directory))
    assert unpack(pack(PLAN))["directory"] == directory


def test_the_tree_of_a_deployed_plan_is_its_directory_and_what_it_included_came_with_it() -> None:
    named = NamedFile(location="file:///data/x", place="/wf.cwl:3:5")
    plan = replace(
        PLAN,
        origin="/etc/wf.cwl",
        named_files=(named, NamedFile(location="file:///lib.js", place="/wf.cwl:2", included=True)),
    )
    directory = unpack(pack(plan))["directory"]
    assert unpacked(Path(directory)).plan == replace(plan, origin=f"{directory}/deployment.json", named_files=(named,))


def test_a_document_of_the_web_stays_one() -> None:
    plan = replace(PLAN, origin="https://example.org/wf.cwl")
    assert unpacked(Path(unpack(pack(plan))["directory"])).plan.origin == plan.origin


def test_equal_plans_are_packed_alike_and_hold_nothing_that_is_templated() -> None:
    assert pack(PLAN) == pack(replace(PLAN))
    assert "{" not in pack(PLAN)


@pytest.mark.parametrize("text", ["no base64!", "aGVsbG8=", ""])
def test_what_is_no_plan_is_told_to_be_deployed_again(text: str) -> None:
    directory = Path(unpack(text)["directory"])
    assert format_of(text) is None
    with pytest.raises(DocumentError, match="deploy it again"):
        unpacked(directory)


def test_a_plan_of_a_later_version_names_its_format_and_what_to_install() -> None:
    later = pack(replace(PLAN, format=PLAN_FORMAT + 1))
    assert format_of(later) == PLAN_FORMAT + 1
    with pytest.raises(DocumentError, match=rf"(?s)has format {PLAN_FORMAT + 1}.*install there the version"):
        unpacked(Path(unpack(later)["directory"]))


async def test_a_workflow_that_cannot_be_read_is_a_flow_that_says_so_with_any_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(unpack("no plan")["directory"])
    monkeypatch.setattr(
        "cwl_prefect.flows.deployment.failing_flow.flow_run", SimpleNamespace(parameters={"message": 1})
    )
    flow = entrypoint.flow
    assert set(inspect.signature(flow.fn).parameters) == {"message"}
    with pytest.raises(DocumentError, match="deploy it again"):
        flow.fn(message=1)


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(PublishError, match="CWL_PREFECT_HOME"):
        unpack(pack(PLAN))


def test_the_entry_point_gives_the_flow_of_the_working_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(unpack(pack(PLAN))["directory"])
    assert entrypoint.flow.name == "greet"
    assert entrypoint.flow.version == "0123456789ab"
    with pytest.raises(AttributeError):
        _ = entrypoint.other


def test_the_entry_point_elsewhere_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DocumentError, match="pull step"):
        entrypoint.flow.fn()


def test_what_a_job_order_gives_may_be_left_out_of_the_form(tmp_path: Path) -> None:
    order = tmp_path / "order.yml"
    order.write_text("message: hello\ntimes: 7\n")
    directory = unpack(pack(PLAN), str(order))["directory"]
    deployed = unpacked(Path(directory))
    assert deployed.given == {"message": "hello", "times": 7}
    schema = openapi_schema(deployed.form)
    assert schema["required"] == []
    assert all("default" not in shape for shape in schema["properties"].values())
    assert deployed.plan == deployed_to(directory)


def test_a_job_order_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="/nowhere"):
        Deployed.read(PLAN, "/nowhere/order.yml")


@pytest.mark.parametrize("name", ["/nowhere/order.yml", "file:///nowhere/order.yml"])
def test_a_job_order_that_only_workers_have_may_give_every_input(name: str) -> None:
    deployed = Deployed.foreseen(PLAN, name)
    assert deployed.unseen
    schema = openapi_schema(deployed.form)
    assert schema["required"] == []
    assert all("default" not in shape for shape in schema["properties"].values())


def test_a_job_order_that_is_here_is_read_before_workers_do(tmp_path: Path) -> None:
    order = tmp_path / "order.yml"
    order.write_text("message: hello\n")
    assert Deployed.foreseen(PLAN, str(order)) == Deployed.read(PLAN, str(order))
    order.write_text("- no mapping\n")
    with pytest.raises(InputError):
        Deployed.foreseen(PLAN, str(order))


class TestRunsThatNameTheirJobOrder:
    @pytest.fixture
    def deployed(self) -> Deployed:
        """The workflow, deployed so that each run may name its job order."""
        return unpacked(Path(unpack(pack(PLAN), "$ref")["directory"]))

    def test_a_form_takes_its_place_and_requires_nothing(self, deployed: Deployed) -> None:
        assert Deployed.foreseen(PLAN, "$ref").schema == deployed.schema
        shown = deployed.schema["properties"]["$ref"]
        assert (shown["title"], shown["type"], shown["position"]) == ("Job order", "string", len(PLAN.inputs))
        assert validate_by_schema({"$ref": "s3://bucket/job.yml", "times": 3}, deployed.schema) == []
        assert validate_by_schema({"$ref": 3}, deployed.schema)
        assert validate_by_schema({"ref": "s3://bucket/job.yml"}, deployed.schema)

    def test_other_forms_know_none(self) -> None:
        schema = Deployed.read(PLAN, None).schema
        assert "$ref" not in schema["properties"]
        assert schema["required"] == ["message"]

    def test_what_is_filled_in_goes_over_it(self, deployed: Deployed) -> None:
        assert deployed.order({"times": 2}, {"message": "hello", "times": 7}) == {"message": "hello", "times": 2}

    def test_prefect_takes_it_for_no_block_and_nothing_for_missing(self, deployed: Deployed) -> None:
        flow = build_flow(deployed.plan, Settings(), deployed=deployed)
        assert inspect.signature(flow.fn).bind(**{"$ref": "s3://bucket/job.yml", "times": 3})
        assert flow.validate_parameters({"$ref": None, "times": 3}) == {"message": None, "times": 3}
        assert flow.validate_parameters({"$ref": "s3://bucket/job.yml", "times": 3}) == {"times": 3}

    def test_it_is_read_where_the_run_is(self, deployed: Deployed, tmp_path: Path) -> None:
        (tmp_path / "job.yml").write_text("message: hello")
        with flow_run(tmp_path / "job.yml", deployment=True):
            assert referred_order(deployed.plan, Settings()) == {"message": "hello"}

    def test_it_cannot_change_requirements(self, deployed: Deployed, tmp_path: Path) -> None:
        (tmp_path / "job.yml").write_text("cwl:requirements: [{class: NetworkAccess, networkAccess: true}]")
        with (
            flow_run(tmp_path / "job.yml", deployment=True),
            pytest.raises(InputError, match="cannot change the requirements"),
        ):
            referred_order(deployed.plan, Settings())

    @pytest.mark.parametrize("place", ["{}/job.yml", "s3://bucket/job.yml"])
    def test_whoever_starts_a_run_that_trusts_nobody_names_none(
        self, deployed: Deployed, tmp_path: Path, place: str
    ) -> None:
        (tmp_path / "job.yml").write_text("message: hello")
        with (
            flow_run(place.format(tmp_path), deployment=True),
            pytest.raises(InputError, match=r"lies outside|your credentials"),
        ):
            referred_order(deployed.plan, Settings(untrusted=True))

    def test_whoever_calls_a_flow_that_trusts_no_document_names_one(self, deployed: Deployed, tmp_path: Path) -> None:
        (tmp_path / "job.yml").write_text("message: hello")
        with flow_run(tmp_path / "job.yml", deployment=False):
            assert referred_order(deployed.plan, Settings(untrusted=True)) == {"message": "hello"}

    def test_no_file_of_the_system_is_read(self, deployed: Deployed) -> None:
        with flow_run("/proc/self/environ", deployment=True), pytest.raises(InputError, match="environ"):
            referred_order(deployed.plan, Settings())


@contextmanager
def flow_run(place: object, *, deployment: bool) -> Iterator[None]:
    """Stand for a flow run whose parameters refer to a job order."""
    found = FlowRun(
        id=uuid4(), flow_id=uuid4(), deployment_id=uuid4() if deployment else None, parameters={"$ref": str(place)}
    )
    with FlowRunContext.model_construct(flow_run=found, flow=None, client=None, parameters={}):
        yield
