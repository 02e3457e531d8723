"""Faults as cwltool and schema-salad tell them, in words that say what was expected, found, and is to be done."""

import json
import re
import urllib.parse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from cwl_prefect._lib.locations import is_web
from cwl_prefect._lib.suggestions import did_you_mean, near
from cwl_prefect.cwl.loading.suggestions import CLASSES, REQUIREMENTS, near_type, sources_in, step_inputs_in
from cwl_prefect.cwl.values.messages import A_TABULATOR, INDENT, document_message, short_path
from cwl_prefect.errors import Fault, Place
from cwl_prefect.model.names import short_name

NOT_FETCHED = "it cannot be fetched; check the address and the network"

# of a document whose path is long, whose messages are therefore broken into more lines
_PLACE_OF_SINK = re.compile(r"(?P<sink>with sink '[^']*') (?P<place>\([^()]*:\d+:\d+\)) (?P<type>of type .*)")
_HOW = re.compile(r" *(?:source has )?(?P<field>linkMerge|pickValue) (?:method|is:) (?P<how>\w+)")
_URL = re.compile(r"file://[^\s'\"#]*/")
_Match: TypeAlias = "re.Match[str]"


def reworded(fault: Fault) -> Fault:
    """Return a fault in other words, with what to do about it where that is known."""
    for pattern, replacement in _REWORDINGS:
        found = pattern.fullmatch(fault.text)
        if found is None:
            continue
        if isinstance(replacement, str):
            return replace(fault, text=found.expand(replacement))
        return replacement(found, fault)
    text = _URL.sub("", document_message(fault.text))
    for python, cwl in _OF_PYTHON:
        text = python.sub(cwl, text)
    return replace(fault, text=text)


def read_place(text: str) -> Place:
    """Read a place as ``workflow.cwl:3:5``."""
    document, line, column = text.rsplit(":", 2)
    return Place(document=document, line=int(line), column=int(column))


def is_whole(fault: Fault) -> bool:
    """Check whether nothing with a place of its own belongs to a fault any more: it has none, or tells of both ends."""
    return fault.place is None or " with sink " in fault.text


def of_link(fault: Fault) -> Fault:
    """Return a fault between a source and a sink the place of the sink, where the link is written."""
    text = _PLACE_OF_SINK.sub(r"\g<sink> \g<type> \g<place>", fault.text)
    link = re.fullmatch(
        r"Source '(?P<source>.*)' of type (?P<given>.*) is incompatible"
        r" with sink '(?P<sink>.*)' of type (?P<wanted>.*) \((?P<place>[^()]*:\d+:\d+)\)(?P<rest>.*)",
        text,
    )
    if link is None:
        return reworded(fault)
    given, (wanted, rest) = link["given"], _type_before(link["wanted"] + link["rest"])
    more = _HOW.sub(r"; \g<field> is \g<how>", rest)
    return Fault(
        place=read_place(link["place"]),
        text=f"{link['sink']} has the type {_type_text(wanted)}, but its source {link['source']}"
        f" has the type {_type_text(given)} ({fault.place}){more}",
        fix=_fixof_link(link["sink"], given, wanted),
    )


def _type_before(text: str) -> tuple[str, str]:
    """Take a type, which may have been broken into lines, from what follows it."""
    try:
        end = json.JSONDecoder().raw_decode(text)[1]
    except ValueError:
        return text, ""
    return text[:end], text[end:]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _type_text(text: str) -> str:
    """Write a type as people do: ``string[]``, ``File or null``."""
    return _written_type(json.loads(text)) if _is_json(text) else text


def _written_type(declared: Any) -> str:
    if isinstance(declared, list):
        options = [_written_type(option) for option in declared if option != "null"]
        return f"{options[0]}?" if len(options) == 1 and len(declared) == 2 else " or ".join(options)
    if not isinstance(declared, dict):
        return short_name(str(declared))
    if declared.get("type") == "array":
        items = _written_type(declared.get("items"))
        return f"array of ({items})" if " " in items else f"{items}[]"
    return short_name(str(declared.get("name") or declared.get("type")))


def _fixof_link(sink: str, given: str, wanted: str) -> str | None:
    """Return what to do where a list meets one item."""
    if not (_is_json(given) and _is_json(wanted)):
        return None
    source, target = json.loads(given), json.loads(wanted)
    if isinstance(source, dict) and source.get("type") == "array" and source.get("items") == target:
        return f"Scatter the step, as in `scatter: {sink}`, or declare {sink} as {_written_type(source)}."
    if isinstance(target, dict) and target.get("type") == "array" and target.get("items") == source:
        return f"Give it an array; or leave {sink} out of `scatter`, if its step is scattered over it."
    return f"Declare one of them as the other, or change the value by `valueFrom` on {sink}."


def _unknown_field(found: _Match, fault: Fault) -> Fault:
    name, expected = found.group(1), re.findall(r"'([^']*)'", found.group(2))
    if name == "when":
        return replace(
            fault, text="unknown field 'when'", fix="Write `cwlVersion: v1.2`: earlier versions have no `when`."
        )
    meant = near(name, expected)
    advice = f"did you mean {meant!r}?" if meant else f"expected one of {', '.join(expected)}"
    return replace(fault, text=f"unknown field {name!r}; {advice}")


def _undefined(found: _Match, fault: Fault) -> Fault:
    field, target = found.groups()
    if field == "run" and is_web(target):
        return replace(fault, text=f"run: {target}: {NOT_FETCHED}")
    if field == "run":
        path = short_path(urllib.parse.unquote(target.removeprefix("file://")))
        fix = "Check the path; a relative one starts from the directory of this document."
        return replace(fault, text=f"run: {path}: no such file", fix=fix)
    name = target.rpartition("/")[2]
    if field == "class" and name in REQUIREMENTS:
        fix = "Write `cwlVersion: v1.2`, or give it as a hint if the process can do without it."
        return replace(fault, text=f"class: {name} came with a later version of CWL than this document's", fix=fix)
    meant = near(name, CLASSES + REQUIREMENTS) if field == "class" else None
    advice = "" if meant is None else f"; did you mean {meant!r}?"
    return replace(fault, text=f"{field}: {name!r} is unknown{advice}")


def _no_such_name(found: _Match, fault: Fault) -> Fault:
    field, target = found.groups()
    name = urllib.parse.unquote(target.rpartition("#")[2])
    if field == "type":
        meant = near_type(name)
        advice = "" if meant is None else f"; did you mean {meant!r}?"
        fix = None if meant else "Write a type of CWL, or declare it in SchemaDefRequirement."
        return replace(fault, text=f"the type {name!r} is unknown{advice}", fix=fix)
    if field in ("source", "outputSource"):
        return _no_such_source(field, name, fault)
    if field == "scatter" and fault.place is not None:
        port = name.rpartition("/")[2]
        advice = did_you_mean(port, step_inputs_in(Path(fault.place.document)), otherwise="steps have")
        return replace(fault, text=f"scatter: the step has no input {port!r}; {advice}")
    return replace(fault, text=f"{field}: there is no {name!r}")


def _no_such_source(field: str, name: str, fault: Fault) -> Fault:
    if "$(" in name or "${" in name:
        fix = "Write the name of an input alone, as in `source: text`; an expression goes into `valueFrom`."
        return replace(fault, text=f"{field}: a source is a name, found the expression {name!r}", fix=fix)
    text = f"{field}: there is no {name!r}"
    known = sources_in(Path(fault.place.document)) if fault.place is not None else ()
    step, _, output = name.partition("/")
    listed = [each.partition("/")[2] for each in known if each.startswith(f"{step}/")]
    if output and listed:
        return replace(fault, text=f"{text}; {did_you_mean(name, known, otherwise='there is')}")
    if output:
        fix = f"Write `out: [{output}]` in the step {step!r}, if what it runs has this output."
        return replace(fault, text=f"{text}: an output of a step must be listed in the step's `out`", fix=fix)
    if listed:
        return replace(fault, text=f"{text}; did you mean {f'{name}/{listed[0]}'!r}?")
    return replace(fault, text=f"{text}; {did_you_mean(name, known, otherwise='there is')}")


def _no_output_source(found: _Match, fault: Fault) -> Fault:
    return _no_such_source("outputSource", urllib.parse.unquote(found[1].rpartition("#")[2]), fault)


def _version_is_no_text(_: _Match, fault: Fault) -> Fault:
    fix = "Write it with its v, as in `cwlVersion: v1.2`."
    return replace(fault, text="cwlVersion: expected a version such as v1.2, found a number", fix=fix)


def _twice(found: _Match, fault: Fault) -> Fault:
    return replace(
        fault, text=f"not YAML: the key {found[1]!r} is there twice in one mapping", fix="Remove one of them."
    )


def _tabulator(_: _Match, fault: Fault) -> Fault:
    return replace(fault, text=f"not YAML: {A_TABULATOR}", fix=INDENT)


def _wrong_kind(found: _Match, fault: Fault) -> Fault:
    """Say of what kind a value is; YAML and Python have other words for it than CWL."""
    return replace(fault, text=f"expected {_kinds(found[2])}, found {_KINDS.get(found[1], found[1])}")


def _kinds(text: str) -> str:
    """Write what a field takes, of which schema-salad tells by its own types."""
    text = re.sub(r"array of <(.*)>", r"a list of \1", text)
    return text.removeprefix("one of ")


def _no_position(found: _Match, fault: Fault) -> Fault:
    return replace(fault, text=f"expected a whole number or an expression, found {found[1]!r}")


def _no_section(found: _Match, fault: Fault) -> Fault:
    fix = f"Write `{found[1]}:` with its entries below, or `{found[1]}: []` where there are none."
    return replace(fault, text=f"{found[1]}: missing, or neither a list nor a mapping", fix=fix)


def _without_source(found: _Match, fault: Fault) -> Fault:
    return replace(
        fault,
        text=f"the step gives no value to the required input {found[1]!r} of what it runs",
        fix=f"Write `{found[1]}: SOURCE` in its `in`.",
    )


def _without_class(_: _Match, fault: Fault) -> Fault:
    return replace(
        fault, text="missing required field 'class'", fix="Write `class:` first, or the entries as a mapping."
    )


_KINDS = {
    "CommentedMap": "a mapping",
    "CommentedSeq": "a list",
    "dict": "a mapping",
    "list": "a list",
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "ScalarFloat": "a number",
    "bool": "true or false",
    "NoneType": "nothing",
}
_OF_PYTHON = tuple((re.compile(rf"\b{name}\b"), word) for name, word in _KINDS.items() if name[0].isupper())
_Rewording: TypeAlias = Callable[[_Match, Fault], Fault]

_REWORDINGS: tuple[tuple[re.Pattern[str], _Rewording | str], ...] = (
    (re.compile(r"invalid field '(.*?)', expected one of: (.*)", re.DOTALL), _unknown_field),
    (re.compile(r"Field '(.*?)' contains undefined reference to '(.*)'"), _undefined),
    (re.compile(r"Field '(.*?)' references unknown identifier '(.*?)', tried .*", re.DOTALL), _no_such_name),
    (re.compile(r"outputSource not found: (.*)"), _no_output_source),
    (re.compile(r"'cwlVersion' must be a string, got .*"), _version_is_no_text),
    (re.compile(r"(?:not YAML: )?found duplicate key \"(.*?)\" with value .*", re.DOTALL), _twice),
    (re.compile(r"(?:not YAML: )?found character '\\t' that cannot start any token.*", re.DOTALL), _tabulator),
    (re.compile(r"value is a (\w+), expected (.*)"), _wrong_kind),
    (re.compile(r"\"'(.*)'\" is not int, or value '.*' does not contain an expression.*"), _no_position),
    (re.compile(r"the value ('.*?') is not a valid enum_[0-9a-f]+, expected (.*)"), r"\1 is none of: \2"),
    (re.compile(r"Required parameter '(.*)' does not have source, default, or valueFrom expression"), _without_source),
    (re.compile(r"Missing 'class' field"), _without_class),
    (re.compile(r"Missing '(\w+)' field"), r"missing required field '\1'"),
    (re.compile(r"\"(\w+)\" section is not valid\.?"), _no_section),
    (re.compile(r"(.*) \(expected ''\)(.*)"), r"\1\2"),
)
