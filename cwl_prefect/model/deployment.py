"""What a deployment of a workflow may say."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, TypedDict

from pydantic import JsonValue

CollisionStrategy: TypeAlias = Literal["ENQUEUE", "CANCEL_NEW"]
"""What becomes of a run of a deployment that would be one too many: it waits, or is cancelled."""


class DeploymentOptions(TypedDict, total=False):
    """What a deployment may say, as the options of ``cwl-prefect deploy``; what is left out has its default.

    Attributes:
        name: Name of the deployment beside others of the same workflow.
        image: Image of the flow run's own container, for Docker and Kubernetes pools; it has this package installed.
        timezone: Time zone of its schedules, as ``Europe/Berlin``; UTC where there is none.
        parameters: Values that the form starts with, by input.
        inputs_file: Job order that the parameters go over; a path of the worker's machine, a URL, or ``$ref``: each run
            names one.
        job_variables: Job variables over those of the pool.
        concurrency_limit: How many runs of it there may be at once.
        collision_strategy: What becomes of a run beyond that: it waits, or is cancelled.
        tags: Tags of its runs.
        queue: Queue of the pool that its runs wait in, made where there is none; the pool's own default otherwise.
        priority: Priority of that queue among those of the pool, 1 being the highest.
        move: Whether a deployment of this name may be taken away from another pool.
        reset: Whether what it had before is forgotten; else all that is not given here stays.
    """

    name: str
    image: str | None
    timezone: str | None
    parameters: Mapping[str, JsonValue]
    inputs_file: str | None
    job_variables: Mapping[str, JsonValue]
    concurrency_limit: int | None
    collision_strategy: CollisionStrategy | None
    tags: Sequence[str]
    queue: str | None
    priority: int | None
    move: bool
    reset: bool
