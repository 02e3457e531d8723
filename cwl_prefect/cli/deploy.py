"""The commands ``deploy`` and ``serve``."""

import asyncio
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import typer
from pydantic import JsonValue

from cwl_prefect import api
from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.input_flags import input_named, read_input
from cwl_prefect.cli.interrupt import run_interruptibly
from cwl_prefect.cli.run import check_naming
from cwl_prefect.cli.terminal import complain
from cwl_prefect.deploy.deployment import DeploymentRequest, DeploymentResult, deploy
from cwl_prefect.errors import InterruptedRunError, UsageError
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.model.values import CwlObject

SERVE_GRACE_S = 180.0
"""Seconds that all runs have for being cancelled, one after the other, when serving stops."""

LEAST_INTERVAL_S, MOST_INTERVAL_S = 1, 3650 * 86400
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployOptions:
    """What the command line gives, still as texts."""

    document: str
    name: str
    pool: str | None = None
    image: str | None = None
    cron: str | None = None
    interval: str | None = None
    inputs_file: str | None = None
    parameters: Sequence[str] = ()
    job_variables: Sequence[str] = ()
    concurrency_limit: int | None = None
    tags: Sequence[str] = ()
    queue: str | None = None


def deploy_document(options: DeployOptions) -> None:
    """Deploy a workflow and say where its form is and how to start a worker.

    Raises:
        CwlPrefectError: The document is not valid, an option is wrong, or no Prefect API can be reached.
    """
    result = asyncio.run(deploy(read_options(options), settings_with({})))
    _tell(result)


def serve_document(options: DeployOptions) -> None:
    """Serve a workflow from this process until Ctrl-C.

    Raises:
        CwlPrefectError: The document is not valid, an option is wrong, or no Prefect API can be reached.
    """
    from cwl_prefect.deploy.serving import serve

    def ready(result: DeploymentResult) -> None:
        """Tell where the form is, and how to end."""
        _tell(result)
        typer.echo("  stop serving    Ctrl-C")

    request, settings = read_options(options), settings_with({})
    with suppress(InterruptedRunError):  # as it is meant to end
        run_interruptibly(lambda: serve(request, settings, ready, _tell_end), grace_s=SERVE_GRACE_S)


def read_options(options: DeployOptions) -> DeploymentRequest:
    """Compile the document and read the options.

    Raises:
        DocumentError: The document is not valid CWL.
        UsageError: An option is wrong.
    """
    check_naming(options.name, options.tags)
    plan = api.load_plan(options.document, settings=settings_with({}))
    return DeploymentRequest(
        plan=plan,
        pool=options.pool,
        name=options.name,
        image=options.image,
        cron=options.cron,
        interval=None if options.interval is None else duration(options.interval),
        parameters=input_values(plan, options.parameters),
        inputs_file=None if options.inputs_file is None else _located(options.inputs_file),
        job_variables=job_variables(options.job_variables),
        concurrency_limit=options.concurrency_limit,
        tags=tuple(options.tags),
        queue=options.queue,
    )


def input_values(plan: WorkflowPlan, texts: Sequence[str]) -> CwlObject:
    """Read ``input=value``, as the flags of ``run`` are read.

    Raises:
        UsageError: One has no value, names no input or does not fit its type.
    """
    known = {port.id: port for port in plan.inputs}
    given: dict[str, list[str]] = {}
    for name, value in _pairs(texts, "--param"):
        found = input_named(name, known)
        if found is None:
            raise UsageError(
                f"--param: {plan.name} has no input {name!r}.", hint=f"its inputs are: {', '.join(known) or 'none'}."
            )
        given.setdefault(found, []).append(value)
    hint = "`cwl-prefect inputs` shows what a document takes."
    return {
        name: read_input(known[name], values, called=f"--param {name}", hint=hint) for name, values in given.items()
    }


def job_variables(texts: Sequence[str]) -> dict[str, JsonValue]:
    """Read ``name=value``, where a value is JSON if it can be and a text otherwise.

    Raises:
        UsageError: One has no value.
    """
    return {name: _json_or_text(value) for name, value in _pairs(texts, "--job-variable")}


def duration(text: str) -> timedelta:
    """Read seconds, or a number with a unit as ``15m``, ``6h`` or ``1d``.

    Raises:
        UsageError: It is neither, or less than a second or more than any schedule can wait.
    """
    hint = "give seconds, or a unit as in 15m, 6h or 1d."
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", text)
    if match is None:
        raise UsageError(f"--interval: {text!r} is no time.", hint=hint)
    seconds = float(match.group(1)) * SECONDS[match.group(2) or "s"]
    if not LEAST_INTERVAL_S <= seconds <= MOST_INTERVAL_S:
        raise UsageError(f"--interval: {text!r} is not between a second and ten years.", hint=hint)
    return timedelta(seconds=seconds)


def _pairs(texts: Sequence[str], option: str) -> Iterator[tuple[str, str]]:
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise UsageError(f"{option}: {text!r} is no pair.", hint=f"write it as {option} NAME=VALUE.")
        yield name, value


def _json_or_text(value: str) -> JsonValue:
    try:
        parsed: JsonValue = json.loads(value)
    except ValueError:
        return value
    return parsed


def _located(source: str) -> str:
    """Give a job order's URL as it is, and its path absolute: workers run elsewhere."""
    return source if urlsplit(source).scheme in ("http", "https", "file") else str(Path(source).absolute())


def _tell_end(result: DeploymentResult, paused: bool) -> None:
    if paused:
        typer.echo(f"Stopped serving {result.full_name}; it is paused until it is served again.")
        return
    complain(
        f"Warning: {result.full_name} is not served any more, but could not be paused, since the Prefect API does not "
        "answer: its schedule may go on. Pause it in the Prefect UI."
    )


def _tell(result: DeploymentResult) -> None:
    before = f", was {result.replaced}" if result.replaced and result.replaced != result.version else ""
    unchanged = " (unchanged workflow)" if result.replaced == result.version else ""
    typer.echo(f"Deployed {result.full_name}, version {result.version}{before}{unchanged}")
    if result.form_url:
        typer.echo(f"  start a run     {result.form_url}")
    if result.worker_command:
        typer.echo(f"  start a worker  {result.worker_command}")
    for location in result.left:
        typer.echo(f"  not carried     {location}: workers need it there")
    if result.ignored:
        typer.echo(f"  ignored         {', '.join(result.ignored)}: no input of the workflow, though in the job order")
    if result.kept_schedules:
        typer.echo(f"  schedules       {result.kept_schedules} kept as before; --cron or --interval replaces them")
    if result.paused and result.worker_command:
        typer.echo("  paused          its schedules start nothing until it is resumed in the Prefect UI")
    if result.unseen:
        typer.echo(
            f"  not looked at   {result.unseen}: it is not here, so the form requires no input; workers need it there"
        )
