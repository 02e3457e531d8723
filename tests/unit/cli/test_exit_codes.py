from collections import Counter

from cwl_prefect import errors
from cwl_prefect.cli.exit_codes import exit_codes, markdown_table
from cwl_prefect.errors import CwlPrefectError


def test_every_exit_code_has_one_meaning():
    counts = Counter(each.code for each in exit_codes())

    assert [code for code, count in counts.items() if count > 1] == []


def test_every_error_class_has_its_own_code_and_a_meaning():
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, CwlPrefectError)]
    listed = {each.code: each for each in exit_codes()}

    assert len(classes) > 10
    assert all("exit_code" in vars(each) for each in classes)
    assert all(listed[each.exit_code].meaning for each in classes)


def test_codes_are_ascending_and_fit_a_process():
    codes = [each.code for each in exit_codes()]

    assert codes == sorted(codes)
    assert all(0 <= code < 256 for code in codes)


def test_the_table_has_a_row_for_each_code():
    table = markdown_table()

    assert all(f"| {each.code} | {each.name} |" in table for each in exit_codes())
    assert "| 33 | unsupported error |" in table
