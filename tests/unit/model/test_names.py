import pytest

from cwl_prefect.model.names import begins_id, short_name


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


@pytest.mark.parametrize(("text", "meant"), [("8a2f", True), ("8a2", False), ("2f01", False), ("", False)])
def test_four_characters_or_more_from_the_beginning_stand_for_the_id_of_a_run(text, meant):
    assert begins_id(text, "8a2f01") is meant
