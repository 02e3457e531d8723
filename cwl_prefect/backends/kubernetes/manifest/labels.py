"""Labels and annotations of a step's Job: those of the platform, as Prefect spells them, and the call's own."""

from collections.abc import Mapping

from pydantic import JsonValue

from cwl_prefect.backends.kubernetes.objects import KubernetesObject, label_value, part
from cwl_prefect.backends.naming import LABEL_PREFIX, job_labels
from cwl_prefect.model.job import ContainerJob

NETWORK_LABEL = f"{LABEL_PREFIX}network"
"""Label that says whether a step may use the network, for network policies to select by."""

_PREFECT_LABELS = ("prefect.io/", "app.kubernetes.io/managed-by")
_JOB_LABELS = frozenset({"job-name", "controller-uid"})  # by which Kubernetes knows the pods of a Job


def spell_labels(of: KubernetesObject, labels: Mapping[str, str], annotations: Mapping[str, str]) -> None:
    """Put labels and annotations over those of an object, and spell all of them as Prefect does for flow runs.

    Args:
        of: What has ``metadata``, as a Job's manifest or its pod's template.
        labels: The job variable; Kubernetes would refuse some as they are.
        annotations: The job variable; only names need to be spelled.
    """
    from prefect_kubernetes.utilities import _slugify_label_key as name_of
    from prefect_kubernetes.utilities import _slugify_label_value as value_of

    metadata = part(of, "metadata")
    all_labels = {**part(metadata, "labels"), **labels}
    all_annotations = {**part(metadata, "annotations"), **annotations}
    of["metadata"] = {
        **metadata,
        "labels": {name_of(name): value_of(str(value)) for name, value in all_labels.items()},
        "annotations": {name_of(name): value for name, value in all_annotations.items()},
    }


def labels_of(job: ContainerJob, manifest: KubernetesObject) -> dict[str, JsonValue]:
    """Return the labels of a call's Job, over those that its manifest has from the platform."""
    platform = {name: str(value) for name, value in platform_labels(manifest).items()}
    own = {name: label_value(value) for name, value in job_labels(job, {}).items()}
    return {**platform, **own, NETWORK_LABEL: "true" if job.network else "false"}


def annotations_of(job: ContainerJob, manifest: KubernetesObject) -> dict[str, JsonValue]:
    """Return the annotations of a call's Job, among them whatever a label cannot hold as it is."""
    return {**part(manifest, "metadata", "annotations"), **job_annotations(job)}


def job_annotations(job: ContainerJob) -> dict[str, str]:
    """Return what a call's labels say where a label cannot hold it as it is."""
    return {name: value for name, value in job_labels(job, {}).items() if label_value(value) != value}


def platform_labels(of: KubernetesObject) -> KubernetesObject:
    """Leave out what a template cannot decide: Prefect's labels, ours, and those by which Jobs know their pods."""
    reserved = (*_PREFECT_LABELS, LABEL_PREFIX, "batch.kubernetes.io/")
    labels = part(of, "metadata", "labels")
    return {name: value for name, value in labels.items() if not name.startswith(reserved) and name not in _JOB_LABELS}
