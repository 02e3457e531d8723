"""The command ``validate``: what is wrong with a document and a job order, for people, programs and editors."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from pydantic import JsonValue

from cwl_prefect import __version__, api
from cwl_prefect._lib.locations import is_url
from cwl_prefect.cli.exit_codes import SUCCESS
from cwl_prefect.cli.failures import lent_credentials, settings_with
from cwl_prefect.cli.run.command import job_order_name
from cwl_prefect.cli.terminal import complain, tell
from cwl_prefect.cwl.binding.inputs import unknown_inputs
from cwl_prefect.cwl.binding.job_orders import places_in
from cwl_prefect.cwl.checking.outside import findings_outside
from cwl_prefect.errors import DocumentError, InputError, UnsupportedError
from cwl_prefect.model.findings import Finding, Severity, findings_of, stops_runs
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.settings import Settings

_CODES = {"job-order": InputError.exit_code, "unsupported-feature": UnsupportedError.exit_code}
_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


def validate(
    document: str, job_order: str | None, *, strict: bool, format_name: str, overrides: Mapping[str, object]
) -> int:
    """Check a document, and a job order where one is given, tell what was found, and return the exit code.

    Args:
        document: The document.
        job_order: The job order.
        strict: Whether warnings are errors.
        format_name: How to tell it: text, json or sarif.
        overrides: Settings that the command line gives, by their names; None for those that it leaves.
    """
    settings = settings_with(overrides)
    contained = settings.require_containers or settings.untrusted
    checked = api.check_document(document, images=contained and settings.default_image is None)
    findings = [*checked.findings, *findings_outside(checked.plans, settings)]
    well = [f"{_part(document, plan, checked.plans)} is valid CWL {plan.cwl_version}." for plan in checked.plans]
    if job_order is not None and not stops_runs(findings):
        found = _of_job_order(document, job_order, settings)
        findings += found
        well += [] if stops_runs(found) else [f"{job_order_name(job_order)} fits it."]
    code = _exit_code(findings, strict=strict)
    _tell(findings, well if code == SUCCESS else (), format_name)
    return code


def _part(document: str, plan: WorkflowPlan, plans: Sequence[WorkflowPlan]) -> str:
    return f"{document}#{plan.name}" if len(plans) > 1 else document


def _of_job_order(document: str, job_order: str, settings: Settings) -> list[Finding]:
    from cwl_prefect.flows.build import prepared

    found: list[Finding] = []
    try:
        with lent_credentials(settings), places_in(job_order):
            values = api.read_job_order(job_order)
            plan = api.load_plan(document, job_order=values, settings=settings)
            found += [_unknown_input(key, meant, job_order) for key, meant in unknown_inputs(plan, values).items()]
            prepared(plan, values, settings)
    except InputError as error:
        found += findings_of(error, "job-order")
    except UnsupportedError as error:
        found += findings_of(error, "unsupported-feature")
    except DocumentError as error:
        found += findings_of(error, "invalid-document")
    return found


def _unknown_input(key: str, meant: str, job_order: str) -> Finding:
    text = f"{job_order_name(job_order)}: there is no input {key!r}; it is ignored.{meant}"
    return Finding(check="unknown-input", severity=Severity.WARNING, message=text)


def _exit_code(findings: Sequence[Finding], *, strict: bool) -> int:
    errors = [found for found in findings if found.severity is Severity.ERROR]
    stopping = errors or (list(findings) if strict else [])
    if not stopping:
        return SUCCESS
    return _CODES.get(stopping[0].check, DocumentError.exit_code)


def _tell(findings: Sequence[Finding], well: Sequence[str], format_name: str) -> None:
    if format_name != "text":
        written = sarif(findings) if format_name == "sarif" else [_plain(found) for found in findings]
        tell(json.dumps(written, indent=2, ensure_ascii=False))
        return
    for found in findings:
        complain(f"{'Error' if found.severity is Severity.ERROR else 'Warning'}: {found}")
    for line in well:
        tell(line)


def _plain(found: Finding) -> dict[str, JsonValue]:
    """Return a finding as JSON."""
    place = found.place
    return {
        "check": found.check,
        "severity": found.severity,
        "message": found.message,
        "fix": found.fix,
        "document": None if place is None else place.document,
        "line": None if place is None else place.line,
        "column": None if place is None else place.column,
    }


def sarif(findings: Sequence[Finding]) -> dict[str, JsonValue]:
    """Return findings as a log of SARIF 2.1.0, which editors and services for code review read."""
    rules: list[JsonValue] = [{"id": check} for check in dict.fromkeys(found.check for found in findings)]
    driver: JsonValue = {"name": "cwl-prefect", "version": __version__, "rules": rules}
    return {
        "$schema": _SARIF,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": [_result(found) for found in findings]}],
    }


def _result(found: Finding) -> JsonValue:
    text = found.message if found.fix is None else f"{found.message}\nTo fix: {found.fix}"
    result: dict[str, JsonValue] = {"ruleId": found.check, "level": found.severity, "message": {"text": text}}
    if (place := found.place) is not None:
        region: JsonValue = {"startLine": place.line, "startColumn": place.column}
        location: JsonValue = {"artifactLocation": {"uri": _uri(place.document)}, "region": region}
        result["locations"] = [{"physicalLocation": location}]
    return result


def _uri(document: str) -> str:
    """Return a document as a URI: an absolute path with its scheme, a relative one as it is."""
    if is_url(document):
        return document
    return Path(document).as_uri() if Path(document).is_absolute() else quote(document)
