"""Options of ``deploy`` and ``serve``, and what they give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

ServedDocument = Annotated[
    str, typer.Argument(metavar="DOCUMENT", help="A CWL document: a path or URL, with #id for a part of it.")
]
ServedName = Annotated[str, typer.Option("--name", "-n", help="Name beside other deployments of this workflow.")]
Cron = Annotated[
    list[str] | None,
    typer.Option("--cron", metavar="CRON", help="Start a run whenever this fits, as '0 6 * * *'; repeatable."),
]
Interval = Annotated[
    list[str] | None,
    typer.Option(
        "--interval", metavar="TIME", help="Start a run so often: seconds, or a unit as 15m, 6h, 1d; repeatable."
    ),
]
TimeZone = Annotated[
    str | None,
    typer.Option(metavar="ZONE", help="Time zone of --cron and --interval, as Europe/Berlin; UTC where none is given."),
]
Param = Annotated[
    list[str] | None,
    typer.Option("--param", metavar="INPUT=VALUE", help="Value that the form starts with; repeatable."),
]
InputsFile = Annotated[
    str | None,
    typer.Option(
        metavar="JOB_ORDER",
        help="Inputs by reference: a URL, or a path that the worker sees; $ref: each run names one.",
    ),
]
ConcurrencyLimit = Annotated[int | None, typer.Option(min=1, help="How many runs there may be at once.")]
JobVariable = Annotated[
    list[str] | None,
    typer.Option("--job-variable", metavar="NAME=VALUE", help="Job variable over the pool's, as JSON; repeatable."),
]
Tag = Annotated[list[str] | None, typer.Option("--tag", help="Tag of its runs; repeatable.")]
Document = Annotated[
    str | None,
    typer.Argument(metavar="[DOCUMENT]", help="A CWL document: a path or URL, with #id for a part of it."),
]
Pool = Annotated[str | None, typer.Option("--pool", "-p", help="Work pool whose workers run it.")]
Name = Annotated[
    str | None,
    typer.Option("--name", "-n", help="Name beside other deployments of this workflow; cwl where none is given."),
]
Image = Annotated[
    str | None,
    typer.Option(help="Image of flow runs on Docker and Kubernetes pools; it has cwl-prefect installed."),
]
CollisionStrategy = Annotated[
    Literal["ENQUEUE", "CANCEL_NEW"] | None,
    typer.Option(help="What becomes of a run beyond the limit.", case_sensitive=False),
]
Queue = Annotated[str | None, typer.Option(metavar="NAME", help="Queue of the pool, whose priority its runs have.")]
Priority = Annotated[
    int | None, typer.Option(min=1, help="Priority of that queue among those of the pool; 1 is the highest.")
]
Move = Annotated[bool, typer.Option("--move", help="Take it away from another pool.")]
Reset = Annotated[bool, typer.Option("--reset", help="Forget what was set before, here or in the Prefect UI.")]
FromFile = Annotated[
    Path | None, typer.Option("--from", metavar="FILE", help="Make all deployments that a YAML file declares.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="With --from: only say what would change.")]
Prune = Annotated[
    bool, typer.Option("--prune", help="With --from: remove what the file declared earlier, and does not now.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployOptions:
    """What the command line gives of a deployment, still as texts."""

    document: str | None = None
    name: str | None = None
    pool: str | None = None
    image: str | None = None
    cron: Sequence[str] = ()
    interval: Sequence[str] = ()
    timezone: str | None = None
    inputs_file: str | None = None
    param: Sequence[str] = ()
    job_variable: Sequence[str] = ()
    concurrency_limit: int | None = None
    collision_strategy: Literal["ENQUEUE", "CANCEL_NEW"] | None = None
    tag: Sequence[str] = ()
    queue: str | None = None
    priority: int | None = None
    move: bool = False
    reset: bool = False

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "DeployOptions":
        """Return what the options of a command say, by their names; None stands for what was not given."""
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in given.items() if name in names and value is not None})
