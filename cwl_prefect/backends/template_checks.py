"""What in a work pool's job template will not do what its author meant."""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from pydantic import JsonValue

from cwl_prefect._lib.destinations import names_url
from cwl_prefect.backends.job_template.job_variables import (
    JobVariables,
    check_job_variables,
    placeholders,
    template_default,
    template_environment,
)
from cwl_prefect.backends.job_template.tool_environment import looks_secret
from cwl_prefect.backends.kubernetes.objects import part, parts, text
from cwl_prefect.errors import UsageError
from cwl_prefect.model.findings import Finding

CHECK = "pool template"
WORKDIR, HOME, OUTDIR = "CWL_PREFECT_WORKDIR", "CWL_PREFECT_HOME", "CWL_PREFECT_OUTDIR"
CONTAINERS = frozenset({"docker", "kubernetes"})
"""Types of pools whose flow runs have a container of their own, which ends with them."""

_PLACE = "/var/lib/cwl-prefect"
_TRANSIENT = frozenset({"emptyDir", "ephemeral", "configMap", "secret", "projected", "downwardAPI"})
_EDIT = "edit the pool's base job template: `prefect work-pool update NAME --base-job-template FILE`"


def lost_results(
    pool_type: str, template: Mapping[str, JsonValue], given: Mapping[str, JsonValue] | None = None
) -> str | None:
    """Return why the results of flow runs would go away with their containers; None where they stay, or may.

    Where nothing says where they go, the image may, so that some volume is enough.

    Args:
        pool_type: Type of the pool.
        template: Its base job template.
        given: Job variables over it, as of a deployment.
    """
    if pool_type not in CONTAINERS:
        return None
    place, mounted = _results_place(template, given or {}), _mounted(pool_type, template, given or {})
    if place is None and not mounted:
        return "results of flow runs go away with their containers: there is no volume."
    if place is None or names_url(place) or any(_within(place, target) for target in mounted):
        return None
    return f"results of flow runs go to {place}, which is below no volume and goes away with their containers."


def remedy(pool_type: str) -> str:
    """Return what to add to the job template of a pool so that results stay."""
    where = f"and {HOME}: {_PLACE} to the default of env"
    if pool_type == "docker":
        return f"add {_PLACE}:{_PLACE} to the default of volumes, {where}; or {_remake(pool_type)}."
    return (
        "add a volume with a persistentVolumeClaim to the pod of job_manifest, a volumeMount of it at "
        f"{_PLACE} to its first container, {where}; or {_remake(pool_type)}."
    )


def results_environment(template: Mapping[str, JsonValue], given: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the environment of flow runs as a template and job variables over it say."""
    own = given.get("env")
    dotted = {name.removeprefix("env."): value for name, value in given.items() if name.startswith("env.")}
    configuration = template.get("job_configuration")
    containers = _containers(configuration)[:1] if isinstance(configuration, dict) else []
    declared = {text(entry, "name"): entry.get("value") for each in containers for entry in parts(each, "env")}
    return {**declared, **template_environment(template), **(own if isinstance(own, dict) else {}), **dotted}


def _results_place(template: Mapping[str, JsonValue], given: Mapping[str, JsonValue]) -> str | None:
    environment = results_environment(template, given)
    outdir, home = environment.get(OUTDIR), environment.get(HOME)
    if outdir:
        return str(outdir).partition("{")[0]
    return f"{home}/outputs" if home else None


def _mounted(pool_type: str, template: Mapping[str, JsonValue], given: Mapping[str, JsonValue]) -> list[str]:
    """Return where the container of a flow run has volumes that stay and can be written."""
    from prefect.utilities.templating import apply_values

    defaults = {name: template_default(template, name) for name in _properties(template) or {}}
    values = {name: value for name, value in {**defaults, **given}.items() if value is not None}
    filled = apply_values(template.get("job_configuration"), values)
    if not isinstance(filled, dict):
        return []
    if pool_type == "docker":
        volumes = filled.get("volumes")
        shares = [str(volume).split(":") for volume in (volumes if isinstance(volumes, list) else [])]
        return [share[1] for share in shares if len(share) > 1 and "ro" not in share[2:]]
    pod = _pod(filled)
    staying = {text(volume, "name") for volume in parts(pod, "volumes") if _TRANSIENT.isdisjoint(volume)}
    mounts = [mount for container in _containers(filled)[:1] for mount in parts(container, "volumeMounts")]
    return [
        text(mount, "mountPath") for mount in mounts if text(mount, "name") in staying and not mount.get("readOnly")
    ]


def template_findings(pool_type: str, template: Mapping[str, JsonValue]) -> list[Finding]:
    """Look a base job template over.

    Args:
        pool_type: ``docker``, ``kubernetes`` or ``process``.
        template: The pool's base job template.
    """
    configuration, properties = template.get("job_configuration"), _properties(template)
    if not isinstance(configuration, dict) or properties is None:
        return [
            Finding.error(
                CHECK, "it has no job_configuration, or no variables with properties.", fix=_remake(pool_type)
            )
        ]
    found = [
        *_placeholders(configuration, properties),
        *_environment(configuration, properties),
        *_environment_sources(configuration),
        *_image(pool_type, configuration),
        *_docker(pool_type, properties),
        *_for_steps(pool_type, template),
    ]
    return found or [Finding.ok(CHECK, f"its {len(properties)} variables are all well.")]


def _placeholders(configuration: dict[str, JsonValue], properties: Mapping[str, JsonValue]) -> Iterator[Finding]:
    unknown = sorted(
        name for name in placeholders(configuration) - properties.keys() if not name.startswith("prefect.")
    )
    if unknown:
        yield Finding.warning(
            CHECK,
            f"job_configuration uses {_listed(unknown)}, but there is no such variable: what it fills is left out.",
            fix=f"add it to variables.properties, or remove it; {_EDIT}.",
        )


def _environment(configuration: dict[str, JsonValue], properties: Mapping[str, JsonValue]) -> Iterator[Finding]:
    places = [configuration.get("env"), _default(properties, "env")]
    declared = [entry for container in _containers(configuration)[:1] for entry in parts(container, "env")]
    written = {text(entry, "name") for entry in declared if "valueFrom" not in entry}
    names = sorted(written.union(name for place in places if isinstance(place, dict) for name in place))
    of_prefect = [name for name in names if name.upper().startswith("PREFECT_")]
    secret = [name for name in names if looks_secret(name)]
    if secret:
        yield Finding.warning(
            CHECK,
            f"env holds {_listed(secret)}: everybody who may read the pool sees it. Tools never do.",
            fix="keep it in a Prefect secret block or a secret of the platform, and refer to that.",
        )
    if left := [name for name in of_prefect if name not in secret]:
        yield Finding.warning(
            CHECK,
            f"env sets {_listed(left)} for flow runs; the worker sets what they need by itself. Tools never see it.",
            fix=f"remove it where flow runs use the worker's API; {_EDIT}.",
        )


def _environment_sources(configuration: dict[str, JsonValue]) -> Iterator[Finding]:
    sources = [source for container in _containers(configuration)[:1] for source in parts(container, "envFrom")]
    kinds = {"secretRef": "secret", "configMapRef": "config map"}
    named = [f"{kinds[key]} {text(source, key, 'name')}" for source in sources for key in kinds if key in source]
    if named:
        yield Finding.warning(
            CHECK,
            f"envFrom gives tools every variable of {_listed(named)}, credentials too, except those of Prefect and "
            "cwl-prefect.",
            fix=f"name only what tools may see, each variable in env with valueFrom; {_EDIT}.",
        )


def _image(pool_type: str, configuration: dict[str, JsonValue]) -> Iterator[Finding]:
    if pool_type == "docker":
        images = [configuration.get("image")]
    elif pool_type == "kubernetes":
        images = [container.get("image") for container in _containers(configuration)[:1]]
        if not images:
            yield Finding.error(CHECK, "job_manifest has no container.", fix=_remake(pool_type))
            return
    else:
        return
    for image in images:
        if image is None:
            yield Finding.error(
                CHECK, "it has no image for flow runs.", fix=f'write "image": "{{{{ image }}}}"; {_EDIT}.'
            )
        elif not placeholders(image):
            yield Finding.warning(
                CHECK,
                f"flow runs always use the image {image}: the image of a deployment counts for nothing.",
                fix=f'write "image": "{{{{ image }}}}"; {_EDIT}. Steps use the images of the document anyway.',
            )


def _docker(pool_type: str, properties: Mapping[str, JsonValue]) -> Iterator[Finding]:
    if pool_type != "docker":
        return
    default = _default(properties, "volumes")
    volumes = [str(volume).split(":") for volume in (default if isinstance(default, list) else [])]
    mounted = [(volume[0], volume[1]) for volume in volumes if len(volume) > 1]
    if not any(source.endswith(".sock") for source, _ in mounted):
        yield Finding.warning(
            CHECK,
            "no volume gives flow runs the engine's socket: a flow run on this pool cannot start containers for steps.",
            fix="add /var/run/docker.sock:/var/run/docker.sock to the default of volumes; not needed for --steps-pool.",
        )
    default = _default(properties, "env")
    environment = default if isinstance(default, dict) else {}
    variable = WORKDIR if WORKDIR in environment else HOME
    workdir = environment.get(variable)
    if not isinstance(workdir, str):
        yield Finding.warning(
            CHECK,
            f"env does not say by {HOME} or {WORKDIR} where flow runs keep the files of steps.",
            fix=f"add {HOME} to the default of env, below a volume with the same path on both sides.",
        )
    elif not any(source == target and _within(workdir, target) for source, target in mounted):
        yield Finding.error(
            CHECK,
            f"{variable} is {workdir}, which is below no volume with the same path on both sides: the engine will not "
            "find the files of steps.",
            fix="add a volume as /var/lib/cwl-prefect:/var/lib/cwl-prefect that holds it.",
        )


def _for_steps(pool_type: str, template: Mapping[str, JsonValue]) -> Iterator[Finding]:
    if pool_type == "process":
        return
    try:
        check_job_variables(JobVariables(template=template), pool_type=pool_type, steps=())
    except UsageError as error:
        yield Finding.error(CHECK, error.message, fix=error.hint or _EDIT)


def _within(path: str, directory: str) -> bool:
    return PurePosixPath(path).is_relative_to(directory)


def _properties(template: Mapping[str, JsonValue]) -> dict[str, JsonValue] | None:
    properties = part(template, "variables").get("properties")
    return properties if isinstance(properties, dict) else None


def _default(properties: Mapping[str, JsonValue], name: str) -> JsonValue:
    return part(properties, name).get("default")


def _containers(configuration: dict[str, JsonValue]) -> list[dict[str, JsonValue]]:
    return parts(_pod(configuration), "containers")


def _pod(configuration: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return part(configuration, "job_manifest", "spec", "template", "spec")


def _listed(names: list[str]) -> str:
    return ", ".join(names)


def _remake(pool_type: str) -> str:
    return f"make it anew: `cwl-prefect pool create NAME --type {pool_type} --overwrite`"
