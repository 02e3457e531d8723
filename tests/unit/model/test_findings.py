"""Faults that an error tells of, as findings."""

from cwl_prefect.errors import DocumentError, Fault
from cwl_prefect.model.findings import findings_of


def test_what_to_do_about_one_fault_is_said_of_that_alone() -> None:
    faults = (Fault(text="one", fix="Mend one."), Fault(text="two"))
    found = findings_of(DocumentError("one\ntwo", hint="Mend one.", faults=faults), "document")
    assert [(finding.message, finding.fix) for finding in found] == [("one", "Mend one."), ("two", None)]


def test_what_to_do_about_all_is_said_with_the_last() -> None:
    faults = (Fault(text="one"), Fault(text="two"))
    found = findings_of(DocumentError("one\ntwo", hint="Mend both.", faults=faults), "document")
    assert [finding.fix for finding in found] == [None, "Mend both."]
