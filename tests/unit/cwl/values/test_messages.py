import pytest

from cwl_prefect.cwl.values.messages import LONGEST_MESSAGE, document_message


class TestDocuments:
    def test_paths_below_the_current_directory_are_short(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert document_message(f"{tmp_path.as_uri()}/a/b.cwl:3:5: wrong") == "a/b.cwl:3:5: wrong"

    def test_other_paths_are_plain_paths(self):
        assert document_message("file:///far/away.cwl:3:5: wrong") == "/far/away.cwl:3:5: wrong"

    @pytest.mark.parametrize("quote", ["'", '"', "#", " "])
    def test_a_url_ends_before(self, quote):
        assert document_message(f"see file:///far/away.cwl{quote}") == f"see /far/away.cwl{quote}".strip()

    def test_colours_are_taken_off(self):
        assert document_message("\x1b[1;31mwrong\x1b[0m") == "wrong"

    def test_long_messages_keep_both_ends(self):
        text = document_message("begin " + "x" * 3 * LONGEST_MESSAGE + " end")
        assert text.startswith("begin ")
        assert text.endswith(" end")
        assert len(text) < LONGEST_MESSAGE + 100
        assert "characters left out" in text
