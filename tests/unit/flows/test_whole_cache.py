"""A subworkflow or wide scatter whose calls must give the same again is found as a whole, and no other is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cwl_prefect.backends.fake import FakeBackend
from cwl_prefect.engine.cache_care import read_entries
from cwl_prefect.engine.cache_store import LocalStore
from cwl_prefect.engine.checksums import Checksums
from cwl_prefect.engine.fingerprint import NotReusableError
from cwl_prefect.flows import whole_cache
from cwl_prefect.flows.cache_keys import CallKeys
from cwl_prefect.model.events import StepEventKind
from cwl_prefect.model.job import DockerImage
from cwl_prefect.settings import Keep, OnError
from tests.unit.flows.driving import Drive, drive, graph, subworkflow

MAIN = """
inputs: {names: "string[]"}
outputs: {o: {type: "string[]", outputSource: greet/o}}
steps:
  greet: {run: '#greet', scatter: name, in: {name: names}, out: [o]}
"""
GREET = """
inputs: {name: string, mark: {type: string, default: '!'}}
outputs: {o: {type: string, outputSource: second/o}}
steps:
  first: {run: '#say', in: {x: name}, out: [o]}
  second: {run: '#join', in: {x: first/o, y: mark}, out: [o]}
"""


class Known(FakeBackend):
    """Plays tools, and says what they run in."""

    runs_in: str | None = "here"

    async def identify(self, image: DockerImage | None, *, step: str) -> str | None:
        return self.runs_in


class Lab:
    """Runs a workflow again and again, with one cache."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.main = MAIN
        self.inner = {"greet": GREET}
        self.settings: dict = {}
        self.run_id = "run"
        self.names: list = ["ann", "bob"]
        self.runs = 0

    async def run(self, change: Callable[[str], str] = lambda text: text) -> Drive:
        self.runs += 1
        place = self.directory / f"document-{self.runs}"
        place.mkdir()
        document = graph(self.main, *(subworkflow(name, body) for name, body in self.inner.items()))
        done = drive(place, change(document), **self.settings)
        done.settings = done.caller.settings = done.settings.model_copy(update={"home": self.directory / "home"})
        done.backend = Known(done.player, containers=False)
        done.run_id = self.run_id
        self.outputs = await done(names=self.names)
        return done

    @property
    def journal(self) -> list[dict]:
        lines = (self.directory / "home" / "journals" / "run.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def replacing(old: str, new: str) -> Callable[[str], str]:
    def change(document: str) -> str:
        assert old in document
        return document.replace(old, new)

    return change


async def test_a_subworkflow_that_ran_before_is_one_cached_call(lab: Lab):
    first = await lab.run()
    before = lab.outputs
    second = await lab.run()
    assert len(first.player.commands) == 4
    assert second.player.commands == []
    assert lab.outputs == before
    assert sorted(second.tasks.labels) == ["greet[0]", "greet[1]"]
    assert second.told("greet[0]") == [StepEventKind.CACHED]
    assert second.told("greet[0].first") == []
    assert [(line["call"], line["hit"]) for line in lab.journal[-2:]] == [("greet[0]", True), ("greet[1]", True)]


async def test_only_the_elements_that_are_new_run(lab: Lab):
    await lab.run()
    lab.names = ["ann", "carl", "bob"]
    second = await lab.run()
    assert [command[1:] for command in second.player.commands] == [("carl",), ("carl", "!")]
    assert second.told("greet[2]") == [StepEventKind.CACHED]


async def test_the_calls_inside_are_still_looked_up_one_by_one(lab: Lab):
    await lab.run()
    second = await lab.run(replacing("default: '!'", "default: '?'"))
    assert sorted(command[1:] for command in second.player.commands) == [("ann", "?"), ("bob", "?")]
    assert second.told("greet[0].first") == [StepEventKind.CACHED]


async def test_a_wide_scatter_of_found_subworkflows_is_cached_group_by_group(lab: Lab):
    lab.settings = {"group_threshold": 1, "group_size": 2}
    await lab.run()
    second = await lab.run()
    assert second.player.commands == []
    assert second.tasks.labels == ["greet[0-1]"]


class TestFiles:
    MAIN = """
    inputs: {names: "string[]"}
    outputs: {o: {type: "File[]", outputSource: pair/o}, d: {type: "Directory[]", outputSource: pair/d}}
    steps:
      pair: {run: '#pair', scatter: name, in: {name: names}, out: [o, d]}
    """
    PAIR = """
    inputs: {name: string}
    outputs:
      o: {type: File, outputSource: one/o}
      d: {type: Directory, outputSource: two/d}
    steps:
      one:
        run:
          class: CommandLineTool
          baseCommand: say
          inputs: {x: {type: string, inputBinding: {}}}
          outputs: {o: stdout}
          stdout: said.txt
        in: {x: name}
        out: [o]
      two:
        run:
          class: CommandLineTool
          baseCommand: [say, two]
          inputs: {x: {type: File, inputBinding: {}}}
          outputs: {d: {type: Directory, outputBinding: {glob: .}}}
          stdout: two.txt
        in: {x: one/o}
        out: [d]
    """

    async def test_files_of_several_calls_inside_are_put_in_place(self, lab: Lab):
        lab.main, lab.inner = self.MAIN, {"pair": self.PAIR}
        await lab.run()
        before = self.contents(lab.outputs)
        assert before == [(b"ann", ["two.txt"]), (b"bob", ["two.txt"])]
        second = await lab.run()
        assert second.player.commands == []
        assert self.contents(lab.outputs) == before

    @staticmethod
    def contents(outputs: dict) -> list[tuple[bytes, list[str]]]:
        files, directories = (
            [Path(found["location"].removeprefix("file://")) for found in outputs[port]] for port in "od"
        )
        assert len({*files, *directories}) == 4
        return [
            (file.read_bytes(), sorted(path.name for path in directory.iterdir()))
            for file, directory in zip(files, directories, strict=True)
        ]

    async def test_an_output_that_is_an_input_is_that_input(self, lab: Lab, tmp_path: Path):
        lab.main = """
        inputs: {names: "string[]"}
        outputs: {o: {type: File, outputSource: pass/o}}
        steps:
          make: {run: '#make', in: {x: {default: a}}, out: [o]}
          pass: {run: '#pass', in: {f: make/o}, out: [o]}
        """
        make = "class: CommandLineTool\n  id: make\n  inputs: {x: {type: string, inputBinding: {}}}\n"
        make += "  outputs: {o: stdout}\n  stdout: a.txt\n  baseCommand: say"
        lab.inner = {
            "pass": """
            inputs: {f: File}
            outputs: {o: {type: File, outputSource: f}}
            steps:
              one: {run: '#say', in: {x: {default: one}}, out: [o]}
              two: {run: '#say', in: {x: {default: two}}, out: [o]}
            """
        }
        await lab.run(lambda text: f"{text}\n- {make}\n")
        second = await lab.run(lambda text: f"{text}\n- {make}\n")
        assert second.told("pass") == [StepEventKind.CACHED]
        assert "/make/" in lab.outputs["o"]["location"]


CANNOT_CHANGE_A_RESULT = [
    ("first: {run", "first: {label: says, doc: it says, run"),
    ("first", "begin"),
    ("second", "another"),
    ("out: [o]}\n    second", "out: [o], hints: {ToolTimeLimit: {timelimit: 50}}}\n    second"),
    ("greet: {run", "welcome: {run"),
    ("temporaryFailCodes: [75]", "label: says\n  temporaryFailCodes: [75]"),
    ("inputs: {name: string, mark", "doc: greets\n  label: greets\n  inputs: {name: string, mark"),
    ("{type: string, default: '!'}", "{default: '!', doc: a mark, type: string}"),
    ("mark: {type", "mark: {label: m, type"),
]
CAN_CHANGE_A_RESULT = [
    ("y: mark", "y: name"),
    ("x: name", "x: mark"),
    ("x: first/o", "x: name"),
    ("y: mark", "y: {source: mark, valueFrom: $(self)}"),
    ("y: mark", "y: {source: mark, default: x}"),
    ("y: mark", "y: {source: [name, mark], pickValue: first_non_null}"),
    ("second: {run: '#join'", "second: {when: $(true), run: '#join'"),
    ("outputSource: second/o", "outputSource: first/o"),
    ("default: '!'", "default: '?'"),
    ("second: {run: '#join', in: {x: first/o", "second: {run: '#join', in: {x: third/o"),
    ("- class: CommandLineTool\n  id: join", "- class: CommandLineTool\n  arguments: [more]\n  id: join"),
    ("steps:\n    first", "steps:\n    zeroth: {run: '#say', in: {x: mark}, out: [o]}\n    first"),
]


def changed(document: str, old: str, new: str) -> str:
    if "third/o" in new:
        document = document.replace(
            "steps:\n    first", "steps:\n    third: {run: '#say', in: {x: name}, out: [o]}\n    first"
        )
    if "welcome" in new:
        document = document.replace("greet/o", "welcome/o")
    assert old in document
    return document.replace(old, new)


def hits(done: Drive) -> set[str]:
    return {event.step for event in done.events if event.kind is StepEventKind.CACHED and "." not in event.step}


@pytest.mark.parametrize(("old", "new"), CANNOT_CHANGE_A_RESULT)
async def test_what_cannot_change_a_result_does_not_count(lab: Lab, old: str, new: str):
    await lab.run()
    second = await lab.run(lambda document: changed(document, old, new))
    assert hits(second)
    assert second.player.commands == []


@pytest.mark.parametrize(("old", "new"), CAN_CHANGE_A_RESULT)
async def test_what_can_change_a_result_counts(lab: Lab, old: str, new: str):
    await lab.run()
    second = await lab.run(lambda document: changed(document, old, new))
    assert not hits(second)


async def test_the_order_of_the_steps_does_not_count(lab: Lab):
    await lab.run()
    lines = GREET.rstrip().splitlines()
    lab.inner = {"greet": "\n".join([*lines[:-2], lines[-1], lines[-2]])}
    assert hits(await lab.run()) == {"greet"}


async def test_what_the_tools_run_in_counts(lab: Lab, monkeypatch):
    await lab.run()
    monkeypatch.setattr(Known, "runs_in", "elsewhere")
    assert not hits(await lab.run())


class TestNeverOffered:
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("id: join", "hints: {WorkReuse: {enableReuse: false}}\n  id: join"),
            ("id: join", "hints: {WorkReuse: {enableReuse: $(inputs.x == 'a')}}\n  id: join"),
            ("y: mark", "y: {source: mark, valueFrom: $(Math.random() + '')}"),
            ("y: mark", "y: {source: mark, valueFrom: '${return JSON.stringify(inputs);}'}"),
        ],
        ids=["no reuse", "no reuse by expression", "chance", "whole objects"],
    )
    async def test_where_a_call_inside_may_differ(self, lab: Lab, old: str, new: str):
        await lab.run(replacing(old, new))
        assert not hits(await lab.run(replacing(old, new)))
        assert {line["call"]: line for line in lab.journal}["greet[0]"]["reason"].startswith("greet.second: ")

    async def test_where_the_backend_cannot_tell_what_it_runs_in(self, lab: Lab, monkeypatch):
        monkeypatch.setattr(Known, "runs_in", None)
        await lab.run()
        assert not hits(await lab.run())

    @pytest.mark.parametrize("pattern", ["greet", "greet.second", "*"])
    async def test_where_a_call_inside_is_refreshed(self, lab: Lab, pattern: str):
        await lab.run()
        lab.settings, lab.run_id = {"refresh": (pattern,)}, "refreshing"
        second = await lab.run()
        assert not hits(second)
        assert len(second.player.commands) == (2 if pattern == "greet.second" else 4)
        assert hits(await lab.run()) == {"greet"}  # resumed
        lab.settings = {}
        assert hits(await lab.run()) == {"greet"}

    async def test_where_entries_expire(self, lab: Lab):
        lab.settings = {"cache_expiration_s": 1000}
        await lab.run()
        second = await lab.run()
        assert not hits(second)
        assert second.player.commands == []

    async def test_where_a_call_inside_turned_out_to_have_no_key(self, lab: Lab, monkeypatch):
        make = CallKeys.make

        async def refusing(self, *given, step: str, name: str):
            if step.endswith(".second"):
                raise NotReusableError("it was tried")
            return await make(self, *given, step=step, name=name)

        with monkeypatch.context() as patched:
            patched.setattr(CallKeys, "make", refusing)
            await lab.run()
        assert not hits(await lab.run())
        assert hits(await lab.run()) == {"greet"}

    async def test_where_an_output_names_a_place_of_the_run(self, lab: Lab):
        name = replacing("id: join", "id: join\n  arguments: [$(runtime.outdir)]")
        await lab.run(name)
        assert not hits(await lab.run(name))
        assert {line["call"]: line for line in lab.journal}["greet[0]"][
            "reason"
        ] == "an output names a place of this run"

    async def test_without_the_cache(self, lab: Lab):
        lab.settings = {"cache": False}
        await lab.run()
        assert len((await lab.run()).player.commands) == 4

    async def test_where_a_call_inside_failed(self, lab: Lab):
        lab.names, lab.settings = ["fail"], {"on_error": OnError.CONTINUE}
        await lab.run()
        second = await lab.run()
        assert not hits(second)
        assert second.player.commands

    async def test_for_a_single_call(self, lab: Lab):
        lab.inner = {
            "greet": """
            inputs: {name: string}
            outputs: {o: {type: string, outputSource: only/o}}
            steps:
              only: {run: '#say', in: {x: name}, out: [o]}
            """
        }
        await lab.run()
        second = await lab.run()
        assert not hits(second)
        assert second.told("greet[0].only") == [StepEventKind.CACHED]
        assert all(line["step"].endswith(".only") for line in lab.journal)


async def test_a_subworkflow_inside_another_is_found_when_the_outer_one_changed(lab: Lab):
    lab.main = MAIN.replace("#greet", "#outer")
    outer = """
    inputs: {name: string}
    outputs: {o: {type: string, outputSource: last/o}}
    steps:
      inner: {run: '#greet', in: {name: name}, out: [o]}
      last: {run: '#say', in: {x: inner/o}, out: [o]}
    """
    lab.inner = {"outer": outer, "greet": GREET}
    await lab.run()
    assert sorted((await lab.run()).tasks.labels) == ["greet[0]", "greet[1]"]
    lab.inner["outer"] = outer.replace("last: {run: '#say'", "last: {run: '#join'").replace(
        "{x: inner/o}", "{x: inner/o, y: name}"
    )
    third = await lab.run()
    assert third.told("greet[0].inner") == [StepEventKind.CACHED]
    assert sorted(command[1:] for command in third.player.commands) == [("ann !", "ann"), ("bob !", "bob")]


SEEN = "valueFrom: '$(Object.keys(self)[0])'"


async def test_the_order_of_the_keys_in_a_record_counts(lab: Lab):
    lab.main = MAIN.replace('names: "string[]"', "names: 'Any[]'")
    lab.inner = {
        "greet": GREET.replace("name: string", "name: Any").replace("x: name}", f"x: {{source: name, {SEEN}}}}}")
    }
    lab.names = [{"b": 1, "a": 2}]
    await lab.run()
    assert lab.outputs == {"o": ["b !"]}
    lab.names = [{"a": 2, "b": 1}]
    await lab.run()
    assert lab.outputs == {"o": ["a !"]}


class TestWideScatter:
    """With group_threshold 1, so that two calls are many."""

    MAIN = """
    inputs: {names: "string[]", mark: {type: string, default: '!'}}
    outputs: {o: {type: "string[]", outputSource: greet/o}}
    steps:
      greet: {run: '#join', scatter: x, in: {x: names, y: mark}, out: [o]}
    """
    BOTH = """
    inputs: {names: "string[]"}
    outputs: {o: {type: Any, outputSource: two/o}}
    steps:
      one: {run: '#say', scatter: x, in: {x: names}, out: [o]}
      two: {run: '#say', scatter: x, in: {x: one/o}, out: [o]}
    """

    @pytest.fixture
    def wide(self, lab: Lab) -> Lab:
        lab.main, lab.inner, lab.settings = self.MAIN, {}, {"group_threshold": 1, "group_size": 2}
        lab.names = ["ann", "bob", "carl"]
        return lab

    async def test_is_found_by_one_look_up(self, wide: Lab):
        first = await wide.run()
        before = wide.outputs
        second = await wide.run()
        assert sorted(command[1:] for command in first.player.commands) == [("ann", "!"), ("bob", "!"), ("carl", "!")]
        assert first.tasks.labels == ["greet[0-1]", "greet[2-2]"]
        assert second.player.commands == []
        assert second.tasks.labels == ["greet[0-2]"]
        assert wide.outputs == before == {"o": ["ann !", "bob !", "carl !"]}
        assert [second.told(f"greet[{number}]") for number in range(3)] == [[StepEventKind.CACHED]] * 3
        assert [(line["call"], line["hit"], line.get("calls")) for line in wide.journal[-1:]] == [("greet", True, 3)]

    async def test_is_not_found_for_a_record_in_another_order(self, wide: Lab):
        wide.main = self.MAIN.replace('names: "string[]"', "names: 'Any[]'").replace(
            "x: names,", f"x: {{source: names, {SEEN}}},"
        )
        wide.names = [{"b": 1, "a": 2}] * 2
        await wide.run()
        wide.names = [{"a": 2, "b": 1}] * 2
        await wide.run()
        assert wide.outputs == {"o": ["a !", "a !"]}

    async def test_is_not_noted_where_its_calls_are_looked_up(self, wide: Lab):
        await wide.run()
        assert sorted(line["call"] for line in wide.journal if "call" in line) == ["greet[0]", "greet[1]", "greet[2]"]

    async def test_runs_only_what_is_new(self, wide: Lab):
        await wide.run()
        wide.names = ["ann", "dora", "carl"]
        second = await wide.run()
        assert [command[1:] for command in second.player.commands] == [("dora", "!")]
        assert second.told("greet[0]") == second.told("greet[2]") == [StepEventKind.CACHED]
        assert (await wide.run()).tasks.labels == ["greet[0-2]"]
        assert wide.outputs == {"o": ["ann !", "dora !", "carl !"]}

    async def test_that_is_narrow_is_found_call_by_call(self, wide: Lab):
        wide.settings = {"group_threshold": 3}
        await wide.run()
        assert sorted((await wide.run()).tasks.labels) == ["greet[0]", "greet[1]", "greet[2]"]

    async def test_beside_another_is_not_taken_for_it(self, wide: Lab):
        wide.main = self.BOTH.replace("two: {run: '#say'", "two: {run: '#join'").replace(
            "in: {x: one/o}", "in: {x: one/o, y: {default: '?'}}"
        )
        await wide.run()
        before = wide.outputs
        assert (await wide.run()).tasks.labels == ["one[0-2]", "two[0-2]"]
        assert wide.outputs == before == {"o": ["ann ?", "bob ?", "carl ?"]}

    async def test_of_the_same_tool_and_inputs_is_found_in_the_same_run(self, wide: Lab):
        wide.main = self.BOTH  # what the first gives is what it is given
        first = await wide.run()
        assert len(first.player.commands) == 3
        assert first.tasks.labels[-1] == "two[0-2]"

    async def test_in_a_subworkflow_is_found_when_that_changed(self, wide: Lab):
        wide.main = MAIN.replace("scatter: name, in: {name: names}", "in: {names: names}").replace("string[]", "Any")
        body = """
        inputs: {names: "string[]"}
        outputs: {o: {type: Any, outputSource: all/o}}
        steps:
          say: {run: '#say', scatter: x, in: {x: names}, out: [o]}
          all: {run: '#all', in: {x: say/o}, out: [o]}
        """
        wide.inner = {"greet": body}
        await wide.run()
        wide.inner = {"greet": body.replace("all: {run", "every: {run").replace("all/o", "every/o")}
        assert (await wide.run()).tasks.labels == ["greet"]
        wide.inner = {"greet": body.replace("source: say/o", "say/o").replace("{x: say/o}", "{x: say/o, y: names}")}
        third = await wide.run()
        assert third.tasks.labels == ["greet.say[0-2]", "greet.all"]

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("greet", "welcome"),
            ("x: names, y: mark", "y: mark, x: names"),
            ("y: mark}", "y: {source: mark}}"),
            ("y: mark}", "y: {default: '!'}}"),
            ("y: mark}", "y: {source: [mark], pickValue: first_non_null}}"),
            ("scatter: x", "label: greets, doc: it greets, scatter: [x]"),
            ("scatter: x", "hints: {ResourceRequirement: {coresMin: 1}}, scatter: x"),
        ],
    )
    async def test_what_cannot_change_a_result_does_not_count(self, wide: Lab, old: str, new: str):
        await wide.run()
        assert (await wide.run(replacing(old, new))).tasks.labels in (["greet[0-2]"], ["welcome[0-2]"])

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("y: mark}", "y: {source: mark, valueFrom: $(self)}}"),
            ("y: mark}", "y: {default: '?'}}"),
            ("y: mark}", "y: mark, z: {default: 1}}"),
            ("- class: CommandLineTool\n  id: join", "- class: CommandLineTool\n  arguments: [more]\n  id: join"),
            ("scatter: x", "scatter: x, when: $(true)"),
        ],
    )
    async def test_what_can_change_a_result_counts(self, wide: Lab, old: str, new: str):
        await wide.run()
        assert (await wide.run(replacing(old, new))).tasks.labels == ["greet[0-1]", "greet[2-2]"]

    async def test_the_method_counts(self, wide: Lab):
        wide.main = self.MAIN.replace("scatter: x", "scatter: [x, y], scatterMethod: dotproduct").replace(
            "y: mark", "y: names"
        )
        await wide.run()
        wide.main = wide.main.replace("dotproduct", "flat_crossproduct")
        assert len((await wide.run()).player.commands) == 6
        wide.main = wide.main.replace("flat", "nested").replace('"string[]", outputSource', "Any, outputSource")
        third = await wide.run()
        assert (third.player.commands, third.tasks.labels[-1]) == ([], "greet[8-8]")
        before = wide.outputs
        assert (await wide.run()).tasks.labels == ["greet[0-8]"]
        assert wide.outputs == before
        assert before["o"][1] == ["bob ann", "bob bob", "bob carl"]

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("id: join", "hints: {WorkReuse: {enableReuse: false}}\n  id: join"),
            ("id: join", "hints: {WorkReuse: {enableReuse: $(inputs.x == 'a')}}\n  id: join"),
            ("y: mark", "y: {source: mark, valueFrom: $(Math.random() + '')}"),
            ("scatter: x", "scatter: x, when: $(inputs.x != 'bob')"),
        ],
        ids=["no reuse", "no reuse by expression", "chance", "when"],
    )
    async def test_is_never_offered_where_a_call_may_differ_or_be_skipped(self, wide: Lab, old: str, new: str):
        if "when" in new:
            wide.main = wide.main.replace('"string[]", outputSource', "Any, outputSource")
        await wide.run(replacing(old, new))
        second = await wide.run(replacing(old, new))
        assert second.tasks.labels == ["greet[0-1]", "greet[2-2]"]
        assert all(line.get("step") != line.get("call") for line in wide.journal if "call" in line)

    @pytest.mark.parametrize("pattern", ["greet", "gr*", "*"])
    async def test_is_refreshed(self, wide: Lab, pattern: str):
        await wide.run()
        wide.settings, wide.run_id = {**wide.settings, "refresh": (pattern,)}, "refreshing"
        second = await wide.run()
        assert len(second.player.commands) == 3
        assert (await wide.run()).player.commands == []  # resumed
        wide.settings.pop("refresh")
        assert (await wide.run()).player.commands == []

    async def test_is_not_offered_where_entries_expire(self, wide: Lab):
        wide.settings["cache_expiration_s"] = 1000
        await wide.run()
        second = await wide.run()
        assert (second.player.commands, second.tasks.labels) == ([], ["greet[0-1]", "greet[2-2]"])

    async def test_is_not_kept_where_a_call_failed(self, wide: Lab):
        wide.names, wide.settings["on_error"] = ["ann", "fail", "carl"], OnError.CONTINUE
        await wide.run()
        second = await wide.run()
        assert [command[1:] for command in second.player.commands] == [("fail", "!")]
        assert second.told("greet[0]") == [StepEventKind.CACHED]

    async def test_is_not_kept_where_it_would_take_too_much(self, wide: Lab, monkeypatch):
        monkeypatch.setattr(whole_cache, "MOST_BYTES", -1)
        await wide.run()
        second = await wide.run()
        assert (second.player.commands, second.tasks.labels) == ([], ["greet[0-1]", "greet[2-2]"])

    async def test_knows_the_keys_of_its_calls(self, wide: Lab):
        await wide.run()
        keys = {line["key"] for line in wide.journal if "key" in line}
        assert len(keys) == 3
        store = LocalStore(wide.directory / "home" / "cache", Checksums(None))
        (whole,) = [entry for _, entry in read_entries(store) if entry.call_keys]
        assert set(whole.call_keys) == keys

    @pytest.mark.parametrize("keep", list(Keep))
    @pytest.mark.parametrize("name", ["$(inputs.x).txt", "said.txt"], ids=["different names", "one name"])
    async def test_files_are_put_in_place(self, wide: Lab, name: str, keep: Keep):
        wide.settings["keep"] = keep
        wide.main = self.MAIN.replace('"string[]", outputSource', '"File[]", outputSource').replace("#join", "#file")
        tool = f"""
- class: CommandLineTool
  id: file
  baseCommand: say
  inputs: {{x: {{type: string, inputBinding: {{}}}}, y: string}}
  outputs: {{o: stdout}}
  stdout: {name}
"""

        def files() -> list[tuple[str, str]]:
            places = [Path(found["location"].removeprefix("file://")) for found in wide.outputs["o"]]
            assert len({*places}) == 3
            return [(place.name, place.read_text()) for place in places]

        await wide.run(lambda text: text + tool)
        before = files()
        assert [content for _, content in before] == wide.names
        for _ in range(2):
            assert (await wide.run(lambda text: text + tool)).tasks.labels == ["greet[0-2]"]
            assert files() == before

    async def test_a_whole_output_directory_comes_back_alone(self, wide: Lab):
        wide.main = self.MAIN.replace('"string[]", outputSource', '"Directory[]", outputSource').replace(
            "#join", "#directory"
        )
        tool = """
- class: CommandLineTool
  id: directory
  baseCommand: say
  inputs: {x: {type: string, inputBinding: {}}, y: string}
  outputs: {o: {type: Directory, outputBinding: {glob: .}}}
  stdout: $(inputs.x).txt
"""
        for _ in range(2):
            await wide.run(lambda text: text + tool)
            places = [Path(found["location"].removeprefix("file://")) for found in wide.outputs["o"]]
            assert [[file.name for file in place.iterdir()] for place in places] == [
                ["ann.txt"],
                ["bob.txt"],
                ["carl.txt"],
            ]

    async def test_an_input_file_that_changed_counts(self, wide: Lab, tmp_path: Path):
        wide.main = """
        inputs: {names: "File[]"}
        outputs: {o: {type: "string[]", outputSource: greet/o}}
        steps:
          greet: {run: '#read', scatter: x, in: {x: names}, out: [o]}
        """
        tool = """
- class: CommandLineTool
  id: read
  baseCommand: say
  inputs: {x: {type: File, inputBinding: {valueFrom: $(self.basename)}}}
  outputs: {o: {type: string, outputBinding: {glob: out, loadContents: true, outputEval: '$(self[0].contents)'}}}
  stdout: out
"""
        for name in ("ann", "bob"):
            (tmp_path / name).write_text(name)
        wide.names = [{"class": "File", "location": (tmp_path / name).as_uri()} for name in ("ann", "bob")]
        await wide.run(lambda text: text + tool)
        assert (await wide.run(lambda text: text + tool)).tasks.labels == ["greet[0-1]"]
        (tmp_path / "bob").write_text("bert")
        third = await wide.run(lambda text: text + tool)
        assert [command[1:] for command in third.player.commands] == [("bob",)]
