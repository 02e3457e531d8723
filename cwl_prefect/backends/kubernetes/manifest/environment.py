"""Which variables a step's container gets from a pool's template, and what counts of a platform for the cache."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from cwl_prefect.backends.job_template.tool_environment import looks_secret, of_flow_run
from cwl_prefect.backends.kubernetes.launcher import KEPT_VARIABLES
from cwl_prefect.backends.kubernetes.objects import KubernetesObject, parts, text
from cwl_prefect.model.job import ContainerJob


def environment(platform: KubernetesObject, job: ContainerJob, defaults: Mapping[str, str]) -> list[KubernetesObject]:
    """Return the variables of a step's container.

    Args:
        platform: The template's container.
        job: The step's call.
        defaults: What job variables give tools.
    """
    fixed = {text(entry, "name"): entry for entry in _declared(platform)}
    asked = {**defaults, **job.env}
    kept = [name for name in asked if of_flow_run(name)]
    marks = {KEPT_VARIABLES: f" {' '.join(kept)} "} if kept else {}
    own: dict[str, KubernetesObject] = {
        name: {"name": name, "value": literal(value)} for name, value in {**asked, **marks}.items()
    }
    return list({**fixed, **own}.values())


def environment_digest(
    platform: KubernetesObject,
    defaults: Mapping[str, str],
    entry_point: Sequence[str] | None,
    volumes: Sequence[KubernetesObject],
) -> str:
    """Return a digest of what the platform gives a tool, by reference where it is taken from elsewhere.

    Args:
        platform: The template's container.
        defaults: What job variables give tools.
        entry_point: What job variables say that the image's is, or None.
        volumes: What the platform mounts beside the shared volume.
    """
    further = {"envFrom": parts(platform, "envFrom"), "volumes": list(volumes)}
    given = {name: value for name, value in further.items() if value}
    stated = [] if entry_point is None else [list(entry_point)]
    told = [dict(defaults), _declared(platform), *stated, *([given] if given else [])]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def literal(word: str) -> str:
    """Write a word so that Kubernetes, which replaces ``$(NAME)``, gives it to the container as it is."""
    return word.replace("$", "$$")


def _declared(container: KubernetesObject) -> list[KubernetesObject]:
    """Return the variables of the template's container for tools: of credentials only those taken from elsewhere."""
    entries = [entry for entry in parts(container, "env") if not of_flow_run(text(entry, "name"))]
    return [entry for entry in entries if "valueFrom" in entry or not looks_secret(text(entry, "name"))]
