"""Job variables of a deployment, judged before there is one."""

from types import SimpleNamespace
from typing import Any

import pytest

from cwl_prefect.backends.job_template.job_variables import packaged_template
from cwl_prefect.backends.template_checks import lost_results
from cwl_prefect.deployments.variables import demand_job_variables, demand_results
from cwl_prefect.errors import UsageError
from tests.plans import step, workflow

PLAN = workflow(step("align"))


class Pools:
    """A client that knows pools by their types."""

    def __init__(self, **types: str) -> None:
        self.types = types

    async def read_work_pool(self, name: str) -> SimpleNamespace:
        return pool(self.types[name], name)


def pool(pool_type: str, name: str = "p") -> SimpleNamespace:
    return SimpleNamespace(name=name, type=pool_type, base_job_template=packaged_template(pool_type))


async def demand(given: dict[str, Any], pool_type: str, **others: str) -> None:
    connection: Any = SimpleNamespace(client=Pools(**others))
    own: Any = pool(pool_type)
    await demand_job_variables(given, own, PLAN, connection)


@pytest.mark.parametrize(
    ("pool_type", "given", "said"),
    [
        pytest.param("docker", {"volume": []}, "volume is no job variable", id="name"),
        pytest.param("docker", {"cwl": {"volume": []}}, "deployment: cwl: volume is no", id="name-for-steps"),
        pytest.param("process", {"cwl": {"steps": ["align"]}}, "must be a mapping", id="shape"),
        pytest.param("process", {"cwl": {"steps": {"sort": {}}}}, "'sort' fits no step", id="pattern"),
    ],
)
async def test_what_no_run_could_use_is_refused(pool_type: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        await demand(given, pool_type)


@pytest.mark.parametrize(
    ("pool_type", "given"),
    [
        pytest.param("docker", {"cwl": {"steps": {"align": {"networks": ["a"]}}}}, id="of-the-pool"),
        pytest.param("process", {"cwl": {"steps": {"align": {"own": 1}}}}, id="of-whatever-the-worker-uses"),
        pytest.param("docker", {"cwl": {"own": 1}, "env": {"CWL_PREFECT_BACKEND": "kubernetes"}}, id="of-a-backend"),
    ],
)
async def test_only_what_some_run_could_use_is_accepted(pool_type: str, given: dict[str, Any]) -> None:
    await demand(given, pool_type)
    with pytest.raises(UsageError, match="unheard is no job variable"):
        await demand(given | {"unheard": 1}, pool_type)


@pytest.mark.parametrize("own", ["process", "docker"])
async def test_a_variable_of_the_pool_for_steps_is_accepted_where_the_environment_names_that_pool(own: str) -> None:
    of_steps: dict[str, Any] = {"namespace": "lab"}
    with pytest.raises(UsageError, match=f"namespace is no job variable of this {own} pool"):
        await demand(of_steps, own)
    named = {"env": {"CWL_PREFECT_STEPS_POOL": "other"}}
    await demand(of_steps | named, own, other="kubernetes")
    with pytest.raises(UsageError, match="spacename is no job variable"):
        await demand({"spacename": "lab"} | named, own, other="kubernetes")


async def test_steps_are_judged_by_the_pool_that_the_environment_names() -> None:
    def given(name: str) -> dict[str, Any]:
        return {"cwl": {name: ["a"]}, "env": {"CWL_PREFECT_STEPS_POOL": "other"}}

    await demand(given("networks"), "process", other="docker")
    with pytest.raises(UsageError, match="netwoks is no job variable of this docker pool"):
        await demand(given("netwoks"), "process", other="docker")


@pytest.mark.parametrize(
    ("outdir", "said"),
    [
        ("https://host/results", "web servers are only read from"),
        ("s3://key:secret@bucket/results", "it holds a password"),
        ("results", "which is relative"),
        ("/data/{run}", "{run} stands for nothing"),
        ("/results", "below no volume"),
    ],
)
def test_a_destination_that_nobody_would_find_is_refused(outdir: str, said: str) -> None:
    of: Any = pool("docker")
    with pytest.raises(UsageError, match=said):
        demand_results({"env": {"CWL_PREFECT_OUTDIR": outdir}}, of)


@pytest.mark.parametrize("pool_type", ["docker", "kubernetes", "process"])
@pytest.mark.parametrize(
    "env",
    [
        {},
        {"CWL_PREFECT_OUTDIR": "/var/lib/cwl-prefect/{deployment}/{run_name}"},
        {"CWL_PREFECT_OUTDIR": "s3://bucket/{run_id}"},
    ],
)
def test_a_destination_that_stays_is_accepted(pool_type: str, env: dict[str, str]) -> None:
    of: Any = pool(pool_type)
    demand_results({"env": env}, of)
    assert lost_results(pool_type, of.base_job_template, {"env": env}) is None
