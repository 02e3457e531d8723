"""Deployments of workflows as the server has them, which is all that is needed to renew them."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import JsonValue

from cwl_prefect import __version__
from cwl_prefect.deployments.connection import Connection
from cwl_prefect.deployments.deployment import DeploymentRequest, Prepared, prepare
from cwl_prefect.errors import UsageError
from cwl_prefect.flows.deployment.pull_step import PULL_STEP, decoded, decoded_files, format_of
from cwl_prefect.flows.deployment.storage import WorkflowStorage
from cwl_prefect.flows.prefect_names import ENTRYPOINT, flow_name
from cwl_prefect.model.plan_formats import PLAN_FORMAT

if TYPE_CHECKING:
    from prefect.client.schemas.objects import DeploymentSchedule
    from prefect.client.schemas.responses import DeploymentResponse

_PAGE = 100
_OUTDIR = "CWL_PREFECT_OUTDIR"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDeployment:
    """A deployment of a workflow.

    Attributes:
        flow: Name of its flow.
        found: What the server tells of it.
        pulled: What its pull step is given.
    """

    flow: str
    found: "DeploymentResponse"
    pulled: Mapping[str, str]

    @property
    def full_name(self) -> str:
        """``flow/deployment``, as Prefect's commands take it."""
        return f"{self.flow}/{self.found.name}"

    @property
    def release(self) -> str | None:
        """Version of this package that made it; None where that did not say so yet."""
        return self.pulled.get("release")

    @property
    def plan_format(self) -> int | None:
        """Format of its plan; None where it cannot be read."""
        return format_of(self.pulled.get("plan", ""))

    @property
    def is_current(self) -> bool:
        """Whether this version would write it just so."""
        return self.release == __version__ and self.plan_format == PLAN_FORMAT

    @property
    def outdir(self) -> str | None:
        """Where its runs publish their results, if its job variables say so."""
        given = self.found.job_variables
        environment = given.get("env")
        within = environment.get(_OUTDIR) if isinstance(environment, Mapping) else None
        return given.get(f"env.{_OUTDIR}", within)

    @property
    def schedules(self) -> tuple[str, ...]:
        """When its runs start by themselves, as the options of ``deploy`` say it."""
        return tuple(_spelt(each) for each in self.found.schedules if each.active is not False)

    def details(self) -> dict[str, JsonValue]:
        """Return all that is told of it, as JSON."""
        return {
            "name": self.full_name,
            "id": str(self.found.id),
            "pool": self.found.work_pool_name,
            "queue": self.found.work_queue_name,
            "version": self.found.version,
            "release": self.release,
            "plan_format": self.plan_format,
            "current": self.is_current,
            "schedules": list(self.schedules),
            "paused": self.found.paused,
            "outdir": self.outdir,
        }


async def stored_deployments(connection: Connection) -> AsyncIterator[StoredDeployment]:
    """Yield all deployments of workflows that the server has, by name; those of other flows are left out."""
    from prefect.client.schemas.sorting import DeploymentSort

    flows: dict[object, str] = {}
    offset = 0
    while page := await connection.client.read_deployments(limit=_PAGE, offset=offset, sort=DeploymentSort.NAME_ASC):
        offset += len(page)
        for found in page:
            pulled = (found.pull_steps or [{}])[0].get(PULL_STEP)
            if found.entrypoint != ENTRYPOINT or not isinstance(pulled, Mapping):
                continue
            if found.flow_id not in flows:
                flows[found.flow_id] = (await connection.client.read_flow(found.flow_id)).name
            yield StoredDeployment(flow=flows[found.flow_id], found=found, pulled=pulled)


async def renewed(stored: StoredDeployment, connection: Connection) -> Prepared:
    """Return a deployment as this version writes it, from the workflow and files that it carries; all else stays.

    Raises:
        DocumentError: This version cannot read it.
        UsageError: It is served, or its flow has another name than its workflow; or its pool is gone, or does not suit.
    """
    found = stored.found
    if found.work_pool_name is None:
        raise UsageError("it is served.", hint="end `cwl-prefect serve`, and serve the document again.")
    plan, carried = decoded(stored.pulled.get("plan", "")), decoded_files(stored.pulled.get("carried"))
    if flow_name(plan.name) != stored.flow:
        raise UsageError("a program gave its flow a name of its own.", hint="let that program deploy it again.")
    inputs_file = stored.pulled.get("inputs_file")
    request = DeploymentRequest(
        plan=plan,
        pool=found.work_pool_name,
        name=found.name,
        inputs_file=inputs_file,
        job_variables=found.job_variables,
    )
    storage = WorkflowStorage(plan=plan, carried=carried, inputs_file=inputs_file)
    return await prepare(request, connection, storage)


def _spelt(given: "DeploymentSchedule") -> str:
    from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, NoSchedule

    schedule = given.schedule
    if isinstance(schedule, NoSchedule):
        return ""
    zone = f" {schedule.timezone}" if schedule.timezone not in (None, "UTC") else ""
    if isinstance(schedule, CronSchedule):
        return f"{schedule.cron}{zone}"
    return f"every {schedule.interval}{zone}" if isinstance(schedule, IntervalSchedule) else f"{schedule.rrule}{zone}"
