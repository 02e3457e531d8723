"""The command ``run``."""

import typer

from cwl_prefect.cli import run_options as options


def add_run(app: typer.Typer) -> None:
    """Give an application the command."""
    app.command(
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
        options_metavar="[OPTIONS]",
        epilog="Every input of the workflow is an option too: put --help after the document to see them. "
        "Where an input is named like an option above, give it after a lone `--`.",
    )(run)


def run(  # noqa: PLR0917 - one parameter for each option, which the context holds
    ctx: typer.Context,
    arguments: options.Arguments = None,
    outdir: options.Outdir = None,
    workdir: options.Workdir = None,  # noqa: ARG001
    keep: options.KeepWhen = None,  # noqa: ARG001
    backend: options.Backend = None,  # noqa: ARG001
    steps_pool: options.StepsPool = None,  # noqa: ARG001
    step_overrides: options.StepOverrides = None,
    no_container: options.NoContainer = False,  # noqa: ARG001
    max_cores: options.MaxCores = None,  # noqa: ARG001
    max_ram: options.MaxRam = None,  # noqa: ARG001
    parallel: options.Parallel = None,  # noqa: ARG001
    timeout: options.Timeout = None,  # noqa: ARG001
    step_timeout: options.StepTimeout = None,  # noqa: ARG001
    on_error: options.OnErrorOption = None,  # noqa: ARG001
    retries: options.Retries = None,  # noqa: ARG001
    callbacks: options.Callbacks = None,  # noqa: ARG001
    name: options.Name = None,
    tag: options.Tag = None,
    batch: options.Batch = None,
    batch_parallel: options.BatchParallel = None,  # noqa: ARG001
    no_cache: options.NoCache = False,  # noqa: ARG001
    refresh: options.Refresh = None,  # noqa: ARG001
    cache: options.Cache = None,  # noqa: ARG001
    cache_mode: options.CacheMode = None,  # noqa: ARG001
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    show_help: options.ShowHelp = False,
) -> None:
    """Run a CWL document; the output object is printed as JSON."""
    if show_help:
        _show_help(ctx, arguments or [])
        return
    from cwl_prefect.cli import run as running

    overrides = options.settings_of(ctx.params)
    overrides["step_overrides"] = None if step_overrides is None else running.read_overrides(step_overrides)
    request = running.RunRequest(
        arguments=tuple(arguments or ()),
        overrides=overrides,
        outdir=outdir,
        batch=tuple(batch or ()),
        name=name,
        tags=tuple(tag or ()),
        quiet=quiet,
        verbose=verbose,
    )
    raise typer.Exit(running.run_document(request))


def _show_help(ctx: typer.Context, arguments: list[str]) -> None:
    typer.echo(ctx.get_help())
    if arguments:
        from cwl_prefect.cli import run as running

        running.show_inputs(arguments)
