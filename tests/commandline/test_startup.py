"""The start-up of the command line, and what is imported for it, in processes of their own."""

import os
import subprocess
import sys

import pytest

RUN = (
    "from cwl_prefect.__main__ import main\n"
    "try:\n    main()\nexcept SystemExit as exc:\n    assert not exc.code, exc.code\n"
)
HEAVY = ("prefect", "cwltool", "schema_salad", "docker", "fastapi", "httpx", "cwl_prefect.api")


def ran(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program of Python that ends well."""
    environment = {**os.environ, **variables}
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"]], ids=" ".join)
def test_looking_around_imports_nothing_heavy(arguments):
    script = (
        f"import sys; sys.argv = ['cwl-prefect', *{arguments!r}]\n"
        f"{RUN}"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    process = ran(script)

    assert process.stderr.strip() == "[]"


@pytest.mark.parametrize(("given", "kept"), [({}, "1"), ({"DO_NOT_TRACK": "0"}, "0")], ids=["unsaid", "said"])
def test_prefect_reports_nothing_unless_the_user_says_so(given, kept, monkeypatch):
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    script = f"import os, sys; sys.argv = ['cwl-prefect', '--version']\n{RUN}print(os.environ['DO_NOT_TRACK'])"

    assert ran(script, **given).stdout.split()[-1] == kept


@pytest.mark.parametrize("arguments", [["workspace", "gc"], ["workspace", "ls"]], ids=" ".join)
def test_collecting_what_is_left_needs_no_prefect(arguments, tmp_path):
    script = (
        f"import sys; sys.argv = ['cwl-prefect', *{arguments!r}]\n"
        f"{RUN}"
        "print([name for name in ('prefect', 'cwltool', 'schema_salad') if name in sys.modules], file=sys.stderr)"
    )
    process = ran(script, CWL_PREFECT_HOME=str(tmp_path), DOCKER_HOST="unix:///no/such.sock")

    assert process.stderr.strip() == "[]"


@pytest.mark.parametrize("arguments", [["runs", "ls"], ["runs", "ls", "--json"]], ids=" ".join)
def test_runs_of_the_local_server_are_listed_without_prefect(arguments, tmp_path, monkeypatch):
    script = (
        f"import sys; sys.argv = ['cwl-prefect', *{arguments!r}]\n"
        "from cwl_prefect.server import client\n"
        "from cwl_prefect.server import local_server\n"
        "async def start(settings):\n"
        "    return local_server.ApiEndpoint(url='http://127.0.0.1:1/api', ui_url=None, started=False, ours=True)\n"
        "local_server.start = start\n"
        'run = b\'[{"id": "00000000-0000-0000-0000-000000000007", "name": "brave-otter"}]\'\n'
        "client.LocalApi._post = lambda *_: (200, run)\n"
        f"{RUN}"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    monkeypatch.chdir(tmp_path)
    process = ran(script, CWL_PREFECT_HOME=str(tmp_path), PREFECT_HOME=str(tmp_path), PREFECT_API_URL="")

    assert "brave-otter" in process.stdout
    assert process.stderr.strip() == "[]"


def test_a_call_that_is_handed_over_imports_python_alone():
    script = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import cwl_prefect.__main__\n"
        "roots = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(roots - sys.stdlib_module_names), file=sys.stderr)"
    )
    process = ran(script)

    assert process.stderr.strip() == "['cwl_prefect']"


def test_rubbish_is_not_looked_for_among_what_is_imported():
    script = (
        "import gc, sys; sys.argv = ['cwl-prefect', '--version']\n"
        "from cwl_prefect.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "started = gc.get_threshold()[0]\n"
        "gc.collect()\n"
        "print(started, gc.get_threshold()[0], gc.get_freeze_count() > 0, gc.callbacks, file=sys.stderr)"
    )
    process = ran(script)

    assert process.stderr.split() == ["1000000", "50000", "True", "[]"]


def test_results_stay_clean_whatever_prints():
    script = (
        "import os, subprocess\n"
        "from cwl_prefect.cli.terminal import results_only\n"
        "with results_only() as results:\n"
        "    print('python'); os.write(1, b'descriptor\\n'); subprocess.run(['echo', 'child'])\n"
        "    results.write('result\\n')\n"
        "print('after')\n"
    )
    process = ran(script)

    assert process.stdout == "result\nafter\n"
    assert sorted(process.stderr.split()) == ["child", "descriptor", "python"]


def test_a_reader_that_goes_away_is_no_error():
    script = (
        "from cwl_prefect.cli.app import app\n"
        "from cwl_prefect.cli import documents\n"
        "documents.write_plan = lambda *_: documents.write_text('x' * 10**6, None)\n"
        "app(['compile', 'x'])"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()

    assert process.returncode == 141
    assert errors == b""


def test_what_runs_a_compiled_plan_imports_no_cwltool():
    code = (
        "import pkgutil, importlib, sys\n"
        "import cwl_prefect\n"
        "rooms = ('flows', 'engine', 'model', 'runs', 'server', 'backends.local', 'cwl.binding', 'cwl.values',"
        " 'cwl.javascript', 'cwl.loading.plans')\n"
        "for found in pkgutil.walk_packages(cwl_prefect.__path__, 'cwl_prefect.'):\n"
        "    if any((found.name + '.').startswith(f'cwl_prefect.{room}.') for room in rooms):\n"
        "        importlib.import_module(found.name)\n"
        "names = ('cwltool', 'cwl_utils', 'schema_salad', 'rdflib')\n"
        "print([name for name in sys.modules if name.partition('.')[0] in names])\n"
    )

    assert ran(code).stdout.strip() == "[]"


def test_without_any_url_no_file_system_is_imported():
    script = (
        "import sys, cwl_prefect.flows.build, cwl_prefect.cli.run.command\n"
        "print([name for name in ('s3fs', 'gcsfs', 'adlfs', 'sshfs', 'aiohttp', 'botocore') if name in sys.modules])"
    )

    assert ran(script).stdout.strip() == "[]"


def test_importing_the_backend_of_docker_imports_neither_prefect_nor_docker():
    program = (
        "import sys, cwl_prefect.backends.docker.backend; print({'prefect', 'docker', 'httpx'} & set(sys.modules))"
    )

    assert ran(program).stdout.strip() == "set()"
