"""The flow of a deployment that cannot run: Prefect shows its error with the run, not only in the worker's output."""

from inspect import Parameter, Signature
from typing import Never

from prefect import Flow
from prefect.runtime import flow_run

from cwl_prefect.errors import CwlPrefectError
from cwl_prefect.flows.lifecycle.run_log import tell_errors_by_text


def failing_flow(error: CwlPrefectError) -> Flow[..., object]:
    """Return a flow that fails with an error, whatever the parameters of the flow run of this process are."""

    def _fail(**_: object) -> Never:
        raise error

    names = flow_run.parameters or ()
    given = [Parameter(name, Parameter.KEYWORD_ONLY, default=None) for name in names]
    _fail.__signature__ = Signature(given)  # type: ignore[attr-defined]
    tell_errors_by_text()
    return Flow(_fail, name="workflow", validate_parameters=False)
