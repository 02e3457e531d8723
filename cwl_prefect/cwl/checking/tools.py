"""What is wrong with a tool by itself, its expressions aside."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cwltool.process import Process, shortname, supportedProcessRequirements

from cwl_prefect._lib.suggestions import near
from cwl_prefect.cwl.javascript.scanner import may_hold_expression
from cwl_prefect.cwl.loading.places import place_of
from cwl_prefect.cwl.loading.suggestions import REQUIREMENTS
from cwl_prefect.cwl.values.type_errors import fault
from cwl_prefect.cwl.values.types import Parameter
from cwl_prefect.model.findings import Finding, Severity
from cwl_prefect.model.values import unusable

Entry = Mapping[str, Any]

_OF_OTHERS = re.compile(r"https?://")  # a name of another runner's namespace
# As Docker reads it: a registry, names, a tag, a digest.
_IMAGE = re.compile(
    r"(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::\d+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[\w][\w.-]{0,127})?"
    r"(?:@[A-Za-z0-9+._-]+:[0-9a-fA-F]{32,})?",
    re.ASCII,
)
_REMOVE_HINT = "Remove it; or give it its namespace, as in `arv:Name`, if it is for another runner."


def findings_of_tool(process: Process, ports: tuple[Parameter, ...]) -> Iterator[Finding]:
    """Yield what is wrong with a process: values that do not fit, and what no run can do."""
    tool = process.tool
    yield from _defaults(tool, ports)
    yield from _globs(tool.get("outputs", ()))
    yield from findings_of_requirements(tool)
    command = tool.get("baseCommand")
    if isinstance(command, str) and " " in command.strip():
        yield Finding(
            check="command-with-spaces",
            severity=Severity.WARNING,
            message=f"baseCommand: {command!r} is the name of one program, spaces and all.",
            fix=f"Write a list, as in `baseCommand: [{', '.join(command.split())}]`.",
            place=place_of(tool, "baseCommand"),
        )


def findings_of_requirements(entry: Entry) -> Iterator[Finding]:
    """Yield what is wrong with the requirements and hints of a process or step."""
    for field in ("requirements", "hints"):
        yield from _resources(entry.get(field) or ())
        yield from _images(entry.get(field) or ())
    yield from _hints(entry.get("hints") or ())


def without_image(process: Process) -> Finding | None:
    """Return the error of a tool that names no image where tools run in containers only; None for what needs none."""
    if process.tool["class"] != "CommandLineTool" or process.get_requirement("DockerRequirement")[0] is not None:
        return None
    return Finding(
        check="no-image",
        severity=Severity.ERROR,
        message="the tool names no image, and tools may run in containers only.",
        fix="Add `DockerRequirement: {dockerPull: IMAGE}` to its hints, or name an image for such tools by"
        " --default-image.",
        place=place_of(process.tool, "class"),
    )


def _defaults(tool: Entry, ports: tuple[Parameter, ...]) -> Iterator[Finding]:
    for entry, port in zip(tool["inputs"], ports, strict=True):
        reason = None if port.default is None else fault(port.type, port.default) or unusable(port.default)
        if reason is not None:
            text, fix = f"input {port.name}: its default is wrong: {reason}.", "Write a value of the input's type."
            yield _error("default-of-wrong-type", text, fix, (entry, "default"))


def _globs(outputs: Any) -> Iterator[Finding]:
    for entry in outputs:
        binding = entry.get("outputBinding") or {}
        glob = binding.get("glob")
        for pattern in glob if isinstance(glob, list) else [glob]:
            if isinstance(pattern, str) and pattern.startswith("/") and not may_hold_expression(pattern):
                text = (
                    f"output {shortname(entry['id'])}: the glob {pattern!r} leads out of the tool's output directory."
                )
                fix = "Let the tool write into its current directory, and name the file relative to it."
                yield _error("glob-is-absolute", text, fix, (binding, "glob"))


def _resources(requirements: Any) -> Iterator[Finding]:
    for entry in requirements:
        if not isinstance(entry, Mapping) or entry.get("class") != "ResourceRequirement":
            continue
        for kind in ("cores", "ram", "tmpdir", "outdir"):
            least, most = (entry.get(f"{kind}{end}") for end in ("Min", "Max"))
            for field, value in ((f"{kind}Min", least), (f"{kind}Max", most)):
                if isinstance(value, int | float) and value < 0:
                    text = f"{field} is {value:g}, expected a number that is not negative."
                    yield _error("resources", text, "Correct it, or leave it out.", (entry, field))
            if isinstance(least, int | float) and isinstance(most, int | float) and most < least:
                text = f"{kind}Max is {most:g}, which is less than {kind}Min, {least:g}."
                fix = f"Correct one of them; {kind}Min alone will do."
                yield _error("resources", text, fix, (entry, f"{kind}Max"))


def _images(requirements: Any) -> Iterator[Finding]:
    for entry in requirements:
        if not isinstance(entry, Mapping) or entry.get("class") != "DockerRequirement":
            continue
        for field in ("dockerPull", "dockerImageId"):
            if isinstance(name := entry.get(field), str) and not name.strip():
                text = f"{field} is empty, expected the name of an image."
                yield _error("image", text, "Write one, as in `dockerPull: debian:stable-slim`.", (entry, field))
            elif isinstance(name, str) and _IMAGE.fullmatch(name) is None:
                text = f"{field}: {name!r} is no name of an image."
                fix = "Write it as REGISTRY/NAME:TAG, in small letters, without spaces and without https://."
                yield _error("image", text, fix, (entry, field))


def _hints(hints: Any) -> Iterator[Finding]:
    for entry in hints:
        name = str(entry.get("class", "")) if isinstance(entry, Mapping) else ""
        short = shortname(name) if "#" in name or "/" in name else name
        if name in supportedProcessRequirements or short in REQUIREMENTS:
            continue
        meant = near(short, REQUIREMENTS)
        if meant is None and _OF_OTHERS.match(name):
            continue
        text = f"the hint {short!r} is unknown, so that nobody heeds it"
        yield Finding(
            check="unknown-hint",
            severity=Severity.WARNING,
            message=f"{text}." if meant is None else f"{text}; did you mean {meant!r}?",
            fix=_REMOVE_HINT if meant is None else None,
            place=place_of(entry, "class"),
        )


def _error(check: str, text: str, fix: str, at: tuple[Any, str]) -> Finding:
    return Finding(check=check, severity=Severity.ERROR, message=text, fix=fix, place=place_of(*at))
