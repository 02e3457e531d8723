"""Show every setting and where its value comes from."""

import json
from collections.abc import Mapping

from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.terminal import tell
from cwl_prefect.settings import origin


def show(*, as_json: bool) -> None:
    """Print all settings: as a file of settings would have them, defaults as comments, or as JSON.

    Raises:
        UsageError: A setting is wrong.
    """
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
