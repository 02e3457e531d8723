"""The commands ``deploy`` and ``serve``."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from pydantic import JsonValue

from cwl_prefect import api
from cwl_prefect.cli.deploy.options import DeployOptions
from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.interrupt import run_interruptibly
from cwl_prefect.cli.quantities import duration, json_or_text
from cwl_prefect.cli.run.command import check_naming
from cwl_prefect.cli.run.input_flags import input_named, read_input
from cwl_prefect.cli.terminal import complain, tell
from cwl_prefect.deployments.declaration import Declaration, declare, located, read_declaration
from cwl_prefect.deployments.deployment import DEFAULT_NAME, DeploymentRequest, DeploymentResult, deploy
from cwl_prefect.errors import InterruptedRunError, UsageError
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.model.values import CwlObject
from cwl_prefect.settings import Settings

SERVE_GRACE_S = 180.0
"""Seconds that all runs have for being cancelled, one after the other, when serving stops."""

LEAST_INTERVAL, MOST_INTERVAL = timedelta(seconds=1), timedelta(days=3650)


def deploy_document(options: DeployOptions, *, dry_run: bool = False, prune: bool = False) -> None:
    """Deploy a workflow and say where its form is and how to start a worker.

    Raises:
        CwlPrefectError: The document is not valid, an option is wrong, or no Prefect API can be reached.
    """
    if dry_run or prune:
        raise UsageError("--dry-run and --prune are about a file of deployments.", hint="name one with --from.")
    if options.pool is None:
        raise UsageError("No work pool is named.", hint="name the one whose workers run it with --pool.")
    result = asyncio.run(deploy(read_options(options), settings_with({})))
    _tell(result)


def deploy_file(path: Path, options: DeployOptions, *, dry_run: bool, prune: bool) -> None:
    """Make all deployments that a file declares, and say what became of each.

    Raises:
        CwlPrefectError: The file, a document or an option is wrong, or no Prefect API can be reached.
    """
    if options != DeployOptions():
        raise UsageError("--from stands alone.", hint="write in the file what a deployment is to be.")
    settings = settings_with({})
    declaration = read_declaration(path, lambda document: api.load_plan(document, settings=settings))
    asyncio.run(_declared(declaration, settings, dry_run=dry_run, prune=prune))


async def _declared(declaration: Declaration, settings: Settings, *, dry_run: bool, prune: bool) -> None:
    words = {"+": "new", "=": "unchanged", "-": "removed"}
    async for change in declare(declaration, settings, dry_run=dry_run, prune=prune):
        tell(f"{change.sign} {change.full_name}: {', '.join(change.what) or words[change.sign]}")
    if dry_run:
        tell("Nothing was done, since this is a dry run.")


def serve_document(options: DeployOptions) -> None:
    """Serve a workflow from this process until Ctrl-C.

    Raises:
        CwlPrefectError: The document is not valid, an option is wrong, or no Prefect API can be reached.
    """
    from cwl_prefect.deployments.serving import serve

    def ready(result: DeploymentResult) -> None:
        """Print where the form is, and how to end."""
        _tell(result)
        tell("  stop serving    Ctrl-C")

    request, settings = read_options(options), settings_with({})
    with suppress(InterruptedRunError):  # as it is meant to end
        run_interruptibly(lambda: serve(request, settings, ready, _tell_end), grace_s=SERVE_GRACE_S)


def read_options(options: DeployOptions) -> DeploymentRequest:
    """Compile the document and read the options.

    Raises:
        DocumentError: The document is not valid CWL.
        UsageError: An option is wrong.
    """
    name = options.name or DEFAULT_NAME
    tags = tuple(options.tag or ())
    check_naming(name, tags)
    if options.document is None:
        raise UsageError("There is no document to deploy.", hint="name one, or a file of deployments with --from.")
    plan = api.load_plan(options.document, settings=settings_with({}))
    return DeploymentRequest(
        plan=plan,
        pool=options.pool,
        name=name,
        image=options.image,
        crons=tuple(options.cron or ()),
        intervals=tuple(map(schedule_interval, options.interval or ())),
        timezone=options.timezone,
        parameters=input_values(plan, options.param or ()),
        inputs_file=None if options.inputs_file is None else located(options.inputs_file, Path.cwd()),
        job_variables=job_variables(options.job_variable or ()),
        concurrency_limit=options.concurrency_limit,
        collision_strategy=options.collision_strategy,
        tags=tags,
        queue=options.queue,
        priority=options.priority,
        move=options.move,
        reset=options.reset,
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
    return {name: json_or_text(value) for name, value in _pairs(texts, "--job-variable")}


def schedule_interval(text: str) -> timedelta:
    """Return the time between two runs of a schedule.

    Raises:
        UsageError: It is neither, or less than a second or more than any schedule can wait.
    """
    found = duration(text, "--interval")
    if not LEAST_INTERVAL <= found <= MOST_INTERVAL:
        raise UsageError(
            f"--interval: {text!r} is not between a second and ten years.", hint="write it as 15m, 6h or 1d."
        )
    return found


def _pairs(texts: Sequence[str], option: str) -> Iterator[tuple[str, str]]:
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise UsageError(f"{option}: {text!r} is no pair.", hint=f"write it as {option} NAME=VALUE.")
        yield name, value


def _tell_end(result: DeploymentResult, paused: bool) -> None:
    if paused:
        tell(f"Stopped serving {result.full_name}; it is paused until it is served again.")
        return
    complain(
        f"Warning: {result.full_name} is not served any more, but could not be paused, since the Prefect API does not "
        "answer: its schedule may go on. Pause it in the Prefect UI."
    )


def _tell(result: DeploymentResult) -> None:
    before = f", was {result.replaced}" if result.replaced and result.replaced != result.version else ""
    unchanged = " (unchanged workflow)" if result.replaced == result.version else ""
    tell(f"Deployed {result.full_name}, version {result.version}{before}{unchanged}")
    if result.form_url:
        tell(f"  start a run     {result.form_url}")
    if result.worker_command:
        tell(f"  start a worker  {result.worker_command}")
    for location in result.left:
        tell(f"  not carried     {location}: workers need it there")
    if result.ignored:
        tell(f"  ignored         {', '.join(result.ignored)}: no input of the workflow, though in the job order")
    if result.kept:
        tell(f"  kept as before  {', '.join(result.kept)}; --reset forgets what is not given")
    if result.dropped:
        tell(f"  dropped         {', '.join(result.dropped)}: the workflow has no such input any more")
    if result.paused and result.worker_command:
        tell("  paused          its schedules start nothing until it is resumed in the Prefect UI")
    if result.unseen:
        tell(f"  not looked at   {result.unseen}: it is not here, so the form requires no input; workers need it there")
