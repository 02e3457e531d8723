"""A group of commands whose module is imported when one of them is wanted: most need Prefect, which takes long."""

from importlib import import_module

import typer
from typer.core import TyperGroup


def group_of(module: str, about: str) -> typer.Typer:
    """Return a group with the commands of the application ``app`` in a module.

    Args:
        module: Its name.
        about: What the group is for, which is shown without the module.
    """

    class LoadedOnUse(TyperGroup):
        """Commands that are imported when they are asked for."""

        def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # typer hides the bases
            """Return their names."""
            return _loaded(module).list_commands(ctx)

        def get_command(self, ctx: typer.Context, cmd_name: str) -> object:  # type: ignore[override]  # as above
            """Return the one with a name."""
            return _loaded(module).get_command(ctx, cmd_name)

        def resolve_command(self, ctx: typer.Context, args: list[str]) -> tuple[object, ...]:  # type: ignore[override]  # as above
            """Return the one that is asked for, or refuse it with those that could be meant."""
            return _loaded(module).resolve_command(ctx, args)

    return typer.Typer(cls=LoadedOnUse, help=about, no_args_is_help=True)


def _loaded(module: str) -> TyperGroup:
    return typer.main.get_group(import_module(module).app)
