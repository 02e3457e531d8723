import inspect
import re

import pytest

from cwl_prefect import errors
from cwl_prefect.errors import CwlPrefectError, StepError

KINDS = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, CwlPrefectError) and found.__module__ == errors.__name__
]


def test_exit_codes_are_unique():
    codes = [kind.exit_code for kind in KINDS]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_exit_code_can_be_told_by_a_shell(kind):
    assert 0 < kind.exit_code < 256


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_stands_in_the_tree_with_its_code(kind):
    assert re.search(rf"{kind.__name__}\s+(exit code\s+)?{kind.exit_code}\b", errors.__doc__)


def test_the_tree_has_nothing_else():
    assert set(re.findall(r"\b\w+Error\b", errors.__doc__)) == {kind.__name__ for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_text_says_what_to_do_next(kind):
    error = kind("it broke", hint="mend it")
    assert str(error) == "it broke\nTo fix: mend it"
    assert (error.message, error.hint) == ("it broke", "mend it")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_without_a_hint_the_text_is_the_message(kind):
    assert str(kind("it broke")) == "it broke"


def test_a_step_error_carries_its_evidence():
    error = StepError("exited with 7", step="align[3]", exit_status=7)
    assert (error.step, error.exit_status) == ("align[3]", 7)
    assert StepError("no step").step is None


def test_an_error_that_gets_a_name_keeps_all_that_it_carries():
    told = StepError("no luck", step="align", exit_status=7, hint="try again")
    told.try_again = True
    named = told.naming("align[3]")
    assert (named.message, str(named)) == ("align[3]: no luck", "align[3]: no luck\nTo fix: try again")
    assert (type(named), named.step, named.exit_status, named.try_again) == (StepError, "align", 7, True)
    assert told.message == "no luck"
