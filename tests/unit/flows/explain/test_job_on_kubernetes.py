"""What the Job of a step will be, before anything runs."""

from pathlib import Path
from typing import Any

import pytest

from cwl_prefect.api import load_plan
from cwl_prefect.backends.job_template.job_variables import Layer, Origin, packaged_template
from cwl_prefect.errors import BackendError
from cwl_prefect.flows.execution.work_pool import StepsPool
from cwl_prefect.flows.explain.job import Explanation, Question, explain_job
from cwl_prefect.settings import Settings

TOOL = """\
cwlVersion: v1.2
class: CommandLineTool
id: align
requirements:
  DockerRequirement: {dockerPull: "bwa:1"}
  ResourceRequirement: {coresMin: 2}
inputs: {reads: File}
baseCommand: [bwa, mem]
stdin: $(inputs.reads.path)
outputs: []
"""


async def explained(directory: Path, template: dict[str, Any], run: dict[str, Any], **settings: Any) -> Explanation:
    (directory / "align.cwl").write_text(TOOL)
    (directory / "a.fq").write_text("reads")
    layers = (Layer(origin=Origin.RUN, variables=run),)
    pool = StepsPool(name="cluster", type="kubernetes", base_job_template=template, layers=layers)
    chosen = Settings(home=directory / "home", **settings)
    plan = load_plan(directory / "align.cwl", settings=chosen)
    order: Any = {"reads": {"class": "File", "location": (directory / "a.fq").as_uri()}}
    return await explain_job(Question(plan=plan, order=order, step="align", settings=chosen, pool=pool))


def origins_of(found: Explanation) -> dict[str, str]:
    return {".".join(map(str, path)): origin for path, origin in found.origins.items()}


async def test_the_manifest_is_shown_with_where_each_field_came_from(tmp_path: Path) -> None:
    template: dict[str, Any] = packaged_template("kubernetes")
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    pod["runtimeClassName"] = "gvisor"
    secret = {"secretKeyRef": {"name": "licences", "key": "bwa"}}
    pod["containers"][0]["env"] = [{"name": "LICENCE_TOKEN", "valueFrom": secret}]
    pod["containers"].append(
        {"name": "proxy", "image": "proxy:1", "env": [{"name": "PROXY_PASSWORD", "value": "hush"}]}
    )
    run = {
        "service_account_name": "steps",
        "cwl": {"steps": {"align": {"tolerations": [{"operator": "Exists"}], "resources": {"ram": "2G"}}}},
    }

    found = await explained(tmp_path, template, run)

    origins = origins_of(found)
    spec = "spec.template.spec"
    expected = {
        "kind": "cwl-prefect",
        f"{spec}.runtimeClassName": "pool template",
        f"{spec}.serviceAccountName": "run",
        f"{spec}.tolerations": "step override",
        f"{spec}.containers.0.image": "CWL document",
        f"{spec}.containers.0.resources.requests.cpu": "CWL document",
        f"{spec}.containers.0.resources.requests.memory": "step override",
        f"{spec}.containers.1.image": "pool template",
    }
    assert {name: next(origins[key] for key in origins if key.startswith(name)) for name in expected} == expected
    containers: list[Any] = found.configuration["spec"]["template"]["spec"]["containers"]  # type: ignore[index,call-overload]
    assert {"name": "LICENCE_TOKEN", "valueFrom": secret} in containers[0]["env"]
    assert containers[1]["env"] == [{"name": "PROXY_PASSWORD", "value": "(hidden)"}]
    assert found.runs_as == "kubernetes"


async def test_workspaces_are_where_the_pool_s_flow_runs_have_them(tmp_path: Path) -> None:
    found = await explained(tmp_path, packaged_template("kubernetes"), {})
    pod: Any = found.configuration["spec"]["template"]["spec"]  # type: ignore[index,call-overload]
    assert {"claimName": "cwl-prefect-runs"} in [volume.get("persistentVolumeClaim") for volume in pod["volumes"]]
    mounts = [str(mount.get("subPath")) for mount in pod["containers"][0]["volumeMounts"]]
    assert any(place.startswith("runs/FLOW-RUN-ID/align/") for place in mounts)


@pytest.mark.parametrize(
    ("settings", "volume"),
    [
        ({}, {"persistentVolumeClaim": {"claimName": "UNKNOWN"}}),
        ({"kubernetes_volume": "pvc:shared"}, {"persistentVolumeClaim": {"claimName": "shared"}}),
    ],
    ids=["unknown", "stated"],
)
async def test_prefect_s_own_template_says_no_volume(tmp_path: Path, settings: dict[str, Any], volume: Any) -> None:
    from prefect_kubernetes.worker import KubernetesWorker

    template = KubernetesWorker.get_default_base_job_template()
    found = await explained(
        tmp_path, template, {"cwl": {"steps": {"*": {"node_selector": {"disk": "ssd"}}}}}, **settings
    )
    pod: Any = found.configuration["spec"]["template"]["spec"]  # type: ignore[index,call-overload]
    assert {"name": "cwl-prefect-storage", **volume} in pod["volumes"]
    assert pod["nodeSelector"] == {"disk": "ssd"}
    assert origins_of(found)["spec.template.spec.nodeSelector.disk"] == "step override"


def with_scratch(path: Path) -> dict[str, Any]:
    """Give the packaged template with one more volume, which is seen at a path."""
    template: dict[str, Any] = packaged_template("kubernetes")
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    pod["volumes"].append({"name": "scratch", "persistentVolumeClaim": {"claimName": "scratch"}})
    pod["containers"][0]["volumeMounts"].append({"name": "scratch", "mountPath": str(path)})
    return template


def storage_of(found: Explanation) -> Any:
    pod: Any = found.configuration["spec"]["template"]["spec"]  # type: ignore[index,call-overload]
    return next(volume for volume in pod["volumes"] if volume["name"] == "cwl-prefect-storage")


@pytest.mark.parametrize(
    ("run", "chosen"),
    [
        ({}, {"workdir": "linked"}),
        ({"env": {"CWL_PREFECT_WORKDIR": "SCRATCH/runs"}}, {}),
        ({"env": {"CWL_PREFECT_HOME": "SCRATCH"}}, {}),
    ],
    ids=["by a link here", "by the run's directory for workspaces", "by the run's home"],
)
async def test_workspaces_lie_on_the_volume_that_the_template_mounts_there(
    tmp_path: Path, run: dict[str, Any], chosen: dict[str, Any]
) -> None:
    scratch = tmp_path.resolve() / "scratch"
    (scratch / "runs").mkdir(parents=True)
    (tmp_path / "linked").symlink_to(scratch / "runs")
    environment = {name: value.replace("SCRATCH", str(scratch)) for name, value in run.get("env", {}).items()}
    settings = {name: tmp_path / value for name, value in chosen.items()}
    found = await explained(tmp_path, with_scratch(scratch), {"env": environment}, **settings)
    assert storage_of(found)["persistentVolumeClaim"] == {"claimName": "scratch"}
    told = [note for note in found.notes if note.startswith(f"workspaces are in {scratch / 'runs'},")]
    assert bool(told) is not bool(chosen)  # what this machine says needs no word


async def test_all_steps_share_the_volume_of_the_run_whatever_is_overridden(tmp_path: Path) -> None:
    overrides = {"align": {"runs_claim": "own", "namespace": "own"}}
    found = await explained(tmp_path, packaged_template("kubernetes"), {"cwl": {"steps": overrides}})
    assert storage_of(found)["persistentVolumeClaim"] == {"claimName": "cwl-prefect-runs"}
    assert found.configuration["metadata"]["namespace"] == "default"  # type: ignore[index,call-overload]


async def test_workspaces_beside_the_stated_volume_are_refused_as_by_a_run(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="do not lie on the shared volume"):
        await explained(tmp_path, packaged_template("kubernetes"), {}, kubernetes_volume="hostPath:/elsewhere")
