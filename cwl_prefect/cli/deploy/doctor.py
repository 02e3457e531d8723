"""The command ``doctor``."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict

from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.terminal import tell
from cwl_prefect.deployments.doctor import examine
from cwl_prefect.errors import CwlPrefectError
from cwl_prefect.model.findings import Finding, stops_runs


def doctor(pool: str | None, deployment: str | None = None, *, as_json: bool) -> int:
    """Print what was found, and give an exit code that says whether anything would stop a run."""
    findings = asyncio.run(examine(settings_with({}), pool, deployment))
    tell(json.dumps([asdict(each) for each in findings], indent=2) if as_json else text(findings))
    return CwlPrefectError.exit_code if stops_runs(findings) else 0


def text(findings: Sequence[Finding]) -> str:
    """Write findings for people to read."""
    width = max(len(each.check) for each in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.severity:<7}  {finding.check:<{width}}  {finding.message}")
        if finding.fix is not None:
            lines.append(f"{'':<7}  {'':<{width}}  To fix: {finding.fix}")
    return "\n".join(lines)
