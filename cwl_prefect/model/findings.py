"""What a check before a run found, and how to fix it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from cwl_prefect.errors import CwlPrefectError, Place


class Severity(StrEnum):
    """How much a finding matters."""

    OK = "ok"  # looked at, and well
    WARNING = "warning"  # runs work, but not as well as they could, or not everywhere
    ERROR = "error"  # stops runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: What was looked at, as ``Docker engine``; of a document, the name of the rule, as ``unknown-reference``.
        severity: How much it matters.
        message: What was found, in one sentence.
        fix: What to do about it; None where there is nothing to do.
        place: Where in a document or job order it is; None where it is in none, or where that is not known.
    """

    check: str
    severity: Severity
    message: str
    fix: str | None = None
    place: Place | None = None

    def __str__(self) -> str:
        placed = self.message if self.place is None else f"{self.place}: {self.message}"
        return placed if self.fix is None else f"{placed}\nTo fix: {self.fix}"

    @classmethod
    def ok(cls, check: str, message: str) -> "Finding":
        """Report that something is well."""
        return cls(check=check, severity=Severity.OK, message=message)

    @classmethod
    def warning(cls, check: str, message: str, fix: str) -> "Finding":
        """Report something that does not stop runs."""
        return cls(check=check, severity=Severity.WARNING, message=message, fix=fix)

    @classmethod
    def error(cls, check: str, message: str, fix: str) -> "Finding":
        """Report something that stops runs."""
        return cls(check=check, severity=Severity.ERROR, message=message, fix=fix)


def findings_of(error: CwlPrefectError, check: str) -> tuple[Finding, ...]:
    """Return the faults that an error tells of as findings; what to do about all of them is said with the last."""
    fixes = [each.fix for each in error.faults]
    if error.hint not in fixes:
        fixes[-1] = fixes[-1] or error.hint
    return tuple(
        Finding(check=check, severity=Severity.ERROR, message=each.text, fix=fix, place=each.place)
        for each, fix in zip(error.faults, fixes, strict=True)
    )


def stops_runs(findings: Iterable[Finding]) -> bool:
    """Check whether any of the findings stops runs."""
    return any(finding.severity is Severity.ERROR for finding in findings)
