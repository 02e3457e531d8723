"""A sample of the conformance suite through the command that other CWL tools call."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from cwltest import utils

from tests.commands import BIN, command_environment
from tests.conformance.conftest import suite_file

SAMPLE = 40
NEEDS_INTERNET = "networkaccess"
TIME_LIMIT_S = 900

pytestmark = [pytest.mark.conformance, pytest.mark.docker, pytest.mark.server]


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of the commands, with a home and so a server of their own, and what stands by for them."""
    yield from command_environment(tmp_path, standby_s=300)


def sample(suite: Path) -> list[int]:
    """Choose tests at equal distances: every part of the suite is met, and each run takes the same ones."""
    tests, _ = utils.load_and_validate_tests(str(suite))
    possible = [n for n, test in enumerate(tests, start=1) if utils.shortname(str(test["id"])) != NEEDS_INTERNET]
    return [possible[index * len(possible) // SAMPLE] for index in range(SAMPLE)]


def test_cwltest_agrees_with_the_runner_on_a_sample(tmp_path: Path, environment: dict[str, str]) -> None:
    suite = suite_file()
    report = tmp_path / "report.xml"
    subprocess.run([BIN / "cwl-prefect", "server", "start"], env=environment, check=True, capture_output=True)

    numbers = ",".join(map(str, sample(suite)))
    done = subprocess.run(
        [BIN / "cwltest", "--test", suite, "--tool", "cwl-prefect-runner", "-n", numbers, "-j", "2",
         "--junit-xml", report],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )  # fmt: skip

    cases = list(ElementTree.parse(report).iter("testcase")) if report.exists() else []
    failed = [case.get("name") for case in cases if case.find("failure") is not None]
    assert done.returncode == 0, done.stderr[-5000:]
    assert (len(cases), failed) == (SAMPLE, [])
