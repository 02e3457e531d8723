import pytest

from cwl_prefect._lib.suggestions import did_you_mean, near


@pytest.mark.parametrize(
    ("name", "found"),
    [("alignn", "align"), ("ALIGN", "align"), ("zzz", None)],
    ids=["a slip", "case", "unlike"],
)
def test_the_nearest_known_name_is_found(name, found):
    assert near(name, ["align", "merge"]) == found


@pytest.mark.parametrize(
    ("name", "known", "told"),
    [
        ("alignn", ["align", "merge"], "did you mean 'align'?"),
        ("zzz", ["align", "merge", "align"], "its steps are: 'align', 'merge'."),
        ("zzz", [], "its steps are: none."),
    ],
    ids=["a near one", "none near", "none known"],
)
def test_what_may_have_been_meant_is_told(name, known, told):
    assert did_you_mean(name, known, otherwise="its steps are:") == told
