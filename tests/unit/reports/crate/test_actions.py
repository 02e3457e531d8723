from pathlib import Path

import pytest

from tests.unit.reports.crate.crates import NESTED, PLAIN, actions, entities, references
from tests.unit.reports.traces import ENDED, STARTED, tried

VALUES = {"inputs": {"x": "hi"}, "outputs": {"o": "ho"}}


def test_a_call_has_its_values_times_usage_and_image(tmp_path):
    call = tried("first", image="quay.io/org/tool:1.2", image_digest="sha256:abc", **VALUES)
    found = entities(tmp_path, PLAIN, call)
    action = found["#call/first/1"]
    assert action["instrument"] == {"@id": "packed.cwl#say"}
    assert (action["startTime"], action["endTime"]) == (
        "1970-01-01T00:16:42.000+00:00",
        "1970-01-01T00:16:46.000+00:00",
    )
    given, result = found[references(action, "object")[0]], found[references(action, "result")[0]]
    assert (given["value"], references(given, "exampleOfWork")) == ("hi", ["packed.cwl#say/in/x"])
    assert (result["value"], references(result, "exampleOfWork")) == ("ho", ["packed.cwl#say/out/o"])
    used = {found[name]["propertyID"]: found[name]["value"] for name in references(action, "resourceUsage")}
    assert used == {"cpu_s": 6.0, "peak_memory_mib": 300.0, "read_bytes": 10, "cores": 2, "ram_mib": 512}
    image = found[references(action, "containerImage")[0]]
    assert (image["registry"], image["name"], image["tag"], image["sha256"]) == ("quay.io", "org/tool", "1.2", "abc")


def test_the_engine_controls_each_call_of_a_step(tmp_path):
    found = entities(tmp_path, PLAIN, tried("first", **VALUES), tried("second"))
    assert references(found["#engine-run"], "object") == ["#control/first", "#control/second"]
    assert references(found["#engine-run"], "result") == ["#run"]
    assert found["#control/first"]["instrument"] == {"@id": "packed.cwl#main/first"}
    assert references(found["#control/first"], "object") == ["#call/first/1"]


def test_subworkflows_and_scattered_calls_are_calls_of_their_own(tmp_path):
    inner = {**tried("part[0].say", **VALUES), "step": "part[0].say"}
    ended = {"event": "subworkflow_ended", "at": 1008, "step": "part", "call": "part[0]", "state": "succeeded"}
    found = entities(tmp_path, NESTED, inner, {**ended, **VALUES})
    assert actions(found) == {"#call/part%5B0%5D/1": "Completed", "#call/part%5B0%5D.say/1": "Completed"}
    assert found["#call/part%5B0%5D/1"]["instrument"] == {"@id": "packed.cwl#inner"}
    assert "ComputationalWorkflow" in found["packed.cwl#inner"]["@type"]


def test_a_subworkflow_whose_end_nobody_saw_is_there(tmp_path):
    inner = {**tried("part[0].say"), "step": "part[0].say"}
    found = entities(tmp_path, NESTED, inner, ended=None)
    assert actions(found)["#call/part%5B0%5D/1"] == "Active"
    assert "endTime" not in found["#run"]


def test_tries_that_failed_are_there_with_why_and_without_the_home_of_the_user(tmp_path):
    failed = tried("first", "retrying", message=f"{Path.home()}/tool: no such file")
    found = entities(tmp_path, PLAIN, failed, tried("first", **{**VALUES, "try": 2}))
    assert actions(found) == {"#call/first/1": "Failed", "#call/first/2": "Completed"}
    assert found["#call/first/1"]["error"] == "~/tool: no such file"
    assert references(found["#control/first"], "object") == ["#call/first/1", "#call/first/2"]


def test_a_failed_run_says_so(tmp_path):
    end = {**ENDED, "state": "failed", "message": "first: it went wrong", "outputs": {}}
    run = entities(tmp_path, PLAIN, tried("first", "failed"), ended=end)["#run"]
    assert run["actionStatus"] == {"@id": "http://schema.org/FailedActionStatus"}
    assert run["error"] == "first: it went wrong"


@pytest.mark.parametrize("state", ["skipped", "cancelled"])
def test_a_call_that_never_ran_is_left_out(tmp_path, state):
    never = {"event": "call_ended", "at": 1, "step": "second", "call": "second", "state": state}
    assert list(actions(entities(tmp_path, PLAIN, tried("first"), never))) == ["#call/first/1"]


def test_a_cached_call_says_where_its_outputs_are_from(tmp_path):
    cached = {"event": "call_ended", "at": 1003, "step": "first", "call": "first", "state": "cached", **VALUES}
    action = entities(tmp_path, PLAIN, cached)["#call/first/1"]
    assert action["description"] == "Taken from an identical call that ran before."
    assert "startTime" not in action


def test_what_a_resumed_run_did_itself_is_told_once(tmp_path):
    cached = {"event": "call_ended", "at": 1003, "step": "first", "call": "first", "state": "cached", **VALUES}
    again = {**STARTED, "at": 1001.0, "resumed": True}
    found = entities(tmp_path, PLAIN, tried("first", **VALUES), again, cached, tried("second"))
    assert actions(found) == {"#call/first/1": "Completed", "#call/second/1": "Completed"}
    assert "description" not in found["#call/first/1"]


def test_a_run_that_called_nothing_claims_no_more_than_it_has(tmp_path):
    found = entities(tmp_path, PLAIN, ended={**ENDED, "state": "failed"})
    profiles = references(found["./"], "conformsTo")
    assert "https://w3id.org/ro/wfrun/workflow/0.5" in profiles
    assert "https://w3id.org/ro/wfrun/provenance/0.5" not in profiles
    assert "#engine-run" not in found


def test_nothing_tells_of_the_machine_and_its_user(tmp_path):
    text = str(entities(tmp_path, PLAIN, tried("first", node="kestrel", container="c-17", **VALUES)))
    assert not [word for word in ("kestrel", "c-17", "'ada'", "vm'", str(tmp_path)) if word in text]
