"""Pure parts of a run: no Prefect, no cwltool."""
