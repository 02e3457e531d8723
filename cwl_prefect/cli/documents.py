"""Commands that look at a document without running it."""

from collections.abc import Sequence
from pathlib import Path

from cwl_prefect import api
from cwl_prefect._lib.atomic_write import write_where_named
from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.terminal import tell
from cwl_prefect.errors import PublishError
from cwl_prefect.model.plan import WorkflowPlan, encode_plan


def write_plan(document: str, output: Path | None) -> None:
    """Compile a document and write the plan.

    Raises:
        DocumentError: The document is not valid CWL.
        PublishError: The file cannot be written.
    """
    plan = api.compile_document(document)
    write_text(encode_plan(plan, indent=1).decode(), output)


def draw(document: str, format_name: str, output: Path | None) -> None:
    """Write a workflow's graph as Mermaid, DOT or SVG.

    Raises:
        DocumentError: The document is not valid CWL.
        PublishError: The file cannot be written.
    """
    from cwl_prefect.engine.workflow.graph import dot, mermaid
    from cwl_prefect.engine.workflow.svg import svg

    drawing = {"mermaid": mermaid, "dot": dot, "svg": svg}[format_name]
    write_text(drawing(_plan(document)), output)


def write_job_order(document: str, output: Path | None) -> None:
    """Write a template of the job order.

    Raises:
        DocumentError: The document is not valid CWL.
        PublishError: The file cannot be written.
    """
    from cwl_prefect.engine.workflow.job_order_template import job_order_template

    write_text(job_order_template(_plan(document)), output)


def write_types(document: str, output: Path | None) -> None:
    """Write the types of a workflow's inputs and outputs as Python code.

    Raises:
        DocumentError: The document is not valid CWL.
        PublishError: The file cannot be written.
    """
    from cwl_prefect.engine.workflow.typed_dicts import typed_dicts

    write_text(typed_dicts(_plan(document)), output)


def write_tool(command: Sequence[str], output: Path | None) -> None:
    """Write a tool that runs a command, to a file that is not there yet or to the standard output.

    Raises:
        PublishError: The file is there, or cannot be written.
    """
    from cwl_prefect.engine.workflow.tool_of_command import tool_of_command

    text = tool_of_command(command, Path.cwd())
    if output is None:
        tell(text, end="")
        return
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as exc:
        raise PublishError(f"{output}: it is there already, and is left as it is.", hint="give another file.") from exc
    except OSError as exc:
        raise PublishError(f"{output}: {exc.strerror}.", hint="give another file with --output.") from exc


def write_text(text: str, output: Path | None) -> None:
    """Write to a file, which is old or new and nothing between, or to the standard output.

    Raises:
        PublishError: The file cannot be written.
    """
    ended = text if text.endswith("\n") else f"{text}\n"
    if output is None:
        tell(ended, end="")
        return
    try:
        write_where_named(output, ended.encode())
    except OSError as exc:
        raise PublishError(f"{output}: {exc.strerror}.", hint="give another file with --output.") from exc


def _plan(document: str) -> WorkflowPlan:
    return api.load_plan(document, settings=settings_with({}))
