"""Names of flows, work pools and deployments, as Prefect takes them, and the tag of runs of workflows."""

from collections.abc import Iterable

from cwl_prefect.errors import UsageError

_FORBIDDEN = "/%&<>"
_SPELT = str.maketrans(dict.fromkeys(_FORBIDDEN, "_"))

ENTRYPOINT = "cwl_prefect.flows.entrypoint.flow"
"""Entry point of every deployment; :mod:`cwl_prefect.flows.entrypoint` has it."""

MARK = "cwl-prefect"
"""Tag of every run of a workflow, by which the API finds them among those of other flows."""


def without_mark(tags: Iterable[str]) -> list[str]:
    """Return the tags that somebody chose."""
    return [tag for tag in tags if tag != MARK]


def flow_name(name: str) -> str:
    """Spell a process name as Prefect allows for flows."""
    return name.translate(_SPELT)


def demand_name(name: str, *, of: str) -> None:
    """Refuse a name that Prefect would refuse.

    Args:
        name: The name.
        of: What it is the name of, as ``work pool``.

    Raises:
        UsageError: It is empty, or has a character that Prefect forbids.
    """
    if not name.strip("' \""):
        raise UsageError(f"The name of a {of} cannot be empty.", hint="give it a name.")
    if set(name) & set(_FORBIDDEN):
        raise UsageError(
            f"{name!r} cannot be the name of a {of}.",
            hint=f"choose one without the characters {' '.join(_FORBIDDEN)}, which Prefect forbids.",
        )
