"""The flow of a workflow in a user's own Python: deployed, served, nested, in a notebook and from synchronous code."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployments.site import Site

pytestmark = pytest.mark.server

GREETING = """\
cwlVersion: v1.2
class: CommandLineTool
inputs: {message: {type: string, default: hi, inputBinding: {}}}
outputs: {said: {type: stdout}}
baseCommand: echo
stdout: said.txt
"""
BEFORE = """\
import asyncio, json
from cwl_prefect import Settings, load_flow
greet = load_flow("greet.cwl", settings=Settings(backend="local"))
"""


@pytest.fixture
def greeting(site: Site) -> Path:
    path = site.directory / "greet.cwl"
    path.write_text(GREETING)
    return path


def play(site: Site, script: str) -> str:
    """Return what a script of a user prints."""
    done = subprocess.run(
        [sys.executable, "-c", BEFORE + script],
        env=site.environment,
        cwd=site.directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def said(outputs: dict) -> str:
    return Path(outputs["said"]["location"].removeprefix("file://")).read_text().strip()


def test_outputs_come_back_through_prefect_and_the_command_line(site: Site, greeting: Path) -> None:
    site.deploy(GREETING, "--name", "asked", "--job-variable", 'env={"PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true"}')
    script = (
        "from prefect.deployments import run_deployment\n"
        "run = run_deployment('workflow/asked', parameters={'message': 'yes'}, poll_interval=1)\n"
        "print(json.dumps([str(run.id), run.state.result()]))"
    )
    run, outputs = json.loads(play(site, script).splitlines()[-1])
    assert said(outputs) == "yes"

    elsewhere = {"CWL_PREFECT_HOME": str(site.directory / "elsewhere"), "PREFECT_API_URL": site.api}
    site.wait_for(lambda: _printed_outputs(site, run, elsewhere) == outputs)
    assert _printed_outputs(site, run, {}) == outputs


def test_a_call_may_name_a_job_order_which_alone_is_recorded(site: Site, greeting: Path) -> None:
    order = site.directory / "greet.yml"
    order.write_text("message: from afar")
    script = (
        f"state = greet.run_sync({{'$ref': {str(order)!r}}}, return_state=True)\n"
        "print(json.dumps([str(state.state_details.flow_run_id), asyncio.run(state.aresult())]))"
    )
    run, outputs = json.loads(play(site, script).splitlines()[-1])
    assert said(outputs) == "from afar"
    assert site.get(f"flow_runs/{run}")["parameters"] == {"$ref": str(order)}


def _printed_outputs(site: Site, run: str, more: dict[str, str]) -> dict | None:
    command = [sys.executable, "-m", "cwl_prefect", "runs", "outputs", run]
    done = subprocess.run(command, env=site.environment | more, capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("print(greet.deploy('daily', work_pool_name='here', print_next_steps=False))", id="deploy"),
        pytest.param(
            "async def main():\n"
            "    return await greet.deploy('awaited', work_pool_name='here', print_next_steps=False)\n"
            "print(asyncio.run(main()))",
            id="awaited-deploy",
        ),
        pytest.param("print(greet.to_deployment('applied', work_pool_name='here').apply())", id="to-deployment"),
        pytest.param(
            "from prefect import deploy\nprint(deploy(greet.to_deployment('many'), work_pool_name='here')[0])",
            id="prefect-deploy",
        ),
    ],
)
def test_a_worker_runs_what_prefects_own_methods_deploy(site: Site, greeting: Path, script: str) -> None:
    deployment = play(site, script).split()[-1]

    run = site.start(deployment, message="deployed").json()["id"]

    assert site.until(run, "COMPLETED", "FAILED", "CRASHED") == "COMPLETED", site.log_of(run)
    assert said(site.outputs(run)) == "deployed"


def test_a_served_flow_runs_with_the_settings_that_it_was_loaded_with(site: Site, greeting: Path) -> None:
    outdir, log = site.directory / "served", site.directory / "serve-flow.log"
    script = (
        "from cwl_prefect import Settings, load_flow\n"
        f"load_flow('greet.cwl', settings=Settings(outdir={str(outdir)!r})).serve('mine')"
    )
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            env=site.environment | {"PREFECT_RUNNER_POLL_FREQUENCY": "1"},
            cwd=site.directory,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        site.wait_for(lambda: "being served" in log.read_text())
        run = site.start(site.get("deployments/name/greet/mine")["id"], message="served").json()["id"]
        assert site.until(run, "COMPLETED", "FAILED", "CRASHED") == "COMPLETED", site.log_of(run) + log.read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert (outdir / run / "said.txt").read_text().strip() == "served"


def test_a_flow_without_a_configured_api_is_served_from_the_local_server(site: Site, greeting: Path) -> None:
    """It is the server that the runs of `cwl-prefect` use, not one that Prefect would start for this process."""
    environment = {name: value for name, value in site.environment.items() if name != "PREFECT_API_URL"}
    log = site.directory / "serve-local.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", BEFORE + "greet.serve('local')"],
            env=environment,
            cwd=site.directory,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        site.wait_for(lambda: "being served" in log.read_text())
        assert not site.get("deployments/name/greet/local")["paused"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("print(json.dumps(asyncio.run(greet(message='yes'))))", id="synchronous-code"),
        pytest.param(
            "state = asyncio.run(greet(message='yes', return_state=True))\n"
            "assert state.is_completed()\n"
            "print(json.dumps(asyncio.run(state.aresult())))",
            id="return-state",
        ),
        pytest.param(
            "from prefect import flow\n"
            "@flow\nasync def mine():\n    return await greet(message='yes')\n"
            "print(json.dumps(asyncio.run(mine())))",
            id="subflow",
        ),
        pytest.param(
            "from prefect import flow\n"
            "@flow\ndef mine():\n    return asyncio.run(greet(message='yes'))\n"
            "print(json.dumps(mine()))",
            id="subflow-of-a-synchronous-flow",
        ),
        pytest.param(
            "other = greet.with_options(name='other', retries=1)\n"
            "assert other.name == 'other'\n"
            "print(json.dumps(asyncio.run(other(message='yes'))))",
            id="with-options",
        ),
        pytest.param(
            # A notebook compiles each cell so and awaits it on a loop that runs all the time.
            "import ast, threading\n"
            "loop = asyncio.new_event_loop()\n"
            "threading.Thread(target=loop.run_forever, daemon=True).start()\n"
            "cell = compile('outputs = await greet(message=\"yes\")', 'cell', 'exec', ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)\n"
            "asyncio.run_coroutine_threadsafe(eval(cell), loop).result()\n"
            "print(json.dumps(outputs))",
            id="notebook",
        ),
    ],
)
def test_a_flow_is_called_wherever_python_calls_flows(site: Site, greeting: Path, script: str) -> None:
    assert said(json.loads(play(site, script).splitlines()[-1])) == "yes"


def test_a_failed_run_is_a_state_too(site: Site, greeting: Path) -> None:
    greeting.write_text(GREETING.replace("echo", '"false"'))
    printed = play(site, "print(asyncio.run(greet(return_state=True)).type.value)")

    assert printed.splitlines()[-1] == "FAILED"


def test_the_flow_of_a_repository_is_deployed_from_there(site: Site, greeting: Path) -> None:
    (site.directory / "flows.py").write_text(BEFORE)
    script = (
        "from prefect import flow\nimport os\n"
        "there = flow.from_source(source=os.getcwd(), entrypoint='flows.py:greet')\n"
        "print(there.deploy('repository', work_pool_name='here', print_next_steps=False))"
    )
    run = site.start(play(site, script).split()[-1], message="checked out").json()["id"]

    assert site.until(run, "COMPLETED", "FAILED", "CRASHED") == "COMPLETED", site.log_of(run)
