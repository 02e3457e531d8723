"""The Secret of a run: what a storage block lends it, for those containers of its pods that carry files."""

import logging
from collections.abc import Mapping

from cwl_prefect.backends.kubernetes.api.client import KubernetesApi, RefusedError
from cwl_prefect.backends.kubernetes.objects import KubernetesObject, job_name, label_value
from cwl_prefect.backends.naming import FLOW_RUN_LABEL

_FORBIDDEN = 403

_logger = logging.getLogger(__name__)


def secret_name(run: str) -> str:
    """Return the name of the Secret of a run: the same in whichever process."""
    return job_name(f"store-{run}")


async def give(
    api: KubernetesApi, namespace: str, run: str, variables: Mapping[str, str], owner: KubernetesObject | None
) -> str | None:
    """Write variables into the Secret of a run, and return its name; None where the run may not write Secrets.

    Args:
        api: The cluster.
        namespace: Where the pods of the run are.
        run: Its identifier.
        variables: What the containers need.
        owner: What it is to go away with, at the latest.

    Raises:
        BackendError: The cluster refuses or does not answer.
    """
    name = secret_name(run)
    metadata: KubernetesObject = {"name": name, "labels": {FLOW_RUN_LABEL: label_value(run)}}
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    try:
        await api.put_secret(namespace, {"metadata": metadata, "type": "Opaque", "stringData": {**variables}})
    except RefusedError as error:
        if error.status != _FORBIDDEN:
            raise
        _logger.warning(
            "pods do not get the credentials of the storage block, since the run may not create, update and delete "
            "secrets in %s; give it the right, or name a Secret by CWL_PREFECT_WORKSPACES_SECRET",
            namespace,
        )
        return None
    return name


async def take_back(api: KubernetesApi, namespace: str, run: str) -> None:
    """Remove the Secret of a run, if there is one; who may not remove any made none.

    Raises:
        BackendError: The cluster refuses for another reason, or does not answer.
    """
    try:
        await api.delete_secret(namespace, secret_name(run))
    except RefusedError as error:
        if error.status != _FORBIDDEN:
            raise
