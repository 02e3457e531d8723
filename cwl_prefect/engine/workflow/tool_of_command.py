"""A tool made of a command line that somebody has run: its inputs are guessed from the arguments."""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue
from ruamel.yaml import YAML

_WIDTH = 118
_INT = re.compile(r"-?[1-9]\d*|0")  # as CWL writes them, so that the command stays what it was
_FLOAT = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?")
_OPTION = re.compile(r"--?[A-Za-z][\w-]*")
_ASSIGNED = re.compile(r"(?P<prefix>--?[A-Za-z][\w.-]*=)(?P<value>.*)", re.DOTALL)
_WORD = re.compile(r"[a-z][a-z0-9_-]*")
_WRITTEN = frozenset({"o", "out", "output", "outfile", "output_file"})
_INT_BITS, _LONG_BITS = 31, 63
_NAMES = {"File": "file", "Directory": "directory", "string": "text"}  # of arguments without a prefix; else "number"


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """An argument of a command, with its option where it has one.

    Attributes:
        prefix: The option, as ``-o`` or ``--name=``; None where there is none.
        value: What is given; None for a flag.
        separate: Whether both are arguments of their own.
    """

    prefix: str | None
    value: str | None
    separate: bool = True


def tool_of_command(command: Sequence[str], directory: Path) -> str:
    """Return a CommandLineTool that runs a command, as a CWL document.

    Files and directories that are there become inputs of these types; numbers, texts and flags become inputs whose
    defaults are what was given. What an option such as ``-o`` names becomes an output, and so does what is printed.

    Args:
        command: The command and its arguments; at least one.
        directory: Where its relative paths start.
    """
    program, arguments = _split(list(command))
    inputs: dict[str, JsonValue] = {}
    outputs: dict[str, JsonValue] = {}
    for position, argument in enumerate(_arguments(arguments), start=1):
        name = _new(_name(argument, directory), inputs)
        inputs[name] = _declared(argument, position, directory)
        if _is_written(argument, directory):
            outputs[_new("output", outputs)] = {"type": "File", "outputBinding": {"glob": f"$(inputs.{name})"}}
    stem = re.sub(r"[^\w.-]", "_", Path(program[0]).name) or "command"
    outputs[_new("printed", outputs)] = "stdout"
    document: dict[str, JsonValue] = {
        "cwlVersion": "v1.2",
        "class": "CommandLineTool",
        "baseCommand": list(program) if len(program) > 1 else program[0],
        "inputs": inputs,
        "outputs": outputs,
        "stdout": f"{stem}.txt",
    }
    return _yaml(document)


def _split(command: list[str]) -> tuple[list[str], list[str]]:
    """Return the program, with its subcommand where a word before the first option looks like one, and the rest."""
    is_sub = len(command) > 2 and _WORD.fullmatch(command[1]) and _OPTION.match(command[2])
    count = 2 if is_sub else 1
    return command[:count], command[count:]


def _arguments(rest: list[str]) -> Iterator[Argument]:
    """Yield arguments; an option takes what follows it, unless that is an option too."""
    waiting = list(rest)
    while waiting:
        first = waiting.pop(0)
        if (assigned := _ASSIGNED.fullmatch(first)) is not None:
            yield Argument(prefix=assigned["prefix"], value=assigned["value"], separate=False)
        elif not _OPTION.fullmatch(first):
            yield Argument(prefix=None, value=first)
        elif waiting and not _OPTION.fullmatch(waiting[0]) and not _ASSIGNED.fullmatch(waiting[0]):
            yield Argument(prefix=first, value=waiting.pop(0))
        else:
            yield Argument(prefix=first, value=None)


def _declared(argument: Argument, position: int, directory: Path) -> JsonValue:
    kind = _type(argument.value, directory)
    binding: dict[str, JsonValue] = {"position": position}
    if argument.prefix is not None:
        binding["prefix"] = argument.prefix
    if not argument.separate:
        binding["separate"] = False
    declared: dict[str, JsonValue] = {"type": kind, "inputBinding": binding}
    if kind not in ("File", "Directory"):
        declared["default"] = _value(argument.value, kind)
    return declared


def _type(value: str | None, directory: Path) -> str:
    if value is None:
        return "boolean"
    if (found := _there(value, directory)) is not None:
        return found
    if _INT.fullmatch(value):
        bits = abs(int(value)).bit_length() if len(value) < 30 else _LONG_BITS + 1
        return "int" if bits <= _INT_BITS else "long" if bits <= _LONG_BITS else "string"
    return "double" if _is_plain_number(value) else "string"


def _is_plain_number(value: str) -> bool:
    """Check whether a text is a number that is written as CWL writes it, so that the command stays what it was."""
    return _FLOAT.fullmatch(value) is not None and str(float(value)) == value


def _there(value: str, directory: Path) -> str | None:
    try:
        path = directory / value
        return "File" if path.is_file() else "Directory" if value and path.is_dir() else None
    except (OSError, ValueError):  # no path at all
        return None


def _value(value: str | None, kind: str) -> JsonValue:
    if value is None:
        return True
    return int(value) if kind in ("int", "long") else float(value) if kind == "double" else value


def _is_written(argument: Argument, directory: Path) -> bool:
    """Check whether an argument names a file that the command writes into its current directory."""
    value = argument.value
    is_name = bool(value) and value is not None and "/" not in value and _type(value, directory) == "string"
    return is_name and argument.prefix is not None and _identifier(argument.prefix) in _WRITTEN


def _name(argument: Argument, directory: Path) -> str:
    if argument.prefix is not None:
        return _identifier(argument.prefix)
    return _NAMES.get(_type(argument.value, directory), "number")


def _identifier(prefix: str) -> str:
    return re.sub(r"\W", "_", prefix.strip("-=")).strip("_").lower()


def _new(name: str, known: dict[str, JsonValue]) -> str:
    """Return a name, with a number where it is known already."""
    names = (name if number == 1 else f"{name}_{number}" for number in range(1, len(known) + 2))
    return next(each for each in names if each not in known)


def _yaml(document: dict[str, JsonValue]) -> str:
    yaml = YAML()
    yaml.width = _WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()
