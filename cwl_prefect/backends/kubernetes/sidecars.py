"""Containers that a template puts beside its first one: what keeps them from outliving it, and with it its Job.

A Job ends with the last container of its pod. From Kubernetes 1.29 on, an init container with ``restartPolicy: Always``
runs beside the others and counts for nothing (https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers);
before that, somebody who is done has to end the rest.
"""

from collections.abc import Iterator, Sequence

from cwl_prefect.backends.kubernetes.objects import KubernetesObject, number, part, parts, text
from cwl_prefect.model.findings import Finding

CHECK = "Kubernetes sidecars"
NATIVE = (1, 29)
"""The first version of Kubernetes that has native sidecars switched on."""

_POLICY = "restartPolicy"
_ALWAYS = "Always"


def is_native(container: KubernetesObject) -> bool:
    """Check whether an init container is one that runs beside the others, and ends with them."""
    return text(container, _POLICY) == _ALWAYS


def as_native(containers: Sequence[KubernetesObject]) -> list[KubernetesObject]:
    """Return containers as init containers that run beside the others, and end with them."""
    return [{**container, _POLICY: _ALWAYS} for container in containers]


def has_sidecars(pod: KubernetesObject) -> bool:
    """Check whether a pod has more than one container that counts for its end."""
    return len(parts(pod, "spec", "containers")) > 1


def sidecar_findings(manifest: KubernetesObject, version: tuple[int, int]) -> Iterator[Finding]:
    """Yield what becomes of the sidecars of a job template at the end of a flow run.

    Args:
        manifest: The Job that the template gives.
        version: Of the cluster's server, ``(0, 0)`` where it does not tell.
    """
    pod = part(manifest, "spec", "template", "spec")
    beside = ", ".join(text(container, "name") for container in parts(pod, "containers")[1:])
    native = ", ".join(text(container, "name") for container in parts(pod, "initContainers") if is_native(container))
    if native and (0, 0) < version < NATIVE:
        yield Finding.error(
            CHECK,
            f"Kubernetes before 1.29 waits for {native} to end before it starts a flow run.",
            fix=f"write it among containers, after the first, without {_POLICY}.",
        )
    if not beside:
        return
    killed = f"{beside} would keep the Job of a flow run whose container was killed alive without end."
    if version >= NATIVE:
        fix = f"write it among initContainers, with {_POLICY}: {_ALWAYS}."
        yield Finding.warning(CHECK, killed, fix=fix)
    elif number(manifest, "spec", "activeDeadlineSeconds") is None:
        fix = "write into the spec of job_manifest an activeDeadlineSeconds that no flow run reaches."
        yield Finding.warning(CHECK, killed, fix=fix)
