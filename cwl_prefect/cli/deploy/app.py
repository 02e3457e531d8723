"""The commands ``deploy`` and ``serve``."""

import typer

from cwl_prefect.cli.deploy import options


def add_deploy(app: typer.Typer) -> None:
    """Add the commands to an application."""
    app.command()(deploy)
    app.command()(serve)


def deploy(  # noqa: PLR0917 - one parameter for each option, which the context holds
    ctx: typer.Context,
    document: options.Document = None,  # noqa: ARG001
    pool: options.Pool = None,  # noqa: ARG001
    name: options.Name = None,  # noqa: ARG001
    image: options.Image = None,  # noqa: ARG001
    cron: options.Cron = None,  # noqa: ARG001
    interval: options.Interval = None,  # noqa: ARG001
    timezone: options.TimeZone = None,  # noqa: ARG001
    param: options.Param = None,  # noqa: ARG001
    inputs_file: options.InputsFile = None,  # noqa: ARG001
    job_variable: options.JobVariable = None,  # noqa: ARG001
    concurrency_limit: options.ConcurrencyLimit = None,  # noqa: ARG001
    collision_strategy: options.CollisionStrategy = None,  # noqa: ARG001
    tag: options.Tag = None,  # noqa: ARG001
    queue: options.Queue = None,  # noqa: ARG001
    priority: options.Priority = None,  # noqa: ARG001
    move: options.Move = False,  # noqa: ARG001
    reset: options.Reset = False,  # noqa: ARG001
    from_file: options.FromFile = None,
    dry_run: options.DryRun = False,
    prune: options.Prune = False,
) -> None:
    """Deploy a workflow: the Prefect UI gets a form for its inputs, and workers of the pool run it.

    What is not given here stays as a deployment of the same name has it.
    """
    from cwl_prefect.cli.deploy import commands as deploying

    given = options.DeployOptions.of(ctx.params)
    if from_file is not None:
        deploying.deploy_file(from_file, given, dry_run=dry_run, prune=prune)
    else:
        deploying.deploy_document(given, dry_run=dry_run, prune=prune)


def serve(  # noqa: PLR0917 - one parameter for each option, which the context holds
    ctx: typer.Context,
    document: options.ServedDocument,  # noqa: ARG001
    name: options.ServedName = "served",  # noqa: ARG001
    cron: options.Cron = None,  # noqa: ARG001
    interval: options.Interval = None,  # noqa: ARG001
    timezone: options.TimeZone = None,  # noqa: ARG001
    param: options.Param = None,  # noqa: ARG001
    inputs_file: options.InputsFile = None,  # noqa: ARG001
    concurrency_limit: options.ConcurrencyLimit = None,  # noqa: ARG001
    tag: options.Tag = None,  # noqa: ARG001
) -> None:
    """Serve a workflow from this process, without a work pool, until Ctrl-C: for development."""
    from cwl_prefect.cli.deploy import commands as deploying

    deploying.serve_document(options.DeployOptions.of(ctx.params))
