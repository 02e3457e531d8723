import pytest

from cwl_prefect.model.names import short_name


@pytest.mark.parametrize(
    ("identifier", "name"),
    [
        ("file:///tools/align.cwl#reads", "reads"),
        ("file:///tools/align.cwl#main/reads", "reads"),
        ("#main/reads", "reads"),
        ("reads", "reads"),
    ],
)
def test_a_short_name_is_the_last_part_of_an_identifier(identifier, name):
    assert short_name(identifier) == name
