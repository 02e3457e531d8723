"""Times and sizes are read alike everywhere."""

import pytest

from cwl_prefect._lib.quantities import mebibytes, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("90s", 90), ("1.5m", 90), (" 12 h ", 43_200), ("7d", 604_800), ("2w", 1_209_600), ("0", 0)],
)
def test_a_time_in_seconds(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "h", "1y", "-1", "1e9", "inf", "nan", "1 2", "1,5h"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("512", 512), ("512M", 512), ("8g", 8192), (" 8 GiB ", 8192), ("1TB", 2**20), ("512k", 0.5), (".5g", 512)],
)
def test_a_size_in_mebibytes(text: str, expected: float) -> None:
    assert mebibytes(text) == expected


def test_a_plain_number_may_count_bytes() -> None:
    assert mebibytes("1048576", of_plain=2**-20) == 1
    assert mebibytes("1m", of_plain=2**-20) == 1


@pytest.mark.parametrize("text", ["", "lots", "G", "1x", "-1", "inf", "1..2", "1e3", "1iG"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        mebibytes(text)
