"""Where an entry of a document stands, and whether its name is its own."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cwltool.process import shortname
from ruamel.yaml.comments import CommentedSeq, LineCol
from schema_salad.sourceline import SourceLine

from cwl_prefect.cwl.javascript.uses import Use, uses_of_requirements, uses_of_step, uses_of_tool
from cwl_prefect.cwl.values.messages import document_message, readable_path
from cwl_prefect.errors import DocumentError, Fault, Place
from cwl_prefect.model.plan import Places

_NO_FILE = "test"  # as cwltool names what it adds to a document
_LEAD = re.compile(r"(?P<file>.*):(?P<line>\d+):(?P<column>\d+):?", re.DOTALL)
_NAMED = {"inputs": "input", "outputs": "output", "steps": "step"}


def share_places() -> None:
    """Let copies of a document share the places of its entries, which nobody changes.

    cwltool copies each document, and ruamel.yaml would copy with every entry the places of all entries beside it: the
    time would grow with the square of their number.
    """
    setattr(LineCol, "__deepcopy__", lambda places, _known: places)  # noqa: B010 - it has none of its own


def place_of(node: Any, key: str | int | None = None) -> Place | None:
    """Return where an entry of a parsed document stands, where the parser noted it."""
    found = _LEAD.fullmatch(str(SourceLine(node, key, str).makeLead()))
    if found is None or found["file"] == _NO_FILE:
        return None
    file = document_message(readable_path(found["file"]))
    return Place(document=file, line=int(found["line"]), column=int(found["column"]))


def places_of(process: Mapping[str, Any], requirements: Iterable[Mapping[str, Any]], origin: str) -> Places:
    """Return where the parts of a process stand, by what errors call them, from the directory of a document on."""
    found: dict[str, tuple[Any, str | int | None]] = {"": (process, None)}
    for field, name in (("inputs", "input"), ("outputs", "output")):
        found |= {f"{name} {shortname(entry['id'])}": (process[field], n) for n, entry in enumerate(process[field])}
    found |= {f"arguments[{n}]": (process["arguments"], n) for n, _ in enumerate(process.get("arguments") or ())}
    found |= {
        field: (process, field)
        for field in ("baseCommand", "stdin", "stdout", "stderr", "expression")
        if field in process
    }
    for entry in requirements:
        found |= _of_requirement(entry)
    uses = [*uses_of_tool(process), *uses_of_requirements(list(requirements))]
    return _written(found | _of_texts(uses), origin)


def places_of_step(step: Mapping[str, Any], origin: str) -> Places:
    """Return where the parts of a step stand, by what errors call them, from the directory of a document on."""
    found: dict[str, tuple[Any, str | int | None]] = {"": (step, None)}
    found |= {field: (step, field) for field in ("when", "scatter") if field in step}
    for number, entry in enumerate(step["in"]):
        name = shortname(entry["id"])
        found |= {f"{what} {name}": (step["in"], number) for what in ("input", "valueFrom of")}
    return _written(found | _of_texts(uses_of_step(step)), origin)


def _of_requirement(entry: Mapping[str, Any]) -> dict[str, tuple[Any, str | int | None]]:
    name = shortname(str(entry["class"]))
    found: dict[str, tuple[Any, str | int | None]] = {name: (entry, None)}
    found |= {f"{name}: {field}": (entry, field) for field in entry if field != "class"}
    listing = entry.get("listing")
    if isinstance(listing, list):
        found |= {f"{name}: listing[{number}]": (listing, number) for number, _ in enumerate(listing)}
    if isinstance(variables := entry.get("envDef"), list):
        found |= {f"{name}: {each['envName']}": (variables, number) for number, each in enumerate(variables)}
    return found


def _of_texts(uses: Iterable[Use]) -> dict[str, tuple[Any, str | int | None]]:
    """Return the places of expressions by their texts, unless two have the same."""
    kept = list(uses)
    count = Counter(use.text for use in kept)
    return {use.text: (use.node, use.key) for use in kept if count[use.text] == 1}


def _written(found: Mapping[str, tuple[Any, str | int | None]], origin: str) -> Places:
    directory = os.path.dirname(os.path.abspath(origin.partition("#")[0]))  # noqa: PTH100, PTH120 - keeps links
    places = ((part, place_of(node, key)) for part, (node, key) in found.items())
    return {part: _relative(place, directory) for part, place in places if place is not None}


def _relative(place: Place, directory: str) -> str:
    if "://" in place.document:
        return str(place)
    return str(replace(place, document=os.path.relpath(place.document, directory)))


def wrong_at(node: Any, key: str | int, text: str, *, hint: str | None = None) -> DocumentError:
    """Return an error of an entry of a document, its place before its text."""
    fault = Fault(place=place_of(node, key), text=text)
    return DocumentError(str(fault), hint=hint, faults=(fault,))


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
            raise wrong_at(
                entries,
                number,
                f"{what} {shortname(name)!r} is declared twice.",
                hint="Give each input, output, step and process an id of its own.",
            )
        seen.add(name)


def _mappings(entries: Any) -> Iterable[Mapping[str, Any]]:
    return (entry for entry in (entries if isinstance(entries, Sequence) else ()) if isinstance(entry, Mapping))
