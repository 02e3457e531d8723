"""Compare JavaScript engines for CWL expressions; the table is that of docs/adr/0001-javascript-engine.md.

Each case of each engine runs in a process of its own, since some of them crash or hang.

    python tests/bench/javascript_engines.py
    python tests/bench/javascript_engines.py --with "quickjs 1.19=/path/to/python"   # one with other packages
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

TIME_LIMIT_S = 1.0
MEMORY_MIB = 64
GIVE_UP_S = 15
HEAD = 'var inputs = {"n": 3, "file": {"class": "File", "basename": "a.fq", "size": 12}};\nvar self = null;\n'
FUNCTION = "function f%d(a, b) { var c = []; for (var i = 0; i < a; i++) { c.push(i * b); } return c.join('-'); }\n"
LIBRARY = "".join(FUNCTION % number for number in range(1000))  # about 100 KB

SPEED = {
    "simple": ("", "(inputs.n + 1)", 300),
    "loop of 100": ("", "{var s = 0; for (var i = 0; i < 100; i++) {s += i * inputs.n;} return s;}", 300),
    "library of 100 KB": (LIBRARY, "(f999(3, inputs.n))", 30),
}
HOSTILE = {
    "endless loop": "{while (1);}",
    "regular expression": '(/^(a+)+$/.test("a".repeat(40) + "b"))',
    "endless built-in": "{new Array(4e9).sort(); return 1;}",
    "memory": "{var a = []; while (1) a.push(new Array(1000).fill(1.5));}",
    "deep value": "{var a = []; for (var i = 0; i < 1e5; i++) a = [a]; return a;}",
    "hostile error": "{throw {toString: function () {while (1);}};}",
}


def script(library, expression):
    body = expression if expression[0] == "{" else "{return (" + expression + ");}"
    return '"use strict";\n' + library + HEAD + "JSON.stringify((function()" + body + ")())"


def quickjs_in_process():
    import quickjs

    def evaluate(library, expression):
        context = quickjs.Context()
        context.set_memory_limit(MEMORY_MIB << 20)
        context.set_time_limit(TIME_LIMIT_S)
        context.set_max_stack_size(1 << 20)
        return json.loads(context.eval(script(library, expression)))

    return evaluate


def v8():
    from py_mini_racer import MiniRacer

    def evaluate(library, expression):
        context = MiniRacer()
        context.set_hard_memory_limit(MEMORY_MIB << 20)
        try:
            return json.loads(context.eval(script(library, expression), timeout_sec=TIME_LIMIT_S))
        finally:
            context.close()

    return evaluate


def wasm():
    from quickjs_rs import Runtime

    def evaluate(library, expression):
        with Runtime(memory_limit=MEMORY_MIB << 20) as runtime, runtime.new_context(timeout=TIME_LIMIT_S) as context:
            return json.loads(context.eval(script(library, expression)))

    return evaluate


def node():
    from cwl_utils.sandboxjs import NodeJSEngine

    engine = NodeJSEngine()
    return lambda library, expression: engine.eval(expression, library + HEAD, timeout=TIME_LIMIT_S)


def confined():
    from cwl_prefect.cwl.javascript.engine import QuickJSEngine

    engine = QuickJSEngine(timeout_s=TIME_LIMIT_S, memory_mib=MEMORY_MIB)
    return lambda library, expression: engine.eval(expression, library + HEAD)


ENGINES = {
    "quickjs-ng, confined process (ours)": confined,
    "quickjs-ng, in process": quickjs_in_process,
    "mini-racer (V8), in process": v8,
    "quickjs-rs (WebAssembly), in process": wasm,
    "node, process (cwl_utils)": node,
}


def probe(engine, case):
    """Run one case here, and print its figure."""
    began = time.perf_counter()
    evaluate = ENGINES[engine]()
    if case == "first":
        evaluate("", "(1)")
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return f"{(time.perf_counter() - began) * 1000:.0f} ms, {own / 1024:.0f} MiB"
    evaluate("", "(1)")
    if case in SPEED:
        library, expression, count = SPEED[case]
        times = []
        for _ in range(count):
            began = time.perf_counter()
            evaluate(library, expression)
            times.append(time.perf_counter() - began)
        return f"{statistics.median(times) * 1000:.2f} ms"
    began = time.perf_counter()
    try:
        evaluate("", HOSTILE[case])
    except Exception:  # noqa: BLE001 - whatever an engine raises is a refusal
        return f"ended, {time.perf_counter() - began:.1f} s"
    return f"value, {time.perf_counter() - began:.1f} s"


def measure(interpreter, engine, case):
    """Run one case in a process of its own."""
    command = [interpreter, __file__, "--probe", engine, case]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIVE_UP_S, check=False)
    except subprocess.TimeoutExpired:
        return f"hangs (> {GIVE_UP_S} s)"
    if done.returncode < 0:
        return f"crashes (signal {-done.returncode})"
    if "ModuleNotFoundError" in done.stderr:
        return None
    return done.stdout.strip() or "fails: " + done.stderr.strip().splitlines()[-1][:60]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--probe", nargs=2, metavar=("ENGINE", "CASE"), help=argparse.SUPPRESS)
    parser.add_argument("--with", dest="others", action="append", default=[], metavar="NAME=PYTHON")
    arguments = parser.parse_args()
    if arguments.probe:
        print(probe(*arguments.probe))
        return
    rows = [(name, sys.executable, name) for name in ENGINES]
    for other in arguments.others:
        name, _, interpreter = other.partition("=")
        engine = next((each for each in ENGINES if name.startswith(each.split(",")[0])), "quickjs-ng, in process")
        rows.append((name, interpreter, engine))
    cases = ["first", *SPEED, *HOSTILE]
    print("| engine |", " | ".join(cases), "|")
    print("| --- |" + " --- |" * len(cases))
    for name, interpreter, engine in rows:
        figures = [measure(interpreter, engine, case) for case in cases]
        if figures[0] is not None:
            print(f"| {name} |", " | ".join(str(figure) for figure in figures), "|", flush=True)


if __name__ == "__main__":
    main()
