"""Runs are found wherever they were made with this home."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from cwl_prefect.engine.records import audit, manifest, retention
from cwl_prefect.engine.records.audit import Act, AuditEntry
from cwl_prefect.engine.records.manifest import Outcome, RunManifest
from cwl_prefect.engine.staging.workspace import DRIVER_LOCK, remove_run
from cwl_prefect.flows.driver_lock import claim
from cwl_prefect.flows.lifecycle.collecting import collect, is_abandoned, restore
from cwl_prefect.flows.lifecycle.workdirs import Workdirs, forget_unused, remember
from cwl_prefect.runs import listing, resume
from cwl_prefect.runs.listing import Filter
from cwl_prefect.runs.records import RunRecord, StateRecord
from cwl_prefect.settings import Settings

RUN = str(UUID(int=1))


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def elsewhere(tmp_path) -> Settings:
    return Settings(home=tmp_path / "home", workdir=tmp_path / "elsewhere")


def killed(settings: Settings, run_id: str = RUN, outcome: Outcome = Outcome.RUNNING) -> None:
    """Leave what a driver leaves that is killed."""
    with claim(settings.runs, run_id) as claimed:
        remember(settings)
        found = RunManifest(run_id=run_id, name=f"name-{run_id}", workflow="w", plan="p", job_order={})
        manifest.write(claimed.directory, found.ended_as(outcome))
    audit.append(settings.runs, AuditEntry(act=Act.STARTED, run_id=run_id))


def test_a_home_alone_remembers_nothing(settings):
    killed(settings)
    assert Workdirs.of(settings).directories == (settings.runs,)
    assert not settings.workdirs.exists()


def test_a_run_elsewhere_is_found_and_goes_on_there(settings, elsewhere):
    killed(elsewhere)
    directory = elsewhere.runs / RUN
    for text in (RUN, RUN[:8], f"name-{RUN}"):
        assert resume.find(text, settings).directory == directory
    (due,), _ = resume.due(settings, Filter().admits, failed=False)
    assert resume.settings_of(due, settings).runs == elsewhere.runs
    assert is_abandoned(settings.model_copy(update={"adopt_s": 0.0}), RUN)


def test_a_run_of_the_home_is_found_with_another_directory(settings, elsewhere):
    killed(settings)
    assert resume.settings_of(resume.find(RUN, elsewhere), elsewhere).runs == settings.runs


async def test_a_run_elsewhere_that_nobody_drives_is_listed_as_killed(settings, elsewhere):
    killed(elsewhere)

    async def ask(question):
        return [RunRecord(id=UUID(RUN), name="a", state=StateRecord(type="RUNNING", name="Running"))]

    (line,) = await listing.lines(ask, settings, Filter(), 20)
    assert (line.state, listing.details(line)["workspaces"]) == ("Killed", str(elsewhere.runs / RUN))
    with claim(elsewhere.runs, RUN):
        assert (await listing.find(ask, RUN, settings)).state == "Running"


def test_runs_elsewhere_are_collected_and_restored(settings, elsewhere):
    at_once = settings.model_copy(update={"keep_succeeded_days": 0.0, "keep_marked_days": 0.0})
    later = settings.model_copy(update={"keep_succeeded_days": 0.0})
    killed(elsewhere, outcome=Outcome.COMPLETED)
    assert [run.run_id for run in collect(later).marked] == [RUN]
    assert restore(RUN, settings).directory == elsewhere.runs / RUN
    collect(at_once)
    assert [run.run_id for run in collect(at_once).removed] == [RUN]
    assert [entry.act for entry in audit.entries(elsewhere.runs)][-1] is Act.WORKSPACE_REMOVED
    assert Workdirs.of(settings).directories == (settings.runs,)


def test_a_run_in_two_directories_is_one_where_it_is_driven(settings, elsewhere):
    killed(settings)
    killed(elsewhere)
    assert resume.find(RUN, settings).directory == settings.runs / RUN
    with claim(elsewhere.runs, RUN):
        assert resume.find(RUN, settings).directory == elsewhere.runs / RUN


@pytest.mark.parametrize("place", ["gone", "empty"])
def test_a_directory_on_a_volume_that_is_away_is_passed_over_and_stays_remembered(settings, elsewhere, place):
    killed(elsewhere)
    away = elsewhere.runs.rename(elsewhere.runs.with_name("volume"))
    if place == "empty":  # the place where the volume is mounted
        elsewhere.runs.mkdir()
    collect(settings)
    assert resume.known_runs(RUN, settings) == []
    if place == "empty":
        elsewhere.runs.rmdir()
    away.rename(elsewhere.runs)
    assert resume.find(RUN, settings).directory == elsewhere.runs / RUN


def test_a_directory_is_forgotten_with_its_last_run(settings, elsewhere):
    killed(elsewhere)
    forget_unused(settings)
    assert len(list(settings.workdirs.iterdir())) == 1
    remove_run(elsewhere.runs, RUN)
    plan = elsewhere.runs / manifest.PLANS / "p.json"
    plan.parent.mkdir()
    plan.touch()
    forget_unused(settings)
    assert len(list(settings.workdirs.iterdir())) == 1
    plan.unlink()
    forget_unused(settings)
    assert list(settings.workdirs.iterdir()) == []


def test_a_directory_that_cannot_be_looked_into_is_passed_over(settings, elsewhere, monkeypatch):
    killed(elsewhere)
    is_dir = Path.is_dir

    def refused(path):
        if path == elsewhere.runs:
            raise PermissionError
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", refused)
    assert Workdirs.of(settings).directories == (settings.runs,)


def test_a_run_of_another_user_is_left_alone(settings, monkeypatch):
    killed(settings)
    at_once = settings.model_copy(update={"keep_unfinished_days": 0.0, "keep_marked_days": 0.0})

    def refused(path):
        raise PermissionError(path)

    monkeypatch.setattr("cwl_prefect.flows.driver_lock.is_locked", refused)
    assert collect(at_once).marked == []
    assert resume.due(settings, Filter().admits, failed=False)[0] == []


def test_many_runs_at_once_remember_a_directory_once(elsewhere):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(remember, [elsewhere] * 50))
    assert [link.readlink() for link in elsewhere.workdirs.iterdir()] == [elsewhere.runs]


def test_a_home_that_cannot_be_written_is_told_and_stops_no_run(tmp_path, caplog):
    (tmp_path / "home").write_text("")
    remember(Settings(home=tmp_path / "home", workdir=tmp_path / "elsewhere"))
    assert "cannot be remembered" in caplog.text


def test_what_others_have_in_the_same_directory_is_no_run(elsewhere):
    at_once = elsewhere.model_copy(update={"keep_unfinished_days": 0.0, "keep_marked_days": 0.0})
    theirs = (elsewhere.runs / "precious", elsewhere.runs / str(uuid4()), elsewhere.runs / ".download.part")
    for path in theirs[:2]:
        path.mkdir(parents=True)
    theirs[2].write_text("")
    killed(elsewhere)
    (elsewhere.runs / "first-moments").mkdir()
    (elsewhere.runs / "first-moments" / DRIVER_LOCK).touch()
    collect(at_once)
    assert len(collect(at_once).removed) == 2
    assert all(path.exists() for path in theirs)


def test_what_is_left_of_a_removal_that_was_killed_is_still_a_run(settings, monkeypatch):
    killed(settings)
    (settings.runs / RUN / "step").mkdir()
    monkeypatch.setattr("cwl_prefect.engine.staging.workspace.remove_tree", lambda _: None)
    remove_run(settings.runs, RUN)
    assert [run.run_id for run in retention.kept_runs(settings.runs)] == [RUN]
