import sys

import pytest

from cwl_prefect.cli.runs import commands
from cwl_prefect.engine.records import manifest
from cwl_prefect.engine.records.manifest import RunManifest
from cwl_prefect.engine.staging.workspace import run_directory
from cwl_prefect.runs.listing import Filter


@pytest.mark.parametrize(
    ("command", "expected", "told"),
    [("exit 0", 0, "complete"), ("exit 13", 13, "exit code 13"), ("kill -9 $$", 137, "exit code 137")],
    ids=["complete", "failed", "killed"],
)
def test_resuming_all_ends_as_the_worst_of_their_drivers(tmp_path, monkeypatch, capsys, command, expected, told):
    monkeypatch.setenv("CWL_PREFECT_HOME", str(tmp_path))
    directory = run_directory(tmp_path / "runs", "1234")
    directory.mkdir(parents=True)
    manifest.write(directory, RunManifest(run_id="1234", name="otter", workflow="w", plan="p", job_order={}))
    driver = tmp_path / "driver"
    driver.write_text(f"#!/bin/sh\n{command}\n")
    driver.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(driver))

    assert commands.resume_all(Filter(), failed=False, at_once=1, stagger_s=0) == expected
    assert told in capsys.readouterr().out
