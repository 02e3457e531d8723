"""The command ``run``."""

from collections.abc import Mapping
from inspect import Parameter, Signature
from typing import Any

import typer

from cwl_prefect.cli.run import options


def add_run(app: typer.Typer) -> None:
    """Add the command to an application."""
    own = Parameter("ctx", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    given = (
        Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind, default=getattr(Given, name))
        for name, kind in Given.__annotations__.items()
    )
    run.__signature__ = Signature([own, *given])  # type: ignore[attr-defined] # typer reads its options from there
    app.command(
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
        options_metavar="[OPTIONS]",
        epilog="Every input of the workflow is an option too: put --help after the document to see them. "
        "Where an input is named like an option above, give it after a lone `--`.",
    )(run)


class Given:
    """What can be given to ``run``, in the order of its help; what is given is found in the context."""

    arguments: options.Arguments = None
    target: options.Target = None
    single_step: options.SingleStep = None
    outdir: options.Outdir = None
    overwrite: options.Overwrite = False
    storage_block: options.StorageBlock = None
    stage_in: options.StageIn = None
    assets: options.Assets = None
    stage_out: options.StageOut = None
    directory_stage_in: options.DirectoryStageIn = None
    directory_stage_out: options.DirectoryStageOut = None
    report: options.Report = None
    timeline: options.Timeline = None
    trace: options.Trace = None
    dag: options.Dag = None
    provenance: options.Provenance = None
    prices: options.Prices = None
    workdir: options.Workdir = None
    keep: options.KeepWhen = None
    backend: options.Backend = None
    steps_pool: options.StepsPool = None
    step_overrides: options.StepOverrides = None
    no_container: options.NoContainer = False
    allow_path: options.AllowPath = None
    untrusted: options.Untrusted = False
    require_containers: options.RequireContainers = False
    trs_root: options.TrsRoot = None
    default_image: options.DefaultImage = None
    max_cores: options.MaxCores = None
    max_ram: options.MaxRam = None
    parallel: options.Parallel = None
    timeout: options.Timeout = None
    step_timeout: options.StepTimeout = None
    on_error: options.OnErrorOption = None
    retries: options.Retries = None
    callbacks: options.Callbacks = None
    name: options.Name = None
    tag: options.Tag = None
    batch: options.Batch = None
    batch_parallel: options.BatchParallel = None
    no_cache: options.NoCache = False
    refresh: options.Refresh = None
    cache: options.Cache = None
    cache_mode: options.CacheMode = None
    watch: options.Watch = False
    dry_run: options.DryRun = False
    quiet: options.Quiet = False
    verbose: options.Verbose = False
    log_format: options.LogFormat = options.LogFormatChoice.TEXT
    show_help: options.ShowHelp = False


def run(ctx: typer.Context, *, show_help: bool, **_given: object) -> None:
    """Run a CWL document; the output object is printed as JSON."""
    _show_help(ctx) if show_help else _run(ctx.params)


def _run(given: Mapping[str, Any]) -> None:
    """Run what the options say, and leave with the status of that."""
    from cwl_prefect.cli.json_lines import JsonLines
    from cwl_prefect.cli.run import command as running

    overrides, steps = options.settings_of(given), given["step_overrides"]
    overrides["step_overrides"] = None if steps is None else running.read_overrides(steps)
    request = running.RunRequest(
        arguments=tuple(given["arguments"] or ()),
        overrides=overrides,
        outdir=given["outdir"],
        batch=tuple(given["batch"] or ()),
        reports={name: given[name] for name in ("report", "timeline", "trace", "dag", "provenance")},
        prices=given["prices"],
        name=given["name"],
        tags=tuple(given["tag"] or ()),
        dry_run=given["dry_run"],
        targets=tuple(given["target"] or ()),
        single_step=given["single_step"],
        quiet=given["quiet"],
        verbose=given["verbose"],
        lines=JsonLines() if given["log_format"] is options.LogFormatChoice.JSON else None,
    )
    if given["watch"]:
        from cwl_prefect.cli.run.watch import run_again_and_again

        raise typer.Exit(run_again_and_again(request))
    raise typer.Exit(running.run_document(request))


def _show_help(ctx: typer.Context) -> None:
    typer.echo(ctx.get_help())
    if arguments := ctx.params["arguments"]:
        from cwl_prefect.cli.run import command as running

        part = running.Part(single_step=ctx.params["single_step"])
        running.show_inputs(arguments, part, options.settings_of(ctx.params))
