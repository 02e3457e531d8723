"""Names and labels of what backends create, so that people and reapers find it again."""

import hashlib
import re
from collections.abc import Mapping

from cwl_prefect.model.job import ContainerJob

LABEL_PREFIX = "cwl-prefect.io/"
"""What every label of ours begins with; Prefect's own labels would make its workers watch our containers."""

JOB_LABEL = f"{LABEL_PREFIX}job-id"
"""Label that holds a job's identifier."""

BUILT_LABEL = f"{LABEL_PREFIX}dockerfile"
"""Label of images that were built here, which holds a digest of their Dockerfile."""

NAME_LABEL = f"{LABEL_PREFIX}name"
"""Label that holds a job's name for people, as ``align[3]``."""

FLOW_RUN_LABEL = f"{LABEL_PREFIX}flow-run-id"
"""Label that holds the flow run a job belongs to; a caller puts it into ``ContainerJob.labels``."""

STEP_LABEL = f"{LABEL_PREFIX}step"
"""Label that holds the name of the call that a job runs, as ``align[3]``; a caller puts it there too."""

CALL_LABEL = f"{LABEL_PREFIX}call"
"""Label of what the call runs on what (see `cwl_prefect.engine.staging.identity`); a caller puts it there too."""

_FOREIGN_LABELS = ("prefect.io/", "io.prefect.")


def resource_name(job_id: str, *, limit: int = 120) -> str:
    """Return the name of a job's container: the same for the same job, and legal for engines and clusters.

    Args:
        job_id: The job's identifier.
        limit: Characters that the name may have.
    """
    digest = hashlib.sha256(job_id.encode()).hexdigest()[:10]
    readable = re.sub(r"[^a-z0-9]+", "-", job_id.lower()).strip("-")
    room = limit - len(digest) - len("cwl--")
    return "-".join(part for part in ("cwl", readable[:room].strip("-"), digest) if part)


def job_labels(job: ContainerJob, platform: Mapping[str, str]) -> dict[str, str]:
    """Return all labels of a job's container: the platform's, then the job's, then ours.

    Labels that Prefect's workers watch are left out, since a removed container would then count as a crashed flow run.

    Args:
        job: The job; labels without a namespace get ours.
        platform: Labels that the work pool's template asks for.
    """
    foreign = {name: value for name, value in platform.items() if not name.startswith(_FOREIGN_LABELS)}
    own = {name if "/" in name else f"{LABEL_PREFIX}{name}": value for name, value in job.labels.items()}
    return {**foreign, **own, JOB_LABEL: job.job_id, NAME_LABEL: job.name}
