import os

import pytest

from cwl_prefect._lib.hashing import digits
from cwl_prefect._lib.uris import file_uri
from cwl_prefect.engine.cache.checksums import Checksums
from cwl_prefect.reports.crate.data import Data
from cwl_prefect.reports.crate.entities import Entities
from tests.unit.reports.crate.crates import file, references

LATER = 4e9


def data(*values, copied=True, until=LATER):
    made = Data(Entities(), run="run", until=until, copied=copied, checksums=Checksums(None))
    for value in values:
        made.note(value)
    return made


def found(made):
    return {entity["@id"]: entity for entity in made._entities.graph()}


def test_a_file_is_copied_to_where_its_checksum_says(tmp_path):
    given = file(tmp_path / "reads.fq", "ACGT")
    made = data(given)
    [identifier] = made.references(given)
    assert identifier == f"data/{digits(given['checksum'])}/reads.fq"
    assert made.sources == {identifier: tmp_path / "reads.fq"}
    assert found(made)[identifier]["contentSize"] == "4"


@pytest.mark.parametrize("copied", [True, False])
def test_a_file_without_a_checksum_gets_one(tmp_path, copied):
    given = file(tmp_path / "a", "A")
    bare = {"class": "File", "location": given["location"]}
    made = data(bare, copied=copied)
    [identifier] = made.references(bare)
    assert found(made)[identifier]["sha1"] == digits(given["checksum"])
    assert identifier.startswith("data/" if copied else "urn:hash::sha1:")
    assert bool(made.sources) is copied


def test_a_file_is_one_wherever_it_lay(tmp_path):
    made_by_step, published = file(tmp_path / "work/o.txt", "x"), file(tmp_path / "out/o.txt", "x")
    (tmp_path / "work/o.txt").unlink()
    made = data(made_by_step, published)
    assert made.references(made_by_step) == made.references(published)
    assert list(made.sources.values()) == [tmp_path / "out/o.txt"]


def test_a_file_that_changed_since_is_named_and_not_copied(tmp_path):
    given = file(tmp_path / "a", "A")
    (tmp_path / "a").write_text("B")
    made = data(given)
    assert made.references(given) == [f"urn:hash::sha1:{digits(given['checksum'])}#a"]
    assert not made.sources


def test_an_input_that_changed_after_the_run_has_no_checksum(tmp_path):
    given = file(tmp_path / "a", "A", checksum=None)
    made = data(given, until=1000.0)
    [identifier] = made.references(given)
    assert identifier.startswith("urn:uuid:")
    assert "sha1" not in found(made)[identifier]


def test_an_address_loses_what_may_be_secret():
    given = {"class": "File", "location": "https://ada:pw@example.org/a.txt?token=t#f"}
    made = data(given)
    assert made.references(given) == ["https://example.org/a.txt"]
    assert found(made)["https://example.org/a.txt"]["name"] == "a.txt"


def test_a_file_with_secondary_files_is_a_collection(tmp_path):
    given = file(tmp_path / "a.bam", "A", secondaryFiles=[file(tmp_path / "a.bai", "B")])
    made = data(given)
    [identifier] = made.references(given)
    collection = found(made)[identifier]
    assert collection["@type"] == "Collection"
    assert [name.rpartition("/")[2] for name in references(collection, "hasPart")] == ["a.bam", "a.bai"]


def test_a_literal_is_copied_from_its_text():
    given = {"class": "File", "basename": "note.txt", "contents": "hi"}
    made = data(given)
    [identifier] = made.references(given)
    assert made.sources == {identifier: b"hi"}


def test_a_directory_is_copied_with_its_files_but_not_what_links_lead_to(tmp_path):
    file(tmp_path / "d/inner/a", "A")
    file(tmp_path / "secret", "S")
    (tmp_path / "d/link").symlink_to(tmp_path / "secret")
    given = {"class": "Directory", "location": file_uri(tmp_path / "d")}
    made = data(given)
    [identifier] = made.references(given)
    assert identifier.endswith("/d/")
    assert [name.removeprefix(identifier) for name in made.sources] == ["", "inner/a"]
    assert references(found(made)[identifier], "hasPart") == [f"{identifier}inner/a"]


def test_a_directory_that_changed_since_is_named_by_its_listing(tmp_path):
    inner = file(tmp_path / "d/a", "A")
    given = {"class": "Directory", "location": file_uri(tmp_path / "d"), "listing": [inner]}
    made = data(given, until=1000.0)
    [identifier] = made.references(given)
    assert identifier.startswith("urn:uuid:")
    assert len(references(found(made)[identifier], "hasPart")) == 1


@pytest.mark.parametrize("name", ["..", "a/../../b", "/etc/passwd", "", "."])
def test_no_name_leads_out_of_the_crate(tmp_path, name):
    given = file(tmp_path / "a", "A", basename=name)
    made = data(given)
    made.references(given)
    assert [path.rpartition("/")[2] for path in made.sources] in (["File"], ["a"])


def test_names_that_are_no_text_are_written_as_text(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff.txt")
    made = data(given := file(path, "A"))
    [identifier] = made.references(given)
    assert identifier.endswith("/%3F.txt")
    assert found(made)[identifier]["name"] == "?.txt"


def test_values_that_are_not_plain_become_text(tmp_path):
    given = {"n": [1, 2], "f": file(tmp_path / "a", "A")}
    made = data(given)
    [identifier] = made.references(given)
    assert made.text(given) == f'{{"n": [1, 2], "f": {{"@id": "{identifier}"}}}}'
    assert made.text(1.5) == 1.5
