"""The container of a job as a person runs it."""

import csv
from pathlib import Path

import pytest

from cwl_prefect.backends.docker.by_hand import docker_run
from cwl_prefect.errors import BackendError, UnsupportedError
from cwl_prefect.model.job import ContainerJob, DockerImage, Mount

MOUNTS = (
    Mount(source=Path('/in, "a"'), target="/out/in", writable=False),
    Mount(source=Path("/w"), target="/out", writable=True),
)


def job(**more) -> ContainerJob:
    given = {"image": DockerImage(pull="samtools:1"), "network": False, "user": None, "mounts": MOUNTS}
    return ContainerJob(
        job_id="j",
        name="align[3]",
        command=("samtools", "view", "a b"),
        env={"MODE": "fast one"},
        workdir="/out",
        stdin=None,
        stdout=Path("/logs/stdout"),
        stderr=Path("/logs/stderr"),
        **{**given, **more},
    )


@pytest.fixture(autouse=True)
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that knows one image."""
    program = tmp_path / "docker"
    program.write_text('#!/bin/sh\ntest "$6" = sha256:here\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return program


def words(made: ContainerJob, *, shell: bool = False, terminal: bool = False, digest: str | None = None) -> list[str]:
    return docker_run(made, digest=digest, shell=shell, terminal=terminal)


def test_a_command_is_run_in_its_image_with_the_same_files(docker: Path) -> None:
    found = words(job())
    assert found[:4] == [str(docker), "run", "--rm", "--interactive"]
    assert found[-4:] == ["samtools:1", "samtools", "view", "a b"]
    assert "MODE=fast one" in found
    assert "--tty" not in found
    mounts = [next(csv.reader([found[at + 1]])) for at, word in enumerate(found) if word == "--mount"]
    outer, inner = [["type=bind", "source=/w", "target=/out"], ["type=bind", 'source=/in, "a"', "target=/out/in"]]
    assert mounts == [outer, [*inner, "readonly"]]


def test_a_shell_takes_the_place_of_the_command() -> None:
    found = words(job(), shell=True, terminal=True)
    assert found[-3:] == ["--entrypoint", "/bin/sh", "samtools:1"]
    assert "--tty" in found


@pytest.mark.parametrize(("network", "expected"), [(False, True), (True, False)], ids=["without", "with"])
def test_a_tool_has_a_network_only_where_it_asks_for_one(network, expected) -> None:
    assert ("none" in words(job(network=network))) is expected


@pytest.mark.parametrize(
    ("digest", "image"), [("sha256:here", "sha256:here"), ("sha256:gone", "samtools:1")], ids=["here", "gone"]
)
def test_the_very_image_is_used_where_it_is_here(digest, image) -> None:
    assert words(job(), shell=True, digest=digest)[-1] == image


def test_an_image_without_a_name_must_be_here() -> None:
    built = job(image=DockerImage(file="FROM x"))
    assert words(built, shell=True, digest="sha256:here")[-1] == "sha256:here"
    with pytest.raises(UnsupportedError, match="no name"):
        words(built, digest="sha256:gone")


def test_a_missing_program_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(BackendError, match="docker is not on the PATH"):
        words(job())
