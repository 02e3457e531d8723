"""A workflow as Prefect keeps the code of a deployment: its plan and files travel in the pull step."""

import asyncio
import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

from cwl_prefect import __version__
from cwl_prefect.flows.deployment.bundle import Bundle
from cwl_prefect.flows.deployment.pull_step import PULL_STEP, pack, unpack
from cwl_prefect.model.plan import WorkflowPlan


@dataclass(frozen=True, kw_only=True)
class WorkflowStorage:
    """A workflow and the files that lie with it: what Prefect calls a storage of a runner.

    Attributes:
        plan: What to run; its digest changes with the files that travel with it.
        carried: The files.
        inputs_file: Job order that the parameters of a run go over: a path of the worker's machine, or a URL.
        pull_interval: Seconds after which Prefect looks for another version; there never is one.
    """

    plan: WorkflowPlan
    carried: Bundle = field(default_factory=Bundle)
    inputs_file: str | None = None
    pull_interval: int | None = None

    @classmethod
    def of(cls, plan: WorkflowPlan, inputs_file: str | None = None) -> "WorkflowStorage":
        """Read the files that lie with a plan's document."""
        carried = Bundle.read(plan)
        packed = carried.packed()
        if packed is not None:
            plan = replace(plan, digest=hashlib.sha256(f"{plan.digest} {packed}".encode()).hexdigest())
        return cls(plan=plan, carried=carried, inputs_file=inputs_file)

    @property
    def destination(self) -> Path:
        """Directory that the workflow lies in on this machine, where a runner starts its flow."""
        return Path(unpack(**self._inputs())["directory"])

    def set_base_path(self, path: Path) -> None:
        """Leave the directory as it is, since all versions have one of their own."""

    async def pull_code(self) -> None:
        """Put the workflow into its directory."""
        await asyncio.to_thread(unpack, **self._inputs())

    def to_pull_step(self) -> dict[str, dict[str, str]]:
        """Return what a worker calls to have the workflow, as a deployment stores it."""
        return {PULL_STEP: self._inputs()}

    def _inputs(self) -> dict[str, str]:
        inputs = {
            "plan": pack(self.plan),
            "inputs_file": self.inputs_file,
            "carried": self.carried.packed(),
            "release": __version__,
        }
        return {name: text for name, text in inputs.items() if text is not None}
