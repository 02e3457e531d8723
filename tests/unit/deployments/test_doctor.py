"""What is said about a machine, an API and a pool."""

import errno
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from prefect.exceptions import ObjectNotFound
from typer.testing import CliRunner

from cwl_prefect.backends.job_template.job_variables import packaged_template
from cwl_prefect.backends.kubernetes import checks
from cwl_prefect.cli.app import app
from cwl_prefect.cli.deploy import doctor as command
from cwl_prefect.deployments import doctor, machine_checks
from cwl_prefect.deployments.connection import Connection
from cwl_prefect.deployments.machine_checks import directory_finding, package_findings, room_findings
from cwl_prefect.model.findings import Finding, Severity, stops_runs
from cwl_prefect.server.local_server import ApiEndpoint
from cwl_prefect.settings import BackendName, Settings
from tests.unit.deployments.connecting import connected_to

OK, WARNING, ERROR = Severity.OK, Severity.WARNING, Severity.ERROR


class TestMachine:
    def test_what_is_installed_is_compared_with_what_is_required(self) -> None:
        (well,) = package_findings(["prefect>=3", "nowhere-to-be-found; extra == 'some'"])
        assert (well.severity, "Python" in well.message) == (OK, True)
        (wrong,) = package_findings(["prefect>=99", "nowhere-to-be-found>=1", "prefect>=98; extra == 'x'"])
        assert wrong.severity is ERROR
        assert "nowhere-to-be-found is not installed" in wrong.message
        assert "but >=99 is needed" in wrong.message

    def test_a_directory_is_made_where_there_is_none(self, tmp_path: Path) -> None:
        assert directory_finding("home", tmp_path / "a/b").severity is OK
        assert list((tmp_path / "a/b").iterdir()) == []

    def test_a_directory_that_cannot_be_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        found = directory_finding("work directory", tmp_path / "file" / "runs")
        assert found.severity is ERROR
        assert found.fix is not None
        assert "--workdir" in found.fix

    def test_a_full_disk_is_called_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(**_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(machine_checks.tempfile, "TemporaryFile", full)
        found = directory_finding("home", tmp_path)
        assert (found.severity, str(found.fix).startswith("free space")) == (ERROR, True)

    @pytest.mark.parametrize(("mib", "severity"), [(10, ERROR), (1000, WARNING), (9999, OK)])
    def test_room(self, mib: int, severity: Severity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        usage = type("Usage", (), {"free": mib << 20})
        monkeypatch.setattr(machine_checks.shutil, "disk_usage", lambda _: usage)
        assert [each.severity for each in room_findings(tmp_path / "not/yet/there")] == [severity]


@pytest.mark.parametrize(
    ("server", "client", "severity"),
    [
        ("3.8.8", "3.8.8", OK),
        ("3.9.0", "3.8.8", OK),
        ("3.8.1", "3.8.8", OK),
        ("3.7.9", "3.8.8", WARNING),
        ("2.20.1", "3.8.8", ERROR),
        ("4.0.0", "3.8.8", ERROR),
        ("custom+build", "3.8.8", OK),
    ],
)
def test_a_server_may_be_newer_but_not_older(server: str, client: str, severity: Severity) -> None:
    assert doctor.version_finding(server, client, "http://x").severity is severity


def pool(**fields: Any) -> Any:
    from prefect.client.schemas.objects import WorkPool, WorkPoolStatus

    given = {"type": "docker", "base_job_template": packaged_template("docker"), "status": WorkPoolStatus.READY}
    return WorkPool(id=uuid4(), name="site", default_queue_id=uuid4(), **{**given, **fields})


class TestPool:
    async def findings(self, **fields: Any) -> list[tuple[Severity, str]]:
        endpoint = ApiEndpoint(url="http://x", ui_url=None, started=False, ours=False)
        connection = Connection(client=object(), endpoint=endpoint)  # type: ignore[arg-type]
        return [(each.severity, each.message) for each in await self.looked_at(connection, **fields)]

    async def looked_at(self, connection: Connection, *, for_steps_alone: bool = False, **fields: Any) -> list[Finding]:
        return await doctor._pool(pool(**fields), connection, for_steps_alone=for_steps_alone)

    async def test_a_pool_that_is_well(self) -> None:
        assert [severity for severity, _ in await self.findings()] == [OK, OK]

    @pytest.mark.parametrize(
        ("fields", "severity", "message"),
        [
            pytest.param({"type": "ecs"}, ERROR, "type ecs: steps run on pools of type process, docker", id="type"),
            pytest.param({"is_paused": True}, WARNING, "paused", id="paused"),
            pytest.param({"status": "NOT_READY"}, WARNING, "without a worker", id="no-worker"),
        ],
    )
    async def test_a_pool_that_is_not(self, fields: dict[str, Any], severity: Severity, message: str) -> None:
        found, *_ = await self.findings(**fields)
        assert (found[0], message in found[1]) == (severity, True)

    async def test_a_template_that_prefect_cannot_fill_is_an_error(self) -> None:
        template: dict[str, Any] = packaged_template("docker")
        template["variables"]["properties"]["networks"]["default"] = 7
        *_, (severity, message) = await self.findings(base_job_template=template)
        assert (severity, "not valid" in message) == (ERROR, True)

    @pytest.mark.parametrize(("kind", "module"), [("docker", "prefect_docker"), ("kubernetes", "prefect_kubernetes")])
    async def test_missing_support_is_an_error(self, kind: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, f"{module}.worker", None)
        *_, (severity, message) = await self.findings(type=kind, base_job_template=packaged_template(kind))
        assert (severity, module in message) == (ERROR, True)

    async def test_a_pool_without_a_template_has_prefect_s_own(self) -> None:
        found = await self.findings(base_job_template={})
        (lost,) = [message for severity, message in found if severity is ERROR]
        assert "results of flow runs go away" in lost

    async def test_a_pool_for_steps_alone_needs_no_place_for_results(self) -> None:
        found = await self.findings(base_job_template={}, for_steps_alone=True)
        assert not [message for severity, message in found if severity is ERROR]


@pytest.mark.parametrize(
    ("backend", "pool_type", "looked_at"),
    [
        ("auto", None, "docker"),
        ("local", None, ""),
        ("docker", None, "docker, needed"),
        ("kubernetes", None, "kubernetes"),
        ("auto", "docker", "docker, needed"),
        ("auto", "process", "docker"),
        ("auto", "kubernetes", "kubernetes"),
    ],
)
async def test_the_engine_that_steps_would_use_is_looked_at(
    backend: str, pool_type: str | None, looked_at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def kubernetes(*_: object, **__: object) -> list[Finding]:
        return [Finding.ok("engine", "kubernetes")]

    async def docker(_: object, *, needed: bool) -> list[Finding]:
        return [Finding.ok("engine", "docker, needed" if needed else "docker")]

    class FakeClient:
        async def api_version(self) -> str:
            return "3.8.8"

        async def read_work_pool(self, name: str) -> Any:
            return pool(type=pool_type, base_job_template=packaged_template(str(pool_type)))

    monkeypatch.setattr(doctor, "connected", connected_to(FakeClient()))
    monkeypatch.setattr(doctor, "docker_findings", docker)
    monkeypatch.setattr(checks, "kubernetes_findings", kubernetes)
    found = await doctor.examine(Settings(home=tmp_path, backend=BackendName(backend)), pool_type and "site")
    assert "".join(each.message for each in found if each.check == "engine") == looked_at


class TestDeployment:
    """A deployment in a Kubernetes pool, looked at with its own job variables."""

    @pytest.fixture
    def given(self) -> dict[str, Any]:
        return {"namespace": "lab", "image": "flows:1", "env": {"CWL_PREFECT_HOME": "/var/lib/cwl-prefect/lab"}}

    @pytest.fixture
    def looked_at(self, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        """What the cluster was asked with."""
        asked: dict[str, Any] = {"paused": False}

        class FakeClient:
            async def api_version(self) -> str:
                return "3.8.8"

            async def read_work_pool(self, name: str) -> Any:
                return pool(type="kubernetes", base_job_template=packaged_template("kubernetes"))

            async def read_deployment_by_name(self, name: str) -> Any:
                if name != "align/lab":
                    raise ObjectNotFound(KeyError(name))
                return SimpleNamespace(work_pool_name="site", paused=asked["paused"], job_variables=given)

        async def kubernetes(_: object, variables: Any, *, driver: Any, **__: object) -> list[Finding]:
            asked.update(namespace=variables.for_step("").values["namespace"], driver=driver)
            return []

        monkeypatch.setattr(doctor, "connected", connected_to(FakeClient()))
        monkeypatch.setattr(checks, "kubernetes_findings", kubernetes)
        return asked

    async def messages(self, tmp_path: Path, name: str = "align/lab", **changed: Any) -> list[str]:
        found = await doctor.examine(Settings(home=tmp_path, **changed), deployment_name=name)
        return [each.message for each in found if each.check in {doctor.DEPLOYMENT, doctor.POOL, doctor.TEMPLATE}]

    async def test_its_variables_are_those_of_the_pod_that_is_run(
        self, tmp_path: Path, looked_at: dict[str, Any]
    ) -> None:
        first, *_ = await self.messages(tmp_path)
        assert first == "align/lab is in the work pool site."
        assert looked_at["namespace"] == "lab"
        driver = looked_at["driver"]
        assert (driver.image, driver.runs) == ("flows:1", Path("/var/lib/cwl-prefect/lab/runs"))

    async def test_where_the_volume_is_mounted_here_runs_are_driven_from_here(
        self, tmp_path: Path, looked_at: dict[str, Any]
    ) -> None:
        await self.messages(tmp_path, kubernetes_volume="pvc:lab")
        assert looked_at["driver"] is None

    async def test_one_that_is_paused_is_told(self, tmp_path: Path, looked_at: dict[str, Any]) -> None:
        looked_at["paused"] = True
        first, *_ = await self.messages(tmp_path)
        assert "paused" in first

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            pytest.param({"image": None}, "needs an image", id="no-image"),
            pytest.param({"name_space": "lab"}, "name_space", id="unknown-variable"),
            pytest.param({"env": {"CWL_PREFECT_HOME": "/elsewhere"}}, "below no volume", id="lost-results"),
        ],
    )
    async def test_what_no_run_of_it_could_use_is_told(
        self,
        changed: dict[str, Any],
        said: str,
        given: dict[str, Any],
        tmp_path: Path,
        looked_at: dict[str, Any],
    ) -> None:
        given.update(changed)
        assert said in " ".join(await self.messages(tmp_path))

    async def test_one_that_is_not_there_is_an_error(self, tmp_path: Path, looked_at: dict[str, Any]) -> None:
        assert await self.messages(tmp_path, "align/nowhere") == ["There is no deployment align/nowhere."]


@pytest.mark.parametrize(("severity", "code"), [(OK, 0), (WARNING, 0), (ERROR, 1)])
def test_the_exit_code_says_whether_runs_would_stop(
    severity: Severity, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def examine(*_: object) -> list[Finding]:
        return [Finding(check="x", severity=severity, message="said", fix="do")]

    monkeypatch.setattr(command, "examine", examine)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == code
    assert result.stdout.split() == [severity.value, "x", "said", "To", "fix:", "do"]


def test_only_errors_stop_runs() -> None:
    assert not stops_runs([Finding.ok("a", "b"), Finding.warning("a", "b", "c")])
    assert stops_runs([Finding.ok("a", "b"), Finding.error("a", "b", "c")])
