"""The command ``explain-job``: what a step's container will be, and where each field comes from."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from cwl_prefect.backends.job_template.job_variables import Layer, Origin
from cwl_prefect.backends.job_template.provenance import FieldPath
from cwl_prefect.cli.deploy.commands import job_variables
from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.run.command import Work, prepare, read_overrides
from cwl_prefect.cli.terminal import tell
from cwl_prefect.deployments.connection import Connection, connected
from cwl_prefect.deployments.deployed_checks import read_deployment
from cwl_prefect.engine.workflow.overrides import tool_steps
from cwl_prefect.errors import UsageError
from cwl_prefect.flows.execution.work_pool import StepsPool, read_steps_pool
from cwl_prefect.flows.explain.job import Explanation, Question, explain_job

_COMMENT_COLUMN = 72
_PLAIN = re.compile(r"[A-Za-z/][\w/.@+-]*(?::[\w/.@+-]+)*")
_NOT_TEXT = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainRequest:
    """What the command line asks for."""

    arguments: tuple[str, ...]  # document, job order, inputs as flags
    step: str | None
    pool: str | None
    deployment: str | None
    job_variables: Sequence[str]
    overrides: Mapping[str, object]  # settings by name; None: not given
    step_overrides: Path | None
    as_json: bool


def explain(request: ExplainRequest) -> None:
    """Print what a step's container will be.

    Raises:
        CwlPrefectError: The document, its inputs, the step or the pool is wrong.
    """
    given = None if request.step_overrides is None else read_overrides(request.step_overrides)
    settings = settings_with({**request.overrides, "step_overrides": given})
    work = prepare(request.arguments, settings, None)
    explanation = asyncio.run(_explained(request, work))
    described = _json_text(explanation) if request.as_json else yaml_text(explanation)
    tell(described, end="")


async def _explained(request: ExplainRequest, work: Work) -> Explanation:
    step = request.step or _only_step(work)
    async with AsyncExitStack() as stack:
        pool = None
        if request.pool is not None or request.deployment is not None:
            connection = await stack.enter_async_context(connected(work.settings))
            pool = await _pool(request, connection)
        question = Question(plan=work.plan, order=work.job_order, step=step, settings=work.settings, pool=pool)
        return await explain_job(question)


async def _pool(request: ExplainRequest, connection: Connection) -> StepsPool:
    layers = [Layer(origin=Origin.RUN, variables=job_variables(request.job_variables))]
    name = request.pool
    if request.deployment is not None:
        found = await read_deployment(request.deployment, connection)
        layers.insert(0, Layer(origin=Origin.DEPLOYMENT, variables=dict(found.job_variables or {})))
        name = name or found.work_pool_name
    if name is None:
        raise UsageError(f"The deployment {request.deployment} has no work pool.", hint="name one by --pool.")
    return await read_steps_pool(name, layers, connection.client)


def _only_step(work: Work) -> str:
    names = [name for name, _ in tool_steps(work.plan)]
    if len(names) != 1:
        raise UsageError("Which step?", hint=f"name one by --step: {', '.join(names)}.")
    return names[0]


def _json_text(explanation: Explanation) -> str:
    sources = {".".join(map(str, path)): origin for path, origin in explanation.origins.items()}
    described = {**_heading(explanation), "configuration": explanation.configuration, "origins": sources}
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"


def _heading(explanation: Explanation) -> dict[str, JsonValue]:
    return {
        "call": explanation.call,
        "runs_as": explanation.runs_as,
        "pool": explanation.pool,
        "overrides": list(explanation.overrides),
        "unknown": dict(explanation.unknown),
        "notes": list(explanation.notes),
    }


def yaml_text(explanation: Explanation) -> str:
    """Write an explanation as YAML, each field with a comment that says where it came from."""
    heading: dict[str, JsonValue] = {}
    heading.update((name, value) for name, value in _heading(explanation).items() if value)
    lines = [*_lines(heading, (), {}, ""), ("configuration:", "")]
    lines += _lines(explanation.configuration, (), explanation.origins, "  ")
    return "".join(f"{text:<{_COMMENT_COLUMN}}  # {comment}\n" if comment else f"{text}\n" for text, comment in lines)


def _lines(
    value: JsonValue, path: FieldPath, origins: Mapping[FieldPath, str], indent: str
) -> Iterator[tuple[str, str]]:
    items: Sequence[tuple[str | int, JsonValue]]
    items = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value if isinstance(value, list) else []))
    )
    for key, item in items:
        here = (*path, key)
        begin = f"{indent}-" if isinstance(key, int) else f"{indent}{_scalar(key)}:"
        inside = {origin for place, origin in origins.items() if place[: len(here)] == here}
        told = _told(here, origins, inside)
        if isinstance(item, (dict, list)) and item:
            below = list(_lines(item, here, {} if len(inside) == 1 else origins, f"{indent}  "))
            if isinstance(key, int):  # what is below begins on the line of the dash
                (text, comment), *below = below
                yield f"{begin} {text.lstrip()}", told or comment
            else:
                yield begin, told
            yield from below
        else:
            yield f"{begin} {_scalar(item)}", told


def _told(path: FieldPath, origins: Mapping[FieldPath, str], inside: set[str]) -> str:
    return origins.get(path) or (next(iter(inside)) if len(inside) == 1 else "")


def _scalar(value: JsonValue) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    return f'"{"".join(map(_character, value))}"'


def _character(character: str) -> str:
    """Write a character inside double quotes (YAML 1.2, §7.3.1)."""
    if character in '"\\':
        return f"\\{character}"
    if character == "\n":
        return "\\n"
    return character if character.isprintable() else f"\\U{ord(character):08x}"
