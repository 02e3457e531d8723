"""The CWL conformance suite through cwltest's pytest plugin: one process, one Prefect server, one file per backend.

``<name>.conformance.yml`` names a backend and the tests expected to fail on it. Collecting that file collects
the whole suite that ``CWL_CONFORMANCE_SUITE`` points at; or, where it asks for a ``sample``, so many tests at equal
distances, unless ``CWL_CONFORMANCE_WHOLE`` is 1. An expected failure that passes is a failure. Where it says
``cached``, each document runs twice, and what the second run gives, which is found in the call cache, is judged.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cwltest import utils
from cwltest.plugin import CWLItem
from ruamel.yaml import YAML

from cwl_prefect import run
from cwl_prefect.errors import CwlPrefectError
from cwl_prefect.settings import BackendName, Keep, Settings
from tests.conftest import missing_engine
from tests.kubernetes import cluster

WHOLE_VARIABLE = "CWL_CONFORMANCE_WHOLE"
SUITE_VARIABLE = "CWL_CONFORMANCE_SUITE"
REQUIRE_ENGINES = "CWL_PREFECT_REQUIRE_ENGINES"


def suite_file() -> Path:
    """Give the suite's list of tests; skip, or fail where engines are required, without one."""
    named = os.environ.get(SUITE_VARIABLE)
    path = Path(named or ".").absolute() / "conformance_tests.yaml"
    if named and path.is_file():
        return path
    reason = f"{SUITE_VARIABLE} does not name a clone of the CWL v1.2 conformance suite"
    if os.environ.get(REQUIRE_ENGINES) == "1":
        pytest.fail(f"{reason}, although {REQUIRE_ENGINES}=1", pytrace=False)
    return pytest.skip(reason)


@cache
def _docker_answers() -> bool:
    docker = pytest.importorskip("docker")
    try:
        client = docker.from_env(timeout=10)
        client.ping()
    except docker.errors.DockerException:
        return False
    client.close()
    return True


def path_without_node(directory: Path) -> str:
    """Give a PATH with everything that PATH has, except node."""
    directory.mkdir()
    for folder in os.get_exec_path():
        for command in Path(folder).glob("*"):
            link = directory / command.name
            if command.name not in ("node", "nodejs") and not link.is_symlink() and os.access(command, os.X_OK):
                link.symlink_to(command.absolute())
    assert shutil.which("node", path=str(directory)) is None
    return str(directory)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """What one `*.conformance.yml` says."""

    backend: BackendName
    expected_failures: dict[str, str]
    sample: int | None = None
    cached: bool = False

    def chosen(self, names: list[str]) -> set[str]:
        """Give the names of the tests to run."""
        if self.sample is None or os.environ.get(WHOLE_VARIABLE) == "1":
            return set(names)
        return {names[index * len(names) // self.sample] for index in range(self.sample)}


class ConformanceFile(pytest.File):
    """The suite on one backend."""

    def collect(self) -> Iterator[pytest.Item]:
        """Collect every test of the suite."""
        stated = YAML(typ="safe").load(self.path)
        expectations = Expectations(
            backend=BackendName(stated["backend"]),
            expected_failures=stated["expected_failures"] or {},
            sample=stated.get("sample"),
            cached=stated.get("cached", False),
        )
        tests, _ = utils.load_and_validate_tests(str(suite_file()))
        named = {utils.shortname(str(test["id"])): test for test in tests}
        unknown = expectations.expected_failures.keys() - named.keys()
        if unknown:
            raise self.CollectError(
                f"{self.path.name} expects failures of tests that the suite does not have: {sorted(unknown)}"
            )
        chosen = expectations.chosen(list(named))
        for name, spec in named.items():
            if name not in chosen:
                continue
            item = ConformanceItem.from_parent(self, name=name, spec=spec)
            item.backend, item.cached = expectations.backend, expectations.cached
            item.add_marker(pytest.mark.conformance)
            if expectations.backend is BackendName.KUBERNETES:
                item.add_marker(pytest.mark.kubernetes)
            if name in expectations.expected_failures:
                item.add_marker(pytest.mark.xfail(reason=expectations.expected_failures[name], strict=True))
            yield item


class ConformanceItem(CWLItem):
    """One test of the suite on one backend."""

    backend: BackendName
    cached: bool

    def setup(self) -> None:
        """Skip, or fail where engines are required, without the backend's engine."""
        if self.backend is BackendName.LOCAL:
            return
        if self.backend is BackendName.KUBERNETES and (problem := cluster.problem()) is not None:
            missing_engine(problem)
        if _docker_answers():
            return
        if os.environ.get(REQUIRE_ENGINES) == "1":
            pytest.fail(f"no Docker engine answers, although {REQUIRE_ENGINES}=1", pytrace=False)
        pytest.skip("no Docker engine answers")

    def runtest(self) -> None:
        """Run it in the driver that all tests share."""
        driver = _driver(self.config)
        driver.backend, driver.cached = self.backend, self.cached
        super().runtest()


class Driver:
    """Runs documents one after the other in one event loop, against one local server in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.backend = BackendName.AUTO
        self.cached = False
        self._home = home
        self._outputs = 0
        self._loop = asyncio.Runner()
        self._path = os.environ.get("PATH", os.defpath)
        home.mkdir(parents=True)
        os.environ["PATH"] = path_without_node(home / "bin")
        self._start_server()

    def _start_server(self) -> None:
        from cwl_prefect.server import local_server

        self._loop.run(local_server.start(self.settings))

    @property
    def settings(self) -> Settings:
        """Settings of the next run."""
        common = {"home": self._home, "backend": self.backend, "keep": Keep.NEVER}
        if self.backend is BackendName.KUBERNETES:
            # Inputs of the suite lie elsewhere, as a user's may.
            return cluster.cluster_settings(self._home, workdir=None, **common)
        return Settings.model_validate(common)

    def pytest_cwl_execute_test(self, processfile: str, jobfile: str | None) -> tuple[int, dict[str, Any] | None]:
        """Give what a command would exit with and print: cwltest's plugin calls this instead of a command."""
        try:
            if self.cached:
                self._loop.run(self._execute(processfile, jobfile, self._outdir()))
            return self._loop.run(self._execute(processfile, jobfile, self._outdir()))
        except CwlPrefectError as error:
            print(f"{type(error).__name__}: {error}")
            return error.exit_code, None

    def _outdir(self) -> Path:
        self._outputs += 1
        return self._home / "outputs" / str(self._outputs)

    async def _execute(self, document: str, job_order: str | None, outdir: Path) -> tuple[int, dict[str, Any] | None]:
        result = await run(document, job_order, settings=self.settings, outdir=outdir)
        for error in result.errors:
            print(f"{type(error).__name__}: {error}")
        return (result.errors[0].exit_code if result.errors else 0), result.outputs

    def close(self) -> None:
        """Stop the server, which has all logs by then, and give PATH back."""
        from prefect.logging.handlers import APILogHandler

        from cwl_prefect.server import local_server

        os.environ["PATH"] = self._path
        self._loop.run(APILogHandler.aflush())
        self._loop.run(local_server.stop(self.settings, force=True))
        self._loop.close()


_DRIVER = pytest.StashKey[Driver]()


def _driver(config: pytest.Config) -> Driver:
    if _DRIVER not in config.stash:
        home = config._tmp_path_factory.mktemp("conformance") / "home"
        driver = config.stash[_DRIVER] = Driver(home)
        config.pluginmanager.register(driver)
        config.add_cleanup(driver.close)
    return config.stash[_DRIVER]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the suite where a file states what to expect of it."""
    if file_path.name.endswith(".conformance.yml"):
        return ConformanceFile.from_parent(parent, path=file_path)
    return None
