"""The command ``run``."""

import typer

from cwl_prefect._lib.suggestions import near
from cwl_prefect.cli.run import options
from cwl_prefect.cli.signature import taking


def add_run(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command(
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
        options_metavar="[OPTIONS]",
        epilog="Every input of the workflow is an option too: put --help after the document to see them. "
        "Where an input is named like an option above, give it after a lone `--`.",
    )(run)


@taking(options.Given)
def run(ctx: typer.Context, **_given: object) -> None:
    """Run a CWL document; the output object is printed as JSON."""
    given = options.Given(**ctx.params)
    try:
        _show_help(ctx, given) if given.show_help else _run(given)
    except options.UnknownFlagError as error:
        known = [name.lstrip("-") for parameter in ctx.command.params for name in parameter.opts]
        meant = near(error.flag.lstrip("-"), known)
        if meant is not None and "did you mean" not in str(error.hint):
            error.hint = f"did you mean --{meant}?"
        raise


def _run(given: options.Given) -> None:
    """Run what the options say, and leave with the status of that."""
    from cwl_prefect.cli.json_lines import JsonLines
    from cwl_prefect.cli.run import command as running

    overrides, steps = options.settings_of(given), given.step_overrides
    overrides["step_overrides"] = None if steps is None else running.read_overrides(steps)
    request = running.RunRequest(
        arguments=tuple(given.arguments or ()),
        overrides=overrides,
        outdir=given.outdir,
        batch=tuple(given.batch or ()),
        reports={name: getattr(given, name) for name in ("report", "timeline", "trace", "dag", "provenance")},
        prices=given.prices,
        name=given.name,
        tags=tuple(given.tag or ()),
        dry_run=given.dry_run,
        targets=tuple(given.target or ()),
        single_step=given.single_step,
        quiet=given.quiet,
        verbose=given.verbose,
        lines=JsonLines() if given.log_format is options.LogFormatChoice.JSON else None,
    )
    if given.watch:
        from cwl_prefect.cli.run.watch import run_again_and_again

        raise typer.Exit(run_again_and_again(request))
    raise typer.Exit(running.run_document(request))


def _show_help(ctx: typer.Context, given: options.Given) -> None:
    """Show the inputs of the document, or the options where there is none."""
    arguments = given.arguments
    if not arguments or arguments[0].startswith("-"):
        typer.echo(ctx.get_help())
        return
    from cwl_prefect.cli.run import command as running

    part = running.Part(single_step=given.single_step)
    running.show_inputs(arguments[0], part, options.settings_of(given))
