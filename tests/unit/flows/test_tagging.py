import prefect
from prefect.context import TagsContext

from cwl_prefect.flows.tagging import tagged, untagged


def current() -> set[str]:
    return set(TagsContext.get().current_tags)


def test_tags_are_of_what_begins_and_not_of_what_begins_within():
    with prefect.tags("outer"), tagged(["night"]):
        assert current() == {"outer", "night"}
        with untagged():
            assert current() == {"outer"}
        assert current() == {"outer", "night"}
    assert current() == set()


def test_a_tag_that_the_caller_gives_too_stays():
    with prefect.tags("night"), tagged(["night"]), untagged():
        assert current() == {"night"}


def test_what_nobody_tagged_is_left_alone():
    with prefect.tags("outer"), untagged():
        assert current() == {"outer"}
