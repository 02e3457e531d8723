"""From the job template of a work pool and the job variables of a step to what Prefect's own worker would use."""

import asyncio
import importlib
from typing import TYPE_CHECKING, TypeVar, cast

from pydantic import ValidationError

from cwl_prefect.backends.job_template.job_variables import StepVariables
from cwl_prefect.errors import BackendError

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.workers.base import BaseJobConfiguration

Configuration = TypeVar("Configuration", bound="BaseJobConfiguration")

STEP_IMAGE = "the step's own"
"""Stands for the image where none is given; without any value Prefect asks git for the default image's name."""


async def import_worker(platform: str, *, else_hint: str = "") -> None:
    """Import Prefect's worker for a platform, which takes seconds, away from the event loop.

    Raises:
        BackendError: Its package is not installed.
    """
    extra = platform.lower()
    try:
        await asyncio.to_thread(importlib.import_module, f"prefect_{extra}.worker")
    except ImportError as exc:
        hint = f"pip install 'cwl-prefect[{extra}]'{else_hint}"
        raise BackendError(f"{platform} support is not installed: {exc}", hint=hint) from exc


class NoApi:
    """Stands for a Prefect client where a template needs none."""

    def __getattr__(self, name: str) -> object:
        raise BackendError(
            "the job template refers to a block or variable, but no Prefect API is given",
            hint="run as a deployment, or give a template without references",
        )


async def merged_configuration(
    kind: type[Configuration], step: StepVariables, client: "PrefectClient | None"
) -> Configuration:
    """Let Prefect merge a pool's template with job variables into a worker's configuration.

    Args:
        kind: The worker's configuration.
        step: Template and job variables that apply to a step.
        client: Resolves blocks and variables that the template refers to; None where it refers to none.

    Raises:
        BackendError: The template and variables make no valid configuration.
    """
    try:
        return await kind.from_template_and_values(
            step.template,
            {**step.values, "image": step.flow_run_image or STEP_IMAGE},
            client=client or cast("PrefectClient", NoApi()),
        )
    except (ValidationError, KeyError, TypeError, ValueError) as exc:
        raise _invalid(exc, step) from exc


def _invalid(error: Exception, step: StepVariables) -> BackendError:
    """Blame whoever gave the job variable that is not valid, or else the template."""
    problems = error.errors(include_url=False, include_input=False) if isinstance(error, ValidationError) else []
    told = {str(problem["loc"][0]): problem["msg"] for problem in problems if problem["loc"]}
    given = "; ".join(f"{name}: {message}" for name, message in told.items() if name in step.values)
    if not given:
        shown = "; ".join(f"{name}: {message}" for name, message in told.items()) or error
        return BackendError(
            f"the work pool's job template is not valid: {shown}", hint="see `prefect work-pool inspect`"
        )
    givers = " or ".join(step.patterns) or "the deployment or run"
    return BackendError(
        f"{givers}: a job variable is not valid: {given}",
        hint="its type is among the variables that `prefect work-pool inspect` shows",
    )
