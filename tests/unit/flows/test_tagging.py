from uuid import uuid4

import prefect
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext, TagsContext

from cwl_prefect.flows.prefect_names import MARK, without_mark
from cwl_prefect.flows.tagging import marked, tagged, untagged


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


def test_none_of_several_reach_what_begins_within():
    with prefect.tags("outer"), tagged(["night"]), tagged([MARK]):
        assert current() == {"outer", "night", MARK}
        with untagged(), prefect.tags("inner"), tagged([MARK]):
            assert current() == {"outer", "inner", MARK}
            with untagged():
                assert current() == {"outer", "inner"}


class Api(PrefectClient):
    """Remembers which tags flow runs are given."""

    def __init__(self, *, works: bool = True) -> None:
        self.given: list[list[str]] = []
        self.works = works

    async def update_flow_run(self, flow_run_id, *, tags):
        if not self.works:
            raise OSError("it does not answer")
        self.given.append(tags)


@pytest.mark.parametrize(
    ("run", "given"),
    [({"tags": ["x"]}, [["x", MARK]]), ({"tags": [MARK]}, []), ({"parent_task_run_id": uuid4()}, [])],
    ids=["nobody did", "marked already", "part of another flow"],
)
async def test_a_run_that_somebody_else_began_is_marked(run, given):
    api = Api()
    flow_run = FlowRun(id=uuid4(), flow_id=uuid4(), **run)
    with FlowRunContext.model_construct(flow_run=flow_run, flow=None, client=api, parameters={}):
        await marked()
    assert api.given == given


async def test_a_run_goes_on_where_it_cannot_be_marked():
    flow_run = FlowRun(id=uuid4(), flow_id=uuid4())
    with FlowRunContext.model_construct(flow_run=flow_run, flow=None, client=Api(works=False), parameters={}):
        await marked()


def test_the_mark_is_not_among_the_tags_that_somebody_chose():
    assert without_mark(["a", MARK, "b"]) == ["a", "b"]


def test_what_nobody_tagged_is_left_alone():
    with prefect.tags("outer"), untagged():
        assert current() == {"outer"}
