"""The command of a call as a script, which is run here by the shell that a person has."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cwl_prefect.engine.records.command_script import ScriptOfCall, start_told
from cwl_prefect.engine.staging.stage import unstaged
from cwl_prefect.engine.staging.workspace import Workspace
from cwl_prefect.model.job import BoundCall, DockerImage, EntryKind, Resources, StagedEntry

ODD = "a b'c\"d$HOME`x`\nrm -rf \\ *"


def bound(directory: Path, *command: str, **more) -> BoundCall:
    empty = {"entries": (), "stdin": None, "stdout": None, "stderr": None, "image": None, "resources": Resources()}
    return BoundCall(
        command=command,
        env={"PATH": "/usr/bin:/bin", "ODD": ODD},
        outdir=str(directory),
        tmpdir=str(directory),
        **{**empty, **more},
    )


def script(call: BoundCall, *, secret: tuple[str, ...] = ()) -> ScriptOfCall:
    place = Workspace(root=Path(call.outdir).parent)
    return ScriptOfCall(name="align[3]", call=call, secret=secret, before=place, after=place)


def run(made: ScriptOfCall) -> str:
    done = subprocess.run(["sh", "-s"], input=made.text(), capture_output=True, text=True, check=True)
    return done.stdout


def test_words_and_environment_reach_the_command_as_they_are(tmp_path):
    assert run(script(bound(tmp_path, "printf", "%s|", ODD, "", "-n"))) == f"{ODD}||-n|"
    shown = run(script(bound(tmp_path, "sh", "-c", 'printf %s "$ODD"; printf %s "$LEFT"; pwd')))
    assert shown == f"{ODD}{tmp_path}\n"


@pytest.mark.parametrize("name", ["a=b", "-tool"], ids=["like a variable", "like an option"])
def test_a_command_that_env_would_misread_is_run(tmp_path, name):
    program = tmp_path / name
    program.write_text('#!/bin/sh\necho "got $1"\n')
    program.chmod(0o755)
    call = replace(bound(tmp_path, name, "x"), env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert run(script(call)) == "got x\n"


def test_streams_go_where_the_call_sends_them(tmp_path):
    (tmp_path / "in put").write_text("said")
    both = bound(
        tmp_path, "sh", "-c", "cat; echo bad >&2", stdin=str(tmp_path / "in put"), stdout="o ut", stderr="o ut"
    )
    assert run(script(both)) == ""
    assert (tmp_path / "o ut").read_text() == "saidbad\n"
    assert run(script(bound(tmp_path, "cat"))) == ""


def test_remarks_tell_what_was_staged_and_are_never_run(tmp_path):
    source = f"/data/{ODD}\necho run"
    staged = StagedEntry(kind=EntryKind.FILE, source=source, target=f"{tmp_path}/x")
    text = StagedEntry(kind=EntryKind.LITERAL, source="hidden text", target=f"{tmp_path}/y")
    call = bound(tmp_path, "true", entries=(staged, text), image=DockerImage(pull="samtools:1\nid"))
    made = script(call)
    assert "samtools:1\\nid" in made.text()
    assert f"{tmp_path}/x  from /data/a b" in made.text()
    assert "hidden text" not in made.text()
    assert run(made) == ""


def test_secret_values_are_replaced_wherever_they_are(tmp_path):
    made = script(replace(bound(tmp_path, "login", "--password=it's"), env={"KEY": "it's"}), secret=("it's",))
    assert "it" not in made.text().split("exec ")[1]
    assert "Secret values are left out" in made.text()


def test_the_script_is_its_owners_alone(tmp_path):
    place = Workspace(root=tmp_path)
    call = bound(tmp_path / "out", "true")
    ScriptOfCall(name="align", call=call, secret=(), before=place, after=place).write()
    assert (tmp_path / "command.sh").stat().st_mode & 0o777 == 0o700


def test_what_is_started_is_told_in_lines_without_secrets(tmp_path):
    entries = [StagedEntry(kind=EntryKind.FILE, source=f"/in/{n}", target=f"/t/{n}") for n in range(12)]
    call = bound(tmp_path, "login", "it's\x1b", entries=tuple(entries), image=DockerImage(pull="samtools:1"))
    job = unstaged(call, Workspace(root=tmp_path), job_id="j", name="align[3]", labels={})
    told = start_told(job, call, ("it's",)).splitlines()
    assert told[:3] == [
        "align[3]: login '(secret)\\x1b'",
        "  in the image samtools:1, 1 cores, 256 MiB",
        "  staged /t/0  from /in/0",
    ]
    assert told[-1] == "  staged 2 more"
