"""The commands ``runs``."""

from cwl_prefect import api
from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.interrupt import run_interruptibly
from cwl_prefect.cli.log_output import configure_logging
from cwl_prefect.cli.progress import shown_progress
from cwl_prefect.cli.run import report
from cwl_prefect.cli.terminal import results_only


def resume(run: str, *, quiet: bool, verbose: bool) -> int:
    """Go on with a run, print its output object on the standard output, and give the exit code.

    Raises:
        CwlPrefectError: It cannot be resumed; failures of steps are reported here and decide the exit code.
    """
    configure_logging(quiet=quiet, verbose=verbose)
    with results_only() as results, shown_progress(quiet=quiet, verbose=verbose) as observer:

        async def work() -> api.RunResult:
            return await api.resume(run, settings=settings_with({}), observer=observer)

        return report(run_interruptibly(work), results)
