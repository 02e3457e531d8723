import os
import time
from datetime import UTC, datetime, timedelta

import pytest

from cwl_prefect.backends.kubernetes.transfers import garbage
from cwl_prefect.engine.records import audit, manifest, retention
from cwl_prefect.engine.records.audit import Act
from cwl_prefect.engine.records.manifest import Outcome, RunManifest
from cwl_prefect.engine.staging.workspace import UPLOADS, run_directory
from cwl_prefect.errors import InputError
from cwl_prefect.flows.driver_lock import claim
from cwl_prefect.flows.lifecycle import collecting
from cwl_prefect.flows.lifecycle.collecting import collect, is_abandoned, restore
from cwl_prefect.settings import Settings
from cwl_prefect.storage.filesystems import filesystem
from cwl_prefect.storage.multipart import Journal

DAY_S = 86400.0


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def kept(settings):
    """Leave the workspaces of a run that something happened to so many days ago."""

    def kept(run_id: str, outcome: Outcome, days: float = 0.0) -> None:
        directory = run_directory(settings.runs, run_id)
        (directory / "step" / "call").mkdir(parents=True)
        found = RunManifest(run_id=run_id, name=f"name-{run_id}", workflow="w", plan="p", job_order={}, outcome=outcome)
        manifest.write(directory, found)
        age(directory / "run.json", days)

    return kept


def age(path, days):
    moment = time.time() - days * DAY_S
    os.utime(path, (moment, moment))


def names(runs):
    return sorted(run.run_id for run in runs)


def expire(settings, run_id):
    (found,) = [run for run in retention.kept_runs(settings.runs) if run.run_id == run_id]
    retention.mark(found, datetime.now(UTC) - timedelta(seconds=1))


def test_what_is_out_of_date_is_marked_by_its_outcome(settings, kept):
    kept("well-old", Outcome.COMPLETED, 8)
    kept("well-new", Outcome.COMPLETED, 6)
    kept("failed-old", Outcome.FAILED, 31)
    kept("failed-new", Outcome.FAILED, 29)
    kept("killed-new", Outcome.RUNNING, 29)
    done = collect(settings)
    assert (names(done.marked), names(done.removed)) == (["failed-old", "well-old"], [])
    assert {run.run_id for run in retention.kept_runs(settings.runs) if run.expires} == {"failed-old", "well-old"}
    assert names(collect(settings).marked) == []


def test_what_was_marked_is_removed_when_its_mark_expires(settings, kept):
    kept("one", Outcome.COMPLETED, 30)
    collect(settings)
    assert names(collect(settings).removed) == []
    expire(settings, "one")
    assert names(collect(settings, dry_run=True).removed) == ["one"]
    assert run_directory(settings.runs, "one").exists()
    assert names(collect(settings).removed) == ["one"]
    assert not run_directory(settings.runs, "one").exists()
    acts = [entry.act for entry in audit.entries(settings.runs)]
    assert acts == [Act.WORKSPACE_MARKED, Act.WORKSPACE_REMOVED]


@pytest.mark.parametrize("place", ["outdir", "home"])
def test_what_a_removed_run_was_delivering_goes_with_it(settings, tmp_path, place):
    outdir = tmp_path / "results" if place == "outdir" else None
    results = outdir or settings.home / "outputs" / "one"
    own, other = (results / f".cwl-prefect-publish-{run}-x" for run in ("one", "two"))
    for each in (own, other):
        (each / "new").mkdir(parents=True)
    directory = run_directory(settings.runs, "one")
    directory.mkdir(parents=True)
    found = RunManifest(
        run_id="one", name="n", workflow="w", plan="p", job_order={}, outdir=None if outdir is None else str(outdir)
    )
    manifest.write(directory, found)
    expire(settings, "one")
    assert names(collect(settings).removed) == ["one"]
    assert list(results.iterdir()) == [other]


def test_what_is_restored_stays_and_its_time_begins_anew(settings, kept):
    kept("one", Outcome.COMPLETED, 30)
    collect(settings)
    assert restore("name-one", settings).run_id == "one"
    done = collect(settings)
    assert (done.marked, done.removed) == ([], [])
    for text in ("one", "two"):
        with pytest.raises(InputError):
            restore(text, settings)


def test_a_run_that_is_driven_is_never_touched(settings, kept):
    kept("one", Outcome.FAILED, 100)
    expire(settings, "one")
    with claim(settings.runs, "one"):
        done = collect(settings)
        assert (done.marked, done.removed) == ([], [])
    assert run_directory(settings.runs, "one").exists()


def test_a_mark_that_cannot_be_read_removes_nothing(settings, kept):
    kept("one", Outcome.COMPLETED, 30)
    (run_directory(settings.runs, "one") / retention.MARK).write_text("{")
    assert collect(settings).removed == []


def test_a_resumed_run_loses_its_mark(settings, kept):
    kept("one", Outcome.FAILED, 100)
    collect(settings)
    with claim(settings.runs, "one"):
        pass
    assert next(retention.kept_runs(settings.runs)).expires is None


def test_plans_that_no_run_needs_and_torn_files_are_removed(settings, kept):
    kept("one", Outcome.FAILED)
    plans = settings.runs / manifest.PLANS
    plans.mkdir()
    for name in ("p.json", "unused.json", ".torn.part", ".new.part"):
        (plans / name).write_text("{}")
        moment = time.time() - (0 if name == ".new.part" else DAY_S)
        os.utime(plans / name, (moment, moment))
    assert collect(settings, dry_run=True).files == 2
    assert collect(settings).files == 2
    assert sorted(path.name for path in plans.iterdir()) == [".new.part", "p.json"]


def test_directories_of_others_are_left_alone(settings):
    (settings.runs / ".other").mkdir(parents=True)
    assert collect(settings).removed == []
    assert (settings.runs / ".other").exists()


@pytest.mark.parametrize(
    ("outcome", "begun_days", "alive_days", "abandoned"),
    [
        (Outcome.RUNNING, 0, None, False),
        (Outcome.RUNNING, 1, 0, False),
        (Outcome.RUNNING, 0, 1, False),
        (Outcome.RUNNING, 1, 1, True),
        (Outcome.RUNNING, 1, None, True),
        (Outcome.FAILED, 0, 0, True),
    ],
    ids=["just begun", "long run killed now", "resumed now", "killed long ago", "without a lock file", "ended"],
)
def test_containers_of_a_killed_driver_are_left_for_a_while(settings, kept, outcome, begun_days, alive_days, abandoned):
    kept("one", outcome, begun_days)
    if alive_days is not None:
        lock = run_directory(settings.runs, "one") / ".driver"
        lock.touch()
        age(lock, alive_days)
    assert is_abandoned(settings, "one") is abandoned
    with claim(settings.runs, "one"):
        assert not is_abandoned(settings, "one")
    assert not is_abandoned(settings, "another machine's")


def test_sizes_count_what_is_on_the_disk(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x" * 100_000)
    assert 100_000 <= retention.size_of(tmp_path) < 200_000
    assert retention.size_of(tmp_path / "none") == 0


def test_uploads_of_killed_drivers_are_ended_and_those_that_go_on_are_not(settings, kept, object_store):
    files, _ = filesystem(object_store.url("out"))
    for run_id in ("killed", "driven"):
        kept(run_id, Outcome.RUNNING)
        files.call_s3("create_multipart_upload", Bucket="data", Key=f"out/{run_id}")
        Journal(run_directory(settings.runs, run_id) / UPLOADS).begins(object_store.url(f"out/{run_id}"))

    with claim(settings.runs, "driven"):
        assert collect(settings, dry_run=True).uploads == 1
        assert collect(settings).uploads == 1
        assert object_store.uploads() == ["out/driven"]
    assert collect(settings).uploads == 1
    assert object_store.uploads() == []


def test_old_uploads_of_pods_are_ended(settings, object_store, monkeypatch):
    files, _ = filesystem(object_store.url("ws"))
    files.call_s3("create_multipart_upload", Bucket="data", Key="ws/blobs/a")
    chosen = settings.model_copy(update={"workspaces": object_store.url("ws")})

    with monkeypatch.context() as patch:
        patch.setattr(collecting, "UPLOAD_AGE_S", 36_525 * DAY_S)  # the store of tests says that all began in 2010
        assert collect(chosen).uploads == 0
    assert collect(chosen).uploads == 1
    assert object_store.uploads() == []


def test_what_no_call_needs_goes_from_the_object_store(settings, object_store, monkeypatch):
    object_store.put(f"ws/blobs/sha1/00/{'0' * 40}", b"nobody's")
    chosen = settings.model_copy(update={"workspaces": object_store.url("ws")})

    assert collect(chosen).objects == 0
    monkeypatch.setattr(garbage, "BLOB_AGE_S", -1.0)
    found = collect(chosen, dry_run=True)
    assert (found.objects, found.freed) == (1, 8)
    assert collect(chosen).objects == 1
    assert object_store.keys() == []


def test_the_calls_of_a_removed_run_go_from_the_object_store(settings, object_store):
    for run in ("gone", "other"):
        object_store.put(f"ws/calls/{run}/a/inputs.json", b"[]")
    (settings.runs / "gone").mkdir(parents=True)
    collecting.remove_run_of(
        settings.runs, None, "gone", settings.model_copy(update={"workspaces": object_store.url("ws")})
    )

    assert object_store.keys() == ["ws/calls/other/a/inputs.json"]
    assert not (settings.runs / "gone").exists()
