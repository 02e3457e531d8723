"""What is told of a name that somebody points at: its type and documentation, in Markdown."""

import textwrap

import yaml

from cwl_prefect.cwl.checking.vocabulary import doc_of_class, fields_at
from cwl_prefect.editor.documents import Process
from cwl_prefect.editor.outline import entries, process_class, text, value_of
from cwl_prefect.editor.references import Place, Target

_LONGEST = 3000  # characters
_LONGEST_TYPE = 200


def told_of(target: Target) -> str:
    """Return what is told of what a document refers to."""
    if target.kind == "process":
        return _of_process(Process(path=target.path, node=target.node))
    declared = "" if target.kind == "step" else f": `{_type(target.value)}`"
    return _joined(f"**{target.name}**{declared} ({target.kind})", *_documentation(target.value))


def told_of_word(place: Place) -> str | None:
    """Return what the specification says of the field or class at a position."""
    *path, last = place.names
    if last == "class":
        return _of_class(text(place.spot.path[-1].value) or "")
    if not place.spot.on_key:
        return None
    if path and path[-1] in ("requirements", "hints"):
        return _of_class(last)
    process = process_class(place.process.node) or ""
    term = next((term for term in fields_at(process, path) if term.name == last), None)
    return None if term is None else _joined(f"**{term.name}**", term.doc)


def _of_class(name: str) -> str | None:
    doc = doc_of_class(name)
    return None if doc is None else _joined(f"**{name}**", doc)


def _of_process(process: Process) -> str:
    ports = [
        f"- {field.removesuffix('s')} **{name}**: `{_type(entry.value)}`"
        for field in ("inputs", "outputs")
        for name, entry in process.ports(field).items()
    ]
    heading = f"**{process.path.name}** ({process_class(process.node) or 'process'})"
    return _joined(heading, *_documentation(process.node), "\n".join(ports))


def _documentation(node: yaml.Node) -> list[str]:
    found = [value_of(node, field) for field in ("label", "doc")]
    return [text(each) or "\n".join(text(entry.value) or "" for entry in entries(each)) for each in found]


def _type(declared: yaml.Node) -> str:
    """Return the type of a port as it is written; a link's is not known here."""
    node = value_of(declared, "type") or declared
    return textwrap.shorten(_written(node), _LONGEST_TYPE, placeholder=" …")


def _written(node: yaml.Node, depth: int = 0) -> str:
    if depth > 4:
        return "…"
    if isinstance(node, yaml.MappingNode):
        inner = [f"{entry.name}: {_written(entry.value, depth + 1)}" for entry in entries(node)]
        return f"{{{', '.join(inner)}}}"
    if isinstance(node, yaml.SequenceNode):
        return f"[{', '.join(_written(item, depth + 1) for item in node.value)}]"
    return text(node) or ""


def _joined(*parts: str) -> str:
    whole = "\n\n".join(textwrap.dedent(part).strip() for part in parts if part.strip())
    return whole if len(whole) <= _LONGEST else f"{whole[:_LONGEST]}…"
