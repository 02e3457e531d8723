"""The commands of ``cwl-prefect`` and their arguments; what does the work is imported when it is needed."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup
from typer.main import get_command

from cwl_prefect import __version__
from cwl_prefect.choices import BackendName
from cwl_prefect.cli.deploy.app import add_deploy
from cwl_prefect.cli.loaded_on_use import group_of
from cwl_prefect.cli.run.app import add_run
from cwl_prefect.cli.run.options import DefaultImage, RequireContainers, StepOverrides
from cwl_prefect.errors import UsageError


class ReportingGroup(TyperGroup):
    """Commands whose errors become one message and an exit code."""

    def make_context(  # type: ignore[override]  # typer hides the base of its Context
        self, info_name: str | None, args: list[str], parent: typer.Context | None = None, **extra: object
    ) -> typer.Context:
        """Read the options before the command."""
        given = list(args)
        with _reported(self, given):
            made: typer.Context = super().make_context(info_name, args, parent, **extra)  # type: ignore[assignment]  # as above
        made.meta[_GIVEN] = given
        return made

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]  # as above
        """Run the command that was asked for."""
        with _reported(self, ctx.meta[_GIVEN]):
            return super().invoke(ctx)


_GIVEN = "cwl_prefect.given"
_NOT_AS_MEANT = re.compile(r"Value error, |, unable to parse.*| \(Possible options: .*\)", re.DOTALL)


@contextmanager
def _reported(group: TyperGroup, given: Sequence[str]) -> Iterator[None]:
    """Report what goes wrong within the context, and leave with its exit code.

    Args:
        group: The commands.
        given: The words of the command line.
    """
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except (Exception, KeyboardInterrupt) as exc:
        from cwl_prefect.cli.failures import report_failure

        if isinstance(exc, typer.TyperException) and not exc.format_message():
            raise  # the help was shown
        raise typer.Exit(report_failure(_as_ours(exc, group, given))) from exc


def _as_ours(error: BaseException, group: TyperGroup, given: Sequence[str]) -> BaseException:
    """Return what typer says of a command line as an error of ours, without the words of pydantic."""
    if not isinstance(error, typer.TyperException):
        return error
    text = _NOT_AS_MEANT.sub("", error.format_message()).replace("Input should be", "it should be").rstrip(".")
    text += _found(error.__cause__)
    meant = " or ".join(sorted(getattr(error, "possibilities", None) or ()))
    text += f". Did you mean {meant}?" if meant else "" if text[-1] == "?" else "."
    return UsageError(text, hint=f"`{' '.join(_command(group, given))} -h` shows what can be given.")


def _found(invalid: BaseException | None) -> str:
    """Return what was given in place of a valid value, where pydantic knows it."""
    from pydantic import ValidationError

    wrong = invalid.errors() if isinstance(invalid, ValidationError) else []
    given = [each["input"] for each in wrong if repr(each["input"]) not in each["msg"]]
    return "".join(f", not {str(each)!r}" for each in given if isinstance(each, str | int | float))


def _command(group: TyperGroup, given: Sequence[str]) -> Iterator[str]:
    """Yield the words that name the command that was given."""
    yield "cwl-prefect"
    for word in given:
        found = group.get_command(typer.Context(group), word)
        if found is None:
            return
        yield word
        if not isinstance(found, TyperGroup):
            return
        group = found


class GraphFormat(StrEnum):
    """How a graph is written."""

    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"


class ReportFormat(StrEnum):
    """How findings are told."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


app = typer.Typer(
    cls=ReportingGroup,
    name="cwl-prefect",
    help="Run Common Workflow Language documents as Prefect flows.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
GROUPS = {
    "server": ("deploy.servers", "The local Prefect server that runs use where no Prefect API is configured."),
    "pool": ("deploy.pool", "Work pools of the Prefect server."),
    "deployments": ("deploy.deployments", "Deployments of workflows: look at them, renew them."),
    "runs": ("runs.app", "Runs so far: look at them, stop them, go on with them."),
    "workspace": ("runs.workspace", "Workspaces that runs left on this machine."),
    "cache": ("cache", "The call cache: outputs of calls that need not run again."),
    "config": ("settings", "Settings: of the environment, and of files cwl-prefect.toml."),
}
"""The groups of commands: their modules, and what they are for."""

for _name, (_module, _about) in GROUPS.items():
    app.add_typer(group_of(f"cwl_prefect.cli.{_module}", _about), name=_name)

Document = Annotated[
    str, typer.Argument(metavar="DOCUMENT", help="A CWL document: a path or URL, with #id for a part of it.")
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there instead of the standard output.")
]


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"cwl-prefect {__version__}")
        raise typer.Exit


# The callback of --version must win over "missing command".
app.info.invoke_without_command = True


add_run(app)
add_deploy(app)


@app.command("explain-job", context_settings={"ignore_unknown_options": True})
def explain_job(  # noqa: PLR0917 - one parameter for each option
    arguments: Annotated[
        list[str],
        typer.Argument(metavar="DOCUMENT [JOB_ORDER] [--INPUT VALUE]...", help="What would run, with which inputs."),
    ],
    step: Annotated[str | None, typer.Option(help="Step as prepare.align; needed where there are several.")] = None,
    pool: Annotated[str | None, typer.Option("--pool", "-p", help="Work pool whose job template steps use.")] = None,
    deployment: Annotated[
        str | None, typer.Option(metavar="FLOW/NAME", help="Deployment whose pool and job variables steps use.")
    ] = None,
    job_variable: Annotated[
        list[str] | None,
        typer.Option("--job-variable", metavar="NAME=VALUE", help="Job variable of the run, as JSON; repeatable."),
    ] = None,
    step_overrides: StepOverrides = None,
    backend: Annotated[BackendName | None, typer.Option(help="Where steps run.")] = None,
    workdir: Annotated[Path | None, typer.Option(help="Where workspaces would be made.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON instead of YAML.")] = False,
) -> None:
    """Show the container of a step as it will be, and where each field comes from; nothing is run."""
    from cwl_prefect.cli.deploy import explain

    explain.explain(
        explain.ExplainRequest(
            arguments=tuple(arguments),
            step=step,
            pool=pool,
            deployment=deployment,
            job_variables=job_variable or (),
            overrides={"backend": backend, "workdir": workdir},
            step_overrides=step_overrides,
            as_json=as_json,
        )
    )


@app.command()
def doctor(
    pool: Annotated[str | None, typer.Option("--pool", "-p", help="Look at this work pool too.")] = None,
    deployment: Annotated[
        str | None,
        typer.Option("--deployment", "-d", metavar="FLOW/NAME", help="Look at this deployment and its pool too."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Check everything that a run needs: each finding comes with its fix."""
    from cwl_prefect.cli.deploy import doctor as examining

    raise typer.Exit(examining.doctor(pool, deployment, as_json=as_json))


@app.command()
def compile(document: Document, output: Output = None) -> None:
    """Compile a document into a plan: one JSON file that can be run on another machine."""
    from cwl_prefect.cli import documents

    documents.write_plan(document, output)


@app.command()
def validate(
    document: Document,
    job_order: Annotated[str | None, typer.Argument(metavar="[JOB_ORDER]", help="Check this job order too.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Take warnings for errors.")] = False,
    format: Annotated[
        ReportFormat, typer.Option("--format", "-f", help="How to tell what is found.")
    ] = ReportFormat.TEXT,
    require_containers: RequireContainers = False,
    default_image: DefaultImage = None,
) -> None:
    """Check a document, and everything it refers to, without running anything."""
    from cwl_prefect.cli import validation

    overrides = {"require_containers": require_containers or None, "default_image": default_image}
    raise typer.Exit(validation.validate(document, job_order, strict=strict, format_name=format, overrides=overrides))


@app.command("new")
def new_tool(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND [ARGUMENT]...", help="A command that works.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there; a file that is there stays.")
    ] = None,
) -> None:
    """Write a tool from a command line: files, numbers, texts and flags become its inputs."""
    from cwl_prefect.cli import documents

    documents.write_tool(command, output)


@app.command()
def lsp() -> None:
    """Serve an editor, over the standard streams: findings as one types, documentation, definitions, completion."""
    from cwl_prefect.cli import language_server

    language_server.serve()


@app.command()
def graph(
    document: Document,
    format: Annotated[GraphFormat, typer.Option("--format", "-f", help="How to draw.")] = GraphFormat.MERMAID,
    output: Output = None,
) -> None:
    """Draw a workflow's steps and links."""
    from cwl_prefect.cli import documents

    documents.draw(document, format, output)


@app.command()
def inputs(document: Document, output: Output = None) -> None:
    """Write a template of the job order: every input with its type, documentation and default."""
    from cwl_prefect.cli import documents

    documents.write_job_order(document, output)


@app.command()
def types(document: Document, output: Output = None) -> None:
    """Write Python types of a workflow's inputs and outputs, for type checkers."""
    from cwl_prefect.cli import documents

    documents.write_types(document, output)


command = get_command(app)
"""All of them, put together once: where a process stands by, before anybody calls."""
