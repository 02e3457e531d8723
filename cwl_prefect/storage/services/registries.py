"""Workflows by their names in registries (GA4GH TRS) and records of Zenodo, and by their pages."""

import re
from threading import Event
from urllib.parse import quote, unquote

from pydantic import BaseModel, RootModel

from cwl_prefect._lib.locations import ZENODO
from cwl_prefect.errors import DocumentError
from cwl_prefect.storage.calling import patiently
from cwl_prefect.storage.services.answers import answer
from cwl_prefect.storage.services.names import resolved

WORKFLOW = "#workflow/"
"""What the name of a workflow in a registry begins with."""

_WORKFLOW = re.compile(rf"(?P<id>{WORKFLOW}[^:]+)(?::(?P<version>.+))?")
_PLACES = (
    re.compile(
        r"(?P<root>https?://.+/ga4gh/trs/v2)/tools/(?P<id>(?:(?!/versions/).)+?)(?:/versions/(?P<version>[^/]+))?/?"
    ),
    re.compile(r"(?P<root>https://workflowhub\.eu)/workflows/(?P<id>\d+)(?:\?version=(?P<version>\d+))?"),
    re.compile(r"(?P<root>https://dockstore\.org)/workflows/(?P<id>[^:?]+)(?::(?P<version>[^?]+))?(?:\?.*)?"),
)
_ROOTS = {
    "https://workflowhub.eu": "https://workflowhub.eu/ga4gh/trs/v2",
    "https://dockstore.org": "https://dockstore.org/api/ga4gh/trs/v2",
}
_TEXTS = "PLAIN_CWL"
_ABOVE = re.compile(rf"(?P<version>.+/tools/[^/]+/versions/[^/]+/{_TEXTS})/(?!descriptor(?:/|$))(?P<path>.+)")


class _File(BaseModel):
    path: str
    file_type: str = ""


class _Files(RootModel[tuple[_File, ...]]):
    pass


def located(document: str, trs_root: str) -> str:
    """Return the URL of the document that a name or page stands for; whatever else is given as it is.

    Args:
        document: As ``#workflow/github.com/org/repo/name:version`` or ``zenodo:RECORD/FILE``, or a URL.
        trs_root: The registry that names are of.

    Raises:
        DocumentError: No version is named, or the registry has no document of CWL for it.
        StorageError: The registry does not answer.
        UsageError: It names no file of a record.
    """
    if document.startswith(ZENODO):
        place, mark, part = document.partition("#")
        return f"{resolved(place).url}{mark}{part}"
    found = _WORKFLOW.fullmatch(document) or next(filter(None, (each.fullmatch(document) for each in _PLACES)), None)
    if found is None or f"/{_TEXTS}/" in document:
        return document
    parts = found.groupdict()
    if parts["version"] is None:
        raise DocumentError(
            f"{document}: this names no version of the workflow.",
            hint="Name one, as in #workflow/github.com/org/repo/name:VERSION, or …?version=NUMBER of WorkflowHub.",
        )
    root = _ROOTS.get(parts.get("root", ""), parts.get("root", trs_root.rstrip("/")))
    name = f"{WORKFLOW}{parts['id']}" if "dockstore.org/workflows/" in document else unquote(parts["id"])
    version = quote(unquote(parts["version"]), safe="")
    place = f"{root}/tools/{quote(name, safe='')}/versions/{version}"
    return f"{place}/{_TEXTS}/descriptor/{quote(_primary(document, place))}"


def asked_at(url: str) -> str:
    """Return where a registry gives what is beside the directory of a workflow's first document, above it."""
    found = _ABOVE.fullmatch(url)
    if found is None:
        return url
    return f"{found['version']}/descriptor/{quote(f'../{unquote(found[2])}', safe='')}"


def _primary(document: str, place: str) -> str:
    """Return the path of the document that a version begins with."""
    what = "list of files by GA4GH TRS"
    files = patiently(lambda: answer(document, f"{place}/CWL/files", _Files, what), Event()).root
    found = next((each.path for each in files if each.file_type == "PRIMARY_DESCRIPTOR"), None)
    if found is None:
        raise DocumentError(
            f"{document}: the registry has no document of CWL for it.",
            hint="Check the version, and that the workflow is one of CWL.",
        )
    return found
