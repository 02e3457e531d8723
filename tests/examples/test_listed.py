"""Every example is a test: no document without an entry in tests.yml, no entry without its files."""

from pathlib import Path

from ruamel.yaml import YAML

EXAMPLES = Path(__file__).parents[2] / "examples" / "cwl"


def entries() -> list[dict[str, object]]:
    return YAML(typ="safe").load(EXAMPLES / "tests.yml")


def test_every_example_has_an_entry_and_every_entry_its_files() -> None:
    folders = sorted(folder.name for folder in EXAMPLES.iterdir() if folder.is_dir())

    assert sorted(str(entry["tool"]) for entry in entries()) == [f"{folder}/{folder}.cwl" for folder in folders]
    for entry in entries():
        assert (EXAMPLES / str(entry["tool"])).is_file()
        assert (EXAMPLES / str(entry["job"])).is_file()


def test_every_entry_expects_something() -> None:
    assert all(entry["output"] for entry in entries())
