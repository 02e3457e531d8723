"""The pull step of a deployment: the compiled workflow travels inside with its files, so that a worker needs none.

Prefect runs the pull step in one process and the flow in another, whose working directory is what the step returns.
"""

import base64
import binascii
import hashlib
import json
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import from_json

from cwl_prefect import __version__
from cwl_prefect._lib.atomic_write import write_whole
from cwl_prefect._lib.own_files import make_private, read_own
from cwl_prefect.cwl.access.host_files import is_untrusted
from cwl_prefect.errors import DocumentError, PublishError
from cwl_prefect.flows.deployment.bundle import Bundle
from cwl_prefect.flows.deployment.reference import Deployed
from cwl_prefect.model.plan import WorkflowPlan, decode_plan, encode_plan
from cwl_prefect.model.plan_formats import PlanFormatError
from cwl_prefect.settings import Settings

PULL_STEP = "cwl_prefect.flows.steps.unpack"
"""Name of the step in a deployment."""

_FILE = "deployment.json"
_UNREADABLE = "this deployment holds no workflow that this version of cwl-prefect can read."
_AGAIN = "deploy it again with the version that the worker has: `cwl-prefect deploy`."
_LATER = f"install there the version that deployed it, or a later one, in place of {__version__}; or {_AGAIN}"


def pack(plan: WorkflowPlan) -> str:
    """Write a plan as a text that no templating can change; equal plans give equal texts."""
    return base64.b64encode(zlib.compress(encode_plan(plan), 9)).decode("ascii")


def unpack(
    plan: str,
    inputs_file: str | None = None,
    carried: str | None = None,
    release: str | None = None,  # noqa: ARG001 - for people, and for `cwl-prefect deployments`
) -> dict[str, str]:
    """Put the workflow of a deployment where the flow's process finds it; one directory for each version.

    Whether it can be read, :func:`unpacked` finds out in the flow's process, whose errors Prefect shows with the run.

    Args:
        plan: What :func:`pack` wrote.
        inputs_file: Job order that the parameters of a run go over: a path of the worker's machine, or a URL.
        carried: Files that lay with the document, as :meth:`.Bundle.packed` wrote them.
        release: Version of this package that made the deployment.

    Returns:
        The directory that the flow starts in.

    Raises:
        PublishError: The directory cannot be written.
    """
    content = json.dumps({"plan": plan, "inputs_file": inputs_file, "carried": carried})
    directory = Settings().home.absolute() / "deployed" / hashlib.sha256(content.encode()).hexdigest()[:32]
    with _writing(directory):
        make_private(directory)
        write_whole(directory / _FILE, content.encode())
    return {"directory": str(directory)}


def unpacked(directory: Path) -> Deployed:
    """Read what was unpacked into a directory, and lay the files that came with it there.

    Raises:
        DocumentError: Nothing was, or the deployment was made by a version that this one does not understand.
        InputError: The job order that the deployment names cannot be read here.
        PublishError: The files cannot be written.
    """
    try:
        content = json.loads(read_own(directory / _FILE))
    except (OSError, ValueError) as error:
        raise DocumentError(
            f"there is no workflow in {directory}: the pull step of the deployment did not run.",
            hint=f"make the deployment by `cwl-prefect deploy`, or give it the pull step {PULL_STEP}.",
        ) from error
    plan, files = decoded(content["plan"]), decoded_files(content.get("carried"))
    try:
        with _writing(directory):
            files.lay(directory)
    except tarfile.TarError as error:
        raise DocumentError(_UNREADABLE, hint=_AGAIN) from error
    return Deployed.read(_own(plan, directory), content["inputs_file"], files.places(directory))


def decoded(plan: str) -> WorkflowPlan:
    """Read what :func:`pack` wrote, now or in an earlier version.

    Raises:
        DocumentError: It is nothing of that, or of a later version.
    """
    try:
        return decode_plan(zlib.decompress(base64.b64decode(plan, validate=True)))
    except PlanFormatError as error:
        raise DocumentError(f"{_UNREADABLE.removesuffix('.')}: {error}.", hint=_LATER) from error
    except (binascii.Error, zlib.error, ValueError, ValidationError) as error:
        raise DocumentError(_UNREADABLE, hint=_AGAIN) from error


def format_of(plan: str) -> int | None:
    """Return the format of what :func:`pack` wrote, also of a later version; None where it is nothing of that."""
    try:
        found = from_json(zlib.decompress(base64.b64decode(plan, validate=True)))["format"]
    except (binascii.Error, zlib.error, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, int) else None


def decoded_files(carried: str | None) -> Bundle:
    """Read the files that travel with a workflow.

    Raises:
        DocumentError: They were not written by :meth:`.Bundle.packed`.
    """
    try:
        return Bundle.unpacked(carried)
    except ValueError as error:
        raise DocumentError(_UNREADABLE, hint=_AGAIN) from error


@contextmanager
def _writing(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PublishError(
            f"the workflow cannot be unpacked into {directory}: {error.strerror}.",
            hint="set CWL_PREFECT_HOME to a directory that the worker may write.",
        ) from error


def _own(plan: WorkflowPlan, directory: Path) -> WorkflowPlan:
    """Return a plan whose tree is what was deployed with it; what it included came with it."""
    named = tuple(found for found in plan.named_files if not found.included)
    return replace(plan, origin=plan.origin if is_untrusted(plan) else str(directory / _FILE), named_files=named)
