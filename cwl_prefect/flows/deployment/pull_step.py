"""The pull step of a deployment: the compiled workflow travels inside with its files, so that a worker needs none.

Prefect runs the pull step in one process and the flow in another, whose working directory is what the step returns.
"""

import base64
import binascii
import hashlib
import json
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from cwl_prefect._lib.atomic_write import write_whole
from cwl_prefect._lib.own_files import make_private, read_own
from cwl_prefect.cwl.access.host_files import is_untrusted
from cwl_prefect.errors import DocumentError, PublishError
from cwl_prefect.flows.deployment.bundle import Bundle
from cwl_prefect.flows.deployment.reference import Deployed
from cwl_prefect.model.plan import WorkflowPlan, decode_plan, encode_plan
from cwl_prefect.settings import Settings

PULL_STEP = "cwl_prefect.flows.steps.unpack"
"""Name of the step in a deployment."""

_FILE = "deployment.json"
_UNREADABLE = "this deployment holds no workflow that this version of cwl-prefect can read."
_AGAIN = "deploy it again with the version that the worker has: `cwl-prefect deploy`."


def pack(plan: WorkflowPlan) -> str:
    """Write a plan as a text that no templating can change; equal plans give equal texts."""
    return base64.b64encode(zlib.compress(encode_plan(plan), 9)).decode("ascii")


def unpack(plan: str, inputs_file: str | None = None, carried: str | None = None) -> dict[str, str]:
    """Put the workflow of a deployment where the flow's process finds it; one directory for each version.

    Args:
        plan: What :func:`pack` wrote.
        inputs_file: Job order that the parameters of a run go over: a path of the worker's machine, or a URL.
        carried: Files that lay with the document, as :meth:`.Bundle.packed` wrote them.

    Returns:
        The directory that the flow starts in.

    Raises:
        DocumentError: The deployment was made by another version.
        PublishError: The directory cannot be written.
    """
    _decoded(plan)
    files = _decoded_files(carried)
    content = json.dumps({"plan": plan, "inputs_file": inputs_file, "carried": carried})
    directory = Settings().home.absolute() / "deployed" / hashlib.sha256(content.encode()).hexdigest()[:32]
    try:
        make_private(directory)
        files.lay(directory)
        write_whole(directory / _FILE, content.encode())
    except tarfile.TarError as error:
        raise DocumentError(_UNREADABLE, hint=_AGAIN) from error
    except OSError as error:
        raise PublishError(
            f"the workflow cannot be unpacked into {directory}: {error.strerror}.",
            hint="set CWL_PREFECT_HOME to a directory that the worker may write.",
        ) from error
    return {"directory": str(directory)}


def unpacked(directory: Path) -> Deployed:
    """Read what was unpacked into a directory.

    Raises:
        DocumentError: Nothing was.
        InputError: The job order that the deployment names cannot be read here.
    """
    try:
        content = json.loads(read_own(directory / _FILE))
    except (OSError, ValueError) as error:
        raise DocumentError(
            f"there is no workflow in {directory}: the pull step of the deployment did not run.",
            hint=f"make the deployment by `cwl-prefect deploy`, or give it the pull step {PULL_STEP}.",
        ) from error
    locations = _decoded_files(content.get("carried")).places(directory)
    return Deployed.read(_own(_decoded(content["plan"]), directory), content["inputs_file"], locations)


def _own(plan: WorkflowPlan, directory: Path) -> WorkflowPlan:
    """Return a plan whose tree is what was deployed with it; what it included came with it."""
    named = tuple(found for found in plan.named_files if not found.included)
    return replace(plan, origin=plan.origin if is_untrusted(plan) else str(directory / _FILE), named_files=named)


def _decoded(plan: str) -> WorkflowPlan:
    try:
        return decode_plan(zlib.decompress(base64.b64decode(plan, validate=True)))
    except (binascii.Error, zlib.error, ValueError, ValidationError) as error:
        raise DocumentError(_UNREADABLE, hint=_AGAIN) from error


def _decoded_files(carried: str | None) -> Bundle:
    try:
        return Bundle.unpacked(carried)
    except ValueError as error:
        raise DocumentError(_UNREADABLE, hint=_AGAIN) from error
