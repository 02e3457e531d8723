import pytest

from cwl_prefect.cwl.messages import LONGEST_MESSAGE, call_message, document_message


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


class TestCalls:
    def test_placeholder_places_are_taken_off(self):
        assert call_message("plan:1:1: Missing x\nplan:2:3:   the y") == "Missing x\nthe y"

    def test_random_identifiers_are_taken_off(self):
        assert call_message("_:12ab-34:1:1: Missing") == "Missing"

    def test_tracebacks_are_taken_off(self):
        text = (
            'Expression failed\nTraceback (most recent call last):\n  File "x.py", line 3, in f\n    g()\nKeyError: 1'
        )
        assert call_message(text) == "Expression failed\nKeyError: 1"

    def test_urls_become_paths(self):
        assert call_message("no file:///a/b.txt here") == "no /a/b.txt here"

    def test_long_messages_are_bounded(self):
        assert len(call_message("x" * 10 * LONGEST_MESSAGE)) < LONGEST_MESSAGE + 100
