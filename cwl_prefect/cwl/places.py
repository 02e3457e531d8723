"""Where an entry of a document stands, and whether its name is its own."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cwltool.process import shortname
from ruamel.yaml.comments import CommentedSeq
from schema_salad.sourceline import SourceLine

from cwl_prefect.cwl.messages import document_message
from cwl_prefect.errors import DocumentError

_NAMED = {"inputs": "input", "outputs": "output", "steps": "step"}


def placed(node: Any, key: str | int, message: str) -> str:
    """Put the place of an entry before a message, as ``workflow.cwl:3:5: ...``, where the parser noted it."""
    return document_message(str(SourceLine(node, key, str).makeError(message)))


def check_names(process: Mapping[str, Any]) -> None:
    """Check that no two inputs, outputs, steps or ports of a step of a process have the same id.

    An input that is declared again in the same words, as programs write it that put workflows together, is left out.

    Raises:
        DocumentError: Two have; the text names the place of the second.
    """
    _leave_out_repeated(process.get("inputs"))
    for field, what in _NAMED.items():
        check_unique(process.get(field), what)
    for step in _mappings(process.get("steps")):
        check_unique(step.get("in"), f"input of the step {shortname(str(step.get('id', '')))!r}:")


def _leave_out_repeated(inputs: Any) -> None:
    """Take away each input that is equal to one before it; the rest keep their places in the document."""
    if not isinstance(inputs, CommentedSeq):
        return
    first: dict[object, Any] = {}
    kept = [number for number, entry in enumerate(inputs) if _is_new(entry, first)]
    if len(kept) == len(inputs):
        return
    lines = inputs.lc.data or {}
    entries = [inputs[number] for number in kept]
    inputs[:] = entries
    inputs.lc.data = {new: lines[old] for new, old in enumerate(kept) if old in lines}


def _is_new(entry: Any, first: dict[object, Any]) -> bool:
    known = first.setdefault(entry.get("id") if isinstance(entry, Mapping) else id(entry), entry)
    return known is entry or known != entry


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
