import asyncio
import inspect
import sys
from uuid import UUID

import pytest
import typer
from typer.testing import CliRunner

from cwl_prefect.cli.app import app as whole
from cwl_prefect.cli.runs import commands
from cwl_prefect.cli.runs.app import app
from cwl_prefect.engine.records import manifest
from cwl_prefect.engine.records.manifest import RunManifest
from cwl_prefect.engine.staging.workspace import run_directory
from cwl_prefect.errors import InputError
from cwl_prefect.runs.listing import Filter, Line
from cwl_prefect.runs.records import RunRecord, StateRecord


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


@pytest.fixture
def known(monkeypatch, tmp_path):
    """Let the API know one run, which is the last; return what was asked for."""
    run = RunRecord(id=UUID(int=7), name="calm-cat", state=StateRecord(type="FAILED", name="Failed"))
    line = Line(flow_run=run, directory=tmp_path, local=None, state="Failed")
    asked = []

    async def find(ask, name, settings):
        if name not in ("last", "calm-cat"):
            raise InputError(f"Prefect knows no run {name}.")
        return line

    async def forget(client, found, settings):
        asked.append(found.flow_run.name)

    monkeypatch.setenv("CWL_PREFECT_HOME", str(tmp_path))
    monkeypatch.setattr(commands, "with_api", lambda work: asyncio.run(work(None, None)))
    monkeypatch.setattr(commands.listing, "find", find)
    monkeypatch.setattr(commands.control, "forget", forget)
    monkeypatch.setattr(typer, "confirm", lambda text, **_: asked.append(text))
    return asked


@pytest.mark.parametrize("ask", [True, False])
def test_a_run_is_found_before_it_is_asked_whether_it_may_go(known, ask):
    with pytest.raises(InputError, match="no run nosuch"):
        commands.remove("nosuch", ask=ask)
    with pytest.raises(InputError, match="no run nosuch"):
        commands.stop("nosuch", for_now=False, force=False, delete=True, ask=ask)
    assert known == []
    commands.remove("last", ask=ask)
    assert known == [*(["Remove calm-cat, its workspaces and its record?"] if ask else []), "calm-cat"]


def test_the_last_run_is_resumed_by_its_id(known, monkeypatch):
    meant = []
    monkeypatch.setattr(commands.resuming, "known_runs", lambda run, settings: meant.append(run))
    monkeypatch.setattr(commands, "_reschedule", meant.append)
    assert commands.resume("last", quiet=True, verbose=False) == 0
    assert meant == [str(UUID(int=7))] * 2


def test_every_command_about_a_run_says_that_it_takes_the_last_one():
    for command in (command for command in app.registered_commands if command.callback is not None):
        run = inspect.signature(command.callback).parameters.get("run")
        if run is not None:
            (argument,) = run.annotation.__metadata__
            assert argument.help.endswith("or last."), command.callback.__name__


@pytest.mark.parametrize("words", ["runs show", "runs resume", "runs rm --yes", "runs rerun last", "cache explain"])
def test_a_variable_that_is_not_set_is_no_run(words):
    told = CliRunner().invoke(whole, [*words.split(), "", *(["x"] if words.startswith("cache") else [])])
    assert told.exit_code == 2
    assert told.stderr.partition("\n")[0].endswith("': it is empty.")
