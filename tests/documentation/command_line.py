"""The commands that there are, with their options, and the options that a page names."""

import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache

import click
from typer.main import get_command

from cwl_prefect.cli.app import app

CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@cache
def commands() -> Mapping[str, frozenset[str]]:
    """Return every command, as `runs show`, with its options; what has commands below it has none."""
    return dict(_below(get_command(app), ()))


def _below(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, frozenset[str]]]:
    below = getattr(command, "list_commands", None)
    if below is None:
        yield " ".join(path), frozenset(option for each in command.params for option in each.opts if option[0] == "-")
        return
    context = click.Context(command)
    for name in below(context):
        yield from _below(command.get_command(context, name), (*path, name))  # type: ignore[attr-defined]  # a group


def unknown(code: str) -> list[str]:
    """Return what a command line of `cwl-prefect` names that is not there; inputs of documents are no options."""
    words = shlex.split(code)[1:]
    if not words or words[0].startswith(("-", "COMMAND")):
        return []
    name = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in commands()), None)
    if name is None:
        groups = {each.split()[0] for each in commands()}
        alternatives = {" ".join((words[0], each)) for each in words[1].split("|")} if len(words) > 1 else set()
        return [] if words[0] in groups and alternatives <= set(commands()) else [code]
    options = [word.split("=")[0] for word in words if re.fullmatch(r"--[a-z-]+(=.*)?", word)]
    return [] if name in ("run", "new") else [each for each in options if each not in commands()[name]]
