"""Options of ``deploy`` and ``serve``, and what they give."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

import typer


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployOptions:
    """What the command line gives of a deployment, still as texts."""

    document: Annotated[
        str | None,
        typer.Argument(metavar="[DOCUMENT]", help="A CWL document: a path or URL, with #id for a part of it."),
    ] = None
    pool: Annotated[str | None, typer.Option("--pool", "-p", help="Work pool whose workers run it.")] = None
    name: Annotated[
        str | None,
        typer.Option("--name", "-n", help="Name beside other deployments of this workflow; cwl where none is given."),
    ] = None
    image: Annotated[
        str | None,
        typer.Option(help="Image of flow runs on Docker and Kubernetes pools; it has cwl-prefect installed."),
    ] = None
    cron: Annotated[
        list[str] | None,
        typer.Option("--cron", metavar="CRON", help="Start a run whenever this fits, as '0 6 * * *'; repeatable."),
    ] = None
    interval: Annotated[
        list[str] | None,
        typer.Option(
            "--interval", metavar="TIME", help="Start a run so often: seconds, or a unit as 15m, 6h, 1d; repeatable."
        ),
    ] = None
    timezone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE", help="Time zone of --cron and --interval, as Europe/Berlin; UTC where none is given."
        ),
    ] = None
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="INPUT=VALUE", help="Value that the form starts with; repeatable."),
    ] = None
    inputs_file: Annotated[
        str | None,
        typer.Option(
            metavar="JOB_ORDER",
            help="Inputs by reference: a URL, or a path that the worker sees; $ref: each run names one.",
        ),
    ] = None
    job_variable: Annotated[
        list[str] | None,
        typer.Option("--job-variable", metavar="NAME=VALUE", help="Job variable over the pool's, as JSON; repeatable."),
    ] = None
    concurrency_limit: Annotated[int | None, typer.Option(min=1, help="How many runs there may be at once.")] = None
    collision_strategy: Annotated[
        Literal["ENQUEUE", "CANCEL_NEW"] | None,
        typer.Option(help="What becomes of a run beyond the limit.", case_sensitive=False),
    ] = None
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Tag of its runs; repeatable.")] = None
    queue: Annotated[
        str | None, typer.Option(metavar="NAME", help="Queue of the pool, whose priority its runs have.")
    ] = None
    priority: Annotated[
        int | None, typer.Option(min=1, help="Priority of that queue among those of the pool; 1 is the highest.")
    ] = None
    move: Annotated[bool, typer.Option("--move", help="Take it away from another pool.")] = False
    reset: Annotated[bool, typer.Option("--reset", help="Forget what was set before, here or in the Prefect UI.")] = (
        False
    )

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "DeployOptions":
        """Return what the options of a command say, by their names; None, or no value, is what was not given."""
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in given.items() if name in names and value not in (None, ())})
