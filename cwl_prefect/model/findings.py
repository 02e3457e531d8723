"""What a check before a run found, and how to fix it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters."""

    OK = "ok"  # looked at, and well
    WARNING = "warning"  # runs work, but not as well as they could, or not everywhere
    ERROR = "error"  # stops runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: What was looked at, in a few words, as ``Docker engine``.
        severity: How much it matters.
        message: What was found, in one sentence.
        fix: What to do about it; None where there is nothing to do.
    """

    check: str
    severity: Severity
    message: str
    fix: str | None = None

    @classmethod
    def ok(cls, check: str, message: str) -> "Finding":
        """Tell that something is well."""
        return cls(check=check, severity=Severity.OK, message=message)

    @classmethod
    def warning(cls, check: str, message: str, fix: str) -> "Finding":
        """Tell of something that does not stop runs."""
        return cls(check=check, severity=Severity.WARNING, message=message, fix=fix)

    @classmethod
    def error(cls, check: str, message: str, fix: str) -> "Finding":
        """Tell of something that stops runs."""
        return cls(check=check, severity=Severity.ERROR, message=message, fix=fix)


def stops_runs(findings: Iterable[Finding]) -> bool:
    """Tell whether any of the findings stops runs."""
    return any(finding.severity is Severity.ERROR for finding in findings)
