import gc
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cwl_prefect.cwl.javascript import engine as javascript
from cwl_prefect.cwl.javascript import process as javascript_process
from cwl_prefect.cwl.javascript.engine import JavascriptError, QuickJSEngine, install
from cwl_prefect.cwl.javascript.expressions import Scope, Script
from cwl_prefect.cwl.javascript.process import REPLY, Limits, Prepared, Reply, Request

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e15, 1e15) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda key: key != "__proto__"), inner),
    max_leaves=20,
)


@pytest.fixture(scope="module")
def engine():
    engine = QuickJSEngine(timeout_s=20, memory_mib=64)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def hasty():
    engine = QuickJSEngine(timeout_s=0.2, memory_mib=64)
    yield engine
    engine.close()


@pytest.fixture
def keep_installed_engine():
    before = javascript._installed
    yield
    if javascript._installed is not None and javascript._installed is not before:
        javascript._installed.close()
    javascript._installed = before


class TestValues:
    @pytest.mark.parametrize(
        ("scan", "value"),
        [
            pytest.param("(1 + 1)", 2, id="parentheses"),
            pytest.param("{return 1 + 1;}", 2, id="braces"),
            pytest.param("(null)", None, id="null"),
            pytest.param("(NaN)", None, id="nan-is-null"),
            pytest.param("(1/0)", None, id="infinity-is-null"),
            pytest.param("(-0)", 0, id="negative-zero"),
            pytest.param("(9007199254740992)", 2**53, id="large-integer"),
            pytest.param("(2.50)", 2.5, id="fraction"),
            pytest.param('("\\ud83d\\ude00ß")', "😀ß", id="astral"),
            pytest.param('("\\ud800")', "\ud800", id="half-surrogate"),
            pytest.param('("a\\u0000b")', "a\0b", id="nul"),
            pytest.param("({a: undefined, b: [undefined]})", {"b": [None]}, id="undefined-inside"),
            pytest.param("(new Date(0))", "1970-01-01T00:00:00.000Z", id="date"),
            pytest.param("({toJSON: function () {return 3;}})", 3, id="to-json"),
            pytest.param("(this === undefined)", True, id="strict"),
            pytest.param("(new Array(100000).fill(1).length)", 100_000, id="big-array"),
            pytest.param("{return [1, 2]\n// last\n}", [1, 2], id="comment-at-the-end"),
            pytest.param("{console.log('x'); console.error('y'); return 1;}", 1, id="console"),
            pytest.param("{for (var i = 0; i < 1e5; i++) console.log(i); return i;}", 100_000, id="chatty-console"),
        ],
    )
    def test_value(self, engine, scan, value):
        found = engine.eval(scan)
        assert found == value
        assert type(found) is type(value)

    @given(JSON)
    @settings(max_examples=60)
    def test_values_survive_the_way_through_the_engine(self, engine, value):
        head = f"var inputs = {json.dumps({'x': value})};"
        assert engine.eval("(inputs.x)", head) == value

    def test_ten_thousand_files(self, engine):
        files = [{"class": "File", "location": f"file:///data/{number}.fq"} for number in range(10_000)]
        assert engine.eval("(inputs)", f"var inputs = {json.dumps(files)};") == files

    @pytest.mark.parametrize("character", [pytest.param("\0", id="nul"), pytest.param("\ud800", id="half-surrogate")])
    def test_characters_that_cannot_be_sent_are_kept(self, engine, character):
        assert engine.eval(f'("a{character}b")') == f"a{character}b"

    def test_a_library_is_seen(self, engine):
        assert engine.eval("(twice(inputs.n))", "function twice(n) {return 2 * n;}\nvar inputs = {n: 4};") == 8

    def test_no_evaluation_sees_what_another_left(self, engine):
        engine.eval("(1)", "var left = 1; Array.prototype.left = 1; JSON.stringify = null;")
        assert engine.eval("(typeof left + typeof [].left + typeof JSON.stringify)") == "undefinedundefinedfunction"


class TestErrors:
    @pytest.mark.parametrize(
        ("scan", "library", "message"),
        [
            pytest.param('{throw new Error("boom");}', "", "Error: boom (line 1 of the expression)", id="throw"),
            pytest.param(
                '{\n\nthrow new TypeError("two\\nlines");}',
                "",
                "TypeError: two lines (line 3 of the expression)",
                id="line",
            ),
            pytest.param(
                "{\nreturn f();}", "function f() {\n\n\n return nope;}", "line 2 of the expression", id="caller"
            ),
            pytest.param(
                "(1)", "var a;\nnope();", "nope is not defined (line 2 of expressionLib or inputs)", id="library"
            ),
            pytest.param("(1 +)", "", "SyntaxError", id="syntax"),
            pytest.param("(1)", "var = 3;", "of expressionLib or inputs", id="syntax-of-library"),
            pytest.param('{throw "text";}', "", "Error: threw text", id="throw-text"),
            pytest.param("{throw {a: 1};}", "", 'Error: threw {"a":1}', id="throw-object"),
            pytest.param("(x = 5)", "", "x is not defined", id="strict"),
            pytest.param("(undefined)", "", "gave undefined", id="undefined"),
            pytest.param("{}", "", "gave undefined", id="no-return"),
            pytest.param("(function () {})", "", "gave undefined or a function", id="function"),
            pytest.param("{var a = {}; a.a = a; return a;}", "", "TypeError: circular reference", id="circular"),
            pytest.param('{throw new Error("x".repeat(1e6));}', "", "xxx…", id="long-message"),
        ],
    )
    def test_message_is_one_line(self, engine, scan, library, message):
        with pytest.raises(JavascriptError) as caught:
            engine.eval(scan, library)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 1200


class TestHostility:
    @pytest.mark.parametrize(
        "scan",
        [
            pytest.param("{while (1);}", id="endless-loop"),
            pytest.param("{while (1) {try {while (1);} catch (e) {}}}", id="caught"),
            pytest.param("{try {while (1);} finally {while (1);}}", id="finally"),
            pytest.param('(/^(a+)+$/.test("a".repeat(40) + "b"))', id="regular-expression"),
            pytest.param("{new Array(4e9).sort(); return 1;}", id="built-in-that-cannot-be-interrupted"),
            pytest.param("([].reverse.call({length: 9007199254740991}))", id="generic-built-in"),
            pytest.param("({toJSON: function () {while (1);}})", id="to-json"),
            pytest.param("({get a() {while (1);}})", id="getter"),
            pytest.param(
                '{var e = new Error(); Object.defineProperty(e, "stack", {get: function () {while (1);}}); throw e;}',
                id="stack-of-an-error",
            ),
            pytest.param("{InternalError.prototype.toString = function () {while (1);}; while (1);}", id="own-error"),
        ],
    )
    def test_what_does_not_end_is_ended(self, hasty, scan):
        with pytest.raises(JavascriptError, match=r"did not end within 0\.2 s") as caught:
            hasty.eval(scan)
        assert "CWL_PREFECT_JAVASCRIPT_TIMEOUT_S" in caught.value.hint
        assert hasty.eval("(1)") == 1

    @pytest.mark.parametrize(
        "scan",
        [
            pytest.param("{var a = []; while (1) a.push(new Array(1000).fill(1.5));}", id="arrays"),
            pytest.param('{var s = ["a"]; while (1) s.push(s.join("") + "b" + s.length);}', id="texts"),
            pytest.param("{var a = []; while (1) a.push(new ArrayBuffer(1e6));}", id="buffers"),
        ],
    )
    def test_memory_is_limited(self, engine, scan):
        with pytest.raises(JavascriptError, match="more than 64 MiB of memory"):
            engine.eval(scan)
        assert engine.eval("(1)") == 1

    def test_the_value_is_limited(self, engine):
        with pytest.raises(JavascriptError, match="value is too large"):
            engine.eval('("x".repeat(2e7))')

    @pytest.mark.parametrize(
        ("scan", "message"),
        [
            pytest.param("{function f() {return f() + 1;} return f();}", "calls itself too deeply", id="recursion"),
            pytest.param("{var o = {get a() {return o.a;}}; return o.a;}", "calls itself too deeply", id="getter"),
            pytest.param(
                "{var a = []; for (var i = 0; i < 1e5; i++) a = [a]; return a;}", "too deeply", id="deep-value"
            ),
            pytest.param(
                "{var a = []; for (var i = 0; i < 3000; i++) a = [a]; return a;}", "nested too deeply", id="deep"
            ),
            pytest.param('(eval("[".repeat(1e5)))', "too deeply", id="deep-source"),
        ],
    )
    def test_depth_is_limited(self, engine, scan, message):
        with pytest.raises(JavascriptError, match=message):
            engine.eval(scan)

    @pytest.mark.parametrize(
        "scan",
        [
            pytest.param('((function () {}).constructor("return process")())', id="process"),
            pytest.param('((function () {}).constructor("return require")())', id="require"),
            pytest.param('((function () {}).constructor("return std")())', id="std"),
            pytest.param('((function () {}).constructor("return os")())', id="os"),
            pytest.param('((function () {}).constructor("return fetch")())', id="fetch"),
            pytest.param("(this.constructor.constructor)", id="this"),
        ],
    )
    def test_nothing_of_the_host_is_in_reach(self, engine, scan):
        with pytest.raises(JavascriptError, match=r"not defined|of undefined"):
            engine.eval(scan)

    def test_modules_cannot_be_imported(self, engine):
        assert engine.eval('(import("os"))') == {}

    @pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
    def test_the_process_knows_nothing_of_its_parents_environment(self, engine, monkeypatch):
        monkeypatch.setenv("PREFECT_API_KEY", "secret")
        fresh = QuickJSEngine(timeout_s=5, memory_mib=32)
        fresh.eval("(1)")
        (evaluator,) = fresh._idle
        assert b"PREFECT" not in Path(f"/proc/{evaluator._process.pid}/environ").read_bytes()
        fresh.close()


class TestProcesses:
    def test_references_start_none(self, keep_installed_engine, monkeypatch):
        monkeypatch.setattr(subprocess, "Popen", None)
        install(timeout_s=3, memory_mib=32)
        file = {"class": "File", "basename": "a", "x y": [1, 2]}
        scope = Scope(inputs={"file": file}, runtime={}, script=Script(library=()))
        assert scope.evaluate("$(inputs.file.basename)") == "a"
        assert scope.evaluate("$(inputs.file['x y'][1])") == 2
        assert scope.evaluate("$(inputs.file['x y'].length) files") == "2 files"

    def test_expressions_use_it(self, keep_installed_engine):
        install(timeout_s=3, memory_mib=32)
        script = Script(library=("function f(x) {return x + 1;}",))
        scope = Scope(inputs={"n": 3}, runtime={"cores": 2}, script=script)
        assert scope.evaluate("$(f(inputs.n) + self[0] + runtime.cores)", [1]) == 7
        assert scope.evaluate("n is ${return inputs.n;}, ${return {a: 1};}") == 'n is 3, {"a": 1}'
        with pytest.raises(JavascriptError, match="boom"):
            scope.evaluate('${throw new Error("boom");}')

    def test_installing_twice_is_once(self, keep_installed_engine):
        first = install(timeout_s=3, memory_mib=32)
        assert install(timeout_s=3, memory_mib=32) is first
        assert install(timeout_s=4, memory_mib=32) is not first
        assert javascript.installed() is not first

    def test_one_is_kept_for_the_next_expression(self, engine):
        engine.eval("(1)")
        kept = list(engine._idle)
        engine.eval("(1)")
        assert engine._idle == kept

    def test_one_that_died_is_replaced(self):
        engine = QuickJSEngine(timeout_s=5, memory_mib=32)
        engine.eval("(1)")
        os.kill(engine._idle[0]._process.pid, signal.SIGKILL)
        engine._idle[0]._process.wait()
        assert engine.eval("(2)") == 2
        engine.close()

    @pytest.mark.parametrize(
        ("number", "message"),
        [
            pytest.param(signal.SIGSEGV, "ended unexpectedly .SIGSEGV.", id="crash"),
            pytest.param(signal.SIGXCPU, "did not end within", id="processor-time"),
        ],
    )
    def test_one_that_dies_at_work_is_told(self, number, message):
        engine = QuickJSEngine(timeout_s=5, memory_mib=32)
        engine.eval("(1)")
        timer = threading.Timer(0.3, os.kill, (engine._idle[0]._process.pid, number))
        timer.start()
        with pytest.raises(JavascriptError, match=message):
            engine.eval("{while (1);}")
        timer.join()
        assert engine.eval("(1)") == 1
        engine.close()

    def test_one_that_cannot_be_started_is_told(self, monkeypatch):
        monkeypatch.setattr(sys, "executable", "/nonexistent/python")
        with pytest.raises(JavascriptError, match="cannot be started"):
            QuickJSEngine(timeout_s=5, memory_mib=32).eval("(1)")

    def test_a_missing_engine_is_told(self, monkeypatch):
        monkeypatch.setattr(javascript.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(JavascriptError, match="not installed"):
            QuickJSEngine(timeout_s=5, memory_mib=32).eval("(1)")

    def test_many_threads_share_a_few(self):
        engine = QuickJSEngine(timeout_s=20, memory_mib=32)
        with ThreadPoolExecutor(16) as threads:
            values = list(threads.map(lambda n: engine.eval(f"({n} * 2)"), range(200)))
        assert values == [2 * n for n in range(200)]
        assert len(engine._idle) <= (os.cpu_count() or 1)
        engine.close()

    def test_a_fork_does_not_use_its_parents(self, keep_installed_engine):
        engine = install(timeout_s=5, memory_mib=32)
        engine.eval("(1)")
        gc.collect()
        child = os.fork()
        if child == 0:  # pragma: no cover - another process
            os._exit(0 if engine._idle == [] and engine.eval("(2)") == 2 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert engine.eval("(3)") == 3

    def test_they_end_with_their_parent(self):
        program = (
            "from cwl_prefect.cwl.javascript.engine import install; engine = install(timeout_s=5, memory_mib=32); "
            "engine.eval('(1)'); print(engine._idle[0]._process.pid)"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        with pytest.raises(ProcessLookupError):
            os.kill(int(done.stdout), 0)


@pytest.fixture(scope="module")
def quickjs():
    return javascript_process.load_engine(javascript._extension())


@pytest.fixture
def limits():
    return Limits(timeout_s=0.2, memory_mib=16)


class TestProgram:
    """The program runs elsewhere; here its parts are called directly."""

    @pytest.mark.parametrize(
        ("expression", "library", "reply"),
        [
            pytest.param("(1)", "", Reply.VALUE, id="value"),
            pytest.param("{}", "", Reply.UNDEFINED, id="undefined"),
            pytest.param("(nope)", "", Reply.THREW_IN_EXPRESSION, id="expression"),
            pytest.param("(1)", "nope", Reply.THREW_IN_LIBRARY, id="library"),
            pytest.param("{while (1);}", "", Reply.TIMED_OUT, id="time"),
            pytest.param(
                "{var a = []; while (1) a.push(new Array(1000).fill(1));}", "", Reply.OUT_OF_MEMORY, id="memory"
            ),
            pytest.param("{function f() {return f() + 1;} return f();}", "", Reply.STACK_OVERFLOW, id="stack"),
            pytest.param('("x".repeat(3e6))', "", Reply.TOO_LARGE, id="large"),
        ],
    )
    def test_reply(self, quickjs, limits, expression, library, reply):
        assert javascript_process.evaluate(Prepared(quickjs, limits), Request(True, library, expression))[0] is reply

    def test_requests_are_answered_in_order(self, quickjs, limits, monkeypatch):
        import io

        monkeypatch.setattr(javascript_process, "_allow_processor_time", lambda seconds: None)
        requests = io.BytesIO()
        for recording, text in ((True, "(1)"), (False, "('ß')"), (True, "(Date() && 1)")):
            requests.write(Request(recording, "", text).packed())
        requests.seek(0)
        replies = io.BytesIO()
        javascript_process.serve(quickjs, limits, requests, replies)
        texts = (b"1\n[]", '"ß"\n[]'.encode(), rb'1 ["chance\n\nDate"]'.replace(b" ", b"\n"))
        assert replies.getvalue() == b"".join(REPLY.pack(Reply.VALUE, len(text)) + text for text in texts)


def test_the_maintained_binding_is_installed_and_the_archived_one_is_not():
    """Both have the same modules; the archived one crashes on deep values and does not end regular expressions."""
    assert version("quickjs-ng")
    with pytest.raises(PackageNotFoundError):
        version("quickjs")
