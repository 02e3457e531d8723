"""What a deployment is made of, and what is refused before the server is asked."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from cwl_prefect.backends.job_template.job_variables import packaged_template
from cwl_prefect.cli.deploy.commands import DeployOptions, input_values, job_variables, read_options, schedule_interval
from cwl_prefect.deployments import connection, deployment
from cwl_prefect.deployments.deployment import DeploymentRequest
from cwl_prefect.deployments.earlier import Earlier, demand_same_pool
from cwl_prefect.deployments.schedules import demand_inputs, new_schedules
from cwl_prefect.deployments.variables import demand_image
from cwl_prefect.errors import InputError, UsageError
from cwl_prefect.model.plan import InputPort
from cwl_prefect.server.local_server import ApiEndpoint
from tests.plans import workflow

PLAN = workflow(
    digest="0123456789abcdef",
    name="greet",
    inputs=(InputPort(id="a-message", type="string"), InputPort(id="times", type="int", default=2)),
)


def pool(pool_type: str, **image: object) -> SimpleNamespace:
    template: dict = packaged_template(pool_type)
    if image:
        template["variables"]["properties"]["image"]["default"] = image["image"]
    return SimpleNamespace(name="p", type=pool_type, base_job_template=template)


def request(**more: object) -> DeploymentRequest:
    return DeploymentRequest(plan=PLAN, pool="p", **more)


def refusal(of: SimpleNamespace, **more: object) -> str:
    """Give why a work pool cannot take what is asked for; nothing where it can."""
    try:
        demand_image(deployment._job_variables(request(**more)), of)  # type: ignore[arg-type]
    except UsageError as error:
        return str(error)
    return ""


def test_parameters_are_named_as_the_flow_names_them() -> None:
    assert deployment._parameters(request(parameters={"a-message": "hi"})) == {"a_message": "hi"}


def test_a_parameter_that_is_no_input_is_refused() -> None:
    with pytest.raises(InputError, match="'nope'"):
        deployment._parameters(request(parameters={"nope": 1}))


@pytest.mark.parametrize(
    ("pool_type", "more", "message"),
    [
        pytest.param("docker", {}, "needs an image", id="docker-without"),
        pytest.param("kubernetes", {}, "needs an image", id="kubernetes-without"),
        pytest.param("process", {"image": "x"}, "leave out --image", id="process-with"),
    ],
)
def test_an_image_is_demanded_where_flow_runs_have_one(pool_type: str, more: dict, message: str) -> None:
    assert message in refusal(pool(pool_type), **more)


@pytest.mark.parametrize(
    ("found", "more"),
    [
        pytest.param(pool("docker"), {"image": "x"}, id="option"),
        pytest.param(pool("docker"), {"job_variables": {"image": "x"}}, id="job-variable"),
        pytest.param(pool("docker", image="x"), {}, id="pool"),
        pytest.param(pool("process"), {}, id="not-needed"),
    ],
)
def test_an_image_may_come_from_the_option_a_job_variable_or_the_pool(found: SimpleNamespace, more: dict) -> None:
    assert refusal(found, **more) == ""


def test_the_image_is_a_job_variable() -> None:
    assert deployment._job_variables(request(image="x", job_variables={"a": 1})) == {"a": 1, "image": "x"}


def test_schedules_are_crons_and_intervals_in_one_time_zone() -> None:
    made = new_schedules(["0 6 * * *", "0 18 * * *"], [timedelta(minutes=5)], "Europe/Berlin")
    assert [type(each.schedule).__name__ for each in made] == ["CronSchedule", "CronSchedule", "IntervalSchedule"]
    assert {each.schedule.timezone for each in made} == {"Europe/Berlin"}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("crons", "zone", "said"),
    [
        pytest.param(["0 6 * * *"], "Berlin", "did you mean Europe/Berlin", id="misspelt"),
        pytest.param(["0 6 * * *"], "../../etc/passwd", "no time zone", id="none"),
        pytest.param([], "Europe/Berlin", "nothing without a schedule", id="without-schedule"),
    ],
)
def test_a_time_zone_is_one_of_schedules(crons: list[str], zone: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        new_schedules(crons, [], zone)


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("61 * * * *", "'61' is no minute"),
        ("0 6 * mai *", "'mai' is no month"),
        ("0 6 * *", "it has 4 fields, not 5"),
        ("daily", "it has 1 field, not 5"),
    ],
)
def test_a_cron_text_that_is_none_is_refused_by_its_field(cron: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"(?s){said}.*0 6 "):
        new_schedules([cron], [], None)


def test_a_schedule_is_refused_whose_runs_would_lack_an_input() -> None:
    schedules = new_schedules(["0 6 * * *"], [], None)
    with pytest.raises(InputError, match=r"(?s)no value for a-message\..*--param"):
        demand_inputs(schedules, PLAN, {"times": 1})
    demand_inputs(schedules, PLAN, {"a_message": "hi"})
    demand_inputs([], PLAN, {})


def test_a_kept_schedule_may_give_inputs_itself_and_none_that_is_no_input_any_more() -> None:
    def kept(active: bool, **parameters: object) -> list:
        (schedule,) = new_schedules(["0 6 * * *"], [], None)
        was = schedule.model_copy(update={"active": active, "parameters": parameters})
        return list(Earlier.of(existing(schedules=[was]), {}, pool="p", known=()).schedules)

    demand_inputs(kept(True, a_message="hi"), PLAN, {})
    demand_inputs(kept(False), PLAN, {})
    with pytest.raises(InputError, match="gives nope, which is no input any more"):
        demand_inputs(kept(True, a_message="hi", nope=1), PLAN, {})


def existing(**more: Any) -> Any:
    """Return a deployment as the server has it."""
    fields = {"parameters": {}, "parameter_openapi_schema": None, "job_variables": {}, "tags": [], "schedules": []}
    limits = {"global_concurrency_limit": None, "concurrency_options": None}
    return SimpleNamespace(**fields | limits | {"work_pool_name": "p", "work_queue_name": "default"} | more)


def test_a_value_stays_where_its_input_is_as_it_was() -> None:
    had = {"properties": {"same": {"type": "string"}, "other": {"type": "string"}, "gone": {"type": "string"}}}
    before = existing(parameters={"same": "a", "other": "b", "gone": "c"}, parameter_openapi_schema=had)
    found = Earlier.of(before, {"same": {"type": "string"}, "other": {"type": "integer"}}, pool="p", known=())
    assert (found.parameters, found.dropped) == ({"same": "a"}, ("gone", "other"))


def test_all_values_stay_where_the_workflow_is_the_same_though_its_form_is_described_otherwise() -> None:
    before = existing(parameters={"same": "a"}, parameter_openapi_schema={"properties": {"same": {"type": "string"}}})
    found = Earlier.of(before, {"same": {"anyOf": []}}, pool="p", known=(), same=True)
    assert (found.parameters, found.dropped) == ({"same": "a"}, ())


def test_in_another_pool_a_deployment_keeps_the_job_variables_that_the_pool_has_and_no_queue() -> None:
    before = existing(job_variables={"env": {}, "volumes": []}, work_queue_name="urgent")
    found = Earlier.of(before, {}, pool="other", known={"env"})
    assert (found.job_variables, found.queue) == ({"env": {}}, None)
    assert Earlier.of(before, {}, pool="p", known=()).queue == "urgent"


@pytest.mark.parametrize("pool", ["other", None], ids=["deployed", "served"])
def test_a_deployment_is_taken_away_from_a_pool_only_where_that_is_meant(pool: str | None) -> None:
    with pytest.raises(UsageError, match="already, in the work pool p"):
        demand_same_pool(existing(), "a/b", pool, move=False)
    demand_same_pool(existing(), "a/b", pool, move=True)
    demand_same_pool(existing(work_pool_name=None), "a/b", pool, move=False)


def test_a_priority_needs_a_queue() -> None:
    with pytest.raises(UsageError, match="--queue"):
        asyncio.run(deployment._demand_runnable(request(priority=1), SimpleNamespace()))  # type: ignore[arg-type]


def test_a_collision_strategy_needs_a_limit_given_here_or_earlier() -> None:
    wanted = request(collision_strategy="CANCEL_NEW")
    with pytest.raises(UsageError, match="--concurrency-limit"):
        deployment._concurrency(wanted, Earlier())
    assert deployment._concurrency(wanted, Earlier(concurrency_limit=3))["concurrency_limit"] == 3


def test_values_are_read_by_the_types_of_the_inputs() -> None:
    assert input_values(PLAN, ["a-message=7", "times=7"]) == {"a-message": "7", "times": 7}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zz=1", "(?s)no input 'zz'.*its inputs are: a-message, times"),
        ("times=x", "--param times: 'x' is not an int"),
        ("times", "'times' is no pair"),
    ],
)
def test_a_value_that_fits_no_input_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        input_values(PLAN, [text])


def test_job_variables_are_json_where_they_can_be() -> None:
    assert job_variables(['networks=["a"]', "image=x:1"]) == {"networks": ["a"], "image": "x:1"}
    with pytest.raises(UsageError, match="no pair"):
        job_variables(["networks"])


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("15m", 900), ("1.5h", 5400), ("1d", 86400)])
def test_an_interval_has_a_unit(text: str, seconds: float) -> None:
    assert schedule_interval(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no time"),
        ("soon", "no time"),
        ("5y", "no time"),
        ("0", "between"),
        ("0.1", "between"),
        ("9999999999d", "between"),
    ],
)
def test_an_interval_of_no_time_or_that_no_schedule_can_wait_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        schedule_interval(text)


@pytest.mark.parametrize("tags", [[""], ["a", "two\nlines"]])
def test_a_tag_that_nobody_could_find_is_refused(tags: list[str]) -> None:
    with pytest.raises(UsageError, match=r"--tag: .* is no name"):
        read_options(DeployOptions(document="not-read.cwl", name="cwl", tag=tags))


def test_the_command_that_starts_a_worker_names_the_pool_in_a_shell_s_words() -> None:
    endpoint = ApiEndpoint(url="http://x/api", ui_url=None, started=False, ours=True)
    nobody: Any = None
    command = connection.Connection(client=nobody, endpoint=endpoint).worker_command("a pool")
    assert command == "eval \"$(cwl-prefect server env)\"; prefect worker start --pool 'a pool'"


@pytest.mark.parametrize("name", ["x/y", "100%", ""])
async def test_a_name_that_prefect_forbids_is_refused_before_the_server_is_asked(name: str) -> None:
    nobody = SimpleNamespace()
    with pytest.raises(UsageError, match="name of a deployment"):
        await deployment.register(request(name=name), nobody)  # type: ignore[arg-type]


async def test_the_name_of_a_queue_that_prefect_forbids_is_refused() -> None:
    with pytest.raises(UsageError, match="name of a work queue"):
        await deployment.register(request(queue="a/b"), SimpleNamespace())  # type: ignore[arg-type]
