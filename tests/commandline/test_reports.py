"""Reports of real runs: of one that ends well, of one that is killed and resumed, and secrets."""

import csv
import json
import signal
import sys

import pytest

from tests.commandline.driving import CommandLine, processes
from tests.holding import HOLDS_300_MIB
from tests.waiting import until

pytestmark = pytest.mark.server

SCATTER = """
    cwlVersion: v1.2
    class: Workflow
    requirements: {ScatterFeatureRequirement: {}}
    inputs: {words: "string[]"}
    outputs: {texts: {type: "File[]", outputSource: say/text}}
    steps:
      say:
        scatter: word
        in: {word: words}
        out: [text]
        run:
          class: CommandLineTool
          baseCommand: [sh, -c, 'if [ "$0" = wait ] && [ ! -e GO ]; then sleep 600; fi; echo "$0"']
          inputs: {word: {type: string, inputBinding: {position: 1}}}
          outputs: {text: stdout}
          stdout: text.txt
    """
HOLD = f"""
    cwlVersion: v1.2
    class: CommandLineTool
    requirements:
      InlineJavascriptRequirement: {{}}
      ResourceRequirement: {{coresMin: 1, ramMin: 1500}}
    baseCommand: [{sys.executable}, -c, {json.dumps(HOLDS_300_MIB)}]
    inputs: []
    outputs: {{given: {{type: "int[]", outputBinding: {{outputEval: "$([runtime.cores, runtime.ram])"}}}}}}
    """
LOGIN = """
    cwlVersion: v1.2
    class: CommandLineTool
    $namespaces: {cwltool: "http://commonwl.org/cwltool#"}
    hints: {"cwltool:Secrets": {secrets: [password]}}
    baseCommand: [sh, -c, 'echo "wrong: $0" >&2; exit 3']
    inputs: {password: {type: string, inputBinding: {position: 1}}}
    outputs: []
    """


def test_a_run_is_reported_by_itself_and_afterwards(command: CommandLine) -> None:
    command.write("flow.cwl", SCATTER)
    command.write("order.yml", "words: [one, two]")
    files = ("--report", "r.html", "--timeline", "t.html", "--trace", "t.tsv")
    ended = command.run("--backend", "local", *files, "flow.cwl", "order.yml")
    assert ended.outputs
    assert "the results are in" in ended.stderr
    rows = list(csv.DictReader((command.directory / "t.tsv").read_text().splitlines(), delimiter="\t"))
    assert sorted((row["name"], row["status"], row["exit"]) for row in rows) == [
        ("say[0]", "COMPLETED", "0"),
        ("say[1]", "COMPLETED", "0"),
    ]
    for page in ("r.html", "t.html"):
        assert (command.directory / page).read_text().startswith("<!doctype html>")
    found = json.loads(command("runs", "report", "last", "--format", "json").stdout)
    assert found["state"] == "succeeded"
    assert [step["states"] for step in found["steps"]] == [{"succeeded": 2}]
    assert all(one["cpu_s"] is not None for one in found["tries"])
    shown = json.loads(command("runs", "show", found["run"]["run"], "--json").stdout)
    assert shown["steps"] == found["steps"]
    assert (command.home / "reports" / found["run"]["run"] / "report.html").is_file()


def test_what_a_run_used_advises_what_the_next_asks_for(command: CommandLine) -> None:
    command.write("hold.cwl", HOLD)
    assert command.run("--backend", "local", "hold.cwl").code == 0
    said = command("runs", "advise", "last", "--margin", "50", "-o", "new/overrides.yml")
    assert said.code == 0
    assert "Asked for and not used" in said.stderr
    (advised,) = json.loads((command.directory / "new/overrides.yml").read_text()).values()
    ram_mib = int(advised["resources"]["ram"].removesuffix("M"))
    assert 1.35 * 300 <= ram_mib <= 1.65 * 300 + 16
    cores = advised["resources"].get("cores", 1)  # two, or one where other work took half of a core
    ended = command.run("--backend", "local", "--step-overrides", "new/overrides.yml", "hold.cwl")
    assert ended.outputs == {"given": [cores, ram_mib]}


def test_what_happened_before_a_run_was_killed_is_reported_and_its_resumption_adds_to_it(command: CommandLine) -> None:
    command.write("flow.cwl", SCATTER.replace("GO", str(command.directory / "go")))
    command.write("order.yml", "words: [one, wait]")
    started = command.start(
        "run", "--outdir", command.outdir, "--name", "killed-run", "--backend", "local", "flow.cwl", "order.yml"
    )
    report = ("runs", "report", "killed-run", "--format", "json")

    def states() -> dict[str, str]:
        ended = command(*report)
        return {one["call"]: one["state"] for one in json.loads(ended.stdout)["tries"]} if ended.code == 0 else {}

    until(lambda: states() == {"say[0]": "succeeded", "say[1]": "running"}, timeout_s=170)
    started.kill()
    assert states() == {"say[0]": "succeeded", "say[1]": "running"}
    (command.directory / "go").touch()
    assert command("runs", "resume", "killed-run").code == 0
    found = json.loads(command(*report).stdout)
    assert (found["state"], found["drivers"]) == ("succeeded", 2)
    assert [step["states"] for step in found["steps"]] == [{"cached": 1, "succeeded": 1}]


def test_secrets_are_in_no_report(command: CommandLine) -> None:
    command.write("login.cwl", LOGIN)
    files = ("--report", "r.html", "--trace", "t.tsv")
    ended = command.run("--backend", "local", *files, "login.cwl", "--password", "hunter22")
    assert ended.code != 0
    made = [command.directory / "r.html", command.directory / "t.tsv"]
    made += (path for path in (command.home / "reports").rglob("*") if path.is_file())
    assert len(made) >= 4
    assert not [path for path in made if "hunter22" in path.read_text()]


def test_a_run_that_is_stopped_is_reported_into_directories_that_are_made(command: CommandLine) -> None:
    command.write("flow.cwl", SCATTER.replace("GO", str(command.directory / "go")))
    command.write("order.yml", "words: [one, wait]")
    report = ("--report", "new/r.html", "--trace", "new/t.tsv")
    started = command.start("run", "--outdir", command.outdir, "--backend", "local", *report, "flow.cwl", "order.yml")
    until(lambda: processes(["sleep", "600"]))
    started.signal(signal.SIGINT)
    assert started.ended().code == 130
    rows = list(csv.DictReader((command.directory / "new/t.tsv").read_text().splitlines(), delimiter="\t"))
    assert {row["name"]: row["status"] for row in rows}["say[1]"] == "ABORTED"
    assert (command.directory / "new/r.html").is_file()


def test_reports_that_could_not_be_written_are_refused_before_anything_runs(command: CommandLine) -> None:
    command.write("flow.cwl", SCATTER)
    ended = command.run("--report", "flow.cwl/r.html", "flow.cwl")
    assert ended.code == 2
    assert "r.html cannot be written" in ended.stderr
