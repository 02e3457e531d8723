import os
from pathlib import Path

import pytest

from cwl_prefect.engine.outputs.validate import validate
from cwl_prefect.errors import OutputError
from cwl_prefect.model.job import EntryKind, StagedEntry
from tests.calls import call


@pytest.fixture
def outdir(tmp_path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def file(path: Path, **more) -> dict:
    return {"class": "File", "location": path.as_uri(), **more}


def refusal(value, outdir: Path, *entries: StagedEntry) -> OutputError | None:
    try:
        validate({"o": value}, call(entries=entries), outdir, name="align[3]")
    except OutputError as error:
        return error
    return None


def entry(source: Path, kind: EntryKind = EntryKind.FILE) -> StagedEntry:
    return StagedEntry(kind=kind, source=str(source), target="/in/x")


def told(value, outdir: Path, *entries: StagedEntry) -> str:
    """Give what is wrong with the output, as every refusal must tell it."""
    error = refusal(value, outdir, *entries)
    assert error is not None
    assert error.step == "align[3]"
    assert str(error).startswith("align[3]: output o: ")
    return str(error)


class TestAccepted:
    @pytest.mark.parametrize("name", ["a.txt", "a b#%é.txt", "a..b", "..a", "d/e/a.txt"])
    def test_a_file_of_the_output_directory(self, outdir, name):
        path = outdir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        assert refusal(file(path), outdir) is None

    def test_a_link_within_the_output_directory(self, outdir):
        (outdir / "a").touch()
        (outdir / "link").symlink_to("a")
        assert refusal(file(outdir / "link"), outdir) is None

    def test_a_link_to_an_input(self, outdir, tmp_path):
        (tmp_path / "input").touch()
        (outdir / "link").symlink_to(tmp_path / "input")
        assert refusal(file(outdir / "link"), outdir, entry(tmp_path / "input")) is None

    def test_an_input_passed_on(self, outdir, tmp_path):
        (tmp_path / "input").touch()
        assert refusal(file(tmp_path / "input"), outdir, entry(tmp_path / "input")) is None

    def test_a_file_within_an_input_directory(self, outdir, tmp_path):
        (tmp_path / "input").mkdir()
        (tmp_path / "input" / "a").touch()
        assert refusal(file(tmp_path / "input" / "a"), outdir, entry(tmp_path / "input", EntryKind.DIRECTORY)) is None

    def test_a_directory_with_links_within_the_output_directory(self, outdir):
        (outdir / "d" / "e").mkdir(parents=True)
        (outdir / "a").touch()
        (outdir / "d" / "e" / "link").symlink_to("../../a")
        assert refusal({"class": "Directory", "location": (outdir / "d").as_uri()}, outdir) is None

    def test_an_output_directory_reached_by_a_link(self, outdir, tmp_path):
        (outdir / "a").touch()
        (tmp_path / "alias").symlink_to(outdir)
        assert refusal(file(outdir / "a"), tmp_path / "alias") is None

    @pytest.mark.parametrize(
        "value",
        [
            None,
            5,
            "text",
            [],
            {"class": "File", "contents": "literal", "basename": "a"},
            {"class": "File", "location": "_:1"},
            {"class": "File", "location": "https://e.org/a"},
        ],
        ids=["null", "number", "text", "empty-array", "literal", "unnamed-literal", "url"],
    )
    def test_what_is_no_file_of_this_machine(self, outdir, value):
        assert refusal(value, outdir) is None


class TestRefused:
    def test_a_file_that_does_not_exist(self, outdir):
        assert "does not exist" in told(file(outdir / "gone"), outdir)

    def test_a_link_that_leads_nowhere(self, outdir):
        (outdir / "link").symlink_to("gone")
        assert "is a link to" in told(file(outdir / "link"), outdir)

    def test_a_link_that_leaves(self, outdir, tmp_path):
        (tmp_path / "secret").touch()
        (outdir / "link").symlink_to(tmp_path / "secret")
        assert "outside the output directory" in told(file(outdir / "link"), outdir)

    def test_a_file_behind_a_linked_directory_that_leaves(self, outdir, tmp_path):
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "a").touch()
        (outdir / "d").symlink_to(tmp_path / "other")
        assert "outside the output directory" in told(file(outdir / "d" / "a"), outdir)

    def test_a_directory_with_a_link_that_leaves(self, outdir, tmp_path):
        (tmp_path / "secret").touch()
        (outdir / "d" / "e").mkdir(parents=True)
        (outdir / "d" / "e" / "link").symlink_to(tmp_path / "secret")
        value = {"class": "Directory", "location": (outdir / "d").as_uri()}
        assert "outside the output directory" in told(value, outdir)

    @pytest.mark.parametrize(
        "spelled",
        [
            pytest.param(lambda outdir: outdir.as_uri(), id="uri"),
            pytest.param(lambda outdir: f"file:{outdir}", id="uri-without-slashes"),
            pytest.param(str, id="path"),
            pytest.param(lambda outdir: f"{outdir}/../out", id="path-with-dots"),
        ],
    )
    def test_a_link_that_leaves_the_output_directory_where_that_is_the_output(self, outdir, tmp_path, spelled):
        (tmp_path / "secret").touch()
        (outdir / "link").symlink_to(tmp_path / "secret")
        assert "outside the output directory" in told({"class": "Directory", "location": spelled(outdir)}, outdir)

    @pytest.mark.parametrize("mark", ["?", "#"])
    def test_a_path_that_climbs_out_where_a_uri_may_have_ended(self, outdir, tmp_path, mark):
        (tmp_path / "secret").touch()
        (outdir / "a").touch()
        (outdir / f"a{mark}").mkdir()
        value = {"class": "File", "location": f"{outdir.as_uri()}/a{mark}/../../secret"}
        assert "outside the output directory" in told(value, outdir)

    def test_a_path_that_climbs_out(self, outdir, tmp_path):
        (tmp_path / "secret").touch()
        value = {"class": "File", "location": f"{outdir.as_uri()}/../secret"}
        assert "outside the output directory" in told(value, outdir)

    def test_a_file_elsewhere(self, outdir):
        assert "outside" in told({"class": "File", "location": "file:///etc/passwd"}, outdir)

    def test_a_neighbour_with_a_longer_name(self, outdir, tmp_path):
        (tmp_path / "out2").touch()
        assert "outside" in told(file(tmp_path / "out2"), outdir)

    def test_a_neighbour_of_an_input(self, outdir, tmp_path):
        (tmp_path / "input").touch()
        (tmp_path / "other").touch()
        assert "outside" in told(file(tmp_path / "other"), outdir, entry(tmp_path / "input"))

    def test_the_text_of_a_literal_opens_no_place(self, outdir):
        literal = StagedEntry(kind=EntryKind.LITERAL, source="/etc", target="/in/x")
        assert "outside" in told({"class": "File", "location": "file:///etc/passwd"}, outdir, literal)

    @pytest.mark.parametrize(
        "wrap",
        [
            pytest.param(lambda bad: [bad], id="in-an-array"),
            pytest.param(lambda bad: {"field": bad}, id="in-a-record"),
            pytest.param(lambda bad: {"class": "File", "location": "_:1", "secondaryFiles": [bad]}, id="secondary"),
            pytest.param(lambda bad: {"class": "Directory", "listing": [bad]}, id="in-a-listing"),
        ],
    )
    def test_a_bad_file_anywhere(self, outdir, wrap):
        assert "does not exist" in told(wrap(file(outdir / "gone")), outdir)

    def test_a_directory_with_a_pipe(self, outdir):
        (outdir / "d" / "e").mkdir(parents=True)
        os.mkfifo(outdir / "d" / "e" / "pipe")
        value = {"class": "Directory", "location": (outdir / "d").as_uri()}
        assert "d/e/pipe is neither a file nor a directory" in told(value, outdir)

    def test_a_directory_with_a_link_to_a_pipe(self, outdir):
        (outdir / "d").mkdir()
        os.mkfifo(outdir / "pipe")
        (outdir / "d" / "link").symlink_to("../pipe")
        value = {"class": "Directory", "location": (outdir / "d").as_uri()}
        assert "d/link is neither a file nor a directory" in told(value, outdir)

    def test_a_directory_with_directories_in_each_other_without_end(self, outdir):
        Path(outdir, *"d" * 101).mkdir(parents=True)
        value = {"class": "Directory", "location": (outdir / "d").as_uri()}
        assert "nested deeper than 100 levels" in told(value, outdir)


@pytest.mark.parametrize("target", ["nowhere", "/no/such/place"], ids=["relative", "absolute"])
@pytest.mark.parametrize("below", ["", "deep/"], ids=["at-once", "below"])
def test_a_link_of_a_directory_that_leads_nowhere_is_named(outdir, caplog, target, below):
    made = outdir / "made"
    (made / below).mkdir(parents=True, exist_ok=True)
    (made / below / "lost").symlink_to(target)
    assert refusal({"class": "Directory", "location": made.as_uri()}, outdir) is None
    assert f"align[3]: output o: {below}lost -> {target}: a link that leads nowhere is left out" in caplog.text
