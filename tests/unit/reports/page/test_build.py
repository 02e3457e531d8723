import base64
import hashlib
import json
import re
from html.parser import HTMLParser

from cwl_prefect.reports.page.build import page
from cwl_prefect.reports.page.graph import LARGEST_GRAPH
from cwl_prefect.reports.record import read_record
from tests.unit.reports.traces import ENDED, STARTED, tried, write

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def built(directory, *lines, started=STARTED, **options):
    return page(read_record(write(directory, started, *lines, ENDED)), **options)


def data_of(text):
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])


def test_what_comes_from_a_run_never_becomes_markup(tmp_path):
    drawing = {
        **STARTED["drawing"],
        "lines": [HOSTILE],
        "nodes": [{"id": "s1", "kind": "tool", "lines": [HOSTILE]}],
    }
    started = {**STARTED, "name": HOSTILE, "workflow": HOSTILE, "inputs": {HOSTILE: HOSTILE}, "drawing": drawing}
    text = built(tmp_path, tried(HOSTILE, "failed", message=HOSTILE, node=HOSTILE), started=started)
    tags = Tags(text).found
    assert [tag for tag, _ in tags].count("script") == 3
    assert not any(tag == "img" or any(name.startswith("on") for name in attributes) for tag, attributes in tags)
    assert data_of(text)["inputs"] == {HOSTILE: HOSTILE}


def test_the_page_needs_no_network_and_runs_no_script_but_its_own(tmp_path):
    text = built(tmp_path, tried("align[0]"))
    tags = Tags(text).found
    assert not any({"src", "href"} & set(attributes) for _, attributes in tags)
    policy = next(attributes["content"] for tag, attributes in tags if attributes.get("http-equiv"))
    assert policy.startswith("default-src 'none';")
    scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(hashes) == 2
    assert all(f"'sha256-{known}'" in policy for known in hashes)


def test_the_graph_says_what_became_of_the_calls_of_each_step(tmp_path):
    text = built(tmp_path, tried("align[0]"), tried("align[1]", "failed"))
    assert "1 succeeded, 1 failed" in text.partition("<template")[2].partition("</template>")[0]


def test_a_subworkflow_is_a_box_that_unfolds_to_its_own_graph(tmp_path):
    inner = {"id": "w2", "lines": ["map"], "nodes": [{"id": "s2", "kind": "tool", "lines": ["sort"]}], "inner": []}
    edges = [{"source": "s1", "target": "s2"}]
    started = {**STARTED, "drawing": {**STARTED["drawing"], "inner": [inner], "edges": edges}}
    text = built(tmp_path, tried("align"), tried("map.sort", "failed"), started=started)
    graph = text.partition("<template")[2].partition("</template>")[0]
    folded, _, unfolded = graph.partition("<details open><summary>map: 1 failed</summary>")
    assert ("sort" in folded, "marker-end" in folded) == (False, True)
    assert ("sort" in unfolded, "marker-end" in unfolded) == (True, False)


def test_a_graph_that_nobody_could_read_is_left_out(tmp_path):
    nodes = [{"id": f"s{n}", "kind": "tool", "lines": [f"s{n}"]} for n in range(LARGEST_GRAPH + 1)]
    text = built(tmp_path, started={**STARTED, "drawing": {**STARTED["drawing"], "nodes": nodes}})
    assert '<template id="graph"></template>' in text


def test_the_timeline_is_a_page_of_its_own(tmp_path):
    found = data_of(built(tmp_path, tried("align[0]"), timeline=True))
    assert found["only"] == "timeline"


def test_text_of_the_run_that_looks_like_a_place_of_the_page_is_left_alone(tmp_path):
    assert data_of(built(tmp_path, tried("a"), started={**STARTED, "inputs": {"x": "{{script}}"}}))["inputs"] == {
        "x": "{{script}}"
    }
