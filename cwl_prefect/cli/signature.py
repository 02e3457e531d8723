"""Commands whose options a dataclass declares, a field for each; what is given is found in the context."""

from collections.abc import Callable, Container
from dataclasses import fields
from inspect import Parameter, signature
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Command = TypeVar("Command", bound=Callable[..., None])


def taking(declared: "type[DataclassInstance]", *, but: Container[str] = ()) -> Callable[[Command], Command]:
    """Let a command take what a dataclass declares, before its own options.

    Args:
        declared: The dataclass.
        but: Names of fields that it does not take, or declares itself.
    """
    options = [
        Parameter(field.name, Parameter.KEYWORD_ONLY, annotation=field.type, default=field.default)
        for field in fields(declared)
        if field.name not in but
    ]

    def with_options(command: Command) -> Command:
        """Set the signature that typer reads options from."""
        found = signature(command)
        own = [each for each in found.parameters.values() if each.kind is not Parameter.VAR_KEYWORD]
        first = [each for each in own if each.kind is not Parameter.KEYWORD_ONLY]
        command.__signature__ = found.replace(parameters=[*first, *options, *own[len(first) :]])  # type: ignore[attr-defined]
        return command

    return with_options
