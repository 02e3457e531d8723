"""Deployments that are on a server: what is told of them, and which are renewed."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from cwl_prefect import __version__
from cwl_prefect.deployments.schedules import new_schedules
from cwl_prefect.deployments.stored import StoredDeployment, renewed, stored_deployments
from cwl_prefect.errors import DocumentError, UsageError
from cwl_prefect.flows.deployment.pull_step import PULL_STEP
from cwl_prefect.flows.deployment.storage import WorkflowStorage
from cwl_prefect.flows.prefect_names import ENTRYPOINT
from tests.plans import workflow

PLAN = workflow(digest="0123456789abcdef", name="greet")
PULLED = WorkflowStorage(plan=PLAN).to_pull_step()[PULL_STEP]
NOBODY: Any = SimpleNamespace()


def deployment(name: str = "cwl", **more: object) -> Any:
    steps = [{PULL_STEP: PULLED}]
    fields = {"name": name, "entrypoint": ENTRYPOINT, "pull_steps": steps, "flow_id": 1, "work_pool_name": "p"}
    return SimpleNamespace(**fields | {"schedules": [], "job_variables": {}} | more)


def stored(**more: Any) -> StoredDeployment:
    pulled = more.pop("pulled", PULLED)
    return StoredDeployment(flow=more.pop("flow", "greet"), found=deployment(**more), pulled=pulled)


class Server:
    """Has deployments, in pages of three."""

    def __init__(self, *deployments: Any) -> None:
        self.client = self
        self.deployments = deployments

    async def read_deployments(self, *, limit: int, offset: int, sort: object) -> list[Any]:
        return list(self.deployments[offset : offset + 3])

    async def read_flow(self, flow_id: object) -> Any:
        return SimpleNamespace(name=f"flow-{flow_id}")


async def test_all_deployments_of_workflows_are_found_and_no_others() -> None:
    others = [deployment("a", entrypoint="flows.py:main"), deployment("b", pull_steps=None)]
    foreign = deployment("c", pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": "/"}}])
    server: Any = Server(deployment("one"), *others, foreign, deployment("two", flow_id=2))
    assert [each.full_name async for each in stored_deployments(server)] == ["flow-1/one", "flow-2/two"]


def test_what_this_version_wrote_is_current_and_what_another_wrote_is_not() -> None:
    assert stored().is_current
    assert stored().release == __version__
    assert not stored(pulled={**PULLED, "release": "0.0.1"}).is_current
    assert not stored(pulled={"plan": PULLED["plan"]}).is_current
    assert stored(pulled={"plan": "no plan"}).plan_format is None


@pytest.mark.parametrize(
    ("variables", "outdir"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"env": {"CWL_PREFECT_OUTDIR": "/data"}}, "/data", id="environment"),
        pytest.param({"env.CWL_PREFECT_OUTDIR": "/data"}, "/data", id="by-a-dot"),
        pytest.param({"env": "{{ template }}"}, None, id="template"),
    ],
)
def test_the_directory_of_results_is_told(variables: dict[str, object], outdir: str | None) -> None:
    assert stored(job_variables=variables).outdir == outdir


def test_schedules_are_told_as_the_options_say_them() -> None:
    made = new_schedules(["0 6 * * *"], [timedelta(hours=6)], "Europe/Berlin")
    off = new_schedules(["1 1 * * *"], [], None)[0].model_copy(update={"active": False})
    assert stored(schedules=[*made, off]).schedules == ("0 6 * * * Europe/Berlin", "every 6:00:00 Europe/Berlin")


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        pytest.param({"work_pool_name": None}, UsageError, "is served", id="served"),
        pytest.param({"flow": "renamed"}, UsageError, "let that program deploy it again", id="renamed"),
        pytest.param({"pulled": {"plan": "no plan"}}, DocumentError, "deploy it again", id="unreadable"),
    ],
)
async def test_what_cannot_be_renewed_says_what_to_do(more: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        await renewed(stored(**more), NOBODY)
