import asyncio
import json
import logging
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cwl_prefect.flows import callbacks as module
from cwl_prefect.flows.callbacks import Callbacks, act, describe
from cwl_prefect.flows.execution.driver import Driver, Scope
from cwl_prefect.flows.execution.observing import observed
from cwl_prefect.flows.execution.run import Progress, Stopped
from cwl_prefect.flows.lifecycle.opening import open_run
from cwl_prefect.model.callbacks import Callback, Command, Happening, Level, Moment, Notification, Webhook, matches
from cwl_prefect.model.events import RunStarted, StepEnded
from tests.unit.flows.driving import SCATTER_AND_WHEN, Drive, drive
from tests.waiting import eventually

ABOUT = Happening(moment=Moment.FAILURE, level=Level.CALL, workflow="main", run_id="r1", step="each", call="each[1]")


class Seen:
    """Callbacks that write down what they are told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def __call__(self, happening: Happening) -> None:
        self.told.append((happening.name, happening.moment.value))


async def play(directory: Path, *callbacks: Callback, tries: int = 1, temporary: int = 0, settings=(), **inputs):
    """Run the workflow with callbacks, as a flow run does."""
    run = drive(directory, SCATTER_AND_WHEN, tries=tries, temporary=temporary, **dict(settings))
    return await played(run, callbacks, inputs)


async def slowly_playing(directory: Path, callback: Callback) -> asyncio.Task:
    """Return the run of the workflow, of which a call has begun that never ends."""
    run = drive(directory, SCATTER_AND_WHEN)
    playing = asyncio.create_task(played(run, [callback], {"xs": ["slow"]}))
    await eventually(lambda: run.player.running)
    return playing


async def played(run: Drive, callbacks, inputs):
    called = Callbacks(callbacks)
    request = replace(run.request, observers=called.observers)
    async with open_run(run.plan, request, "run", run.progress) as opened, observed(opened):
        here = replace(opened, pool=run.pool)
        here.tell(RunStarted(flow_run_id="run", name="fond-hare", url=None, plan=run.plan))
        outputs, _ = await Driver(here, run.tasks).workflow(run.plan, {"go": True, **inputs}, Scope())
        here.progress.outputs = outputs
    return outputs, called.failed


class TestMoments:
    async def test_a_workflow_that_ends_well(self, tmp_path):
        seen = Seen()
        happenings: list[Happening] = []
        await play(tmp_path, Callback(action=seen), Callback(action=happenings.append), xs=["a"])
        assert seen.told == [("flow", "success")]
        assert happenings[0].outputs == {"r": ["a"]}
        assert happenings[0].run_id == "run"

    async def test_a_workflow_that_fails(self, tmp_path):
        seen, never = Seen(), Seen()
        failing = Callback(action=seen, on=frozenset({Moment.FAILURE}))
        passing = Callback(action=never, on=frozenset({Moment.SUCCESS}))
        with pytest.raises(Exception, match="it went wrong"):
            await play(tmp_path, failing, passing, xs=["fail"])
        assert (seen.told, never.told) == ([("flow", "failure")], [])

    async def test_failures_that_did_not_end_the_run_count(self, tmp_path):
        seen = Seen()
        await play(tmp_path, Callback(action=seen), settings={"on_error": "continue"}, xs=["fail", "a"])
        assert seen.told == [("flow", "failure")]

    async def test_steps_as_a_whole(self, tmp_path):
        seen = Seen()
        await play(tmp_path, Callback(action=seen, level=Level.STEP), xs=["a", "b"], go=False)
        assert sorted(seen.told) == [("each", "success"), ("maybe", "skip")]

    async def test_a_scatter_of_which_calls_failed(self, tmp_path):
        told: list[Happening] = []
        step = Callback(action=told.append, level=Level.STEP, name="each")
        await play(tmp_path, step, settings={"on_error": "continue"}, xs=["a", "fail", "fail"])
        assert [happening.moment for happening in told] == [Moment.FAILURE]
        assert told[0].message.startswith("each: 2 of 3 calls failed or were not started; the first: ")
        assert ": each[1] failed: it exited" in told[0].message

    async def test_each_call(self, tmp_path):
        seen = Seen()
        await play(tmp_path, Callback(action=seen, level=Level.CALL, name="each"), xs=["a", "b"])
        assert sorted(seen.told) == [("each[0]", "success"), ("each[1]", "success")]

    async def test_one_element(self, tmp_path):
        seen = Seen()
        await play(tmp_path, Callback(action=seen, level=Level.CALL, name="each[1]"), xs=["a", "b"])
        assert seen.told == [("each[1]", "success")]

    async def test_skips_and_retries(self, tmp_path):
        seen = Seen()
        wanted = frozenset({Moment.SKIP, Moment.RETRY})
        await play(
            tmp_path,
            Callback(action=seen, level=Level.CALL, on=wanted),
            tries=3,
            temporary=1,
            xs=["temp"],
            go=False,
        )
        assert sorted(seen.told) == [("each[0]", "retry"), ("maybe", "skip")]

    async def test_a_cancelled_workflow(self, tmp_path):
        seen = Seen()
        running = await slowly_playing(tmp_path, Callback(action=seen))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert seen.told == [("flow", "cancel")]

    async def test_a_workflow_that_took_too_long_has_failed(self, tmp_path):
        happenings: list[Happening] = []
        run = drive(tmp_path, SCATTER_AND_WHEN)
        request = replace(run.request, observers=(Callbacks([Callback(action=happenings.append)]),))

        progress = Progress(stopped=Stopped.TIMED_OUT)
        with pytest.raises(asyncio.CancelledError):
            async with open_run(run.plan, request, "run", progress) as opened, observed(opened):
                raise asyncio.CancelledError
        assert [(each.moment, each.message) for each in happenings] == [
            (Moment.FAILURE, "the run took longer than its time limit allows.")
        ]


class TestIsolation:
    async def test_what_goes_wrong_is_counted_and_changes_nothing(self, tmp_path, caplog):
        def broken(_: Happening) -> None:
            raise ZeroDivisionError("ours")

        seen = Seen()
        with caplog.at_level(logging.WARNING):
            outputs, failed = await play(tmp_path, Callback(action=broken), Callback(action=seen), xs=["a"])
        assert outputs == {"r": ["a"]}
        assert failed == 1
        assert seen.told == [("flow", "success")]
        assert "ZeroDivisionError: ours" in caplog.text

    async def test_the_outputs_that_it_is_told_are_its_own(self, tmp_path):
        def spoil(happening: Happening) -> None:
            happening.outputs["r"][0] = "evil"
            happening.outputs["more"] = 1

        outputs, failed = await play(tmp_path, Callback(action=spoil), xs=["a"])
        assert failed == 0
        assert outputs == {"r": ["a"]}

    @pytest.mark.parametrize("kind", ["asynchronous", "function"])
    async def test_what_exits_has_failed_at_once(self, tmp_path, caplog, kind):
        async def exits(_: Happening) -> None:
            sys.exit(3)

        actions = {"asynchronous": exits, "function": lambda _: sys.exit(3)}
        with caplog.at_level(logging.WARNING):
            outputs, failed = await play(tmp_path, Callback(action=actions[kind], timeout_s=30), xs=["a"])
        assert failed == 1
        assert outputs == {"r": ["a"]}
        assert "SystemExit: 3" in caplog.text

    @pytest.mark.parametrize("kind", ["asynchronous", "function", "command"])
    async def test_what_takes_too_long_is_given_up(self, tmp_path, kind):
        async def forever(_: Happening) -> None:
            await asyncio.sleep(60)

        ended = threading.Event()
        actions = {
            "asynchronous": forever,
            "function": lambda _: ended.wait(60),
            "command": Command(arguments=("sleep", "60")),
        }
        _, failed = await play(tmp_path, Callback(action=actions[kind], timeout_s=0.1), xs=["a"])
        ended.set()
        assert failed == 1

    async def test_all_of_them_have_a_limit_together(self, tmp_path, monkeypatch, caplog):
        monkeypatch.setattr(module, "DRAIN_S", 0.1)
        with caplog.at_level(logging.WARNING):
            _, failed = await play(tmp_path, Callback(action=Command(arguments=("sleep", "60"))), xs=["a"])
        assert failed == 1
        assert "not done" in caplog.text

    async def test_cancelling_waits_for_them_too(self, tmp_path):
        done: list[str] = []

        async def slowly(happening: Happening) -> None:
            await asyncio.sleep(0.2)
            done.append(happening.moment)

        running = await slowly_playing(tmp_path, Callback(action=slowly))
        running.cancel()
        await asyncio.sleep(0.1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert done == ["cancel"]

    async def test_few_are_called_at_once(self):
        running, most = 0, 0

        async def counted(_: Happening) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.001)
            running -= 1

        callbacks = Callbacks([Callback(action=counted, level=Level.STEP)])
        for number in range(50):
            callbacks(StepEnded(step=f"s{number}", error=None))
        await callbacks.aclose()
        assert (most, callbacks.called, callbacks.failed) == (module.AT_ONCE, 50, 0)


class TestActions:
    async def test_a_command_gets_json_and_no_shell(self, tmp_path):
        script = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())"
        target = tmp_path / "$(touch here); told"
        await act(Command(arguments=(sys.executable, "-c", script, str(target))), ABOUT)
        assert json.loads(target.read_text())["call"] == "each[1]"
        assert not (tmp_path / "here").exists()

    async def test_a_command_that_fails_says_why(self):
        with pytest.raises(RuntimeError, match="exit code 3, no luck"):
            await act(Command(arguments=("sh", "-c", "echo no luck >&2; exit 3")), ABOUT)

    async def test_a_command_that_does_not_read_is_fine(self):
        done = act(Command(arguments=("true",)), replace(ABOUT, message="x" * 1_000_000))
        assert await asyncio.wait_for(done, 10) is None

    async def test_a_function_may_be_asynchronous_or_give_something_to_await(self):
        told: list[str] = []

        async def later(happening: Happening) -> None:
            told.append(happening.name)

        await act(later, ABOUT)
        await act(partial(later), ABOUT)
        assert told == ["each[1]"] * 2

    @pytest.mark.parametrize(("status", "fails"), [(204, False), (500, True), (302, True)])
    async def test_a_webhook_is_posted_to(self, status, fails):
        got: list[tuple[str, dict]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                got.append((self.headers["X-Token"], body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        hook = Webhook(url=f"http://127.0.0.1:{server.server_port}/secret", headers={"X-Token": "t"})
        try:
            if fails:
                with pytest.raises(RuntimeError, match=str(status)):
                    await act(hook, ABOUT)
            else:
                await act(hook, ABOUT)
        finally:
            server.shutdown()
            server.server_close()
        assert got == [("t", ABOUT.as_object())]

    async def test_an_answer_without_end_is_not_waited_for(self):
        ended = asyncio.Event()

        async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            with suppress(ConnectionError):
                while not ended.is_set():
                    writer.write(b"1\r\nx\r\n")
                    await writer.drain()
                    await asyncio.sleep(0.01)
            writer.close()

        server = await asyncio.start_server(answered, "127.0.0.1", 0)
        try:
            port = server.sockets[0].getsockname()[1]
            await asyncio.wait_for(act(Webhook(url=f"http://127.0.0.1:{port}/"), ABOUT), timeout=60)
        finally:
            ended.set()
            server.close()

    async def test_a_block_is_notified(self, monkeypatch):
        from prefect.blocks.core import Block

        sent: list[tuple[str, str, str]] = []

        class TeamBlock:
            async def anotify(self, body: str, subject: str) -> None:
                sent.append((name, subject, body))

        name = ""

        async def aload(given: str) -> TeamBlock:
            nonlocal name
            name = given
            return TeamBlock()

        monkeypatch.setattr(Block, "aload", aload)
        await act(Notification(block="slack-webhook/team"), replace(ABOUT, message="it broke", url="http://ui/1"))
        assert sent == [("slack-webhook/team", "each[1] of main failed", "it broke\nhttp://ui/1")]

    def test_secrets_are_not_in_names(self):
        assert describe(Webhook(url="https://user:pw@hooks.example/T0/secret")) == "webhook of hooks.example"
        assert describe(Command(arguments=("notify", "--token", "secret"))) == "command notify"


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*", "a.b[3]", True),
        ("align", "align", True),
        ("align", "align[3]", True),
        ("align[3]", "align[3]", True),
        ("align[3]", "align[33]", False),
        ("align[*]", "align[33]", True),
        ("prepare.*", "prepare[2].align[1]", True),
        ("*.align", "prepare[2].align[1]", True),
        ("align", "realign", False),
        ("al?gn", "align", True),
    ],
)
def test_names_fit_patterns(pattern, name, fits):
    assert matches(pattern, name) is fits
