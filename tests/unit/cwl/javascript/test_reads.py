"""What expressions read is recorded while they are evaluated, whatever their text says."""

import json

import pytest

from cwl_prefect.cwl.javascript import engine
from cwl_prefect.cwl.javascript.expressions import Scope, Script
from cwl_prefect.cwl.javascript.reads import Recorder, longer, shorter
from cwl_prefect.model.cache import Recorded

OUTDIR, STAGED = "/runs/this/out", "/runs/this/stage"
INDEX = {"class": "File", "location": "file:///data/x.idx", "path": f"{STAGED}/0/x.idx", "basename": "x.idx"}
FILE = {
    "class": "File",
    "location": "file:///data/x.txt",
    "path": f"{STAGED}/0/x.txt",
    "dirname": f"{STAGED}/0",
    "basename": "x.txt",
    "nameroot": "x",
    "nameext": ".txt",
    "size": 3,
    "secondaryFiles": [INDEX],
}
INPUTS = {"f": FILE, "fs": [{**FILE}, {**FILE}], "n": 3, "r": {"inner": {**FILE}}}
ALL = {"*", "location", "size"}


@pytest.fixture(scope="module", autouse=True)
def _engine() -> None:
    engine.install(timeout_s=20, memory_mib=64)


def recorded(text: str, own: object = None, *, library: tuple[str, ...] = (), collecting: bool = False) -> Recorded:
    recorder = Recorder(directories=(OUTDIR, STAGED))
    if collecting:
        recorder.collects(OUTDIR)
    runtime = {"outdir": OUTDIR, "tmpdir": "/runs/this/tmp", "cores": 2}
    script = Script(library=library)
    Scope(inputs=INPUTS, runtime=runtime, script=script, recorder=recorder).evaluate(text, own)
    return recorder.recorded()


def reads(text: str, own: object = None, **more) -> set[tuple[str | None, str]]:
    return {(read.port, read.field) for read in recorded(text, own, **more).reads}


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("$(inputs.f.basename)", set()),
        ("$(inputs.f.path)", set()),
        ("$(inputs.f.location)", {"location"}),
        ("$(inputs['f']['size'])", {"size"}),
        ("$(inputs.f.secondaryFiles[0].location)", {"location"}),
        ("$(inputs.f)", set()),
        ("in a text: $(inputs.f)", ALL | {"checksum", "contents", "format", "listing"}),
        ("${return inputs.f.nameroot + inputs.n;}", set()),
        ("${return inputs.f.path;}", set()),
        ("${return inputs['loc' + 'ation'] || inputs.f['loc' + 'ation'];}", {"location"}),
        ("${var o = inputs.f; return o.secondaryFiles[0].location;}", {"location"}),
        ("${return 'format' in inputs.f;}", {"format"}),
        ("${return inputs.f.hasOwnProperty('checksum');}", {"checksum"}),
        ("${var r = []; for (var k in inputs.f) r.push(inputs.f[k]); return r.length;}", ALL),
        ("${return Object.keys(inputs.f).length;}", ALL),
        ("${return JSON.stringify(inputs.f);}", ALL),
        ("${return {...inputs.f}.size;}", ALL),
        ("${return Object.assign({}, inputs.f).basename;}", ALL),
        ("${return {toJSON: function () {return inputs.f.location;}};}", {"location"}),
        ("${return inputs.f;}", set()),
        ("${inputs.f.basename = 'y'; return inputs.f;}", set()),
        ("${return [inputs.f, null];}", set()),
        ("${return {a: inputs.f};}", ALL | {"checksum", "contents", "format", "listing"}),
        ("${return inputs.f === inputs.f && Object.freeze(inputs.n) && typeof inputs.f.nope;}", set()),
    ],
)
def test_what_is_read_of_a_file_is_recorded(text: str, fields: set[str]):
    assert reads(text) == {("f", field) for field in fields}


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("$(inputs.fs[1].location)", "fs"),
        ("$(inputs.r.inner.location)", "r"),
        ("${return inputs.fs.map(function (f) {return f.location;});}", "fs"),
        ("${return inputs.r.inner.location;}", "r"),
    ],
)
def test_the_input_is_known(text: str, port: str):
    assert reads(text) == {(port, "location")}


@pytest.mark.parametrize("text", ["$(self.location)", "${return self.location;}"])
def test_self_is_known_by_identity_and_else_may_be_any_input(text: str):
    assert reads(text, INPUTS["fs"][1]) == {("fs", "location")}
    assert reads(text, {**FILE}) == {(None, "location")}


def test_functions_of_a_library_are_seen_too():
    library = (
        "function place(file) { return file.location; }",
        "Object.prototype.toString = null; Array.prototype.push = null;",
    )
    assert reads("$(place(inputs.f))", library=library) == {("f", "location")}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$(runtime.outdir)", set()),
        ("$(runtime.cores)", {(None, "resources")}),
        ("${return runtime.cores + 1;}", {(None, "resources")}),
        ("${return JSON.stringify(runtime);}", {(None, "resources")}),
        ("${return runtime.outdir + '/x';}", set()),
    ],
)
def test_what_the_machine_gives_is_recorded(text: str, found: set):
    assert reads(text) == found


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("${return Math.random();}", "Math.random"),
        ("${return Date.now();}", "Date.now"),
        ("${return new Date().getTime();}", "Date"),
        ("${return Date();}", "Date"),
        ("${return +new (new Date(0).constructor)();}", "Date"),
        ("${class Later extends Date {} return +new Later();}", "Date"),
        ("${return performance.now();}", "performance.now"),
        ("${[3, 1].sort(() => Math.random()); return 1;}", "Math.random"),
    ],
)
def test_chance_is_an_obstacle(text: str, what: str):
    assert f"{text} calls {what}," in (recorded(text).obstacle or "")


@pytest.mark.parametrize(
    "text",
    [
        "${return new Date(0).getHours() + new Date(2020, 1).getTime() + Date.UTC(2020, 1) + Date.parse('2020');}",
        "${return new Date(0) instanceof Date && Math.max(1, 2);}",
        "${return inputs.f.path;}",
        "${return 'cat ' + inputs.f.path + ' > ' + runtime.outdir + '/x';}",
        "${return inputs.f.path.split('/').pop();}",
        "${return inputs.f.path.replace(/^.*[/]/, '').replace(/[.][^.]*$/, '');}",
        "${return inputs.fs.map(function (f) {return f.dirname;}).join(',');}",
        "${return JSON.stringify(inputs.f).length < 0;}",
    ],
)
def test_what_is_the_same_in_each_run_is_no_obstacle(text: str):
    assert recorded(text).obstacle is None


@pytest.mark.parametrize(
    "text",
    [
        "${return inputs.f.path.length;}",
        "${return inputs.f.path.length > 20;}",
        "${return inputs.f.path.length > 400;}",
        "${return inputs.f.path.split('/').length > 4;}",
        "${return inputs.f.path.split('/').length > 30;}",
        "${return inputs.f.path < '/home';}",
        "${return inputs.f.path > '/var';}",
        "${return /[a-z]/.test(runtime.outdir);}",
        "${return inputs.f.path.charCodeAt(1) % 2;}",
        "${return inputs.f.path.split('/')[2];}",
        "${return runtime.outdir.split('/').length;}",
        "${if (inputs.f.path.indexOf('this') < 0) { throw 'elsewhere'; } return 1;}",
        "${return JSON.stringify(inputs.f).length;}",
    ],
)
def test_to_make_something_of_a_path_of_this_run_is_an_obstacle(text: str):
    assert "path that is another in each run" in (recorded(text).obstacle or "")


def test_an_output_takes_all_that_is_known_of_an_input():
    for text in ("$(inputs.f)", "${return inputs.f;}", "${return {a: [inputs.f]};}"):
        fields = {field for _, field in reads(text, collecting=True)}
        assert fields == {"checksum", "contents", "format", "listing", "size"}


def test_what_a_call_gave_is_no_input_and_its_place_is_of_this_run():
    found = {"class": "File", "location": f"file://{OUTDIR}/a", "path": f"{OUTDIR}/a", "basename": "a", "size": 1}
    assert recorded("${return self.size + self.basename;}", found, collecting=True) == Recorded(
        directories=(OUTDIR, STAGED, OUTDIR)
    )
    assert recorded("${return {class: 'File', location: self.location};}", found, collecting=True).obstacle is None
    assert recorded("${return self.location.length;}", found, collecting=True).obstacle is not None


def test_values_are_what_they_are_without_recording():
    plain = Scope(inputs=INPUTS, runtime={}, script=Script(library=()))
    for text in (
        "${return inputs;}",
        "${return JSON.stringify(inputs);}",
        "${return Object.entries(inputs.f).join();}",
    ):
        recording = Scope(inputs=INPUTS, runtime={}, script=Script(library=()), recorder=Recorder())
        assert json.dumps(recording.evaluate(text)) == json.dumps(plain.evaluate(text))
    assert plain.evaluate("${return inputs;}") == INPUTS


@pytest.mark.parametrize("number", [2, 3, 4, 5, 7, 10, 16, 64, 100])
@pytest.mark.parametrize("measure", ["length", "split('/').length"])
def test_what_is_left_over_of_a_length_or_a_depth_is_something_of_a_path(measure: str, number: int):
    assert recorded(f"${{return inputs.f.path.{measure} % {number};}}").obstacle is not None


@pytest.mark.parametrize("depth", [1, 4, 9, 40])
def test_another_path_leaves_no_length_and_no_depth_as_it_was(depth: int):
    for length in range(2 * depth, 200):
        directory = "/d" * (depth - 1) + "/" + "d" * (length - 2 * depth + 1)
        found, short = longer(directory, 0), shorter(directory, 0)
        assert (len(found) - length, found.count("/") - depth) == (1009, 31)
        assert short < directory < found
        assert Recorder(directories=(directory,)).moved(f"a {directory}/x", longer) == f"a {found}/x"
