"""Where an entry of a document stands, and whether its name is its own."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cwltool.process import shortname
from schema_salad.sourceline import SourceLine

from cwl_prefect.cwl.messages import document_message
from cwl_prefect.errors import DocumentError

_NAMED = {"inputs": "input", "outputs": "output", "steps": "step"}


def placed(node: Any, key: str | int, message: str) -> str:
    """Put the place of an entry before a message, as ``workflow.cwl:3:5: ...``, where the parser noted it."""
    return document_message(str(SourceLine(node, key, str).makeError(message)))


def check_names(process: Mapping[str, Any]) -> None:
    """Check that no two inputs, outputs, steps or ports of a step of a process have the same id.

    Raises:
        DocumentError: Two have; the text names the place of the second.
    """
    for field, what in _NAMED.items():
        check_unique(process.get(field), what)
    for step in _mappings(process.get("steps")):
        check_unique(step.get("in"), f"input of the step {shortname(str(step.get('id', '')))!r}:")


def check_unique(entries: Any, what: str) -> None:
    """Check that the entries of a list have ids of their own.

    Raises:
        DocumentError: Two have the same; the text names the place of the second.
    """
    seen: set[str] = set()
    for number, entry in enumerate(entries if isinstance(entries, Sequence) else ()):
        name = entry.get("id") if isinstance(entry, Mapping) else None
        if not isinstance(name, str):
            continue
        if name in seen:
            raise DocumentError(
                placed(entries, number, f"{what} {shortname(name)!r} is declared twice."),
                hint="Give each input, output, step and process an id of its own.",
            )
        seen.add(name)


def _mappings(entries: Any) -> Iterable[Mapping[str, Any]]:
    return (entry for entry in (entries if isinstance(entries, Sequence) else ()) if isinstance(entry, Mapping))
