"""What is left of runs whose driver was killed when only Prefect knew that they are complete."""

from pathlib import Path

import pytest

from cwl_prefect.engine.records import manifest
from cwl_prefect.engine.records.manifest import Outcome, RunManifest
from cwl_prefect.engine.staging.workspace import run_directory
from cwl_prefect.flows.driver_lock import claim
from cwl_prefect.flows.lifecycle.collecting import collect
from cwl_prefect.runs.concluding import conclude
from cwl_prefect.runs.listing import PAGE
from cwl_prefect.runs.records import RunRecord
from cwl_prefect.settings import Keep, Settings

RUN = "00000000-0000-0000-0000-{:012}"


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(home=tmp_path)


def begun(settings: Settings, number: int = 1, outcome: Outcome = Outcome.RUNNING, **own: str) -> Path:
    """Make the directory of a run as its driver left it."""
    run_id = RUN.format(number)
    directory = run_directory(settings.runs, run_id)
    (directory / "step").mkdir(parents=True)
    found = RunManifest(run_id=run_id, name="a", workflow="main", plan="0", job_order={}, settings=own)
    manifest.write(directory, found if outcome is Outcome.RUNNING else found.ended_as(outcome))
    return directory


class Api:
    """Knows some runs to be complete."""

    def __init__(self, *complete: int) -> None:
        self.complete = {RUN.format(number) for number in complete}
        self.asked: list[list[str]] = []

    async def __call__(self, question):
        assert question["flow_runs"]["state"] == {"type": {"any_": ["COMPLETED"]}}
        self.asked.append(question["flow_runs"]["id"]["any_"])
        return [RunRecord(id=each, name="a") for each in self.asked[-1] if each in self.complete]


async def concluded(settings: Settings, *complete: int) -> list[str]:
    return [run.run_id for run in await conclude(collect(settings).killed, Api(*complete), settings)]


async def test_a_run_that_is_complete_is_removed_and_another_stays(settings):
    complete, unfinished = begun(settings, 1), begun(settings, 2)
    assert await concluded(settings, 1) == [RUN.format(1)]
    assert (complete.exists(), unfinished.exists()) == (False, True)


@pytest.mark.parametrize("whose", ["the run's", "the process's"])
async def test_where_workspaces_are_kept_it_is_noted_that_it_is_complete(tmp_path, whose):
    settings = Settings(home=tmp_path, keep=Keep.ALWAYS if whose == "the process's" else Keep.NEVER)
    directory = begun(settings, **({"keep": "always"} if whose == "the run's" else {}))
    assert await concluded(settings, 1) == []
    assert manifest.read(directory).outcome is Outcome.COMPLETED
    assert (directory / "step").is_dir()


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.INTERRUPTED, Outcome.COMPLETED])
def test_prefect_is_asked_about_no_run_that_told_its_end(settings, outcome):
    begun(settings, outcome=outcome)
    assert collect(settings).killed == []


async def test_a_run_that_is_driven_is_left_alone(settings):
    directory = begun(settings)
    killed = collect(settings).killed
    with claim(settings.runs, directory.name):
        assert collect(settings).killed == []
        assert await conclude(killed, Api(1), settings) == []
    assert directory.is_dir()


async def test_many_are_asked_about_by_pages(settings):
    for number in range(PAGE + 1):
        begun(settings, number)
    api = Api()
    assert await conclude(collect(settings).killed, api, settings) == []
    assert [len(asked) for asked in api.asked] == [PAGE, 1]
