"""What a run would do, told before it."""

from dataclasses import replace
from pathlib import Path

import pytest

from cwl_prefect.api import load_plan
from cwl_prefect.cwl.javascript import engine
from cwl_prefect.errors import ResourceError
from cwl_prefect.flows.build import prepared
from cwl_prefect.flows.execution.driver import Driver, Scope
from cwl_prefect.flows.execution.run import RunRequest
from cwl_prefect.flows.explain.dry_run import Fate, ForecastCall, forecast
from cwl_prefect.flows.lifecycle.opening import open_run
from cwl_prefect.settings import Settings
from tests.unit.flows.driving import PlainTasks

WORKFLOW = """\
cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}, ScatterFeatureRequirement: {}, SubworkflowFeatureRequirement: {},
  StepInputExpressionRequirement: {}}
inputs: {words: "string[]", go: {type: boolean, default: true}}
outputs: {text: {type: "File[]?", outputSource: join/text}}
steps:
  each:
    scatter: word
    in: {word: words}
    out: [text]
    run:
      class: Workflow
      inputs: {word: string}
      outputs: {text: {type: File, outputSource: say/text}}
      steps:
        say:
          in: {word: word}
          out: [text]
          run:
            class: CommandLineTool
            requirements: {ResourceRequirement: {coresMin: 2, ramMin: "$(100 + inputs.word.length)"}}
            inputs: {word: {type: string, inputBinding: {}}}
            baseCommand: echo
            outputs: {text: stdout}
            stdout: text
  count:
    in: {words: words}
    out: [times]
    run:
      class: ExpressionTool
      inputs: {words: "string[]"}
      outputs: {times: "int[]"}
      expression: "${return {times: inputs.words.map(function (w, i) {return i;})};}"
  join:
    scatter: time
    in: {texts: each/text, time: count/times}
    when: "$(inputs.time == 0)"
    out: [text]
    run:
      class: CommandLineTool
      requirements: {ResourceRequirement: {ramMin: "$(inputs.texts[0].size)"}}
      inputs: {texts: {type: "File[]", inputBinding: {}}}
      baseCommand: cat
      outputs: {text: stdout}
      stdout: joined
  many:
    scatter: line
    in: {line: {source: join/text}}
    out: []
    run: {class: CommandLineTool, baseCommand: cat, inputs: {line: {type: File, inputBinding: {}}}, outputs: []}
  perhaps:
    in: {file: join/text}
    when: "$(inputs.file.length > 1)"
    out: []
    run: {class: CommandLineTool, baseCommand: cat, inputs: {file: Any}, outputs: []}
  never:
    in: {go: go}
    when: "$(!inputs.go)"
    out: []
    run: {class: CommandLineTool, baseCommand: cat, inputs: {}, outputs: []}
"""
ORDER = {"words": ["a", "bb"]}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    engine.install(timeout_s=5, memory_mib=64)
    return Settings(home=tmp_path / "home", backend="local")


@pytest.fixture
def plan(tmp_path: Path, settings: Settings):
    path = tmp_path / "flow.cwl"
    path.write_text(WORKFLOW)
    return load_plan(path, settings=settings)


def by_step(calls: tuple[ForecastCall, ...]) -> dict[str, list[ForecastCall]]:
    steps: dict[str, list[ForecastCall]] = {}
    for call in calls:
        steps.setdefault(call.step, []).append(call)
    return steps


def fates(calls: list[ForecastCall]) -> list[Fate]:
    return [call.fate for call in calls]


async def test_every_call_is_foreseen_as_far_as_its_inputs_are_known(plan, settings) -> None:
    found = by_step(await forecast(plan, ORDER, settings))
    assert [call.name for call in found["each.say"]] == ["each[0].say", "each[1].say"]
    assert fates(found["each.say"]) == [Fate.RUNS, Fate.RUNS]
    assert fates(found["count"]) == [Fate.RUNS]
    assert fates(found["join"]) == [Fate.UNKNOWN, Fate.SKIPPED]
    assert fates(found["never"]) == [Fate.SKIPPED]


async def test_what_a_step_asks_for_is_told_where_it_is_known(plan, settings) -> None:
    found = by_step(await forecast(plan, ORDER, settings))
    (say, _), (join, _) = found["each.say"], found["join"]
    assert say.resources is not None
    assert (say.resources.cores, say.resources.ram_mib, say.contained, say.image) == (2, 101, False, None)
    assert join.unknown == {"texts": "File[], an output of the step each: text"}


async def test_what_only_the_run_tells_is_not_guessed(plan, settings) -> None:
    found = by_step(await forecast(plan, ORDER, settings))
    (many,), (perhaps,) = found["many"], found["perhaps"]
    assert (many.fate, many.several) == (Fate.UNKNOWN, True)
    assert perhaps.notes == ("whether it runs is not known: when is $(inputs.file.length > 1)",)


async def test_cached_calls_are_found_and_so_what_comes_after_them_is_known(plan, settings) -> None:
    request = RunRequest(job_order={}, settings=settings)
    part = plan_without(plan, "many", "perhaps")
    async with open_run(part, request, "run") as run:
        await Driver(run, PlainTasks()).workflow(part, prepared(part, ORDER, settings), Scope())

    found = by_step(await forecast(part, ORDER, settings))
    assert fates(found["each.say"]) == [Fate.CACHED, Fate.CACHED]
    assert fates(found["join"]) == [Fate.CACHED, Fate.SKIPPED]

    changed = by_step(await forecast(part, {"words": ["a", "new"]}, settings))
    assert fates(changed["each.say"]) == [Fate.CACHED, Fate.RUNS]
    assert fates(changed["join"]) == [Fate.UNKNOWN, Fate.SKIPPED]

    again = settings.model_copy(update={"refresh": ("join",)})
    assert fates(by_step(await forecast(part, ORDER, again))["join"]) == [Fate.RUNS, Fate.SKIPPED]


async def test_a_call_that_asks_for_too_much_is_refused(plan, settings) -> None:
    small = settings.model_copy(update={"max_cores": 1})
    found = by_step(await forecast(plan, ORDER, small))
    assert fates(found["each.say"]) == [Fate.REFUSED, Fate.REFUSED]
    assert all(isinstance(call.error, ResourceError) for call in found["each.say"])


async def test_nothing_is_left_behind(plan, settings) -> None:
    await forecast(plan, ORDER, settings)
    assert not (settings.home / "runs").exists()
    assert not settings.reports.exists()


def plan_without(plan, *steps: str):
    return replace(plan, steps=tuple(step for step in plan.steps if step.id not in steps))
