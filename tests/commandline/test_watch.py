"""``run --watch``: what is saved is run, what is wrong is told, and only Ctrl-C ends it."""

import json
import signal
from collections.abc import Iterator

import pytest

from tests.commandline.driving import CommandLine, Started, assert_refused
from tests.waiting import until

pytestmark = pytest.mark.server

LOUD = """
    cwlVersion: v1.2
    class: CommandLineTool
    baseCommand: [tr, a-z, A-Z]
    inputs: {text: {type: File}}
    stdin: $(inputs.text.path)
    stdout: loud
    outputs: {loud: {type: string, outputBinding: {glob: loud, loadContents: true, outputEval: "$(self[0].contents)"}}}
    """
FLOW = """
    cwlVersion: v1.2
    class: Workflow
    inputs: {text: File}
    outputs: {said: {type: string, outputSource: loud/loud}}
    steps: {loud: {run: loud.cwl, in: {text: text}, out: [loud]}}
    """


class Watched:
    """A run that is watched, and what it has printed."""

    def __init__(self, command: CommandLine) -> None:
        self._printed, self._told = command.directory / "printed", command.directory / "told"
        arguments = ("run", "--watch", "--backend", "local", "--outdir", command.outdir, "flow.cwl", "order.yml")
        with self._printed.open("wb") as stdout, self._told.open("wb") as stderr:
            self.started: Started = command.start(*arguments, stdout=stdout.fileno(), stderr=stderr.fileno())

    @property
    def told(self) -> str:
        return self._told.read_text()

    def says(self, *texts: str) -> None:
        """Wait until the runs gave these outputs, in this order."""
        until(lambda: self.outputs == list(texts), 60)

    @property
    def outputs(self) -> list[str]:
        found, decoder, rest = [], json.JSONDecoder(), self._printed.read_text()
        while rest.strip():
            try:
                value, end = decoder.raw_decode(rest.lstrip())
            except ValueError:
                break
            found.append(value["said"])
            rest = rest.lstrip()[end:]
        return found


@pytest.fixture
def watched(command: CommandLine) -> Iterator[Watched]:
    command.write("loud.cwl", LOUD)
    command.write("flow.cwl", FLOW)
    command.write("order.yml", "text: {class: File, path: said.txt}\n")
    command.write("said.txt", "one")
    command.write("other.txt", "other")
    found = Watched(command)
    found.says("ONE")
    yield found
    if found.started.process.poll() is None:
        found.started.kill()


def test_what_is_saved_is_run_again_until_ctrl_c(command: CommandLine, watched: Watched) -> None:
    command.write("said.txt", "two")
    watched.says("ONE", "TWO")
    command.write("order.yml", "text: {class: File, path: other.txt}\n")
    watched.says("ONE", "TWO", "OTHER")
    command.write("loud.cwl", LOUD.replace("[tr, a-z, A-Z]", "[tr, a-z, b-za]"))
    watched.says("ONE", "TWO", "OTHER", "puifs")

    command.write("said.txt", "this is no input any more")
    watched.started.signal(signal.SIGINT)
    assert watched.started.ended().code == 130, watched.told
    assert [line for line in watched.told.splitlines() if line.startswith("Changed")] == [
        "Changed: said.txt.",
        "Changed: order.yml.",
        "Changed: loud.cwl.",
    ]


def test_the_job_order_that_another_refers_to_is_watched_and_can_be_mended(
    command: CommandLine, watched: Watched
) -> None:
    command.write("given.yml", "text: {class: File, path: other.txt}\n")
    command.write("order.yml", "$ref: given.yml\n")
    watched.says("ONE", "OTHER")
    command.write("given.yml", "text: {class: File, path: no.txt}\n")
    until(lambda: "no.txt" in watched.told, 60)
    command.write("given.yml", "text: {class: File, path: said.txt}\n")
    watched.says("ONE", "OTHER", "ONE")
    watched.started.signal(signal.SIGINT)
    assert watched.started.ended().code == 130


def test_what_is_wrong_is_told_and_can_be_mended(command: CommandLine, watched: Watched) -> None:
    command.write("loud.cwl", LOUD.replace("CommandLineTool", "CommandLineTol"))
    until(lambda: "did you mean 'CommandLineTool'" in watched.told, 60)
    command.write("loud.cwl", LOUD.replace("a-z, A-Z", "a-z, b-za"))
    watched.says("ONE", "pof")
    watched.started.signal(signal.SIGINT)
    assert watched.started.ended().code == 130


@pytest.mark.parametrize(
    "arguments",
    [("flow.cwl", "-"), ("--batch", "a.yml", "--", "flow.cwl"), ("--provenance", "crate", "flow.cwl")],
    ids=["stdin", "batch", "crate"],
)
def test_what_can_be_done_once_is_not_watched(command: CommandLine, arguments: tuple[str, ...]) -> None:
    command.write("loud.cwl", LOUD)
    command.write("flow.cwl", FLOW)
    assert_refused(command("run", "--watch", *arguments), 2, "--watch cannot run")
