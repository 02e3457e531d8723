"""What a document names outside of its own tree."""

from collections.abc import Iterable

from cwl_prefect.cwl.access.host_files import HostFiles
from cwl_prefect.model.findings import Finding, Severity
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.settings import Settings


def findings_outside(plans: Iterable[WorkflowPlan], settings: Settings) -> tuple[Finding, ...]:
    """Return a warning for each file outside of its tree that a document names."""
    lines = (line for plan in plans for line in HostFiles.of(plan, settings).outside(plan.named_files))
    return tuple(
        Finding(check="outside-file", severity=Severity.WARNING, message=line) for line in dict.fromkeys(lines)
    )
