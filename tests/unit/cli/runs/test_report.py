from pathlib import Path

import pytest

from cwl_prefect.cli.runs.report import _format_of
from cwl_prefect.errors import UsageError


@pytest.mark.parametrize(
    ("name", "format"),
    [(None, "tsv"), ("r", "html"), ("r.HTM", "html"), ("r.csv", "csv"), ("r.json", "json"), ("/dev/null", "html")],
)
def test_the_name_of_the_file_tells_the_format(name, format):
    assert _format_of(None if name is None else Path(name)) == format


def test_one_that_tells_no_format_is_refused():
    with pytest.raises(UsageError, match=r"r\.pdf does not say how(.|\n)*\.html, \.tsv, \.csv, \.json"):
        _format_of(Path("r.pdf"))
