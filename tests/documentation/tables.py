"""The tables of the reference that follow from the code; ``python -m tests.documentation.tables`` writes them anew."""

from collections.abc import Callable
from enum import Enum
from pathlib import Path

from cwl_prefect.cli.exit_codes import markdown_table
from cwl_prefect.settings import Settings
from tests.documentation.blocks import PROJECT, replace_section

REFERENCE = PROJECT / "docs" / "reference"


def _default(name: str) -> str:
    field = Settings.model_fields[name]
    if field.default_factory is not None:
        return "`~/.cache/cwl-prefect`"
    value = field.default
    if value is None:
        return ""
    return f"`{value.value if isinstance(value, Enum) else str(value).lower() if isinstance(value, bool) else value}`"


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace(">", "&gt;").replace("|", "\\|")


def settings_table() -> str:
    """Give every setting with its variable, default and description."""
    prefix = Settings.model_config["env_prefix"]
    rows = [
        f"| `{prefix}{name.upper()}` | {_default(name)} | {_escaped(field.description or '')} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows, ""])


TABLES: dict[str, tuple[Path, Callable[[], str]]] = {
    "settings": (REFERENCE / "settings.md", settings_table),
    "exit codes": (REFERENCE / "exit-codes.md", markdown_table),
}

if __name__ == "__main__":
    for name, (page, table) in TABLES.items():
        replace_section(page, name, table())
