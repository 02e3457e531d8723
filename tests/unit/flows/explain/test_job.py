"""What a step will be, before anything runs."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from cwl_prefect.api import load_plan
from cwl_prefect.backends.job_template.job_variables import Layer, Origin, packaged_template
from cwl_prefect.errors import BackendError, UnsupportedError, UsageError
from cwl_prefect.flows.execution.work_pool import StepsPool
from cwl_prefect.flows.explain.job import Explanation, Question, explain_job
from cwl_prefect.settings import Settings

WORKFLOW = """\
cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}, ScatterFeatureRequirement: {}, SubworkflowFeatureRequirement: {},
  StepInputExpressionRequirement: {}}
inputs: {reads: "File[]", empty: {type: "string[]", default: []}, level: int}
outputs: []
steps:
  prepare:
    scatter: read
    in: {read: reads, level: level}
    out: [bam]
    run:
      class: Workflow
      inputs: {read: File, level: int}
      outputs: {bam: {type: File, outputSource: align/bam}}
      steps:
        align:
          in: {read: read, level: {source: level, valueFrom: "$(self + 1)"}}
          out: [bam]
          run:
            class: CommandLineTool
            requirements: {DockerRequirement: {dockerPull: "bwa:1"}, EnvVarRequirement: {envDef: {MODE: fast}},
              InitialWorkDirRequirement: {listing: [{entry: "$(inputs.read)", writable: true}]}}
            inputs: {read: File, level: int}
            baseCommand: [bwa, mem]
            arguments: [$(inputs.level), $(inputs.read.basename)]
            outputs: {bam: {type: File, outputBinding: {glob: "*"}}}
  merge:
    in:
      bams: prepare/bam
      first: {source: prepare/bam, valueFrom: "$(self[0].contents.length.x)"}
      plain: level
    when: "$(inputs.plain > 0)"
    out: [count]
    run:
      class: CommandLineTool
      inputs:
        bams: {type: "File[]", inputBinding: {}}
        first: {type: int, inputBinding: {}}
        plain: {type: int, inputBinding: {}}
      baseCommand: merge
      outputs: {count: {type: int, outputBinding: {outputEval: "$(1)"}}}
  index:
    in: {bam: {source: prepare/bam, valueFrom: "$(self[0])"}, count: merge/count}
    when: "$(inputs.count > 1)"
    out: []
    run:
      class: CommandLineTool
      requirements: {DockerRequirement: {dockerPull: samtools}}
      inputs: {bam: {type: File, secondaryFiles: [.bai, ^.idx], inputBinding: {}}}
      baseCommand: index
      outputs: []
  nothing:
    scatter: word
    in: {word: empty}
    out: []
    run: {class: CommandLineTool, baseCommand: echo, inputs: {word: {type: string, inputBinding: {}}}, outputs: []}
  expression:
    in: {}
    out: []
    run: {class: ExpressionTool, inputs: [], outputs: [], expression: "${return {};}"}
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("explained")
    (directory / "workflow.cwl").write_text(WORKFLOW)
    for name in ("a.fq", "b.fq"):
        (directory / name).write_text("reads")
    return directory


def docker_pool(*layers: Layer, **defaults: Any) -> StepsPool:
    template: dict[str, Any] = packaged_template("docker")
    for name, value in defaults.items():
        template["variables"]["properties"][name]["default"] = value
    return StepsPool(name="containers", type="docker", base_job_template=template, layers=layers)


async def explained(directory: Path, step: str, pool: StepsPool | None = None, **settings: Any) -> Explanation:
    chosen = Settings(home=directory / "home", **settings)
    reads: list[JsonValue] = [{"class": "File", "location": (directory / name).as_uri()} for name in ("a.fq", "b.fq")]
    plan = load_plan(directory / "workflow.cwl", settings=chosen)
    order = {"reads": reads, "level": 1}
    return await explain_job(Question(plan=plan, order=order, step=step, settings=chosen, pool=pool))


async def test_a_container_is_shown_as_it_will_be(directory: Path) -> None:
    found = await explained(directory, "prepare.align", docker_pool())
    made: dict[str, Any] = found.configuration
    assert (found.call, found.runs_as, found.pool) == ("prepare[0].align", "docker", "containers")
    assert made["command"] == ["bwa", "mem", "2", "a.fq"]
    assert (made["image"], made["network_mode"], made["environment"]["MODE"]) == ("bwa:1", "none", "fast")
    assert found.unknown == {}
    assert found.notes == ("prepare is called 2 times; this is the first call.",)
    (outdir,) = [mount for mount in made["mounts"] if mount["Target"] == "/var/spool/cwl"]
    assert outdir["Source"].startswith("/var/lib/cwl-prefect/runs/FLOW-RUN-ID/")  # as the pool tells its flow runs


async def test_without_a_pool_or_with_a_work_directory_paths_are_those_of_the_settings(directory: Path) -> None:
    here = await explained(directory, "prepare.align")
    chosen = await explained(directory, "prepare.align", docker_pool(), workdir=directory / "chosen")
    assert f"{(directory / 'home/runs/FLOW-RUN-ID').resolve()}/" in json.dumps(here.configuration)
    assert f"{(directory / 'chosen/FLOW-RUN-ID').resolve()}/" in json.dumps(chosen.configuration)


async def test_fields_say_where_they_came_from(directory: Path) -> None:
    layers = (
        Layer(origin=Origin.DEPLOYMENT, variables={"labels": {"team": "a"}, "cwl": {"env": {"SITE": "north"}}}),
        Layer(
            origin=Origin.RUN, variables={"cwl": {"steps": {"*.align": {"mem_limit": "1g", "env": {"LC_ALL": "C"}}}}}
        ),
    )
    found = await explained(directory, "prepare.align", docker_pool(*layers, privileged=True))
    origins = {".".join(map(str, path)): origin for path, origin in found.origins.items()}
    expected = {
        "read_only": "cwl-prefect",
        "environment.HOME": "cwl-prefect",
        "privileged": "pool template",
        "labels.team": "deployment",
        "environment.SITE": "deployment",
        "image": "CWL document",
        "command": "CWL document",
        "environment.MODE": "CWL document",
        "mem_limit": "step override",
        "environment.LC_ALL": "step override",
    }
    assert {name: origins[name] for name in expected} == expected
    assert found.overrides == ("run: *.align",)


async def test_an_image_from_an_override_changes_nothing_else(directory: Path) -> None:
    found = await explained(directory, "merge", step_overrides={"merge": {"image": "mine"}})
    assert found.runs_as == "docker"
    assert [path for path, origin in found.origins.items() if origin == "step override"] == [("image",)]


async def test_placeholders_stand_for_what_other_steps_give(directory: Path) -> None:
    found = await explained(directory, "merge")
    made: dict[str, Any] = found.configuration
    assert found.runs_as == "process"
    assert found.unknown["bams"] == "File[], an output of the step prepare: bam"
    assert found.unknown["first"] == "int, its valueFrom reads its source (an output of the step prepare: bam)"
    assert "plain" not in found.unknown
    assert made["command"][0] == "merge"
    assert "UNKNOWN-merge-bams" in made["command"][1]
    assert made["command"][2:] == ["0", "1"]
    assert str(directory) not in made["command"][1] or "FLOW-RUN-ID" in made["command"][1]


@pytest.mark.parametrize(
    ("expression", "read"),
    [
        ("$(inputs.plain + 1)", None),
        ("${ var bams = 1; return bams + inputs.plain; }", None),
        ("$(inputs['ba' + 'ms'].length)", "bams"),
        ("$(inputs.bams.length)", "bams"),
        ("${ return Object.values(inputs).length; }", "bams"),
    ],
    ids=["another input", "a name that only looks like it", "a name that is put together", "a reference", "all inputs"],
)
async def test_what_is_unknown_shows_by_what_is_read(tmp_path: Path, expression: str, read: str | None) -> None:
    document = {
        "cwlVersion": "v1.2",
        "class": "Workflow",
        "requirements": {"InlineJavascriptRequirement": {}, "StepInputExpressionRequirement": {}},
        "inputs": {"level": "int"},
        "outputs": [],
        "steps": {
            "first": {"in": {}, "out": ["bams"], "run": tool({}, {"bams": "File[]"})},
            "second": {
                "in": {"bams": "first/bams", "plain": "level", "made": {"valueFrom": expression}},
                "out": [],
                "run": tool({"made": {"type": "int", "inputBinding": {}}}, {}),
            },
        },
    }
    (tmp_path / "workflow.cwl").write_text(json.dumps(document))
    chosen = Settings(home=tmp_path / "home")
    plan = load_plan(tmp_path / "workflow.cwl", settings=chosen)
    found = await explain_job(Question(plan=plan, order={"level": 1}, step="second", settings=chosen))
    reason = None if read is None else f"int, its valueFrom reads {read} (an output of the step first: bams)"
    assert found.unknown.get("made") == reason
    assert found.configuration["command"] == ["tool", "2" if read is None else "0"]


def tool(inputs: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
    return {"class": "CommandLineTool", "baseCommand": "tool", "inputs": inputs, "outputs": outputs}


async def test_a_command_line_that_needs_what_is_unknown_is_said_to_be_unknown(directory: Path, tmp_path: Path) -> None:
    text = WORKFLOW.replace(
        "baseCommand: index", "baseCommand: index\n      arguments: ['$(inputs.bam.size.length.x)']"
    )
    (tmp_path / "workflow.cwl").write_text(text)
    (tmp_path / "a.fq").touch()
    (tmp_path / "b.fq").touch()
    found = await explained(tmp_path, "index", docker_pool())
    assert found.configuration["command"] == ["UNKNOWN"]
    assert found.configuration["image"] == "samtools"
    (said,) = (note for note in found.notes if note.startswith("the command line cannot be told with placeholders:"))
    assert "workflow.cwl:" in said
    assert " index: " in said


async def test_secondary_files_stand_beside_placeholders(directory: Path) -> None:
    found = await explained(directory, "index", docker_pool())
    made: dict[str, Any] = found.configuration
    mounted = [mount["Target"] for mount in made["mounts"]]
    assert any(target.endswith("UNKNOWN-index-bam.bai") for target in mounted)
    assert "whether index runs is not known before the run: when is $(inputs.count > 1)" in found.notes


async def test_an_empty_scatter_is_said(directory: Path) -> None:
    found = await explained(directory, "nothing")
    assert "nothing is scattered over nothing: it will never be called" in found.notes[0]
    assert found.configuration["command"] == ["echo", "UNKNOWN-nothing-word"]


async def test_nothing_secret_is_shown_or_read(directory: Path) -> None:
    run = {
        "registry_credentials": "{{ prefect.blocks.docker-registry-credentials.site }}",
        "labels": {"a": "{{ prefect.blocks.secret.label }}"},
        "cwl": {"env": {"DB_PASSWORD": "hush", "OTHER": "{{ prefect.blocks.secret.other }}"}},
    }
    found = await explained(directory, "prepare.align", docker_pool(Layer(origin=Origin.RUN, variables=run)))
    text = json.dumps(found.configuration)
    assert "hush" not in text
    assert "(Prefect block secret.other)" in text
    assert "(Prefect block secret.label)" in text


async def test_nothing_is_left_behind(directory: Path) -> None:
    await explained(directory, "prepare.align")
    assert not (directory / "home" / "runs").exists()


async def test_a_step_that_is_not_there_or_runs_nothing_is_refused(directory: Path) -> None:
    with pytest.raises(UsageError, match=r"(?s)no step align.*'prepare\.align', 'merge'"):
        await explained(directory, "align")
    with pytest.raises(UnsupportedError, match="ExpressionTool"):
        await explained(directory, "expression")


async def test_missing_support_for_docker_is_said(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prefect_docker.worker", None)
    with pytest.raises(BackendError, match=r"(?s)not installed.*cwl-prefect\[docker\]"):
        await explained(directory, "prepare.align", docker_pool())
