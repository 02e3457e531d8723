"""The command ``config show``."""

import json
from collections.abc import Mapping
from typing import Annotated

import typer

from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.terminal import tell
from cwl_prefect.settings import origin

app = typer.Typer()


@app.command()
def show(as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False) -> None:
    """Print every setting and where its value comes from; a line that begins with # is a default."""
    values = settings_with({}).model_dump(mode="json")
    if as_json:
        tell(json.dumps([{"name": name, "value": value, "from": origin(name)} for name, value in values.items()]))
        return
    for name, value in values.items():
        tell(_line(name, value, origin(name)))


def _line(name: str, value: object, source: str | None) -> str:
    if source is None:
        return f"# {name} = {_toml(value)}".rstrip()
    return f"{name} = {_toml(value)}  # {source}"


def _toml(value: object) -> str:
    """Write a value as TOML: texts, numbers and lists are as in JSON, tables in one line are not."""
    match value:
        case None:
            return ""
        case Mapping():
            items = (f"{json.dumps(name)} = {_toml(item)}" for name, item in value.items() if item is not None)
            return f"{{{', '.join(items)}}}"
        case list():
            return f"[{', '.join(map(_toml, value))}]"
        case _:
            return json.dumps(value, ensure_ascii=False)
