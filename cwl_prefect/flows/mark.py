"""The tag by which runs of workflows are found among those of other flows."""

from collections.abc import Iterable

MARK = "cwl-prefect"
"""Tag of every run of a workflow, by which the API finds them among those of other flows."""


def without_mark(tags: Iterable[str]) -> list[str]:
    """Give the tags that somebody chose."""
    return [tag for tag in tags if tag != MARK]
