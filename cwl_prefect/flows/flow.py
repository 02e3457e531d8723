"""The flow of a workflow: what every flow of Prefect can do, for one whose code is a plan."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, Never, TypeAlias, TypeVar, cast, overload

from prefect import Flow, State
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_API_URL

from cwl_prefect._lib.synchronous import awaited
from cwl_prefect.errors import UsageError
from cwl_prefect.flows.prefect_names import ENTRYPOINT, MARK, without_mark
from cwl_prefect.flows.session import connected, serving_with
from cwl_prefect.flows.tagging import tagged
from cwl_prefect.model.output_types import Outputs
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.model.values import REFERENCE, JobOrder
from cwl_prefect.settings import EVERY_STEP, Settings

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.deployments.runner import RunnerDeployment

    from cwl_prefect.flows.deployment.storage import WorkflowStorage

Body: TypeAlias = Callable[..., Coroutine[Any, Any, Any]]
"""What a flow runs."""

Rebuild = Callable[[Settings], "CwlFlow"]
T = TypeVar("T")

_PERSISTING = frozenset({"persist_result", "result_storage", "result_serializer"})
"""Options by which Prefect knows that results are to be persisted, whatever its settings say."""

_logger = logging.getLogger(__name__)


class CwlFlow(Flow[..., Coroutine[Any, Any, Outputs]], Generic[Outputs]):
    """A flow whose calls run on the local server that all runs share, where no API is configured.

    Prefect itself would start a server for the process, and take it away at the end with all that it shows.
    """

    plan: WorkflowPlan
    _settings: Settings
    _rebuild: Rebuild
    _options: Mapping[str, Any]
    _stays: tuple[str, ...]
    _listed: bool

    @classmethod
    def of(
        cls,
        function: Body,
        plan: WorkflowPlan,
        settings: Settings,
        *,
        rebuild: Rebuild,
        stays: tuple[str, ...] = (),
        listed: bool = True,
        **options: Any,
    ) -> "CwlFlow[Outputs]":
        """Make a flow, with the options of Prefect's flows.

        Args:
            function: What it runs.
            plan: The workflow that this is.
            settings: Settings that it runs with.
            rebuild: Builds the same flow with other settings, here or in another process.
            stays: What it was given that no deployment can take along.
            listed: Whether its runs are listed among those of workflows.
            options: Those of Prefect.
        """
        made = cls(function, **options)
        made.persist_result = options.get("persist_result")  # a serializer alone would let Prefect persist results
        made.plan, made._settings, made._rebuild = plan, settings, rebuild
        made._options, made._stays, made._listed = {}, stays, listed
        return made

    def __reduce__(self) -> tuple[Callable[..., "CwlFlow"], tuple[Rebuild, Settings, Mapping[str, Any]]]:
        """Travel to another process as what it is built from; its function could not."""
        return _rebuilt, (self._rebuild, self._settings, self._options)

    def with_options(
        self, *, refresh_cache: bool | None = None, cache_expiration: timedelta | None = None, **options: Any
    ) -> "CwlFlow[Outputs]":
        """Return a flow with other options, as of any flow of Prefect, and with those of its tasks for their cache.

        Args:
            refresh_cache: Whether every call runs although it is cached; as before where it is None.
            cache_expiration: Age from which outputs of calls are not reused; as before where it is None.
            options: Those of Prefect.
        """
        changed: dict[str, object] = {}
        if refresh_cache is not None:
            changed["refresh"] = (EVERY_STEP,) if refresh_cache else ()
        if cache_expiration is not None:
            changed["cache_expiration_s"] = cache_expiration.total_seconds()
        made = cast("CwlFlow[Outputs]", self._rebuild(self._settings.model_copy(update=changed)))
        plain = super().with_options(**options)
        changes = {name: value for name, value in vars(plain).items() if name not in ("fn", "__wrapped__")}
        if options.keys().isdisjoint(_PERSISTING):
            changes["persist_result"] = self.persist_result
        vars(made).update(changes, _options={**self._options, **options})
        return made

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return parameters as the API takes them; for what is JSON already, Prefect need not load FastAPI."""
        return parameters if _is_json(parameters) else super().serialize_parameters(parameters)

    @property
    def __signature__(self) -> inspect.Signature:
        """What ``help`` shows: the inputs with short types."""
        from cwl_prefect.flows.parameters import shown_signature

        return shown_signature(self.plan)

    @overload  # type: ignore[override]  # a job order may stand first
    def __call__(
        self, job_order: JobOrder | None = None, /, *, return_state: Literal[True], **parameters: Any
    ) -> Coroutine[Any, Any, State[Outputs]]: ...

    @overload
    def __call__(self, job_order: JobOrder | None = None, /, **parameters: Any) -> Coroutine[Any, Any, Outputs]: ...

    def __call__(self, job_order: JobOrder | None = None, /, **parameters: Any) -> Any:
        """Run the flow; to be awaited, as any flow of an async function.

        Args:
            job_order: Values of inputs by their ids, or the path or URL of a file that holds them. Relative paths in a
                file start from its directory, others from the working directory.
            parameters: Values of inputs, which go over those of the job order; and Prefect's ``return_state`` and
                ``wait_for``.

        Raises:
            InputError: The job order cannot be read, or does not fit.
        """
        if job_order is not None:
            return self._with_order(job_order, parameters)
        if FlowRunContext.get() is not None:
            return self._begun(**parameters)
        return self._outermost(**parameters)

    def run_sync(self, job_order: JobOrder | None = None, /, **parameters: Any) -> Outputs:
        """Run the flow from code that cannot await, as a flow of a plain function; takes what a call takes.

        Raises:
            InputError: The job order cannot be read, or does not fit.
        """
        call = cast("Callable[..., Coroutine[Any, Any, Outputs]]", self)
        return awaited(partial(call, job_order, **parameters))

    async def _with_order(self, job_order: JobOrder, parameters: Mapping[str, Any]) -> Any:
        given = await asyncio.to_thread(self._parameters, job_order)
        return await self(**{**given, **parameters})

    def _parameters(self, job_order: JobOrder) -> dict[str, object]:
        from cwl_prefect.cwl.binding.job_orders import load_job_order
        from cwl_prefect.flows.deployment.reference import demand_inputs_alone
        from cwl_prefect.flows.parameters import parameter_names

        order = dict(job_order) if isinstance(job_order, Mapping) else load_job_order(job_order)
        names = parameter_names(self.plan)
        kept = {REFERENCE: order.pop(REFERENCE)} if REFERENCE in order else {}
        demand_inputs_alone(self.plan, order)
        return kept | {names[port]: value for port, value in order.items() if port in names}

    def _begun(self, **parameters: Any) -> Any:
        """Call the flow as Prefect does, whose signatures have no name for a job order that lies elsewhere."""
        if REFERENCE not in parameters:
            return super().__call__(**parameters)
        from prefect.flow_engine import run_flow

        kind: Literal["state", "result"] = "state" if parameters.pop("return_state", False) else "result"
        return run_flow(self, wait_for=parameters.pop("wait_for", None), parameters=parameters, return_type=kind)

    def validate_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Check parameters; where a job order that lies elsewhere gives others, all are checked as the run begins."""
        given = _without_reference(parameters)
        return _without_reference(super().validate_parameters(given)) if parameters.get(REFERENCE) is None else given

    async def _outermost(self, **parameters: Any) -> Any:
        call = cast("Callable[..., Awaitable[Any]]", self._begun)
        with tagged([MARK] if self._listed else []):
            if PREFECT_API_URL.value():
                return await call(**parameters)
            async with connected(self._settings):
                return await call(**parameters)

    async def ato_deployment(self, name: str, *args: Any, **options: Any) -> "RunnerDeployment":
        """Return a deployment that carries the workflow, as ``cwl-prefect deploy`` makes it; with Prefect's options."""
        if self._storage is not None:  # the flow of a repository, which workers check out
            return await super().ato_deployment(name, *args, **options)
        from prefect.types.entrypoint import EntrypointType

        from cwl_prefect.flows.deployment.storage import WorkflowStorage

        storage = await asyncio.to_thread(WorkflowStorage.of, self.plan)
        own = {"version": storage.plan.digest[:12]} | options | {"entrypoint_type": EntrypointType.MODULE_PATH}
        return _carrying(storage, await super().ato_deployment(name, *args, **own))

    def to_deployment(self, name: str, *args: Any, **options: Any) -> Any:
        """Return a deployment that carries the workflow; to be awaited where a loop runs, as Prefect's own."""
        return _now(self.ato_deployment(name, *args, **options))

    async def adeploy(self, name: str, *args: Any, **options: Any) -> "UUID":
        """Deploy the workflow to a work pool; with Prefect's options.

        Raises:
            UsageError: The flow has a backend or callbacks of this process, which no worker has.
        """
        if self._stays:
            raise UsageError(
                f"{self.name}: a deployment cannot take the {' and '.join(self._stays)} of `load_flow` to its workers.",
                hint="load the flow without; CWL_PREFECT_BACKEND and CWL_PREFECT_CALLBACKS say it to workers.",
            )
        if PREFECT_API_URL.value():
            return await super().adeploy(name, *args, **options)
        async with connected(self._settings):
            return await super().adeploy(name, *args, **options)

    def deploy(self, name: str, *args: Any, **options: Any) -> Any:
        """Deploy the workflow to a work pool; to be awaited where a loop runs, as Prefect's own.

        Raises:
            UsageError: The flow has a backend or callbacks of this process, which no worker has.
        """
        return _now(self.adeploy(name, *args, **options))

    def serve(self, *args: Any, **options: Any) -> None:
        """Run what is asked of the flow as processes of this machine, until Ctrl-C; with Prefect's options."""
        with serving_with(self._settings):
            super().serve(*args, **options)

    def visualize(self, *_args: object, **_options: object) -> Never:
        """Refuse: Prefect would call the flow's tasks to see them, and those of a plan depend on its inputs.

        Raises:
            UsageError: Always.
        """
        raise UsageError(
            f"{self.name}: the graph of a workflow is known without running it.",
            hint="draw it by `cwl-prefect graph`, or print the flow's `generate_mermaid_graph()`.",
        )

    async def avisualize(self, *_args: object, **_options: object) -> Never:
        """Refuse, as :meth:`visualize`.

        Raises:
            UsageError: Always.
        """
        self.visualize()

    async def agenerate_mermaid_graph(self, *_args: object, **_options: object) -> str:
        """Return the workflow's graph as Mermaid, which nothing is run for."""
        from cwl_prefect.engine.workflow.graph import mermaid

        return mermaid(self.plan)

    def generate_mermaid_graph(self, *_args: object, **_options: object) -> Any:
        """Return the workflow's graph as Mermaid; to be awaited where a loop runs, as Prefect's own."""
        return _now(self.agenerate_mermaid_graph())


def _rebuilt(rebuild: Rebuild, settings: Settings, options: Mapping[str, Any]) -> CwlFlow:
    made = rebuild(settings)
    return made.with_options(**options) if options else made


def _carrying(storage: "WorkflowStorage", deployment: "RunnerDeployment") -> "RunnerDeployment":
    """Let a deployment carry a workflow, and show the form of its inputs."""
    from prefect.utilities.callables import ParameterSchema

    from cwl_prefect.flows.parameters import openapi_schema

    deployment.entrypoint, deployment.storage = ENTRYPOINT, storage
    deployment.tags = [*without_mark(deployment.tags), MARK]
    schema = ParameterSchema(**openapi_schema(storage.plan))
    deployment._parameter_openapi_schema = schema  # noqa: SLF001 - Prefect derives a poorer one from the signature
    for location in storage.carried.left:
        _logger.warning("not carried by the deployment: %s; workers need it there.", location)
    return deployment


def _now(work: Coroutine[Any, Any, T]) -> T | Coroutine[Any, Any, T]:
    """Do work at once, or return it where a loop runs that has to be awaited."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    return work


def _without_reference(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if name != REFERENCE}


def _is_json(value: object) -> bool:
    try:
        return _is_plain(value)
    except RecursionError:
        return False


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(type(key) is str and _is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or type(value) in (str, bool, int, float)
