"""What a run gave, as programs take it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, cast

from cwl_prefect.errors import CwlPrefectError
from cwl_prefect.model.output_types import Outputs
from cwl_prefect.model.values import CwlObject

if TYPE_CHECKING:
    from cwl_prefect.flows.execution.run import RunReport


class RunStatus(StrEnum):
    """How a run ended.

    Examples:
        >>> from cwl_prefect import RunStatus
        >>> [str(status) for status in RunStatus]
        ['completed', 'failed', 'partial']
    """

    COMPLETED = "completed"
    FAILED = "failed"
    PARTIAL = "partial"  # on_error=continue: something failed, the outputs that exist were published


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult(Generic[Outputs]):
    """What a run gave.

    Attributes:
        status: How it ended.
        outputs: The CWL output object; what failed is null where status is partial, and it is empty where it is failed.
        flow_run_id: Identifier of the Prefect flow run, or None where none was made.
        url: Its page in the Prefect UI, where there is one.
        errors: Why it failed.
        callback_failures: How many callbacks failed, which changes nothing else.

    Examples:
        >>> import asyncio
        >>> from cwl_prefect import FakeBackend, run
        >>> result = asyncio.run(run("examples/cwl/hello/hello.cwl", backend=FakeBackend(lambda job: 7)))
        >>> result.status, result.outputs, [error.exit_code for error in result.errors]
        (<RunStatus.FAILED: 'failed'>, {}, [13])
    """

    status: RunStatus
    outputs: Outputs
    flow_run_id: str | None
    url: str | None
    errors: tuple[CwlPrefectError, ...]
    callback_failures: int = 0

    def _repr_html_(self) -> str:
        """Return what a notebook shows: links to files and the page of the run, and small images."""
        from cwl_prefect.reports.notebook import result_html

        return result_html(self.status, cast("CwlObject", self.outputs), self.errors, self.url)

    @classmethod
    def of(cls, report: "RunReport") -> "RunResult[Outputs]":
        """Return what a caller is told of a run."""
        known = RunStatus.__members__  # a run that was ended has failed, for who waited for it
        return cls(
            status=known.get(report.outcome.name, RunStatus.FAILED),
            outputs=cast("Outputs", report.outputs),
            flow_run_id=report.flow_run_id,
            url=report.url,
            errors=report.errors,
            callback_failures=report.callback_failures,
        )
