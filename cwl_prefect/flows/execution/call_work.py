"""One call as it goes through its tries; :mod:`cwl_prefect.flows.execution.attempt` shows the path of each."""

import time
from dataclasses import replace

from cwl_prefect.cwl.values.errors import put_place
from cwl_prefect.engine.outputs.diagnose import describe
from cwl_prefect.engine.staging import workspace as workspaces
from cwl_prefect.errors import BackendError, CwlPrefectError, ImageError, ResourceError
from cwl_prefect.flows.execution.attempt import Attempt, Cached, Call, Executed, Prepared, Ready, Refused
from cwl_prefect.flows.execution.evaluated import told_inputs
from cwl_prefect.flows.execution.gates import Stop
from cwl_prefect.flows.execution.run import Run
from cwl_prefect.model.events import StepEvent, StepEventKind
from cwl_prefect.model.job import CallStatus, JobOutcome, StepResult
from cwl_prefect.model.plan import Places, ProcessClass, places_in
from cwl_prefect.model.usage import Tried
from cwl_prefect.model.values import CwlObject
from cwl_prefect.settings import Keep


class CallWork:
    """One call as it goes through its tries; resources are held only while a try runs.

    ``prepare`` is awaited before the task run starts, so that a call waiting for resources does not look as if it ran;
    what fails there is raised by ``attempt``, where it belongs to the call.

    Args:
        run: The run.
        call: The call.
        stop: Closed by a failure that is final; no try begins once it is. None: others go on.
        noted: Whether the result says what the call took and ran, for its own task run.
    """

    def __init__(self, run: Run, call: Call, *, stop: Stop | None = None, noted: bool = True) -> None:
        self._run = run
        self._call = call
        self._stop = stop
        self._noted = noted
        self._attempt = Attempt(run=run, call=call)
        self._prepared: Prepared | None = None  # None: not yet, or an ExpressionTool, which needs nothing
        self._prepared_at = self._ready_at = time.time()
        self._executed: Executed | None = None

    async def prepare(self) -> None:
        """Prepare the next try, which may have to wait for an identical call or for the resources that it asks for."""
        if self._call.tool.process_class is not ProcessClass.COMMAND_LINE_TOOL:
            return
        self._prepared_at = time.time()
        self._prepared = await self._next()
        self._ready_at = time.time()
        self._attempt = replace(self._attempt, lookup=self._prepared.lookup)
        if self._stop is not None:
            await self._stop.hold()

    async def attempt(self) -> StepResult:
        """Run the call once.

        Raises:
            CwlPrefectError: It failed; the text holds the evidence.
        """
        if self._prepared is None:
            await self.prepare()
        prepared = self._prepared
        if isinstance(prepared, Cached):
            self._tell(StepEventKind.CACHED, saved_s=prepared.lookup.saved_s, outputs=prepared.outputs)
            where = "this run" if prepared.lookup.run_id == self._run.run_id else f"run {prepared.lookup.run_id}"
            told = [f"an identical call ran before, in {where}", *(self._inputs() if self._noted else ())]
            return StepResult(status=CallStatus.CACHED, outputs=prepared.outputs, note="\n".join(told))
        if not self._run.retries.tried(self._call.name):
            self._tell(StepEventKind.STARTED)
        try:
            outputs = await self._outputs(prepared)
            tried, note = self._tried(), self._description() if self._noted else None
        except CwlPrefectError as error:
            self._fail(error)
            raise
        finally:
            await self._give_back()
            self._attempt = replace(self._attempt, number=self._attempt.number + 1)
        self._tell(StepEventKind.SUCCEEDED, tried=tried, outputs=outputs)
        return StepResult(status=CallStatus.SUCCEEDED, outputs=outputs, note=note)

    async def _next(self) -> Prepared:
        """Fetch what lies elsewhere, and prepare the next try."""
        call = self._call
        try:
            values = await self._run.local_inputs(call.tool, call.values, name=call.name)
        except CwlPrefectError as error:
            return Refused(lookup=self._attempt.lookup, error=error)
        if values is not call.values:
            self._attempt = replace(self._attempt, call=replace(call, values=values))
        return await self._attempt.prepare()

    async def release(self) -> None:
        """Release what a call holds that will not be tried."""
        if isinstance(self._prepared, Ready):
            workspaces.settle(self._prepared.space)
        if self._attempt.lookup is not None:
            self._attempt.lookup.release()
        await self._give_back()

    async def _outputs(self, prepared: Ready | Refused | None) -> CwlObject:
        match prepared:
            case None:
                call, binder = self._call, self._run.binder
                return await self._run.in_thread(binder.evaluate, call.tool, call.values, name=call.name)
            case Refused(error=error):
                raise error
            case Ready():
                async with self._attempt.executed(prepared) as self._executed:
                    outputs = await self._attempt.collect(prepared, self._executed)
                await self._attempt.tidy(prepared)
                return outputs

    def _fail(self, error: CwlPrefectError) -> None:
        """Keep what shows how a try failed, settle whether another is due, and tell what happened."""
        run, call = self._run, self._call
        _put_place(error, places_in(run.plan, call.tool.digest))
        ram_mib = None
        if isinstance(self._prepared, Ready):
            self._attempt.keep_evidence(self._prepared)
            ram_mib = self._prepared.bound.call.resources.ram_mib
        error.try_again = run.retries.another(call.name, error, ram_mib=ram_mib)
        if self._stop is not None and not error.try_again:
            self._stop.close()
        kind = StepEventKind.RETRYING if error.try_again else StepEventKind.FAILED
        self._tell(kind, str(error), tried=self._tried())

    async def _give_back(self) -> None:
        prepared, self._prepared, self._executed = self._prepared, None, None
        if isinstance(prepared, Ready):
            await prepared.lease.aclose()

    def _tried(self) -> Tried | None:
        """Return what this try asked for and used; None where it never was to run a command."""
        prepared = self._prepared
        if not isinstance(prepared, Ready) or not self._run.observers:
            return None
        bound, outcome = prepared.bound.call, None if self._executed is None else self._executed.outcome
        tried = Tried(
            number=self._attempt.number,
            backend=prepared.backend.name,
            cores=bound.resources.cores,
            ram_mib=bound.resources.ram_mib,
            prepared_at=self._prepared_at,
            ready_at=self._ready_at,
            collected_at=time.time(),
            image=None if bound.image is None else bound.image.name,
        )
        return tried if outcome is None else ended_as(tried, outcome)

    def _description(self) -> str | None:
        """Return what this try ran and took, and where its files are if they are kept; None where that is nothing."""
        prepared, executed, lines = self._prepared, self._executed, self._inputs()
        if isinstance(prepared, Ready) and executed is not None:
            kept = self._run.settings.keep is Keep.ALWAYS
            lines += describe(self._attempt.shown(executed.job), prepared.space.root if kept else None)
        return "\n".join(lines) or None

    def _inputs(self) -> list[str]:
        return told_inputs(self._call.tool, self._call.values, self._run.secret)

    def _tell(
        self,
        kind: StepEventKind,
        message: str | None = None,
        *,
        tried: Tried | None = None,
        saved_s: float | None = None,
        outputs: CwlObject | None = None,
    ) -> None:
        run, call = self._run, self._call
        if not run.observers:
            return
        run.tell(
            StepEvent(
                kind=kind,
                step=call.step,
                call=call.name,
                message=message,
                tried=tried,
                saved_s=saved_s,
                inputs=call.values,
                outputs=outputs,
            )
        )


def _put_place(error: CwlPrefectError, places: Places) -> None:
    """Say where in the tool's document the cause of a failure is, unless that is known or it is not in there."""
    match error:
        case ImageError():
            error.parts = error.parts or ("DockerRequirement",)
        case BackendError():
            return
        case ResourceError():
            error.parts = error.parts or ("ResourceRequirement",)
        case _:
            pass
    put_place(error, places)


def ended_as(tried: Tried, outcome: JobOutcome) -> Tried:
    """Return a try with what is known of the end of its command."""
    return replace(
        tried,
        started_at=outcome.started_at.timestamp(),
        ended_at=outcome.finished_at.timestamp(),
        exit_code=outcome.exit_code,
        reason=outcome.reason.value,
        image_digest=outcome.image_digest,
        node=outcome.node,
        container=outcome.container,
        usage=outcome.usage,
    )
