"""Commands that look at a document without running it."""

from pathlib import Path

import typer

from cwl_prefect import api
from cwl_prefect.cli.failures import settings_with
from cwl_prefect.errors import PublishError
from cwl_prefect.model.plan import WorkflowPlan, encode_plan
from cwl_prefect.whole_file import write_whole


def write_plan(document: str, output: Path | None) -> None:
    """Compile a document and write the plan.

    Raises:
        DocumentError: The document is not valid CWL.
        PublishError: The file cannot be written.
    """
    plan = api.compile_document(document, settings=settings_with({}))
    write_text(encode_plan(plan, indent=1).decode(), output)


def check(document: str, job_order: str | None) -> None:
    """Compile a document, read a job order, and say that they are valid.

    Without a job order, each process of a graph of several is checked.

    Raises:
        DocumentError: The document is not valid CWL.
        InputError: The job order cannot be read, or a value does not fit its input.
    """
    from cwl_prefect.cli.run import job_order_name, warn_of_unknown
    from cwl_prefect.flows.build import prepared

    settings = settings_with({})
    if job_order is None:
        plans = api.compile_processes(document)
        for plan in plans:
            part = f"{document}#{plan.name}" if len(plans) > 1 else document
            typer.echo(f"{part} is valid CWL {plan.cwl_version}.")
    else:
        plan = api.compile_document(document, settings=settings)
        typer.echo(f"{document} is valid CWL {plan.cwl_version}.")
        values = api.read_job_order(plan, job_order)
        prepared(plan, values, settings)
        warn_of_unknown(plan, values, job_order)
        typer.echo(f"{job_order_name(job_order)} fits it.")


def draw(document: str, format_name: str, output: Path | None) -> None:
    """Write a workflow's graph as Mermaid, DOT or SVG.

    Raises:
        DocumentError: The document is not valid CWL.
        PublishError: The file cannot be written.
    """
    from cwl_prefect.engine.graph import dot, mermaid, svg

    drawing = {"mermaid": mermaid, "dot": dot, "svg": svg}[format_name]
    write_text(drawing(_plan(document)), output)


def write_job_order(document: str, output: Path | None) -> None:
    """Write a template of the job order.

    Raises:
        DocumentError: The document is not valid CWL.
        PublishError: The file cannot be written.
    """
    from cwl_prefect.engine.template import job_order_template

    write_text(job_order_template(_plan(document)), output)


def write_text(text: str, output: Path | None) -> None:
    """Write to a file, which is old or new and nothing between, or to the standard output.

    Raises:
        PublishError: The file cannot be written.
    """
    ended = text if text.endswith("\n") else f"{text}\n"
    if output is None:
        typer.echo(ended, nl=False)
        return
    try:
        if output.exists() and not output.is_file():  # as /dev/null
            output.write_text(ended, encoding="utf-8")
        else:
            write_whole(output, ended.encode(), mode=0o666)
    except OSError as exc:
        raise PublishError(f"{output}: {exc.strerror}.", hint="give another file with --output.") from exc


def _plan(document: str) -> WorkflowPlan:
    return api.load_plan(document, settings=settings_with({}))
