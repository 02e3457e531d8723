from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cwl_prefect.engine.records import manifest
from cwl_prefect.engine.records.manifest import Outcome, RunManifest
from cwl_prefect.errors import DocumentError
from cwl_prefect.settings import Settings
from tests.plans import workflow

FOUND = RunManifest(
    run_id="1234",
    name="brave-otter",
    workflow="main",
    plan="a" * 64,
    job_order={"x": [1, {"class": "File", "location": "file:///a%20b"}], "y": None, "z": "\udcff"},
    outdir="/results",
    settings={"max_calls": 3},
    tags=("night",),
)


@pytest.fixture
def directory(tmp_path):
    directory = tmp_path / "1234"
    directory.mkdir()
    return directory


def test_what_was_written_is_read(directory):
    manifest.write(directory, FOUND)
    assert manifest.read(directory) == FOUND
    ended = FOUND.ended_as(Outcome.FAILED, "it broke")
    manifest.write(directory, ended)
    assert manifest.read(directory) == ended
    assert [path.name for path in directory.iterdir()] == ["run.json"]


def test_a_time_keeps_its_zone(directory):
    manifest.write(directory, replace(FOUND, began=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)))
    assert manifest.read(directory).began == datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run_id": "1"}'], ids=["empty", "torn", "list", "too-little"])
def test_what_is_no_manifest_is_none(directory, text):
    (directory / "run.json").write_text(text)
    assert manifest.read(directory) is None
    assert list(manifest.read_all(directory.parent)) == []


def test_a_missing_directory_holds_no_runs(tmp_path):
    assert list(manifest.read_all(tmp_path / "none")) == []


def test_all_are_found(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        manifest.write(tmp_path / name, replace(FOUND, run_id=name))
    (tmp_path / "stray").mkdir()
    (tmp_path / "audit.jsonl").write_text("")
    assert {found.run_id for _, found in manifest.read_all(tmp_path)} == {"one", "two"}


def test_a_plan_is_kept_once_and_read_again(directory):
    manifest.write(directory, FOUND, workflow(digest=FOUND.plan))
    assert manifest.plan_of(directory, FOUND) == workflow(digest=FOUND.plan)
    assert manifest.unused_plans(directory.parent, {FOUND.plan}) == []
    (unused,) = manifest.unused_plans(directory.parent, set())
    unused.unlink()
    with pytest.raises(DocumentError, match="brave-otter"):
        manifest.plan_of(directory, FOUND)


def test_credentials_are_left_out():
    settings = Settings(home=Path("/home"), cache_url="s3://key:secret@host/bucket", outdir=Path("/a@b"), retries=2)
    kept = manifest.kept_settings(settings)
    assert (kept["outdir"], kept["retries"]) == ("/a@b", 2)
    assert not {"cache_url", "home"} & kept.keys()
