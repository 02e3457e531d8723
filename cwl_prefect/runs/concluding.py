"""Runs that Prefect knows to be complete, whose driver was killed before it could take away what was left of them."""

import logging
from collections.abc import Sequence

from cwl_prefect._lib.file_lock import try_lock
from cwl_prefect.engine.records import manifest
from cwl_prefect.engine.records.manifest import Outcome
from cwl_prefect.engine.records.retention import KeptRun
from cwl_prefect.engine.staging.workspace import DRIVER_LOCK, remove_run
from cwl_prefect.runs.listing import complete_among
from cwl_prefect.runs.records import Ask
from cwl_prefect.settings import Keep, Settings

_logger = logging.getLogger(__name__)


async def conclude(killed: Sequence[KeptRun], ask: Ask, settings: Settings) -> list[KeptRun]:
    """Remove the runs that are complete, or note that they are where workspaces are kept; gives those removed.

    Args:
        killed: Runs whose drivers were killed.
        ask: Tells what the Prefect API knows.
        settings: Hold for a run that was told nothing else.
    """
    complete = await complete_among(ask, [run.run_id for run in killed])
    return [run for run in killed if run.run_id in complete and _concluded(run, settings)]


def _concluded(run: KeptRun, settings: Settings) -> bool:
    """Do what the run's driver would have done, unless it is driven again; tell whether it is gone."""
    try:
        held = try_lock(run.directory / DRIVER_LOCK)
        if held is None:
            return False
        with held:
            found = manifest.read(run.directory)
            if found is None or Keep(str(found.settings.get("keep", settings.keep))) is not Keep.ALWAYS:
                remove_run(run.directory.parent, run.directory.name)
            else:
                manifest.write(run.directory, found.ended_as(Outcome.COMPLETED))
    except OSError as error:
        _logger.warning("%s is of a run that is complete, and cannot be removed: %s", run.directory, error.strerror)
    return not run.directory.exists()
