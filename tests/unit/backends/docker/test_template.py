"""Job templates: what Prefect merges, what the platform keeps, what a step decides."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cwl_prefect.backends.docker.images import PullPolicy
from cwl_prefect.backends.docker.template import DockerDefaults, container_settings, docker_defaults, docker_mounts
from cwl_prefect.backends.job_template.job_variables import JobVariables, Layer, Origin, packaged_template
from cwl_prefect.backends.naming import FLOW_RUN_LABEL, JOB_LABEL, NAME_LABEL, resource_name
from cwl_prefect.errors import BackendError
from cwl_prefect.model.job import ContainerJob, Mount, Resources
from tests.calls import job

JOB = job(
    Path("/runs"),
    job_id="run/align/3",
    name="align[3]",
    image=None,
    command=("bwa", "mem"),
    env={"HOME": "/work"},
    workdir="/work",
)


def settings(job: ContainerJob = JOB, defaults: DockerDefaults | None = None, **more: Any) -> dict[str, Any]:
    return container_settings(job, defaults or DockerDefaults(), image="bwa:1", user="1000:1000", **more)


def with_defaults(**defaults: Any) -> dict[str, Any]:
    template: dict[str, Any] = packaged_template("docker")
    for name, value in defaults.items():
        template["variables"]["properties"].setdefault(name, {})["default"] = value
    return template


async def defaults_of(template: dict[str, Any], run: dict[str, Any], step: str = "align") -> DockerDefaults:
    variables = JobVariables(template=template, layers=(Layer(origin=Origin.RUN, variables=run),))
    return await docker_defaults(variables.for_step(step))


class TestWhatCountsForTheCache:
    RUNS = Path("/data/runs")

    async def digest(self, **run: Any) -> str | None:
        return (await defaults_of(packaged_template("docker"), run)).environment_digest(self.RUNS)

    async def test_the_packaged_template_has_nothing(self) -> None:
        assert await self.digest() is None

    async def test_an_environment_counts_as_it_always_did(self) -> None:
        expected = hashlib.sha256(b'{"LEVEL": "high"}').hexdigest()
        assert await self.digest(cwl={"env": {"LEVEL": "high"}}) == expected

    @pytest.mark.parametrize(
        "stated",
        [
            pytest.param({"volumes": ["/var/run/docker.sock:/var/run/docker.sock"]}, id="socket"),
            pytest.param({"volumes": ["/data:/data"]}, id="workspaces"),
            pytest.param({"volumes": ["/var/lib/cwl-prefect:/var/lib/cwl-prefect"]}, id="packaged"),
            pytest.param(
                {"container_create_kwargs": {"mounts": [{"Type": "bind", "Source": "/data", "Target": "/data"}]}},
                id="mounted-workspaces",
            ),
            pytest.param({"networks": ["data"], "labels": {"a": "b"}}, id="networks-and-labels"),
        ],
    )
    async def test_what_no_tool_sees_does_not_count(self, stated: dict[str, Any]) -> None:
        assert await self.digest(**stated) is None

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            pytest.param({"volumes": ["hg19:/ref:ro"]}, {"volumes": ["hg38:/ref:ro"]}, id="volume"),
            pytest.param(
                {"container_create_kwargs": {"entrypoint": ["/a"]}},
                {"container_create_kwargs": {"entrypoint": ["/b"]}},
                id="container-settings",
            ),
            pytest.param(
                {"container_create_kwargs": {"mounts": [{"Type": "volume", "Source": "hg19", "Target": "/ref"}]}},
                {"container_create_kwargs": {"mounts": [{"Type": "volume", "Source": "hg38", "Target": "/ref"}]}},
                id="mount",
            ),
        ],
    )
    async def test_what_tools_see_counts(self, one: dict[str, Any], other: dict[str, Any]) -> None:
        assert len({None, await self.digest(**one), await self.digest(**other)}) == 3


class TestMountsOfThePool:
    async def test_they_join_those_of_the_job(self) -> None:
        reference = {"Type": "bind", "Source": "/refs", "Target": "/ref", "ReadOnly": True}
        job = replace(JOB, mounts=(Mount(source=Path("/runs/r1/out"), target="/work"),))
        mounts = [
            reference,
            {"Type": "bind", "Source": "/runs", "Target": "/runs"},
            {"Type": "bind", "Source": "/other", "Target": "/work/"},
            {"Type": "bind", "Source": "/var/run/docker.sock", "Target": "/var/run/docker.sock"},
        ]
        defaults = await defaults_of(packaged_template("docker"), {"container_create_kwargs": {"mounts": mounts}})
        assert settings(job, defaults)["mounts"] == [reference, *docker_mounts(job.mounts)]

    @pytest.mark.parametrize("mounts", ["/refs:/ref", [{"Source": "/refs"}]], ids=["no-list", "no-target"])
    async def test_what_is_none_is_refused(self, mounts: Any) -> None:
        with pytest.raises(BackendError, match="mounts is no list of mounts with a Target"):
            await defaults_of(packaged_template("docker"), {"container_create_kwargs": {"mounts": mounts}})


class TestPackagedTemplates:
    async def test_docker_is_accepted_by_the_worker(self) -> None:
        defaults = await defaults_of(packaged_template("docker"), {})
        assert defaults == DockerDefaults(volumes=("/var/lib/cwl-prefect:/var/lib/cwl-prefect",))

    async def test_kubernetes_is_accepted_by_the_worker(self) -> None:
        from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

        merged = await KubernetesWorkerJobConfiguration.from_template_and_values(
            packaged_template("kubernetes"),
            {"image": "cwl-prefect:1", "node_selector": {"pool": "big"}, "runs_claim": "shared"},
            client=object(),
        )
        spec = merged.job_manifest["spec"]
        pod = spec["template"]["spec"]
        assert merged.namespace == "default"
        assert (spec["backoffLimit"], spec["ttlSecondsAfterFinished"]) == (0, 3600)
        assert pod["nodeSelector"] == {"pool": "big"}
        assert pod["volumes"] == [{"name": "runs", "persistentVolumeClaim": {"claimName": "shared"}}]
        assert "tolerations" not in pod

    async def test_process_is_accepted_by_the_worker(self) -> None:
        from prefect.workers.process import ProcessJobConfiguration

        merged = await ProcessJobConfiguration.from_template_and_values(
            packaged_template("process"), {}, client=object()
        )
        assert merged.stream_output

    @pytest.mark.parametrize("pool_type", ["docker", "kubernetes", "process"])
    def test_every_variable_is_described_and_used(self, pool_type: str) -> None:
        template: dict[str, Any] = packaged_template(pool_type)
        properties = template["variables"]["properties"]
        used = str(template["job_configuration"])
        assert all(attributes["description"] and attributes["title"] for attributes in properties.values())
        assert [name for name in properties if f"{{{{ {name} }}}}" not in used] in ([], ["cwl"])

    def test_there_is_none_for_other_pools(self) -> None:
        with pytest.raises(BackendError, match="ecs"):
            packaged_template("ecs")


class TestMerging:
    async def test_pool_defaults_are_weakest(self) -> None:
        template = with_defaults(networks=["pool"], image_pull_policy="Always", cwl={"network_mode": "host"})
        defaults = await defaults_of(template, {"networks": ["run"]})
        assert defaults.networks == ("run",)
        assert defaults.pull_policy is PullPolicy.ALWAYS
        assert defaults.network_mode == "host"

    async def test_limits_of_the_flow_run_s_container_are_none_of_a_step_s(self) -> None:
        assert (await defaults_of(with_defaults(mem_limit="512m"), {})).mem_limit is None

    async def test_a_fixed_limit_holds_for_steps_too(self) -> None:
        template: dict[str, Any] = packaged_template("docker")
        template["job_configuration"]["mem_limit"] = "512m"
        assert (await defaults_of(template, {})).mem_limit == "512m"

    async def test_the_engine_s_socket_is_no_step_s(self) -> None:
        volumes = ["/var/run/docker.sock:/var/run/docker.sock", "./data:/data", "named:/cache", "/opt/lic:/opt/lic:ro"]
        defaults = await defaults_of(with_defaults(volumes=volumes), {})
        assert defaults.volumes == (f"{Path('data').absolute()}:/data", "named:/cache", "/opt/lic:/opt/lic:ro")

    async def test_credentials_are_kept(self) -> None:
        login = {"username": "me", "password": "secret", "registry_url": "registry.example"}
        defaults = await defaults_of(packaged_template("docker"), {"registry_credentials": login})
        assert defaults.login is not None
        assert (defaults.login.username, defaults.login.password) == ("me", "secret")
        assert "secret" not in repr(defaults)

    async def test_container_settings_that_have_a_variable_of_their_own_are_ignored_as_prefect_does(self) -> None:
        kwargs = {"extra_hosts": {"db": "10.0.0.1"}, "command": "evil", "env": {"A": "b"}}
        defaults = await defaults_of(packaged_template("docker"), {"container_create_kwargs": kwargs})
        assert defaults.create_settings == {"extra_hosts": {"db": "10.0.0.1"}}

    async def test_the_platform_s_environment_reaches_tools_without_what_is_the_flow_run_s(self) -> None:
        template = with_defaults(
            env={
                "HTTP_PROXY": "http://proxy",
                "PREFECT_API_KEY": "pnu_1",
                "CWL_PREFECT_WORKDIR": "/runs",
                "AWS_SECRET_ACCESS_KEY": "x",
                "UNSET": None,
            },
            cwl={"env": {"LICENSE": "a", "PREFECT_API_URL": "http://api"}},
        )
        defaults = await defaults_of(template, {"env": {"OF_THE_FLOW_RUN": "1"}, "cwl": {"env": {"LICENSE": "b"}}})
        assert defaults.env == {"HTTP_PROXY": "http://proxy", "LICENSE": "b"}

    async def test_an_environment_that_the_template_fixes_reaches_tools(self) -> None:
        template: dict[str, Any] = packaged_template("docker")
        template["job_configuration"]["env"] = {"SITE": "north", "PREFECT_API_KEY": "pnu_1", "DB_PASSWORD": "x"}
        assert (await defaults_of(template, {})).env == {"SITE": "north"}
        for_tools = {"cwl": {"env": {"DB_PASSWORD": "of the tools"}}}
        assert (await defaults_of(template, for_tools)).env == {"SITE": "north", "DB_PASSWORD": "of the tools"}

    async def test_prefect_s_own_template_will_do(self) -> None:
        from prefect_docker.worker import DockerWorker

        template = DockerWorker.get_default_base_job_template()
        run = {
            "networks": ["n"],
            "privileged": True,
            "cwl": {"env": {"A": "1"}, "steps": {"al*": {"volumes": ["v:/v"]}}},
        }
        defaults = await defaults_of(template, run)
        assert defaults == DockerDefaults(networks=("n",), privileged=True, env={"A": "1"}, volumes=("v:/v",))

    async def test_an_override_holds_for_its_step_alone(self) -> None:
        run = {"networks": ["all"], "cwl": {"steps": {"align": {"networks": ["one"], "mem_limit": "8g"}}}}
        one = await defaults_of(packaged_template("docker"), run, "align[3]")
        other = await defaults_of(packaged_template("docker"), run, "sort")
        assert (one.networks, one.mem_limit) == (("one",), "8g")
        assert (other.networks, other.mem_limit) == (("all",), None)

    async def test_a_template_of_wrong_types_is_refused(self) -> None:
        with pytest.raises(BackendError, match="not valid"):
            await defaults_of(packaged_template("docker"), {"networks": 7})

    @pytest.mark.parametrize(
        ("run", "giver"),
        [
            ({"cwl": {"steps": {"al*": {"networks": 7}}}}, "run: the step override 'al*'"),
            ({"networks": 7}, "the deployment or run"),
        ],
        ids=["step override", "run"],
    )
    async def test_who_gave_a_wrong_value_is_blamed_and_not_the_pool(self, run: dict[str, Any], giver: str) -> None:
        with pytest.raises(BackendError) as found:
            await defaults_of(packaged_template("docker"), run, "align")
        assert found.value.message.startswith(f"{giver}: a job variable is not valid: networks: Input should be")

    async def test_a_template_without_variables_is_refused(self) -> None:
        with pytest.raises(BackendError, match="not valid"):
            await defaults_of({"job_configuration": {}}, {})

    async def test_a_reference_to_a_block_needs_an_api(self) -> None:
        template = with_defaults(network_mode="{{ prefect.variables.network }}")
        with pytest.raises(BackendError, match="no Prefect API"):
            await defaults_of(template, {})


class TestSettings:
    def test_a_step_is_locked_up_by_default(self) -> None:
        made = settings()
        assert (made["network_mode"], made["read_only"], made["user"]) == ("none", True, "1000:1000")
        assert made["environment"] == {"HOME": "/work"}
        assert not made["auto_remove"]
        assert not made["use_config_proxy"]
        assert made["log_config"] == {"type": "none"}
        assert "mem_limit" not in made
        assert "entrypoint" not in made

    @pytest.mark.parametrize(
        ("platform", "rights"),
        [
            pytest.param({}, (["ALL"], ["no-new-privileges"], 4096), id="default"),
            pytest.param(
                {"cap_drop": [], "security_opt": ["no-new-privileges:false"], "pids_limit": -1},
                ([], ["no-new-privileges:false"], -1),
                id="given-back",
            ),
            pytest.param(
                {"security_opt": ["seccomp=unconfined"]},
                (["ALL"], ["seccomp=unconfined", "no-new-privileges"], 4096),
                id="a-profile-takes-nothing-else-away",
            ),
        ],
    )
    def test_a_tool_has_the_least_rights_unless_its_pool_gives_more(
        self, platform: dict[str, Any], rights: tuple[list[str], list[str], int]
    ) -> None:
        made = settings(defaults=DockerDefaults(create_settings=platform))
        assert (made["cap_drop"], made["security_opt"], made["pids_limit"]) == rights

    def test_a_privileged_container_has_all_rights(self) -> None:
        made = settings(defaults=DockerDefaults(privileged=True))
        assert made["privileged"]
        assert not {"cap_drop", "security_opt", "pids_limit"} & made.keys()

    def test_the_step_s_command_image_and_directory_are_taken(self) -> None:
        made = settings()
        assert (made["command"], made["image"], made["working_dir"]) == (["bwa", "mem"], "bwa:1", "/work")
        assert not made["stdin_open"]
        assert settings(replace(JOB, stdin=Path("/x")))["stdin_open"]

    def test_the_platform_s_settings_survive_except_what_a_step_owns(self) -> None:
        platform = {"read_only": False, "user": "42", "extra_hosts": {"a": "1.2.3.4"}, "log_config": {}, "tty": True}
        made = settings(defaults=DockerDefaults(create_settings=platform, privileged=True, mem_limit="2g"))
        assert (made["read_only"], made["user"], made["extra_hosts"]) == (False, "42", {"a": "1.2.3.4"})
        assert (made["privileged"], made["mem_limit"]) == (True, "2g")
        assert (made["log_config"], made["tty"]) == ({"type": "none"}, False)

    def test_the_step_s_environment_is_over_the_platform_s(self) -> None:
        made = settings(defaults=DockerDefaults(env={"HTTP_PROXY": "p", "HOME": "/nowhere"}))
        assert made["environment"] == {"HTTP_PROXY": "p", "HOME": "/work"}

    def test_the_job_s_user_is_strongest(self) -> None:
        assert settings(replace(JOB, user="7"), DockerDefaults(create_settings={"user": "42"}))["user"] == "7"

    @pytest.mark.parametrize(
        ("defaults", "expected"),
        [
            pytest.param(DockerDefaults(), (None, None), id="engine-s-default"),
            pytest.param(DockerDefaults(network_mode="host"), ("host", None), id="mode"),
            pytest.param(DockerDefaults(networks=("a", "b")), (None, "a"), id="networks"),
        ],
    )
    def test_a_network_is_the_platform_s(
        self, defaults: DockerDefaults, expected: tuple[str | None, str | None]
    ) -> None:
        made = settings(replace(JOB, network=True), defaults)
        assert (made["network_mode"], made["network"]) == expected
        closed = settings(JOB, defaults)
        assert (closed["network_mode"], closed["network"]) == ("none", None)

    def test_labels_are_the_platform_s_the_job_s_and_ours_but_none_that_a_worker_watches(self) -> None:
        defaults = DockerDefaults(labels={"team": "a", "prefect.io/flow-run-id": "x", "io.prefect.flow-run-id": "x"})
        made = settings(replace(JOB, labels={"flow-run-id": "f", "other.org/a": "b"}), defaults)
        assert made["labels"] == {
            "team": "a",
            FLOW_RUN_LABEL: "f",
            "other.org/a": "b",
            JOB_LABEL: "run/align/3",
            NAME_LABEL: "align[3]",
        }

    def test_strict_limits_bound_cores_and_memory_without_swap(self) -> None:
        made = settings(replace(JOB, resources=Resources(cores=1.5, ram_mib=100)), strict_limits=True)
        assert (made["nano_cpus"], made["mem_limit"], made["memswap_limit"]) == (1_500_000_000, 100 << 20, 100 << 20)

    def test_strict_limits_stay_above_what_engines_refuse(self) -> None:
        made = settings(replace(JOB, resources=Resources(cores=0.0001, ram_mib=1)), strict_limits=True)
        assert (made["nano_cpus"], made["mem_limit"]) == (10_000_000, 6 << 20)

    def test_shared_memory_and_gpus_are_asked_for(self) -> None:
        made = settings(replace(JOB, resources=Resources(shm_mib=64, gpus=2)))
        assert made["shm_size"] == 64 << 20
        assert made["device_requests"] == [{"count": 2, "capabilities": [["gpu"]]}]

    def test_a_volume_with_everybody_s_workspaces_is_left_out(self) -> None:
        job = replace(JOB, mounts=(Mount(source=Path("/runs/r1/align/3/out"), target="/work"),))
        made = settings(job, DockerDefaults(volumes=("/runs:/runs", "/opt/lic:/opt/lic:ro", "named:/cache")))
        assert made["volumes"] == ["/opt/lic:/opt/lic:ro", "named:/cache"]


class TestMounts:
    def test_each_path_once_and_outer_ones_first(self) -> None:
        inner = Mount(source=Path("/b"), target="/work/in/x")
        outer = Mount(source=Path("/a"), target="/work/", writable=True)
        made = docker_mounts([inner, outer, inner, replace(inner, writable=True)])
        assert [(mount["Target"], mount["Source"], mount["ReadOnly"]) for mount in made] == [
            ("/work", "/a", False),
            ("/work/in/x", "/b", False),
        ]

    def test_names_are_not_parsed(self) -> None:
        (made,) = docker_mounts([Mount(source=Path("/a b:c,d"), target="/x y:ro,z")])
        assert (made["Source"], made["Target"], made["Type"], made["ReadOnly"]) == (
            "/a b:c,d",
            "/x y:ro,z",
            "bind",
            True,
        )

    def test_two_files_at_one_path_are_refused(self) -> None:
        with pytest.raises(BackendError, match="both /a and /b"):
            docker_mounts([Mount(source=Path("/a"), target="/x"), Mount(source=Path("/b"), target="/y/../x")])


@given(st.text(min_size=1), st.sampled_from([40, 63, 120]))
def test_names_are_legal_and_the_same_each_time(job_id: str, limit: int) -> None:
    name = resource_name(job_id, limit=limit)
    assert name == resource_name(job_id, limit=limit)
    assert len(name) <= limit
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not name.endswith("-")


def test_names_of_different_jobs_differ_even_where_they_read_the_same() -> None:
    assert resource_name("a/b") != resource_name("a-b")
    assert resource_name("run/align/3").startswith("cwl-run-align-3-")
