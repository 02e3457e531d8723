import os
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from prefect import State
from prefect.client.schemas.objects import FlowRun, StateType

from cwl_prefect.api import load_plan
from cwl_prefect.engine.records import manifest
from cwl_prefect.engine.records.manifest import Outcome, RunManifest
from cwl_prefect.engine.staging.workspace import remove_run, run_directory
from cwl_prefect.errors import DocumentError, InputError
from cwl_prefect.flows.driver_lock import claim
from cwl_prefect.flows.lifecycle import audit
from cwl_prefect.flows.lifecycle.stopping import FOREVER
from cwl_prefect.model.events import RunStarted
from cwl_prefect.runs import control, resume
from cwl_prefect.runs.known_run import KILLED, KnownRun
from cwl_prefect.runs.listing import Filter, Line
from cwl_prefect.runs.records import RunRecord, StateRecord
from cwl_prefect.settings import OnError, Settings
from tests.plans import workflow

BEGAN = datetime.now(UTC) - timedelta(hours=2)


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def known(settings):
    """Write the manifest of a run, named after how it ended."""

    def known(run_id: str, outcome: Outcome, **more) -> None:
        directory = run_directory(settings.runs, run_id)
        directory.mkdir(parents=True)
        found = RunManifest(
            run_id=run_id, name=f"name-{run_id}", workflow="main", plan="0", job_order={}, began=BEGAN, **more
        )
        manifest.write(directory, found.ended_as(outcome))

    return known


def due(settings, wanted=None, *, failed=False):
    chosen, skipped = resume.due(settings, (wanted or Filter()).admits, failed=failed)
    return [one.manifest.run_id for one in chosen], {one.manifest.run_id: why for one, why in skipped}


def test_what_was_killed_or_interrupted_is_due_and_the_rest_is_left_with_a_reason(settings, known):
    for outcome in Outcome:
        known(outcome.value, outcome)
    chosen, skipped = due(settings)
    assert sorted(chosen) == ["interrupted", "running"]
    assert skipped == {
        "completed": "it is complete",
        "cancelled": "it was cancelled",
        "failed": "it failed; --failed resumes it",
        "partial": "it failed; --failed resumes it",
    }
    assert sorted(due(settings, failed=True)[0]) == ["failed", "interrupted", "partial", "running"]


def test_unfinished_runs_are_those_that_were_killed_or_interrupted(settings, known):
    for outcome in Outcome:
        known(outcome.value, outcome)
    known("driven", Outcome.RUNNING)
    with claim(settings.runs, "driven"):
        assert sorted(one.manifest.run_id for one in resume.unfinished(settings)) == ["interrupted", "running"]


class TestDoing:
    @pytest.fixture
    def reads(self, tmp_path) -> dict:
        path = tmp_path / "reads.txt"
        path.touch()
        os.utime(path, (BEGAN.timestamp() - 1,) * 2)
        return {"class": "File", "location": path.as_uri()}

    @pytest.fixture
    def found(self, settings, reads) -> RunManifest:
        order = {"reads": reads, "web": {"class": "File", "location": "http://host/x"}}
        given = manifest.kept_settings(settings)
        return RunManifest(
            run_id="r", name="r", workflow="w", plan="digest", job_order=order, settings=given, began=BEGAN
        )

    def test_the_same(self, found, settings):
        assert resume.does(found, workflow(digest="digest"), found.job_order, settings)

    def test_another_plan(self, found, settings):
        assert not resume.does(found, workflow(digest="other"), found.job_order, settings)

    def test_other_inputs(self, found, settings):
        assert not resume.does(found, workflow(digest="digest"), {**found.job_order, "more": 1}, settings)

    def test_other_settings(self, found, settings):
        changed = Settings(home=settings.home, retries=7)
        assert not resume.does(found, workflow(digest="digest"), found.job_order, changed)

    @pytest.mark.parametrize("change", [Path.touch, Path.unlink])
    def test_other_files(self, found, settings, reads, change):
        change(Path(reads["location"].removeprefix("file://")))
        assert not resume.does(found, workflow(digest="digest"), found.job_order, settings)


def test_a_run_that_is_driven_is_left_alone(settings, known):
    known("one", Outcome.RUNNING)
    with claim(settings.runs, "one"):
        assert due(settings) == ([], {"one": "it is running"})


def test_the_oldest_is_first(settings, known):
    known("a", Outcome.RUNNING)
    known("b", Outcome.RUNNING)
    directory = run_directory(settings.runs, "b")
    manifest.write(directory, replace(manifest.read(directory), began=BEGAN - timedelta(days=1)))
    assert due(settings)[0] == ["b", "a"]


@pytest.mark.parametrize(
    ("wanted", "admitted"),
    [
        (Filter(name="name-*"), True),
        (Filter(name="other*"), False),
        (Filter(tags=("night",)), True),
        (Filter(tags=("night", "day")), False),
        (Filter(newer_than=timedelta(hours=3)), True),
        (Filter(newer_than=timedelta(hours=1)), False),
        (Filter(older_than=timedelta(hours=1)), True),
        (Filter(older_than=timedelta(hours=3)), False),
    ],
    ids=["name", "other-name", "tag", "missing-tag", "newer", "not-newer", "older", "not-older"],
)
def test_filters(settings, known, wanted, admitted):
    known("one", Outcome.RUNNING, tags=("night",))
    known("done", Outcome.COMPLETED, tags=("night",))
    assert due(settings, wanted) == ((["one"], {"done": "it is complete"}) if admitted else ([], {}))


def test_a_run_is_found_by_id_name_and_beginning_of_the_id(settings, known):
    known("abcd1", Outcome.RUNNING)
    known("abcd2", Outcome.RUNNING)
    for text in ("abcd1", "name-abcd1"):
        assert resume.find(text, settings).manifest.run_id == "abcd1"
    with pytest.raises(InputError, match=rf"2 runs:\n  abcd. +Killed +{BEGAN.astimezone():%Y-%m-%d %H:%M}"):
        resume.find("abcd", settings)
    for text in ("abc", "other"):
        with pytest.raises(InputError, match="nothing is known"):
            resume.find(text, settings)


def test_a_run_goes_on_with_its_own_settings_where_it_is_found(tmp_path):
    found = RunManifest(
        run_id="1",
        name="n",
        workflow="w",
        plan="p",
        job_order={},
        settings={"on_error": "continue", "workdir": "/elsewhere", "no_longer": 1},
    )
    for runs in (tmp_path / "runs", tmp_path / "other"):
        known = KnownRun(directory=runs / "1", manifest=found)
        settings = resume.settings_of(known, Settings(home=tmp_path, max_calls=3))
        assert (settings.on_error, settings.max_calls) == (OnError.CONTINUE, 3)
        assert settings.runs == runs


async def test_a_run_that_another_process_drives_is_refused_before_prefect_hears_of_it(settings, known, monkeypatch):
    known("one", Outcome.RUNNING)
    monkeypatch.setattr(resume, "connected", lambda _: pytest.fail("it is driven"))
    found = resume.find("one", settings)
    with claim(settings.runs, "one"), pytest.raises(InputError, match="driven by another process"):
        await resume.resume(found, settings=settings)


@pytest.mark.parametrize("left", [Outcome.COMPLETED, None], ids=["kept", "removed"])
async def test_a_run_that_was_completed_since_it_was_found_is_refused(settings, known, left):
    known("one", Outcome.RUNNING)
    found = resume.find("one", settings)
    remove_run(settings.runs, "one")
    if left is not None:
        known("one", left)
    with pytest.raises(InputError, match="it is complete"):
        await resume.resume(found, settings=settings)
    assert found.directory.exists() == (left is not None)


async def test_a_run_that_the_server_has_forgotten_hands_its_name_and_tags_on_and_is_done_with(
    settings, known, monkeypatch
):
    run_id = str(uuid4())
    known(run_id, Outcome.INTERRUPTED, tags=("night",))
    begun = []

    @asynccontextmanager
    async def reached(*_):
        yield None

    async def forgotten(*_):
        return None

    async def call(plan, order, request, flow_run):
        before = list(due(settings)[1].values())
        for observe in request.observers:
            observe(RunStarted(flow_run_id="2", name=request.name, url=None))
        begun.append((flow_run, request.name, request.tags, before))

    monkeypatch.setattr(resume.manifest, "plan_of", lambda *_: workflow(()))
    for name, fake in (("connected", reached), ("get_client", reached), ("_reopened", forgotten), ("call", call)):
        monkeypatch.setattr(resume, name, fake)
    told = []
    await resume.resume(resume.find(run_id, settings), settings=settings, observers=[told.append])
    assert begun == [(None, f"name-{run_id}", ("night",), ["it is running"])]
    assert [event.flow_run_id for event in told] == ["2"]
    assert due(settings) == ([], {run_id: "it was cancelled"})
    assert resume.find(run_id, settings).manifest.error == "the run 2 goes on in its place"


class Empty:
    """Stands for Prefect's client of an API that knows no task runs."""

    async def request(self, *_, **__):
        return httpx.Response(200, json=[])


class TestRescheduling:
    @staticmethod
    def line(state_type, *, deployed: bool, runs: Path | None = None) -> Line:
        run = RunRecord(
            id=uuid4(),
            name="brave-otter",
            deployment_id=uuid4() if deployed else None,
            state=StateRecord(type=state_type.value),
        )
        directory = (runs or Path("/none")) / str(run.id)
        return Line(flow_run=run, directory=directory, local=None, state=state_type.value.title())

    async def test_a_worker_goes_on_with_what_is_not_on_this_machine(self):
        states = []

        class Client:
            async def set_flow_run_state(self, run_id, state, *, force):
                states.append((run_id, state.type, force))

        line = self.line(StateType.CRASHED, deployed=True)
        await control.reschedule(Client(), line)
        assert states == [(line.flow_run.id, StateType.SCHEDULED, True)]

    @pytest.mark.parametrize(
        ("state", "deployed", "why"),
        [
            (StateType.COMPLETED, True, "it is Completed"),
            (StateType.RUNNING, True, "it is Running"),
            (StateType.FAILED, False, "has no deployment"),
        ],
    )
    async def test_what_no_worker_can_go_on_with_is_refused(self, state, deployed, why):
        with pytest.raises(InputError, match=why):
            await control.reschedule(None, self.line(state, deployed=deployed))

    async def test_what_a_worker_has_not_begun_is_refused_with_the_way_out(self):
        with pytest.raises(InputError) as caught:
            await control.reschedule(None, self.line(StateType.PENDING, deployed=True))
        assert "`cwl-prefect runs interrupt` it first" in caught.value.hint

    async def test_what_runs_elsewhere_is_refused_with_where_a_killed_one_is_resumed(self):
        with pytest.raises(InputError) as caught:
            await control.reschedule(None, self.line(StateType.RUNNING, deployed=True))
        assert "CWL_PREFECT_HOME" in caught.value.hint

    async def test_what_no_worker_began_is_interrupted_without_waiting_for_an_answer(self, tmp_path, monkeypatch):
        states = []

        class Client(Empty):
            async def set_flow_run_state(self, run_id, state, *, force):
                states.append(state.type)

            async def read_flow_run(self, run_id):
                raise AssertionError("there is no driver that could answer")

        async def reaped(run_id):
            return 0

        monkeypatch.setattr(control, "reap_run", reaped)
        monkeypatch.setattr(audit, "_emit", lambda *_: None)
        line = self.line(StateType.PENDING, deployed=True, runs=tmp_path)
        await control.stop(Client(), line, for_now=True)
        assert states == [StateType.CANCELLING, StateType.CANCELLED]

    async def test_what_may_be_driven_elsewhere_is_refused_with_the_way_out(self):
        with pytest.raises(InputError) as caught:
            await control.reschedule(None, self.line(StateType.RUNNING, deployed=True))
        assert "`cwl-prefect runs interrupt --force` it first" in caught.value.hint

    @pytest.mark.parametrize(
        ("api", "force"),
        [(None, False), ("http://prefect.example/api", False), ("http://prefect.example/api", True)],
        ids=["local-server", "configured-api", "configured-api-by-force"],
    )
    async def test_what_was_killed_before_it_had_a_directory_is_ended_where_no_other_machine_can_drive_it(
        self, tmp_path, monkeypatch, api, force
    ):
        states = []

        class Client(Empty):
            async def set_flow_run_state(self, run_id, state, *, force):
                states.append(state.type)

            async def read_flow_run(self, run_id):
                return FlowRun(id=run_id, flow_id=uuid4(), state=State(type=StateType.RUNNING))

        async def reaped(run_id):
            return 0

        monkeypatch.setattr(control, "reap_run", reaped)
        monkeypatch.setattr(control, "ANSWER_S", 0.1)
        monkeypatch.setattr(control, "configured_api", lambda: api)
        monkeypatch.setattr(audit, "_emit", lambda *_: None)
        line = self.line(StateType.RUNNING, deployed=False, runs=tmp_path)
        stopping = control.stop(Client(), line, for_now=False, force=force)
        if api is not None and not force:
            with pytest.raises(InputError, match="did not end it") as caught:
                await stopping
            assert "--force" in caught.value.hint
            assert states == [StateType.CANCELLING]
            return
        assert await stopping == "Cancelled"
        assert states == [StateType.CANCELLING, StateType.CANCELLED]

    async def test_what_was_killed_before_its_manifest_was_written_is_ended_without_waiting(
        self, tmp_path, monkeypatch
    ):
        states = []

        class Client(Empty):
            async def set_flow_run_state(self, run_id, state, *, force):
                states.append(state)

        async def reaped(run_id):
            return 0

        monkeypatch.setattr(control, "reap_run", reaped)
        monkeypatch.setattr(audit, "_emit", lambda *_: None)
        line = self.line(StateType.RUNNING, deployed=False, runs=tmp_path)
        line.directory.mkdir()
        await control.stop(Client(), line, for_now=False, delete=True)
        assert [state.type for state in states] == [StateType.CANCELLING, StateType.CANCELLED]
        assert states[0].message.endswith(FOREVER)

    @pytest.mark.parametrize(
        ("for_now", "outcome"), [(True, Outcome.INTERRUPTED), (False, Outcome.CANCELLED)], ids=["interrupt", "cancel"]
    )
    async def test_how_a_killed_run_was_ended_is_known_on_its_machine(
        self, settings, known, monkeypatch, for_now, outcome
    ):
        class Client(Empty):
            async def set_flow_run_state(self, run_id, state, *, force):
                return None

        async def reaped(run_id):
            return 0

        monkeypatch.setattr(control, "reap_run", reaped)
        monkeypatch.setattr(audit, "_emit", lambda *_: None)
        line = self.line(StateType.RUNNING, deployed=False, runs=settings.runs)
        known(line.directory.name, Outcome.RUNNING)
        await control.stop(Client(), replace(line, local=manifest.read(line.directory)), for_now=for_now)
        assert manifest.read(line.directory).outcome is outcome
        assert due(settings)[0] == ([line.directory.name] if for_now else [])

    async def test_a_worker_goes_on_with_what_was_killed(self):
        states = []

        class Client(Empty):
            async def set_flow_run_state(self, run_id, state, *, force):
                states.append(state.type)

        line = self.line(StateType.RUNNING, deployed=True)
        await control.reschedule(Client(), replace(line, state=KILLED))
        assert states == [StateType.SCHEDULED]


class TestMending:
    TOOL = "{{cwlVersion: v1.2, class: CommandLineTool, baseCommand: {0}, outputs: {{}}, inputs: {{{1}}}}}"

    @pytest.fixture
    def document(self, tmp_path) -> Path:
        path = tmp_path / "tool.cwl"
        path.write_text(self.TOOL.format("before", "n: {type: int, default: 1}, m: int"))
        return path

    @pytest.fixture
    def begun(self, document, settings):
        """A run of the document as it is now, with its inputs as they are kept."""
        plan = load_plan(document, settings=settings)
        order = {"n": 1, "m": 5}
        return plan, RunManifest(
            run_id="r", name="otter", workflow="w", plan=plan.digest, job_order=order, document=str(document)
        )

    def test_an_unchanged_document_leaves_a_run_as_it_is(self, begun, settings):
        assert resume.as_written_now(*begun, settings) == begun

    def test_a_mended_document_is_what_the_run_goes_on_with(self, begun, document, settings, caplog):
        document.write_text(self.TOOL.format("after", "n: {type: int, default: 2}, m: int"))
        plan, found = resume.as_written_now(*begun, settings)
        assert plan.steps[0].run.document["baseCommand"] == "after"
        assert (found.plan, found.job_order) == (plan.digest, {"n": 2, "m": 5})
        assert "has changed since the run began" in caplog.text
        assert "--same" in caplog.text

    @pytest.mark.parametrize(
        ("text", "raised"),
        [("{cwlVersion: v1.2", DocumentError), (TOOL.format("after", "m: int, more: string"), InputError)],
        ids=["not valid", "inputs that are not given"],
    )
    def test_a_document_that_cannot_be_gone_on_with_is_told_with_the_way_out(
        self, begun, document, settings, text, raised
    ):
        document.write_text(text)
        with pytest.raises(raised) as found:
            resume.as_written_now(*begun, settings)
        assert "--same" in (found.value.hint or "")

    def test_a_run_whose_document_is_gone_goes_on_as_it_began(self, begun, document, settings, caplog):
        document.unlink()
        assert resume.as_written_now(*begun, settings) == begun
        assert "is gone" in caplog.text

    def test_a_run_that_its_document_alone_does_not_give_goes_on_as_it_began(self, begun, document, settings):
        plan, found = begun
        document.unlink()
        assert resume.as_written_now(plan, replace(found, document=None), settings)[0] is plan
