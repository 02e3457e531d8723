"""What is wrong with a tool by itself, its expressions aside."""

from collections.abc import Iterator, Mapping
from typing import Any

from cwltool.process import Process, shortname, supportedProcessRequirements

from cwl_prefect.cwl.javascript.scanner import may_hold_expression
from cwl_prefect.cwl.loading.places import place_of
from cwl_prefect.cwl.loading.suggestions import REQUIREMENTS, near
from cwl_prefect.cwl.values.type_errors import fault
from cwl_prefect.cwl.values.types import Parameter
from cwl_prefect.model.findings import Finding, Severity
from cwl_prefect.model.values import unusable

Entry = Mapping[str, Any]


def findings_of_tool(process: Process, ports: tuple[Parameter, ...]) -> Iterator[Finding]:
    """Yield what is wrong with a process: values that do not fit, and what no run can do."""
    tool = process.tool
    yield from _defaults(tool, ports)
    yield from _globs(tool.get("outputs", ()))
    yield from _resources(tool.get("requirements", ()))
    yield from _resources(tool.get("hints", ()))
    yield from _images(tool.get("requirements", ()))
    yield from _images(tool.get("hints", ()))
    yield from _hints(tool.get("hints") or ())
    command = tool.get("baseCommand")
    if isinstance(command, str) and " " in command.strip():
        yield Finding(
            check="command-with-spaces",
            severity=Severity.WARNING,
            message=f"baseCommand: {command!r} is the name of one program, spaces and all.",
            fix=f"Write a list, as in `baseCommand: [{', '.join(command.split())}]`.",
            place=place_of(tool, "baseCommand"),
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


def _hints(hints: Any) -> Iterator[Finding]:
    for entry in hints:
        name = str(entry.get("class", "")) if isinstance(entry, Mapping) else ""
        short = shortname(name) if "#" in name or "/" in name else name
        meant = near(short, REQUIREMENTS)
        if name in supportedProcessRequirements or short in REQUIREMENTS or meant is None:
            continue
        yield Finding(
            check="unknown-hint",
            severity=Severity.WARNING,
            message=f"the hint {short!r} is unknown, so that nobody heeds it; did you mean {meant!r}?",
            place=place_of(entry, "class"),
        )


def _error(check: str, text: str, fix: str, at: tuple[Any, str]) -> Finding:
    return Finding(check=check, severity=Severity.ERROR, message=text, fix=fix, place=place_of(*at))
