"""What stays of a run once Prefect knows how it ended."""

from types import SimpleNamespace
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled, Completed, Crashed, Failed

from cwl_prefect.engine.records import manifest
from cwl_prefect.engine.records.audit import AUDIT_FILE
from cwl_prefect.engine.records.manifest import Outcome, RunManifest
from cwl_prefect.engine.staging.workspace import run_directory
from cwl_prefect.flows.driver_lock import claim
from cwl_prefect.flows.lifecycle.recording import clear, concluded
from cwl_prefect.settings import Keep, Settings

ENDINGS = {
    "completed": Completed(),
    "failed": Failed(),
    "cancelled": Cancelled(),
    "crashed": Crashed(),
    "interrupted": Cancelled(name="Interrupted"),
}


@pytest.fixture
def flow_run() -> FlowRun:
    return FlowRun(id=uuid4(), flow_id=uuid4())


@pytest.fixture
def ended(tmp_path, flow_run):
    """Give the settings of a run whose driver noted all but its end."""

    def ended(keep: Keep) -> Settings:
        settings, run_id = Settings(home=tmp_path, keep=keep), str(flow_run.id)
        directory = run_directory(settings.runs, run_id)
        (directory / "step" / "call").mkdir(parents=True)
        manifest.write(directory, RunManifest(run_id=run_id, name="a", workflow="main", plan="0", job_order={}))
        return settings

    return ended


@pytest.mark.parametrize(
    ("keep", "ending", "outcome"),
    [
        (Keep.ALWAYS, "completed", Outcome.COMPLETED),
        (Keep.ON_FAILURE, "completed", None),
        (Keep.NEVER, "completed", None),
        (Keep.ALWAYS, "crashed", Outcome.RUNNING),
        (Keep.ON_FAILURE, "crashed", Outcome.RUNNING),
        (Keep.ON_FAILURE, "failed", Outcome.RUNNING),
        (Keep.ON_FAILURE, "cancelled", Outcome.CANCELLED),
        (Keep.ON_FAILURE, "interrupted", Outcome.RUNNING),
        (Keep.NEVER, "failed", None),
    ],
)
def test_what_is_to_be_kept_stays_and_a_run_is_complete_when_prefect_says_so(ended, flow_run, keep, ending, outcome):
    settings = ended(keep)
    concluded(settings)(None, flow_run, ENDINGS[ending])
    found = manifest.read(run_directory(settings.runs, str(flow_run.id)))
    assert (None if found is None else found.outcome) == outcome
    assert run_directory(settings.runs, str(flow_run.id)).exists() == (outcome is not None)


def test_of_a_run_that_could_not_be_opened_nothing_is_left(tmp_path, flow_run):
    settings = Settings(home=tmp_path, keep=Keep.ALWAYS)
    claim(settings.runs, str(flow_run.id)).release()
    concluded(settings)(None, flow_run, Failed())
    assert not run_directory(settings.runs, str(flow_run.id)).exists()


def test_a_run_that_ended_keeps_its_trail_until_prefect_knows(tmp_path):
    settings = Settings(home=tmp_path, keep=Keep.NEVER)
    directory = run_directory(settings.runs, "r1")
    (directory / "step").mkdir(parents=True)
    for name in (manifest.MANIFEST, AUDIT_FILE, "other"):
        (directory / name).touch()
    clear(SimpleNamespace(runs=settings.runs, run_id="r1", settings=settings), succeeded=False)
    assert {left.name for left in directory.iterdir()} == {manifest.MANIFEST, AUDIT_FILE}


def test_a_run_that_has_begun_again_is_left_alone(ended, flow_run):
    settings = ended(Keep.NEVER)
    with claim(settings.runs, str(flow_run.id)):
        concluded(settings)(None, flow_run, ENDINGS["crashed"])
        assert manifest.read(run_directory(settings.runs, str(flow_run.id))) is not None


def test_a_run_without_workspaces_is_nothing_to_conclude(tmp_path, flow_run):
    settings = Settings(home=tmp_path, keep=Keep.ALWAYS)
    concluded(settings)(None, flow_run, ENDINGS["completed"])
    assert not settings.runs.exists()
