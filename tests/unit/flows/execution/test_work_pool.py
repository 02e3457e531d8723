"""Which template and job variables steps use, and what comes of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cwl_prefect.backends.docker.backend import DockerBackend
from cwl_prefect.backends.fake import FakeBackend
from cwl_prefect.backends.job_template.job_variables import Layer, Origin, packaged_template
from cwl_prefect.cwl.loading.compile import compile_process
from cwl_prefect.cwl.loading.load import load_process
from cwl_prefect.errors import UsageError
from cwl_prefect.flows.execution.backends import Backends, _docker
from cwl_prefect.flows.execution.run import RunRequest
from cwl_prefect.flows.execution.work_pool import (
    StepsPool,
    demanded,
    job_variables,
    on_kubernetes,
    steps_pool,
    with_overrides,
)
from cwl_prefect.flows.lifecycle.opening import open_run
from cwl_prefect.model.plan import ToolPlan, WorkflowPlan
from cwl_prefect.settings import BackendName, Settings

TEMPLATE = packaged_template("docker")


def pool(pool_type: str, **variables: Any) -> StepsPool:
    layers = (Layer(origin=Origin.RUN, variables=variables or {"networks": ["a"]}),)
    return StepsPool(name="p", type=pool_type, base_job_template=TEMPLATE, layers=layers)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> WorkflowPlan:
    tool = tmp_path_factory.mktemp("document") / "tool.cwl"
    tool.write_text("{cwlVersion: v1.2, class: CommandLineTool, baseCommand: 'true', inputs: [], outputs: []}")
    return compile_process(load_process(str(tool)), origin=str(tool))


def cautious_pool(**env: str) -> StepsPool:
    template = {"job_configuration": {}, "variables": {"properties": {"env": {"default": env}}}}
    taken_back = (Layer(origin=Origin.DEPLOYMENT, variables={"env": dict.fromkeys(env, "false")}),)
    return StepsPool(name="p", type="process", base_job_template=template, layers=taken_back)


@pytest.mark.parametrize(
    ("origin", "found", "caution"),
    [
        pytest.param("/wf.cwl", None, (False, False), id="own-document"),
        pytest.param("https://example.org/wf.cwl", None, (True, True), id="document-of-the-web"),
        pytest.param("/wf.cwl", cautious_pool(CWL_PREFECT_UNTRUSTED="true"), (True, True), id="pool-trusts-nobody"),
        pytest.param("/wf.cwl", cautious_pool(CWL_PREFECT_UNTRUSTED="false"), (False, False), id="pool-says-no"),
        pytest.param("/wf.cwl", cautious_pool(CWL_PREFECT_REQUIRE_CONTAINERS="1"), (False, True), id="pool-contains"),
    ],
)
def test_a_document_s_origin_and_a_pool_s_template_ask_for_caution_that_nobody_takes_back(
    plan: WorkflowPlan, origin: str, found: StepsPool | None, caution: tuple[bool, bool]
) -> None:
    settings = demanded(Settings(), replace(plan, origin=origin), found)
    assert (settings.untrusted, settings.require_containers) == caution


async def test_outside_of_a_flow_run_there_is_none() -> None:
    assert await steps_pool(Settings(steps_pool="p")) is None


def test_a_docker_pool_gives_its_template_and_variables() -> None:
    backend = _docker(Settings(), pool("docker"), None)
    assert isinstance(backend, DockerBackend)
    found = backend._variables.for_step("align")
    assert (backend._variables.template, found.values) == (TEMPLATE, {"networks": ["a"]})


@pytest.mark.parametrize("found", [None, pool("process")], ids=["none", "process"])
def test_elsewhere_containers_have_the_packaged_template_without_its_volumes(found: StepsPool | None) -> None:
    variables = job_variables(Settings(), found)
    assert variables.template == TEMPLATE
    assert variables.for_step("align").values == {"volumes": []}


def test_on_a_process_pool_variables_for_steps_hold() -> None:
    found = job_variables(Settings(), pool("process", cwl={"networks": ["data"]}, working_dir="/x"))
    assert found.for_step("align").values == {"volumes": [], "networks": ["data"]}


def test_settings_override_single_steps_and_are_strongest(plan: WorkflowPlan) -> None:
    name = plan.steps[0].id
    settings = Settings(step_overrides={name: {"image": "mine:1", "networks": ["b"]}})
    found = job_variables(settings, pool("docker", cwl={"steps": {name: {"image": "theirs", "networks": ["c"]}}}))
    assert found.for_step(name).values == {"networks": ["b"]}

    step = with_overrides(plan, found, None, settings).steps[0]

    assert isinstance(step.run, ToolPlan)
    assert step.run.image == "mine:1"


def test_without_overrides_the_plan_is_the_same(plan: WorkflowPlan) -> None:
    assert with_overrides(plan, job_variables(Settings(), pool("docker")), pool("docker"), Settings()) is plan


def test_an_override_that_fits_no_step_is_refused(plan: WorkflowPlan) -> None:
    settings = Settings(step_overrides={"*.align": {}})
    found = job_variables(settings, None)
    with pytest.raises(UsageError, match=r"setting step_overrides: the step override '\*\.align' fits no step"):
        with_overrides(plan, found, None, settings)


@pytest.mark.parametrize(
    ("backend", "pool_type", "jobs"),
    [
        ("auto", "kubernetes", True),
        ("auto", "docker", False),
        ("auto", None, False),
        ("kubernetes", None, True),
        ("kubernetes", "docker", True),
        ("docker", "kubernetes", False),
        ("local", "kubernetes", False),
    ],
)
def test_steps_run_as_jobs_where_that_is_wanted(backend: str, pool_type: str | None, jobs: bool) -> None:
    found = None if pool_type is None else pool(pool_type)
    assert on_kubernetes(Settings(backend=BackendName(backend)), found) is jobs


def test_without_a_pool_jobs_have_the_packaged_template_with_what_the_settings_say() -> None:
    settings = Settings(
        backend=BackendName.KUBERNETES, kubernetes_namespace="lab", kubernetes_volume="pvc:data", step_overrides={}
    )
    found = job_variables(settings, None)
    assert found.for_step("align").values == {"namespace": "lab"}
    pod = found.template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    assert "volumes" not in pod


def test_without_a_stated_volume_jobs_have_that_of_the_packaged_template() -> None:
    found = job_variables(Settings(backend=BackendName.KUBERNETES), None)
    assert found.template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]["volumes"]


async def test_a_run_drives_the_plan_with_overrides(plan: WorkflowPlan, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, step_overrides={"*": {"resources": {"ram": "2G"}}})
    request = RunRequest(job_order={}, settings=settings, backends=Backends.of(FakeBackend(), settings))
    async with open_run(plan, request, "run") as run:
        tool = run.plan.steps[0].run
    assert isinstance(tool, ToolPlan)
    assert tool.requirements[-1] == {"class": "ResourceRequirement", "ramMin": 2048.0}
