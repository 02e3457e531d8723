"""A run that runs nothing: its calls are prepared and staged as those of any other, to be shown."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from cwl_prefect.backends.base import Capabilities
from cwl_prefect.backends.fake import FakeBackend
from cwl_prefect.cwl.access.host_files import HostFiles
from cwl_prefect.cwl.binding.bind import Binder
from cwl_prefect.engine.scheduling.fair_queue import Turns
from cwl_prefect.engine.scheduling.priority import Priorities
from cwl_prefect.engine.scheduling.retry import Retries, RetryPolicy
from cwl_prefect.engine.scheduling.scheduler import ResourcePool
from cwl_prefect.engine.staging.workspace import ScratchPool
from cwl_prefect.flows.concurrency.slots import SharedLimits
from cwl_prefect.flows.execution.backends import Backends
from cwl_prefect.flows.execution.run import Progress, Run, RunRequest
from cwl_prefect.flows.execution.work_pool import DOCKER, KUBERNETES, PROCESS, StepsPool, on_kubernetes
from cwl_prefect.model.plan import WorkflowPlan, places_in
from cwl_prefect.model.values import CwlObject
from cwl_prefect.settings import Keep, Settings

FLOW_RUN = "FLOW-RUN-ID"
"""Stands for the identifier that the flow run will have."""


class ShownBackend(FakeBackend):
    """Appears as the backend whose jobs are shown, as far as binding and staging can tell."""

    def __init__(self, name: str) -> None:
        contained = name != PROCESS
        super().__init__(containers=contained)
        self._name = name
        self._capabilities = Capabilities(containers=contained, mounts=contained, schedules=name == KUBERNETES)

    @property
    def name(self) -> str:
        """What its jobs are shown as."""
        return self._name


@contextmanager
def shown_run(
    plan: WorkflowPlan, order: CwlObject, settings: Settings, pool: StepsPool | None, runs: Path
) -> Iterator[Run]:
    """Open a run of which no call is run; it may ask for whatever a machine or cluster can have.

    Args:
        plan: The workflow.
        order: Its prepared inputs.
        settings: Settings of the run.
        pool: Work pool whose template steps use.
        runs: Directory of workspaces, for the time being.
    """
    own = settings.model_copy(update={"workdir": runs, "keep": Keep.ALWAYS, "least_free_mib": 0})
    anywhere = ResourcePool.of_cluster(settings)
    places = Turns(1)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="cwl-prefect") as threads:
        yield Run(
            run_id=FLOW_RUN,
            plan=plan,
            request=RunRequest(job_order=order, settings=own),
            progress=Progress(),
            binder=Binder(
                checksum=False,
                places=partial(places_in, plan),
                host_files=HostFiles.of(plan, own).with_named(order).with_made(runs),
            ),
            pool=anywhere,
            cluster=anywhere,
            backends=Backends(
                settings,
                pool=pool,
                containers=_shown(KUBERNETES if on_kubernetes(settings, pool) else DOCKER),
                processes=_shown(PROCESS),
                available=_always,
            ),
            threads=threads,
            priorities=Priorities({}),
            places=places,
            ahead=Turns(1, shares=places),
            scratch=ScratchPool(runs, FLOW_RUN),
            limits=SharedLimits(run_id=FLOW_RUN),
            retries=Retries(RetryPolicy.of(settings, anywhere.ram_mib)),
            outdir=runs,
        )


async def _always() -> bool:
    return True


def _shown(name: str) -> Callable[[], ShownBackend]:
    return lambda: ShownBackend(name)
