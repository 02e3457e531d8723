import hashlib
import json
import os
from pathlib import Path

import pytest

from cwl_prefect.engine.records.batch import (
    RECORD,
    Done,
    Record,
    Row,
    Unreadable,
    is_table,
    rows,
    run_key,
    sources,
    unique_keys,
    unique_names,
)
from cwl_prefect.errors import InputError, PublishError, UsageError


def written(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.write_text(text)
    return path


class TestSources:
    def test_files_stay_in_order_and_patterns_are_expanded(self, tmp_path):
        for name in ("b.yml", "a.yml", "c.csv"):
            (tmp_path / name).touch()
        given = [str(tmp_path / "c.csv"), str(tmp_path / "*.yml")]
        assert [path.name for path in sources(given)] == ["c.csv", "a.yml", "b.yml"]

    def test_a_file_may_have_the_name_of_a_pattern(self, tmp_path):
        (tmp_path / "a[1].yml").touch()
        assert sources([str(tmp_path / "a[1].yml")]) == [tmp_path / "a[1].yml"]

    def test_all_that_are_not_there_are_named(self, tmp_path):
        with pytest.raises(UsageError, match=r"no file .*x\.yml, .*y\*\.yml\."):
            sources([str(tmp_path / "x.yml"), str(tmp_path / "y*.yml")])


class TestTables:
    def test_columns_are_inputs_and_empty_cells_are_left_out(self, tmp_path):
        path = written(tmp_path, "t.csv", 'sample,reads\na,"x, y"\nb,\n')
        assert [(row.number, row.cells) for row in rows(path)] == [
            (1, {"sample": "a", "reads": "x, y"}),
            (2, {"sample": "b"}),
        ]

    def test_tabs_and_byte_order_marks_are_understood(self, tmp_path):
        path = tmp_path / "t.tsv"
        path.write_bytes("\ufeffsample\treads\na\tb, c\n".encode())
        assert [row.cells for row in rows(path)] == [{"sample": "a", "reads": "b, c"}]

    @pytest.mark.parametrize("text", ["good\nmorning", "good\r\nmorning", "a\x85b\u2028c\x0cd"])
    def test_a_quoted_cell_keeps_its_line_breaks(self, tmp_path, text):
        path = tmp_path / "t.csv"
        path.write_bytes(f'message,n\r\n"{text}",1\r\nb,2\r\n'.encode())
        assert [row.cells for row in rows(path)] == [{"message": text, "n": "1"}, {"message": "b", "n": "2"}]

    def test_a_json_text_may_have_other_separators_than_line_feeds(self, tmp_path):
        path = tmp_path / "t.jsonl"
        path.write_bytes('{"message": "a\x85b\u2028c"}\r\n{"message": "d"}\r\n'.encode())
        assert [row.cells for row in rows(path)] == [{"message": "a\x85b\u2028c"}, {"message": "d"}]

    def test_json_lines_keep_their_types(self, tmp_path):
        path = written(tmp_path, "t.jsonl", '{"n": 1}\n\n{"n": [2]}\n')
        assert [(row.place.rpartition(", ")[2], row.cells) for row in rows(path)] == [
            ("row 1", {"n": 1}),
            ("row 2", {"n": [2]}),
        ]

    @pytest.mark.parametrize(
        ("name", "text", "said"),
        [
            ("t.csv", "a,a\n1,2\n", "two columns"),
            ("t.csv", "a,\n1,2\n", "two columns"),
            ("t.csv", "a\n1,2\n", "row 1: it has more cells"),
            ("t.csv", '"a"b\n1\n', "t.csv: its heading cannot be read"),
            ("t.csv", 'a\n"1"2\n', "row 1: ',' expected"),
            ("t.csv", 'a\n"1\n', "row 1: unexpected end"),
            ("t.jsonl", "{\n", "row 1: no JSON"),
            ("t.jsonl", "[1]\n", "row 1: not an object"),
            ("missing.csv", None, "missing.csv: it cannot be read"),
        ],
    )
    def test_what_is_wrong_is_said(self, tmp_path, name, text, said):
        [found] = rows(tmp_path / name if text is None else written(tmp_path, name, text))
        assert isinstance(found, Unreadable)
        assert said in f"{found.place}: {found.problem}"
        with pytest.raises(InputError):
            found.refuse()

    @pytest.mark.parametrize(
        ("name", "text"),
        [("t.csv", 'n,m\n1,2\n1,2,3\n4,5\n"6"7,8\n9,0\n'), ("t.jsonl", '{"n": 1}\n[]\n{"n": 4}\n{\n{"n": 9}\n')],
    )
    def test_a_row_that_cannot_be_read_hides_no_other(self, tmp_path, name, text):
        found = list(rows(written(tmp_path, name, text)))
        assert [row.place.rpartition(" ")[2] for row in found if isinstance(row, Unreadable)] == ["2", "4"]
        assert [str(row.cells["n"]) for row in found if isinstance(row, Row)] == ["1", "4", "9"]

    def test_job_orders_are_none(self):
        assert not is_table(Path("a.yml"))
        assert is_table(Path("A.CSV"))


class TestKeys:
    def test_workflow_inputs_and_files_make_the_key(self, tmp_path):
        path = written(tmp_path, "in.txt", "1")
        order = {"n": 1, "file": {"class": "File", "location": path.as_uri()}}
        key = run_key("sha256:1", order, order)
        assert key == run_key("sha256:1", dict(reversed(order.items())), order)
        assert key != run_key("sha256:2", order, order)
        assert key != run_key("sha256:1", {**order, "n": 2}, order)
        path.write_text("22")
        assert key != run_key("sha256:1", order, order)

    def test_a_key_of_plain_files_is_that_of_earlier_records(self, tmp_path):
        path = written(tmp_path, "in put.txt", "1")
        os.utime(path, ns=(5, 5))
        order = {"file": {"class": "File", "location": f"file://{path}"}}
        prepared = {"file": {"class": "File", "location": path.as_uri(), "basename": "in put.txt"}, "n": None}
        text = json.dumps(["sha256:1", order, [[1, 5]]], sort_keys=True)
        assert run_key("sha256:1", order, prepared) == hashlib.sha256(text.encode()).hexdigest()

    def test_a_secondary_file_that_is_not_named_counts(self, tmp_path):
        path, index = written(tmp_path, "a.bam", "1"), written(tmp_path, "a.bam.bai", "1")
        order = {"file": {"class": "File", "location": path.as_uri()}}
        beside = [{"class": "File", "location": index.as_uri()}]
        prepared = {"file": {"class": "File", "location": path.as_uri(), "secondaryFiles": beside}}
        key = run_key("sha256:1", order, prepared)
        assert key == run_key("sha256:1", order, prepared)
        index.write_text("22")
        assert key != run_key("sha256:1", order, prepared)

    @pytest.mark.parametrize("change", ["content", "new", "empty directory", "removed", "below a link"])
    def test_what_is_in_a_directory_counts(self, tmp_path, change):
        directory, elsewhere = tmp_path / "d", tmp_path / "elsewhere"
        (directory / "below").mkdir(parents=True)
        elsewhere.mkdir()
        inside, linked = written(directory / "below", "a", "1"), written(elsewhere, "b", "1")
        (directory / "link").symlink_to(elsewhere)
        (elsewhere / "up").symlink_to(directory)
        order = {"d": {"class": "Directory", "location": directory.as_uri()}}
        key = run_key("sha256:1", order, order)
        assert key == run_key("sha256:1", order, order)
        match change:
            case "content":
                inside.write_text("22")
            case "new":
                (directory / "below" / "new").touch()
            case "empty directory":
                (directory / "below" / "new").mkdir()
            case "removed":
                inside.unlink()
            case _:
                linked.write_text("22")
        assert key != run_key("sha256:1", order, order)

    def test_a_touched_file_counts_as_changed(self, tmp_path):
        path = written(tmp_path, "in.txt", "1")
        order = {"file": {"class": "File", "location": path.as_uri()}}
        key = run_key("sha256:1", order, order)
        os.utime(path, ns=(1, 1))
        assert key != run_key("sha256:1", order, order)

    def test_the_same_inputs_twice_are_two_runs(self):
        first, second = unique_keys(["a", "a"])
        assert first == "a"
        assert second not in ("a", "")
        assert unique_keys(["a", "a"]) == [first, second]

    def test_names_are_safe_and_unique(self):
        found = unique_names(
            ["a", "../b/c", "d", "d", "..", RECORD], ["1" * 64, "2" * 64, "3" * 64, "4" * 64, "5" * 64, "6" * 64]
        )
        assert found == ["a", "b_c", "d-33333333", "d-44444444", "run", f"{RECORD}-66666666"]


class TestRecord:
    def test_the_last_end_counts(self, tmp_path):
        record = Record(tmp_path / "out")
        assert record.completed() == {}
        record.add(Done(key="1", name="a", status="failed"))
        record.add(Done(key="2", name="b", status="completed", outputs={"n": 1}))
        record.add(Done(key="1", name="a", status="completed"))
        record.add(Done(key="3", name="c", status="partial"))
        assert {key: done.outputs for key, done in Record(tmp_path / "out").completed().items()} == {
            "1": {},
            "2": {"n": 1},
        }

    def test_a_run_whose_results_were_removed_is_not_complete(self, tmp_path):
        record, kept, removed = Record(tmp_path / "out"), tmp_path / "kept #1.txt", tmp_path / "removed"
        kept.touch()
        removed.mkdir()
        elsewhere = {"class": "File", "location": "s3://bucket/x"}
        for key, result in (("1", kept), ("2", removed)):
            kind = "Directory" if result.is_dir() else "File"
            outputs = {"all": [elsewhere, {"class": kind, "location": result.as_uri()}], "n": 1}
            record.add(Done(key=key, name=key, status="completed", outputs=outputs))
        assert list(record.completed()) == ["1", "2"]
        removed.rmdir()
        assert list(record.completed()) == ["1"]

    def test_a_line_cut_short_is_left_out(self, tmp_path):
        record = Record(tmp_path)
        record.add(Done(key="1", name="a", status="completed"))
        with (tmp_path / RECORD).open("a") as file:
            file.write(json.dumps({"key": "2"})[:5])
        assert list(record.completed()) == ["1"]

    def test_texts_with_other_separators_than_line_feeds_are_found_again(self, tmp_path):
        Record(tmp_path).add(Done(key="1", name="a", status="completed", outputs={"text": "a\x85b\u2028c\x0cd"}))
        assert list(Record(tmp_path).completed()) == ["1"]

    @pytest.mark.parametrize("below", ["", "below"])
    def test_a_file_is_no_directory_for_results(self, tmp_path, below):
        (tmp_path / "out").touch()
        record = Record(tmp_path / "out" / below)
        with pytest.raises(PublishError, match="cannot be read: Not a directory"):
            record.completed()
        with pytest.raises(PublishError, match="cannot be written"):
            record.add(Done(key="1", name="a", status="completed"))
