"""Tools of command lines: what is guessed, that it is valid, and that it runs the same command again."""

import pytest
from ruamel.yaml import YAML

from cwl_prefect.cwl.checking.validate import check_document
from cwl_prefect.engine.workflow.tool_of_command import tool_of_command


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "reads.fq").write_text("")
    (tmp_path / "genome").mkdir()
    return tmp_path


def made(command: str, directory):
    return YAML(typ="safe").load(tool_of_command(command.split(" "), directory))


@pytest.mark.parametrize(
    ("arguments", "name", "declared", "default"),
    [
        ("reads.fq", "file", "File", None),
        ("genome", "directory", "Directory", None),
        ("--threads 4", "threads", "int", 4),
        ("--size 5000000000", "size", "long", 5000000000),
        ("-x -1.5", "x", "double", -1.5),
        ("--tag 007", "tag", "string", "007"),
        ("--rate 1e3", "rate", "string", "1e3"),
        ("--Dry-Run", "dry_run", "boolean", True),
        ("--name=a=b", "name", "string", "a=b"),
        ("word", "text", "string", "word"),
        ("$(inputs.x)", "text", "string", "$(inputs.x)"),
        ("99999999999999999999999999999999", "text", "string", "9" * 32),
    ],
)
def test_inputs_are_guessed_from_arguments(directory, arguments, name, declared, default):
    (found,) = made(f"tool {arguments}", directory)["inputs"].items()
    assert found[0] == name
    assert (found[1]["type"], found[1].get("default")) == (declared, default)


def test_options_keep_their_order_and_form(directory):
    inputs = made("tool -v --level=3 -k 2 reads.fq", directory)["inputs"]
    assert [(name, entry["inputBinding"]) for name, entry in inputs.items()] == [
        ("v", {"position": 1, "prefix": "-v"}),
        ("level", {"position": 2, "prefix": "--level=", "separate": False}),
        ("k", {"position": 3, "prefix": "-k"}),
        ("file", {"position": 4}),
    ]


def test_names_are_used_once(directory):
    assert list(made("cat reads.fq reads.fq -a 1 -A 2", directory)["inputs"]) == ["file", "file_2", "a", "a_2"]


@pytest.mark.parametrize(
    ("command", "program"),
    [("samtools sort -n", ["samtools", "sort"]), ("echo hello", "echo"), ("/bin/my-tool", "/bin/my-tool")],
)
def test_a_word_before_an_option_is_a_subcommand(directory, command, program):
    assert made(command, directory)["baseCommand"] == program


def test_what_is_written_and_printed_are_outputs(directory):
    tool = made("sort -o sorted.txt reads.fq", directory)
    assert tool["outputs"] == {
        "output": {"type": "File", "outputBinding": {"glob": "$(inputs.o)"}},
        "printed": "stdout",
    }
    assert list(made("sort -o /tmp/sorted.txt", directory)["outputs"]) == ["printed"]


@pytest.mark.parametrize(
    "command",
    ["true", "sort -o out reads.fq", "a b -c", "x $(y) ${z} --a='$('", "t \x00 - -- : # ! & * yes", "t ü=1 --ö -ß 1"],
    ids=range(6),
)
def test_the_tool_is_valid(directory, command):
    path = directory / "tool.cwl"
    path.write_text(tool_of_command(command.split(" "), directory), "utf-8")
    assert check_document(str(path)).findings == ()
