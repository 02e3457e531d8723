import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from cwl_prefect.engine.records import manifest
from cwl_prefect.engine.records.manifest import RunManifest
from cwl_prefect.engine.staging.workspace import run_directory
from cwl_prefect.errors import InputError
from cwl_prefect.flows.driver_lock import claim
from cwl_prefect.runs import listing
from cwl_prefect.runs.listing import PAGE, Filter
from cwl_prefect.runs.records import RunRecord, StateRecord
from cwl_prefect.settings import Settings

NOW = datetime.now(UTC)


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(home=tmp_path)


def record(name: str = "brave-otter", state: str = "COMPLETED", **more) -> RunRecord:
    return RunRecord(id=uuid4(), name=name, state=StateRecord(type=state, name=state.title()), **more)


class Api:
    """Stands in for an API that knows some runs, the latest first."""

    def __init__(self, *runs: RunRecord) -> None:
        self.runs = runs
        self.asked = []

    async def __call__(self, question):
        json.dumps(question, ensure_ascii=False).encode()  # as Prefect's client sends it
        self.asked.append(question)
        wanted = question["flow_runs"]
        ids, names = (wanted.get(key, {}).get("any_") for key in ("id", "name"))
        found = [one for one in self.runs if ids is None or str(one.id) in ids]
        found = [one for one in found if names is None or one.name in names]
        return found[question["offset"] :][: question["limit"]]


async def names(api, settings, wanted=None, limit=20) -> list[str]:
    return [line.flow_run.name for line in await listing.lines(api, settings, wanted or Filter(), limit)]


@pytest.mark.parametrize("tags", [(), ("night",)], ids=repr)
async def test_the_server_is_asked_for_our_outermost_runs_alone(settings, tags):
    api = Api()
    await names(api, settings, Filter(tags=tags))
    assert api.asked[0]["flow_runs"] == {
        "parent_task_run_id": {"is_null_": True},
        "tags": {"all_": ["cwl-prefect", *tags]},
    }


@pytest.mark.parametrize(
    ("scheduled", "state", "order"),
    [
        (True, {"name": {"any_": ["Scheduled"]}}, "EXPECTED_START_TIME_ASC"),
        (False, {"name": {"not_any_": ["Scheduled"]}}, "EXPECTED_START_TIME_DESC"),
        (None, None, "EXPECTED_START_TIME_DESC"),
    ],
)
async def test_runs_that_wait_for_their_time_are_kept_apart(settings, scheduled, state, order):
    api = Api()
    await names(api, settings, Filter(scheduled=scheduled))
    assert (api.asked[0]["flow_runs"].get("state"), api.asked[0]["sort"]) == (state, order)
    assert api.asked[0]["limit"] == 20


async def test_workflows_are_named_by_one_question(settings):
    flow = UUID(int=3)
    asked = []

    async def post(path, content, **ids):
        asked.append((path, content))
        return json.dumps([{"id": str(flow), "name": "align", "tags": []}]).encode()

    api = Api(record(flow_id=flow), record(flow_id=flow), record())
    found = await listing.with_workflows(post, await listing.lines(api, settings, Filter(), 20))
    assert [line.workflow for line in found] == ["align", "align", None]
    assert asked == [("/flows/filter", {"flows": {"id": {"any_": [str(flow)]}}})]


def test_how_long_a_killed_run_took_is_not_known(settings):
    began = NOW - timedelta(hours=1)
    goes_on = record(state="RUNNING", start_time=began)
    lasting = listing.Line(flow_run=goes_on, directory=settings.home, local=None, state="Running")
    assert lasting.took is not None
    assert lasting.took >= timedelta(hours=1)
    assert replace(lasting, state="Killed").took is None


@pytest.mark.parametrize(
    ("pattern", "part"),
    [(None, None), ("*", None), ("brave-otter", "brave-otter"), ("br*-otter?", "-otter"), ("[abc]*-x", "-x")],
)
async def test_the_server_is_asked_for_the_longest_part_of_a_pattern(settings, pattern, part):
    api = Api()
    await names(api, settings, Filter(name=pattern))
    assert api.asked[0]["flow_runs"].get("name") == (None if part is None else {"like_": part})


@pytest.mark.parametrize(
    ("wanted", "key"),
    [(Filter(newer_than=timedelta(hours=1)), "after_"), (Filter(older_than=timedelta(hours=1)), "before_")],
    ids=["newer", "older"],
)
async def test_the_server_is_asked_for_runs_of_that_age(settings, wanted, key):
    api = Api()
    await names(api, settings, wanted)
    ((asked_key, moment),) = api.asked[0]["flow_runs"]["start_time"].items()
    assert asked_key == key
    assert abs(datetime.now(UTC) - datetime.fromisoformat(moment) - timedelta(hours=1)) < timedelta(minutes=1)


async def test_an_age_from_before_the_calendar_is_an_age(settings):
    api = Api(record("young", start_time=NOW))
    assert await names(api, settings, Filter(newer_than=timedelta(weeks=10**6))) == ["young"]
    assert await names(api, settings, Filter(older_than=timedelta(weeks=10**6))) == []


async def test_no_more_is_asked_for_than_is_shown(settings):
    api = Api(*(record(f"run-{number}") for number in range(30)))
    assert await names(api, settings) == [f"run-{number}" for number in range(20)]
    assert [(one["limit"], one["offset"]) for one in api.asked] == [(20, 0)]


async def test_a_filter_is_followed_through_all_pages(settings):
    api = Api(*(record(f"run-{number}") for number in range(2 * PAGE + 1)))
    assert await names(api, settings, Filter(name="run-*99")) == ["run-99", "run-199", "run-299", "run-399"]
    assert [one["offset"] for one in api.asked] == [0, PAGE, 2 * PAGE]


async def test_age_counts_from_when_a_run_began_or_was_to_begin(settings):
    young, old = NOW - timedelta(minutes=5), NOW - timedelta(hours=5)
    api = Api(record("young", start_time=young, expected_start_time=old), record("old", expected_start_time=old))
    assert await names(api, settings, Filter(newer_than=timedelta(hours=1))) == ["young"]
    assert await names(api, settings, Filter(older_than=timedelta(hours=1))) == ["old"]


@pytest.mark.parametrize("state", ["RUNNING", "CANCELLING"])
async def test_what_seems_to_run_on_this_machine_and_is_not_driven_was_killed(settings, state):
    run = record(state=state)

    async def shown():
        (line,) = await listing.lines(Api(run), settings, Filter(), 20)
        return line.state

    assert await shown() == state.title()
    run_directory(settings.runs, str(run.id)).mkdir(parents=True)
    assert await shown() == "Killed"
    with claim(settings.runs, str(run.id)):
        assert await shown() == state.title()


async def test_a_run_is_found_by_id_name_and_beginning_of_the_id(settings):
    one, other = record("one"), record("other")
    api = Api(one, other)
    for text in (str(one.id), str(one.id).upper(), "one", str(one.id)[:8]):
        assert (await listing.find(api, text, settings)).flow_run == one
    for text in ("nobody", str(uuid4()), str(one.id)[:3], "\udcff"):
        with pytest.raises(InputError, match="knows no run"):
            await listing.find(api, text, settings)


async def test_the_last_run_to_look_at_is_the_latest_that_began(settings):
    api = Api(record("one"), record("last"))
    assert (await listing.find(api, "last", settings)).flow_run.name == "one"
    assert api.asked[-1]["flow_runs"]["state"] == {"name": {"not_any_": ["Scheduled"]}}
    with pytest.raises(InputError, match="knows no run last"):
        await listing.find(Api(), "last", settings)


async def test_what_may_be_several_runs_is_shown_with_id_state_and_beginning(settings):
    runs = [record("same", start_time=NOW), record("same", "FAILED", start_time=NOW - timedelta(hours=1))]
    with pytest.raises(InputError) as caught:
        await listing.find(Api(*reversed(runs)), "same", settings)
    shown = caught.value.message.splitlines()[1:]
    times = [f"{one.start_time.astimezone():%Y-%m-%d %H:%M:%S}" for one in runs]
    assert [line.split(maxsplit=2) for line in shown] == [
        [str(one.id), state, time] for one, state, time in zip(runs, ("Completed", "Failed"), times, strict=True)
    ]


async def test_of_very_many_runs_the_latest_are_shown(settings):
    runs = [record("same") for _ in range(12)]
    with pytest.raises(InputError, match=r"any of 12 runs(.|\n)*and 2 more"):
        await listing.find(Api(*runs), "same", settings)


def telling(*payloads):
    """Stand in for an API that has these events of a run."""

    async def post(path, content, **ids):
        assert (path, content["limit"]) == ("/events/filter", 1)
        return json.dumps({"events": [{"payload": payload} for payload in payloads], "total": len(payloads)}).encode()

    return post


TOLD = {"outdir": "/data", "outputs_file": "/data/cwl-prefect-outputs.json", "who": "ada@login1", "more": 1}


async def test_outputs_are_what_the_api_was_told_last(settings):
    (line,) = await listing.lines(Api(record()), settings, Filter(), 20)
    assert await listing.outputs(telling({**TOLD, "outputs": {"n": 3}}), line) == {"n": 3}


@pytest.mark.parametrize(
    ("state", "payloads", "problem"),
    [
        ("COMPLETED", [{**TOLD, "outputs": None}], "too large.*/data/cwl-prefect-outputs.json where ada@login1 ran it"),
        ("COMPLETED", [], "are not known"),
        ("COMPLETED", [{"unknown": 1}], "are not known"),
        ("FAILED", [], "has no outputs: it is Failed"),
    ],
    ids=["too-large", "forgotten", "of-another-version", "failed"],
)
async def test_why_there_are_no_outputs_is_told(settings, state, payloads, problem):
    (line,) = await listing.lines(Api(record(state=state)), settings, Filter(), 20)
    with pytest.raises(InputError, match=problem):
        await listing.outputs(telling(*payloads), line)


async def test_details_are_what_the_api_and_the_manifest_say(settings):
    began = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    run = RunRecord(
        id=UUID(int=1),
        name="brave-otter",
        tags=("cwl-prefect", "night"),
        state=StateRecord(type="FAILED", name="Failed", message="why"),
        start_time=began,
        end_time=began + timedelta(seconds=90),
        run_count=2,
    )
    (line,) = await listing.lines(Api(run), settings, Filter(), 20)
    known = {
        "id": str(run.id),
        "name": "brave-otter",
        "workflow": None,
        "state": "Failed",
        "message": "why",
        "tags": ["night"],
        "began": "2026-01-02T03:04:05.000006+00:00",
        "ended": "2026-01-02T03:05:35.000006+00:00",
        "took_s": 90.0,
        "drivers": 2,
    }
    assert listing.details(line) == known
    directory = run_directory(settings.runs, str(run.id))
    directory.mkdir(parents=True)
    given = {"step_overrides": {"align": {"env": {"LAB_TOKEN": "hunter2", "SITE": "north"}}}}
    kept = RunManifest(run_id=str(run.id), name="n", workflow="main", plan="0", job_order={}, settings=given)
    manifest.write(directory, kept)
    (line,) = await listing.lines(Api(run), settings, Filter(), 20)
    described = listing.details(line)
    assert described.items() >= (known | {"workflow": "main"}).items()
    assert described["settings"] == {"step_overrides": {"align": {"env": {"LAB_TOKEN": "(hidden)", "SITE": "north"}}}}
    assert (described["workflow"], described["workspaces"], described["resumable"]) == ("main", str(directory), True)
