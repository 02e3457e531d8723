"""Where the results of a run go, and what is left there of a driver that was killed while it delivered them."""

from pathlib import Path

from cwl_prefect.engine.manifest import RunManifest
from cwl_prefect.engine.publish import remove_abandoned
from cwl_prefect.settings import Settings


def destination(run_id: str, outdir: Path | None, settings: Settings) -> Path:
    """Give the directory for the results of a run.

    Args:
        run_id: Its flow run.
        outdir: What its caller asked for.
        settings: Those of the run.
    """
    return Path(outdir or settings.outdir or settings.home / "outputs" / run_id).absolute()


def remove_undelivered(found: RunManifest, settings: Settings) -> None:
    """Remove what a run that nobody can drive any more had not delivered when its driver was killed.

    Args:
        found: The run; the caller holds it.
        settings: Those of this process; the run's own go over them.
    """
    own = found.outdir or found.settings.get("outdir")
    outdir = Path(own) if isinstance(own, str) and Path(own).is_absolute() else None
    remove_abandoned(destination(found.run_id, outdir, settings), found.run_id)
