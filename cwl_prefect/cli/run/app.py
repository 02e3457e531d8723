"""The command ``run``."""

from collections.abc import Mapping
from typing import Any

import typer

from cwl_prefect.cli.run import options


def add_run(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command(
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
        options_metavar="[OPTIONS]",
        epilog="Every input of the workflow is an option too: put --help after the document to see them. "
        "Where an input is named like an option above, give it after a lone `--`.",
    )(run)


def run(  # noqa: PLR0917 - one parameter for each option, which the context holds
    ctx: typer.Context,
    arguments: options.Arguments = None,  # noqa: ARG001
    target: options.Target = None,  # noqa: ARG001
    single_step: options.SingleStep = None,  # noqa: ARG001
    outdir: options.Outdir = None,  # noqa: ARG001
    overwrite: options.Overwrite = False,  # noqa: ARG001
    stage_in: options.StageIn = None,  # noqa: ARG001
    assets: options.Assets = None,  # noqa: ARG001
    stage_out: options.StageOut = None,  # noqa: ARG001
    directory_stage_in: options.DirectoryStageIn = None,  # noqa: ARG001
    directory_stage_out: options.DirectoryStageOut = None,  # noqa: ARG001
    report: options.Report = None,  # noqa: ARG001
    timeline: options.Timeline = None,  # noqa: ARG001
    trace: options.Trace = None,  # noqa: ARG001
    dag: options.Dag = None,  # noqa: ARG001
    provenance: options.Provenance = None,  # noqa: ARG001
    prices: options.Prices = None,  # noqa: ARG001
    workdir: options.Workdir = None,  # noqa: ARG001
    keep: options.KeepWhen = None,  # noqa: ARG001
    backend: options.Backend = None,  # noqa: ARG001
    steps_pool: options.StepsPool = None,  # noqa: ARG001
    step_overrides: options.StepOverrides = None,  # noqa: ARG001
    no_container: options.NoContainer = False,  # noqa: ARG001
    allow_path: options.AllowPath = None,  # noqa: ARG001
    untrusted: options.Untrusted = False,  # noqa: ARG001
    require_containers: options.RequireContainers = False,  # noqa: ARG001
    trs_root: options.TrsRoot = None,  # noqa: ARG001
    default_image: options.DefaultImage = None,  # noqa: ARG001
    max_cores: options.MaxCores = None,  # noqa: ARG001
    max_ram: options.MaxRam = None,  # noqa: ARG001
    parallel: options.Parallel = None,  # noqa: ARG001
    timeout: options.Timeout = None,  # noqa: ARG001
    step_timeout: options.StepTimeout = None,  # noqa: ARG001
    on_error: options.OnErrorOption = None,  # noqa: ARG001
    retries: options.Retries = None,  # noqa: ARG001
    callbacks: options.Callbacks = None,  # noqa: ARG001
    name: options.Name = None,  # noqa: ARG001
    tag: options.Tag = None,  # noqa: ARG001
    batch: options.Batch = None,  # noqa: ARG001
    batch_parallel: options.BatchParallel = None,  # noqa: ARG001
    no_cache: options.NoCache = False,  # noqa: ARG001
    refresh: options.Refresh = None,  # noqa: ARG001
    cache: options.Cache = None,  # noqa: ARG001
    cache_mode: options.CacheMode = None,  # noqa: ARG001
    watch: options.Watch = False,  # noqa: ARG001
    dry_run: options.DryRun = False,  # noqa: ARG001
    quiet: options.Quiet = False,  # noqa: ARG001
    verbose: options.Verbose = False,  # noqa: ARG001
    log_format: options.LogFormat = options.LogFormatChoice.TEXT,  # noqa: ARG001
    show_help: options.ShowHelp = False,
) -> None:
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
