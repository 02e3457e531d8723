"""A workflow between tools that stage its Directories."""

from pathlib import Path

import pytest

from cwl_prefect.engine.records.secrets import secret_inputs, secret_texts
from cwl_prefect.engine.workflow.stages import demand_variables, with_stages
from cwl_prefect.errors import InputError, UsageError
from cwl_prefect.model.plan import InputPort, OutputPort, decode_plan, encode_plan
from tests.plans import link, step, tool, workflow

KEY = "ADES_STAGEIN_AWS_SECRET_ACCESS_KEY"
ARRAY = {"type": "array", "items": "Directory"}


def port(name, declared, **said):
    return InputPort(id=name, type=declared, **said)


def stage(*inputs, outputs=("out",), gives="Directory", **said):
    """Give the plan of a tool alone."""
    own = tuple(OutputPort(id=name, type=gives) for name in outputs)
    run = tool(digest="7", inputs=inputs, outputs=own)
    return workflow(step("tool", run=run, outputs=outputs), inputs=inputs, name="stage", digest="7", **said)


STAGE_IN = stage(port("input", "string"), port(KEY, "string"), port("ADES_STAGEIN_AWS_REGION", ["null", "string"]))
STAGE_OUT = stage(port("wf_outputs", "Directory"), port("collection", "string"), gives="string")


RESULT = (OutputPort(id="result", type="Directory", link=link("result", "index/o")),)


def main(*inputs, outputs=RESULT, **said):
    declared = [{"id": f"a.cwl#{each.id}", "type": each.type, "loadListing": "no_listing"} for each in inputs]
    return workflow(
        step("index", link("x", "scene")), inputs=inputs, outputs=outputs, document={"inputs": declared}, **said
    )


def steps(plan):
    return {each.id: each for each in plan.steps}


class TestStages:
    def test_a_directory_becomes_a_url_and_a_result_what_stage_out_gives(self):
        plan = with_stages(main(port("scene", "Directory"), port("least", "float")), STAGE_IN, STAGE_OUT)
        found = steps(plan)

        assert list(found) == ["stage_in_scene", "flow", "stage_out_result"]
        assert [(each.id, each.type) for each in plan.inputs] == [
            ("scene", "string"),
            ("least", "float"),
            ("collection", "string"),
        ]
        assert [entry["type"] for entry in plan.document["inputs"]] == ["string", "float", "string"]
        assert found["stage_in_scene"].links[0] == link("input", "scene")
        assert found["flow"].links == (link("scene", "stage_in_scene/out"), link("least", "least"))
        assert found["stage_out_result"].links == (link("wf_outputs", "flow/result"), link("collection", "collection"))
        assert (plan.outputs[0].type, plan.outputs[0].link) == ("string", link("result", "stage_out_result/out"))

    def test_each_of_an_array_is_staged(self):
        outputs = (OutputPort(id="all", type=ARRAY, link=link("all", "index/o")),)
        plan = with_stages(main(port("scene", ARRAY), outputs=outputs), STAGE_IN, STAGE_OUT)

        assert plan.inputs[0].type == {"type": "array", "items": "string"}
        assert plan.outputs[0].type == {"type": "array", "items": "string"}
        assert [each.scatter.ports for each in plan.steps if each.stage] == [("input",), ("wf_outputs",)]

    @pytest.mark.parametrize("given", [port("scene", ["null", "Directory"]), port("scene", "Directory", default={})])
    def test_what_need_not_be_given_is_staged_where_it_is(self, given):
        plan = with_stages(main(given), STAGE_IN, None)

        assert plan.inputs[0].type == ["null", "string"]
        assert plan.steps[0].when == '$(inputs["input"] !== null)'

    def test_one_stage_alone_leaves_the_other_end_as_it_is(self):
        plan = with_stages(main(port("scene", "Directory")), None, STAGE_OUT)

        assert (plan.inputs[0].type, list(steps(plan))) == ("Directory", ["flow", "stage_out_result"])

    def test_without_tools_and_a_second_time_nothing_changes(self):
        plan = main(port("scene", "Directory"))
        staged = with_stages(plan, STAGE_IN, STAGE_OUT)

        assert with_stages(plan, None, None) is plan
        assert with_stages(staged, STAGE_IN, STAGE_OUT) is staged
        assert staged.digest not in (plan.digest, with_stages(plan, STAGE_IN, None).digest)

    def test_it_can_be_written_and_read(self):
        plan = with_stages(main(port("scene", "Directory")), STAGE_IN, STAGE_OUT)

        assert decode_plan(encode_plan(plan)) == plan

    def test_places_are_those_of_each_document(self):
        told = stage(port("input", "string"), origin="tools/in.cwl", places={"": {}, "7": {"": "in.cwl:1:1"}})
        places = {"": {"": "a.cwl:1:1"}, "index": {"": "a.cwl:9:1"}, "0": {"": "index.cwl:1:1"}}
        found = with_stages(main(port("scene", "Directory"), places=places), told, None).places

        assert found["7"] == {"": str(Path("tools/in.cwl:1:1").absolute())}
        assert {name: found[name] for name in ("", "flow.", "flow.index", "0")} == {
            "": places[""],
            "flow.": places[""],
            "flow.index": places["index"],
            "0": places["0"],
        }


class TestWhatIsNoStage:
    @pytest.mark.parametrize(
        ("found", "said"),
        [
            (stage(port("a", "string"), port("b", "string")), "has 2 inputs of type string and 1 outputs"),
            (stage(port("a", "string"), outputs=("x", "y")), "has 1 inputs of type string and 2 outputs"),
            (stage(port("a", "Directory")), "has 0 inputs of type string"),
            (workflow(step("a"), step("b")), "is no CommandLineTool"),
        ],
        ids=["two inputs", "two outputs", "another type", "a workflow"],
    )
    def test_it_is_told(self, found, said):
        with pytest.raises(UsageError, match=f"--directory-stage-in: .* {said}"):
            with_stages(main(port("scene", "Directory")), found, None)

    @pytest.mark.parametrize("declared", ["string", ["null", "string"]])
    def test_of_several_inputs_the_usual_name_is_taken(self, declared):
        found = stage(port("catalog", "string"), port("reference", declared))
        plan = with_stages(main(port("scene", "Directory")), found, None)

        assert plan.steps[0].links == (link("reference", "scene"), link("catalog", "catalog"))


class TestCredentials:
    def test_they_are_of_the_stage_alone_secret_and_not_cached(self, monkeypatch):
        monkeypatch.setenv(KEY, "sesame")
        monkeypatch.setenv("ADES_STAGEIN_AWS_REGION", "eu-1")
        plan = with_stages(main(port("scene", "Directory")), STAGE_IN, None)
        run = plan.steps[0].run

        assert secret_inputs(run) == {KEY}
        assert secret_texts(plan, {}) == ("sesame",)
        assert {"class": "WorkReuse", "enableReuse": False} in run.requirements
        assert b"sesame" not in encode_plan(plan)
        assert KEY not in [each.id for each in plan.inputs]

    def test_no_document_can_ask_for_them(self, monkeypatch):
        monkeypatch.setenv(KEY, "sesame")
        asking = step("stage_in_scene", link(KEY, KEY), run=tool(inputs=(port(KEY, "string"),)))

        assert secret_texts(workflow(asking), {}) == ()
        with pytest.raises(UsageError, match=f"has an input {KEY}"):
            with_stages(main(port("scene", "Directory"), port(KEY, "string")), STAGE_IN, None)

    def test_one_that_is_required_and_not_set_is_told(self, monkeypatch):
        monkeypatch.delenv(KEY, raising=False)
        plan = with_stages(main(port("scene", "Directory")), STAGE_IN, None)

        with pytest.raises(InputError, match=f"stage_in_scene: the variable {KEY} is not set"):
            demand_variables(plan)
        monkeypatch.setenv(KEY.removeprefix("ADES_"), "sesame")
        demand_variables(plan)
