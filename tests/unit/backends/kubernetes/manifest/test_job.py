"""From a pool's template and a step to the manifest of its Job."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from cwl_prefect.backends.job_template.configuration import NoApi
from cwl_prefect.backends.job_template.job_variables import JobVariables, Layer, Origin, packaged_template
from cwl_prefect.backends.kubernetes.images.images import pinned_digest
from cwl_prefect.backends.kubernetes.launcher import Launcher
from cwl_prefect.backends.kubernetes.manifest.defaults import KubernetesDefaults, kubernetes_defaults, without_volumes
from cwl_prefect.backends.kubernetes.manifest.job import KubernetesOptions, StepPod, step_manifest
from cwl_prefect.backends.kubernetes.storage import VOLUME_NAME, Storage
from cwl_prefect.backends.kubernetes.transfers.containers import TransferContainers
from cwl_prefect.backends.kubernetes.transfers.transfers import Transfers
from cwl_prefect.errors import BackendError
from cwl_prefect.model.job import ContainerJob, DockerImage, Mount, Resources

VOLUME = Path("/volume")
PLATFORM = {
    "spec": {
        "backoffLimit": 3,
        "ttlSecondsAfterFinished": 77,
        "template": {
            "metadata": {"annotations": {"a": "b"}, "labels": {"team": "x", "prefect.io/flow-run-id": "1"}},
            "spec": {
                "serviceAccountName": "tools",
                "tolerations": [{"key": "gpu"}],
                "affinity": {"nodeAffinity": {}},
                "nodeSelector": {"disk": "ssd"},
                "runtimeClassName": "gvisor",
                "imagePullSecrets": [{"name": "pull"}],
                "securityContext": {"runAsUser": 7, "fsGroup": 8},
                "initContainers": [{"name": "theirs"}],
                "volumes": [
                    {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
                    {"name": "runs", "hostPath": {"path": "/volume"}},
                ],
                "containers": [
                    {
                        "name": "prefect-job",
                        "image": "theirs",
                        "args": ["prefect", "flow-run", "execute"],
                        "command": ["entry"],
                        "env": [
                            {"name": "PREFECT_API_KEY", "value": "secret"},
                            {"name": "CWL_PREFECT_HOME", "value": "/volume"},
                            {"name": "DB_PASSWORD", "value": "secret"},
                            {"name": "LICENCE", "valueFrom": {"secretKeyRef": {"name": "l", "key": "k"}}},
                        ],
                        "volumeMounts": [
                            {"name": "data", "mountPath": "/data"},
                            {"name": "runs", "mountPath": "/volume"},
                        ],
                        "resources": {"limits": {"example.com/fpga": "1", "cpu": None}},
                    },
                    {"name": "sidecar"},
                ],
            },
        },
    },
    "metadata": {"labels": {"team": "x", "prefect.io/flow-run-id": "1"}, "annotations": {"a": "b"}},
}


def job(**changed: Any) -> ContainerJob:
    stated: dict[str, Any] = {
        "job_id": "run-1-align[3]-1",
        "name": "align[3]",
        "image": DockerImage(pull="bwa:1"),
        "command": ("bwa", "$HOME", "$(HOME)"),
        "env": {"HOME": "/out", "TMPDIR": "/tmp"},
        "mounts": (
            Mount(source=VOLUME / "r/out", target="/out", writable=True),
            Mount(source=VOLUME / "r/tmp", target="/tmp", writable=True),
            Mount(source=VOLUME / "in/a.txt", target="/in/a.txt"),
        ),
        "workdir": "/out",
        "stdin": None,
        "stdout": VOLUME / "r/out/said.txt",
        "stderr": VOLUME / "r/logs/stderr",
        "resources": Resources(cores=1.5, ram_mib=512, tmpdir_mib=100),
        "labels": {"cwl-prefect.io/flow-run-id": "run-1"},
    }
    return ContainerJob(**(stated | changed))


def manifest(
    of: ContainerJob,
    *,
    options: KubernetesOptions | None = None,
    volume: dict[str, Any] | None = None,
    **changed: Any,
) -> dict[str, Any]:
    storage = Storage(volume=volume or {"hostPath": {"path": "/volume"}}, path=VOLUME)
    stated: dict[str, Any] = {
        "job": of,
        "image": "bwa:1",
        "entry_point": ("/entry",),
        "mounts": of.mounts,
        "stdin": None,
        "user": "1000:100",
    }
    found = step_manifest(
        StepPod(**(stated | changed)),
        KubernetesDefaults(namespace="lab", manifest=PLATFORM, env={"PROXY": "p"}),
        options or KubernetesOptions(),
        storage=storage,
        launcher=Launcher(storage, "busybox:1.35"),
    )
    return dict(found)


def pod_of(found: dict[str, Any]) -> dict[str, Any]:
    return found["spec"]["template"]["spec"]


def tool_of(found: dict[str, Any]) -> dict[str, Any]:
    return pod_of(found)["containers"][0]


def environment_digest(env: dict[str, str], *declared: dict[str, Any], **members: Any) -> str:
    container = {"name": "prefect-job", "env": list(declared), **members}
    volumes = [
        {"name": "runs", "hostPath": {"path": "/volume"}},
        {"name": "hg19", "hostPath": {"path": "/hg19"}},
        {"name": "hg38", "hostPath": {"path": "/hg38"}},
    ]
    platform = {"spec": {"template": {"spec": {"containers": [container], "volumes": volumes}}}}
    storage = Storage(volume={"hostPath": {"path": "/volume"}}, path=VOLUME)
    return KubernetesDefaults(namespace="lab", manifest=platform, env=env).environment_digest(storage)


def test_the_platform_s_environment_counts_for_the_cache_and_prefect_s_does_not() -> None:
    licence = {"name": "LICENCE", "valueFrom": {"secretKeyRef": {"name": "l", "key": "k"}}}
    alone = environment_digest({"PROXY": "p"}, licence)
    assert environment_digest({"PROXY": "p"}, licence, {"name": "PREFECT_API_KEY", "value": "new"}) == alone
    assert len({alone, environment_digest({"PROXY": "q"}, licence), environment_digest({"PROXY": "p"})}) == 3


def test_variables_taken_from_a_secret_as_a_whole_count_for_the_cache_by_its_name() -> None:
    none, one, other = (
        environment_digest({}, envFrom=[{"secretRef": {"name": name}} for name in names])
        for names in ((), ("site",), ("other",))
    )
    assert none == environment_digest({})
    assert len({none, one, other}) == 3


def test_volumes_count_for_the_cache_but_the_shared_one_does_not() -> None:
    none, shared, old, new = (
        environment_digest({}, volumeMounts=[{"name": name, "mountPath": "/ref"} for name in names])
        for names in ((), ("runs",), ("hg19",), ("hg38",))
    )
    assert none == shared == environment_digest({})
    assert len({none, old, new}) == 3


def test_the_digest_of_a_plain_environment_stays() -> None:
    assert environment_digest({"PROXY": "p"}) == hashlib.sha256(b'[{"PROXY": "p"}, []]').hexdigest()


def test_variables_of_prefect_that_the_document_gives_a_tool_are_named_to_the_launcher() -> None:
    asking = tool_of(manifest(job(env={"PREFECT_API_URL": "own", "A": "b"})))["env"]
    assert {"name": "_cwl_kept", "value": " PREFECT_API_URL "} in asking
    assert "_cwl_kept" not in str(tool_of(manifest(job()))["env"])


@pytest.mark.parametrize(
    ("image", "digest"),
    [
        pytest.param(DockerImage(pull="example.org/bwa@sha256:abc"), "sha256:abc", id="pinned"),
        pytest.param(DockerImage(pull="bwa:1@sha256:abc"), "sha256:abc", id="tag-and-digest"),
        pytest.param(DockerImage(pull="bwa:1"), None, id="a-mere-tag"),
        pytest.param(DockerImage(file="FROM bwa"), None, id="built"),
    ],
)
def test_only_an_image_named_by_its_digest_is_known_by_content(image: DockerImage, digest: str | None) -> None:
    assert pinned_digest(image) == digest


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("serviceAccountName", "tools"),
        ("tolerations", [{"key": "gpu"}]),
        ("affinity", {"nodeAffinity": {}}),
        ("nodeSelector", {"disk": "ssd"}),
        ("runtimeClassName", "gvisor"),
        ("imagePullSecrets", [{"name": "pull"}]),
        ("initContainers", [{"name": "theirs"}]),
    ],
)
def test_what_the_platform_decides_survives(field: str, value: object) -> None:
    assert pod_of(manifest(job()))[field] == value


def test_sidecars_annotations_labels_and_time_to_live_survive() -> None:
    found = manifest(job())
    assert pod_of(found)["containers"][1] == {"name": "sidecar"}
    assert found["metadata"]["annotations"]["a"] == "b"
    assert found["spec"]["template"]["metadata"]["labels"]["team"] == "x"
    assert found["spec"]["ttlSecondsAfterFinished"] == 77


def test_sidecars_end_with_the_step_where_the_cluster_knows_such_and_what_takes_files_away_does_not() -> None:
    found = pod_of(manifest(job(), options=KubernetesOptions(native_sidecars=True), beside=[{"name": "upload"}]))
    assert [each["name"] for each in found["containers"]] == ["prefect-job", "upload"]
    assert found["initContainers"] == [{"name": "theirs"}, {"name": "sidecar", "restartPolicy": "Always"}]
    assert [each["name"] for each in pod_of(manifest(job()))["initContainers"]] == ["theirs"]


def test_a_stated_user_survives_and_else_the_caller_s_is_used() -> None:
    assert pod_of(manifest(job()))["securityContext"] == {
        "runAsUser": 7,
        "fsGroup": 8,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_nothing_of_prefect_reaches_the_tool() -> None:
    found = manifest(job())
    assert "prefect.io/flow-run-id" not in str(found).replace("cwl-prefect.io/flow-run-id", "")
    assert "PREFECT" not in str(tool_of(found))
    assert "execute" not in str(tool_of(found))


def test_the_environment_is_the_platform_s_then_the_step_s() -> None:
    assert tool_of(manifest(job()))["env"] == [
        {"name": "LICENCE", "valueFrom": {"secretKeyRef": {"name": "l", "key": "k"}}},
        {"name": "PROXY", "value": "p"},
        {"name": "HOME", "value": "/out"},
        {"name": "TMPDIR", "value": "/tmp"},
    ]


def test_the_command_follows_the_entry_point_and_dollars_stay_what_they_are() -> None:
    assert tool_of(manifest(job()))["command"][-4:] == ["/entry", "bwa", "$$HOME", "$$(HOME)"]


def test_resources_become_requests_and_limits() -> None:
    amounts = {"cpu": "1500m", "memory": "512Mi", "ephemeral-storage": "100Mi"}
    assert tool_of(manifest(job()))["resources"] == {
        "requests": amounts,
        "limits": {**amounts, "example.com/fpga": "1"},
    }


def test_a_sliver_of_a_core_does_not_throttle_the_start_of_the_container() -> None:
    found = tool_of(manifest(job(resources=Resources(cores=0.01, ram_mib=16))))["resources"]
    assert (found["requests"]["cpu"], found["limits"]["cpu"]) == ("10m", "200m")
    assert found["limits"]["memory"] == "16Mi"


def test_without_limits_only_the_requests_are_written() -> None:
    found = tool_of(manifest(job(), options=KubernetesOptions(limits=False)))["resources"]
    assert found["limits"] == {"example.com/fpga": "1"}
    assert found["requests"]["memory"] == "512Mi"


def test_gpus_have_the_name_of_their_vendor() -> None:
    wanted = job(resources=Resources(gpus=2))
    found = tool_of(manifest(wanted, options=KubernetesOptions(gpu_resource="amd.com/gpu")))["resources"]
    assert found["limits"]["amd.com/gpu"] == found["requests"]["amd.com/gpu"] == "2"


def test_shared_memory_is_a_volume_in_memory() -> None:
    found = pod_of(manifest(job(resources=Resources(shm_mib=256))))
    assert {"name": "cwl-prefect-shm", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}} in found["volumes"]
    assert {"name": "cwl-prefect-shm", "mountPath": "/dev/shm"} in found["containers"][0]["volumeMounts"]


def test_labels_that_runs_and_kubernetes_find_pods_by_are_not_the_template_s(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = {"cwl-prefect.io/flow-run-id": "x", "cwl-prefect.io/call": "x", "job-name": "x", "controller-uid": "x"}
    labels = {**theirs, "batch.kubernetes.io/job-name": "x", "team": "y"}
    monkeypatch.setitem(PLATFORM["metadata"], "labels", labels)
    monkeypatch.setitem(PLATFORM["spec"]["template"], "metadata", {"labels": labels})
    found = manifest(job(labels={}))
    of_job, of_pod = found["metadata"]["labels"], found["spec"]["template"]["metadata"]["labels"]
    for each in (of_job, of_pod):
        assert {name: value for name, value in each.items() if value in ("x", "y")} == {"team": "y"}
    assert manifest(job())["metadata"]["labels"]["cwl-prefect.io/flow-run-id"] == "run-1"


@pytest.mark.parametrize(("network", "label"), [(True, "true"), (False, "false")])
def test_network_access_is_a_label(network: bool, label: str) -> None:
    found = manifest(job(network=network))
    assert found["spec"]["template"]["metadata"]["labels"]["cwl-prefect.io/network"] == label


def test_the_time_limit_is_a_later_safety_net() -> None:
    found = manifest(job(timeout_s=10), options=KubernetesOptions(start_timeout_s=100))
    assert found["spec"]["template"]["spec"]["activeDeadlineSeconds"] == 110
    assert "activeDeadlineSeconds" not in found["spec"]  # a Job's begins before there is a node for it
    assert "activeDeadlineSeconds" not in manifest(job())["spec"]["template"]["spec"]


def test_one_pod_and_never_another() -> None:
    spec = manifest(job())["spec"]
    assert (spec["backoffLimit"], spec["parallelism"], spec["completions"]) == (0, 1, 1)
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize(("known", "policy"), [(True, "Failed"), (False, None)])
def test_no_pod_is_made_beside_one_that_is_deleted_and_still_runs(known: bool, policy: str | None) -> None:
    spec = manifest(job(), options=KubernetesOptions(replacement_policy=known))["spec"]
    assert spec.get("podReplacementPolicy") == policy


def test_every_container_of_a_step_fits_the_pod_security_profile_restricted() -> None:
    pod = pod_of(manifest(job(), init_containers=[{"name": "launcher"}]))
    for container in (pod["initContainers"][-1], pod["containers"][0]):
        security = container["securityContext"]
        assert (security["allowPrivilegeEscalation"], security["capabilities"]) == (False, {"drop": ["ALL"]})
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def test_no_token_of_a_service_account_is_mounted() -> None:
    assert pod_of(manifest(job()))["automountServiceAccountToken"] is False


def test_a_step_sees_its_own_files_of_the_shared_volume_only() -> None:
    mounts = {mount["mountPath"]: mount for mount in tool_of(manifest(job()))["volumeMounts"]}
    assert mounts["/data"] == {"name": "data", "mountPath": "/data"}
    assert "/volume" not in mounts
    assert (mounts["/in/a.txt"]["subPath"], mounts["/in/a.txt"]["readOnly"]) == ("in/a.txt", True)
    assert mounts["/tmp"]["name"] == "cwl-prefect-tmpdir"


def test_a_step_sees_its_own_files_of_a_claimed_volume_only() -> None:
    claim = {"persistentVolumeClaim": {"claimName": "shared"}}
    tool = tool_of(manifest(job(), volume=claim))
    mounts = {mount["mountPath"]: mount for mount in tool["volumeMounts"] if mount["name"] == "cwl-prefect-storage"}
    assert (mounts["/out"]["subPath"], mounts["/out"]["readOnly"]) == ("r/out", False)
    assert mounts["/.cwl-prefect-streams/1"]["subPath"] == "r/logs"
    assert mounts["/.cwl-prefect"]["readOnly"]
    assert all(mount["subPath"] for mount in mounts.values())


def test_of_a_directory_of_nodes_a_step_s_own_directories_are_volumes_without_a_sub_path() -> None:
    made = manifest(job())
    volumes = {volume["name"]: volume for volume in pod_of(made)["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in tool_of(made)["volumeMounts"]}
    own = {target: mounts[target] for target in ("/.cwl-prefect", "/out", "/.cwl-prefect-streams/1")}
    assert not any("subPath" in mount for mount in own.values())
    paths = {target: volumes[mount["name"]]["hostPath"]["path"] for target, mount in own.items()}
    assert paths["/out"] == "/volume/r/out"
    assert paths["/.cwl-prefect-streams/1"] == "/volume/r/logs"
    assert paths["/.cwl-prefect"].startswith("/volume/.cwl-prefect/launcher/")
    assert [own[target]["readOnly"] for target in own] == [True, False, False]
    assert mounts["/in/a.txt"]["subPath"] == "in/a.txt"  # a tool may have put a link in its way


def test_a_directory_of_nodes_with_a_colon_keeps_its_sub_path() -> None:
    own = Mount(source=VOLUME / "r:1/out", target="/out", writable=True)
    mounts = {mount["mountPath"]: mount for mount in tool_of(manifest(job(mounts=(own,))))["volumeMounts"]}
    assert mounts["/out"]["subPath"] == "r:1/out"


def test_the_shared_volume_is_known_where_the_api_server_gave_it_an_empty_type() -> None:
    mounts = tool_of(manifest(job(), volume={"hostPath": {"path": "/volume", "type": ""}}))["volumeMounts"]
    assert "/volume" not in {mount["mountPath"] for mount in mounts}
    other = tool_of(manifest(job(), volume={"hostPath": {"path": "/volume", "type": "Socket"}}))["volumeMounts"]
    assert "/volume" in {mount["mountPath"] for mount in other}


def test_stdout_below_a_mount_is_written_where_the_tool_sees_it() -> None:
    command = tool_of(manifest(job()))["command"]
    assert command[5:8] == ["/dev/null", "/out/said.txt", "/.cwl-prefect-streams/1/stderr"]


def test_the_logs_of_a_step_are_one_mount() -> None:
    tool = tool_of(manifest(job(stdout=VOLUME / "r/logs/stdout")))
    mounts = [mount["mountPath"] for mount in tool["volumeMounts"] if "streams" in mount["mountPath"]]
    assert mounts == ["/.cwl-prefect-streams/0"]
    command = tool["command"]
    streams = ["/.cwl-prefect-streams/0/stdout", "/.cwl-prefect-streams/0/stderr"]
    assert command[6:8] == streams


def test_two_sources_at_one_target_are_refused() -> None:
    twice = (Mount(source=VOLUME / "a", target="/in/x"), Mount(source=VOLUME / "b", target="/in/x"))
    with pytest.raises(BackendError, match="both /volume/a and /volume/b"):
        manifest(job(mounts=twice))


def test_the_flow_s_own_job_owns_the_step_s() -> None:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "flow", "uid": "1"}
    assert manifest(job(), owner=owner)["metadata"]["ownerReferences"] == [owner]
    assert "ownerReferences" not in manifest(job())["metadata"]


def test_what_a_label_cannot_hold_is_an_annotation() -> None:
    found = manifest(job())["metadata"]
    assert found["labels"]["cwl-prefect.io/flow-run-id"] == "run-1"
    assert found["labels"]["cwl-prefect.io/name"] != "align[3]"
    assert found["annotations"]["cwl-prefect.io/name"] == "align[3]"


def test_the_template_is_not_changed() -> None:
    before = str(PLATFORM)
    manifest(job())
    assert str(PLATFORM) == before


async def defaults(**variables: Any) -> KubernetesDefaults:
    layers = (Layer(origin=Origin.RUN, variables=variables),)
    return await kubernetes_defaults(
        JobVariables(template=packaged_template("kubernetes"), layers=layers).for_step("align")
    )


async def test_prefect_merges_the_packaged_template() -> None:
    found = await defaults(namespace="lab", node_selector={"disk": "ssd"}, image="flow:1")
    assert found.namespace == "lab"
    assert pod_of(found.manifest)["nodeSelector"] == {"disk": "ssd"}
    assert "flow:1" not in str(found.manifest)


async def test_prefect_s_own_template_works_too() -> None:
    from prefect_kubernetes.worker import KubernetesWorker

    template = KubernetesWorker.get_default_base_job_template()
    layers = (Layer(origin=Origin.RUN, variables={"cwl": {"tolerations": [{"key": "gpu"}]}}),)
    found = await kubernetes_defaults(JobVariables(template=template, layers=layers).for_step("align"))
    made = step_manifest(
        StepPod(job=job(), image="x", entry_point=(), mounts=job().mounts, stdin=None, user="1:1"),
        found,
        KubernetesOptions(),
        storage=(storage := Storage(volume={"hostPath": {"path": "/volume"}}, path=VOLUME)),
        launcher=Launcher(storage, "busybox:1.35"),
    )
    assert pod_of(dict(made))["tolerations"] == [{"key": "gpu"}]
    assert made["spec"]["ttlSecondsAfterFinished"] == 3600
    assert "parallelism" not in pod_of(dict(made))


def _manifest_of(template: dict[str, Any]) -> dict[str, Any]:
    return template["job_configuration"]["job_manifest"]


async def _made_from(template: dict[str, Any], **variables: Any) -> dict[str, Any]:
    layers = (Layer(origin=Origin.DEPLOYMENT, variables=variables),)
    found = await kubernetes_defaults(JobVariables(template=template, layers=layers).for_step("align"))
    storage = Storage(volume={"hostPath": {"path": "/volume"}}, path=VOLUME)
    pod = StepPod(job=job(), image="bwa:1", entry_point=(), mounts=job().mounts, stdin=None, user="1:1")
    launcher = Launcher(storage, "busybox:1.35")
    return dict(step_manifest(pod, found, KubernetesOptions(), storage=storage, launcher=launcher))


async def test_anything_of_a_template_can_be_for_flow_runs_alone_or_for_steps_alone() -> None:
    from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

    template: Any = packaged_template("kubernetes")
    pod = pod_of(_manifest_of(template))
    pod["initContainers"], pod["priorityClassName"] = "{{ sidecars }}", "{{ priority }}"
    variables = template["variables"]["properties"]
    variables["sidecars"] = {"type": "array", "default": [{"name": "proxy", "restartPolicy": "Always"}]}
    variables["priority"] = {"type": "string"}
    variables["cwl"]["default"] = {"sidecars": [], "priority": "batch"}

    step = pod_of(await _made_from(template))
    no_client: Any = NoApi()
    given = {"image": "flow:1"}
    flow_run = await KubernetesWorkerJobConfiguration.from_template_and_values(template, given, client=no_client)
    driver = flow_run.job_manifest["spec"]["template"]["spec"]
    assert (step["initContainers"], step["priorityClassName"]) == ([], "batch")
    assert (driver["initContainers"][0]["name"], "priorityClassName" in driver) == ("proxy", False)


async def test_labels_and_annotations_are_spelled_as_prefect_does_for_flow_runs() -> None:
    made = await _made_from(
        packaged_template("kubernetes"), labels={"owner": "jane@lab.org"}, annotations={"my note": "as it is!"}
    )
    for metadata in (made["metadata"], made["spec"]["template"]["metadata"]):
        assert metadata["labels"]["owner"] == "jane-lab.org"
        assert metadata["annotations"]["my-note"] == "as it is!"


async def test_labels_and_annotations_of_job_variables_go_over_those_that_a_template_fixes() -> None:
    template = packaged_template("kubernetes")
    _manifest_of(template)["metadata"].update({"labels": {"cost": "1", "team": "old"}, "annotations": {"a": "fixed"}})
    _manifest_of(template)["spec"]["template"]["metadata"] = {"labels": {"pod of": "a@b"}}
    made = await _made_from(template, labels={"team": "x", "owner": "y"}, annotations={"b": "given"})
    for metadata in (made["metadata"], made["spec"]["template"]["metadata"]):
        assert {"cost": "1", "team": "x", "owner": "y"}.items() <= metadata["labels"].items()
        assert {"a": "fixed", "b": "given"}.items() <= metadata["annotations"].items()
    assert made["spec"]["template"]["metadata"]["labels"]["pod-of"] == "a-b"


def _with_others(**image: str) -> dict[str, Any]:
    template = packaged_template("kubernetes")
    pod = pod_of(_manifest_of(template))
    pod["initContainers"] = [{"name": "fetch", "image": "{{ image }}"}]
    pod["containers"].append({"name": "proxy", "image": "{{ image }}"})
    template["variables"]["properties"]["image"].update(image)
    return template


@pytest.mark.parametrize(
    ("template", "variables", "image"),
    [
        pytest.param(_with_others(default="pool:1"), {}, "pool:1", id="of-the-pool"),
        pytest.param(_with_others(default="pool:1"), {"image": "own:2"}, "own:2", id="of-the-deployment"),
    ],
)
async def test_other_containers_that_name_the_flow_run_s_image_have_it(
    template: dict[str, Any], variables: dict[str, str], image: str
) -> None:
    pod = pod_of(await _made_from(template, **variables))
    assert [each["image"] for each in (pod["initContainers"][0], *pod["containers"])] == [image, "bwa:1", image]


async def test_other_containers_that_name_an_image_that_nobody_gives_are_refused() -> None:
    with pytest.raises(BackendError, match=r"container fetch .* has the image \{\{ image \}\}, and none") as told:
        await _made_from(_with_others())
    assert "job variable image" in str(told.value.hint)


async def test_a_template_without_a_container_is_refused() -> None:
    template = {"job_configuration": {"job_manifest": {"spec": {"template": {"spec": {}}}}}, "variables": {}}
    with pytest.raises(BackendError):
        await kubernetes_defaults(JobVariables(template=template).for_step("align"))


def test_a_template_without_volumes_has_neither_volumes_nor_mounts() -> None:
    found = without_volumes(packaged_template("kubernetes"))
    pod = pod_of(found["job_configuration"]["job_manifest"])
    assert "volumes" not in pod
    assert "volumeMounts" not in pod["containers"][0]


def test_a_pod_of_its_own_volume_has_credentials_where_no_tool_is() -> None:
    platform = {**PLATFORM}
    runs = {"persistentVolumeClaim": {"claimName": "runs"}}
    pod = platform["spec"]["template"]["spec"]
    pod = {**pod, "volumes": [*pod.get("volumes", []), {"name": "claimed", **runs}]}
    platform = {**platform, "spec": {**platform["spec"], "template": {**platform["spec"]["template"], "spec": pod}}}
    storage = Storage(volume={"emptyDir": {}}, path=Path("/"), ephemeral=True, replaced=runs)
    containers = TransferContainers(url="s3://data/ws", image="python:3-slim", secret="keys", launcher="x")
    step = Transfers(containers=containers, runs=VOLUME).placed(
        StepPod(job=job(), image="x", entry_point=(), mounts=job().mounts, stdin=None, user="1000:100"), "cwl-a"
    )

    made = pod_of(
        dict(
            step_manifest(
                step,
                KubernetesDefaults(namespace="lab", manifest=platform),
                KubernetesOptions(),
                storage=storage,
                launcher=Launcher(storage, "busybox:1.35"),
            )
        )
    )

    tool, store = made["containers"][0], made["containers"][-1]
    fetch = made["initContainers"][-1]
    assert [each["name"] for each in (fetch, store)] == ["cwl-prefect-fetch", "cwl-prefect-store"]
    assert fetch["envFrom"] == store["envFrom"] == [{"secretRef": {"name": "keys"}}]
    assert "resources" not in store  # or what asks for all of a node would find none
    assert "keys" not in str(tool)
    assert store["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {"name": VOLUME_NAME, "emptyDir": {}} in made["volumes"]
    assert "claimed" not in [volume["name"] for volume in made["volumes"]]
    shown = {mount["mountPath"]: mount.get("subPath") for mount in tool["volumeMounts"] if mount["name"] == VOLUME_NAME}
    assert None not in shown.values()
    assert tool["resources"]["requests"]["ephemeral-storage"]
