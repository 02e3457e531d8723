import asyncio
import hashlib
import io
import json
import signal
from pathlib import Path

import pytest

from cwl_prefect import api
from cwl_prefect.api import RunResult, RunStatus
from cwl_prefect.cli.run.batch import Batch, prepare_items, run_batch
from cwl_prefect.engine.records import manifest
from cwl_prefect.engine.records.batch import Record
from cwl_prefect.engine.records.manifest import Outcome, RunManifest
from cwl_prefect.engine.staging.workspace import run_directory
from cwl_prefect.errors import InputError, InterruptedRunError, PublishError, StepError, UsageError
from cwl_prefect.flows.build import prepared
from cwl_prefect.settings import Settings

TOOL = """\
cwlVersion: v1.2
class: CommandLineTool
baseCommand: echo
inputs: {n: int, text: File?}
outputs: []
"""


@pytest.fixture
def load(tmp_path):
    (tmp_path / "tool.cwl").write_text(TOOL)
    plan = api.compile_document(tmp_path / "tool.cwl")
    return lambda _: plan


@pytest.fixture
def runs(monkeypatch) -> list[dict]:
    """Runs that end at once; those of an odd number fail."""
    found: list[dict] = []

    async def run(plan, job_order, *, settings, outdir, name, tags):
        found.append({"n": job_order["n"], "outdir": str(outdir).rpartition("/")[2], "name": name, "tags": tags})
        await asyncio.sleep(0)
        failed = job_order["n"] % 2 == 1
        errors = (StepError("it went wrong"),) if failed else ()
        status = RunStatus.FAILED if failed else RunStatus.COMPLETED
        return RunResult(status=status, outputs={}, flow_run_id="1", url="http://ui/1", errors=errors)

    monkeypatch.setattr(api, "run", run)
    return found


def play(directory: Path, load, *numbers: int, **more) -> tuple[int, dict]:
    code, found = told(directory, load, *numbers, **more)
    return code, {name: each["status"] for name, each in found.items()}


def told(directory: Path, load, *numbers: int, place=None, **more) -> tuple[int, dict]:
    table = directory / "t.csv"
    table.write_text("name,n\n" + "".join(f"run{number},{number}\n" for number in numbers))
    settings = Settings(home=directory / "home")
    items = prepare_items([str(table)], [], load, settings)
    results = io.StringIO()
    batch = Batch(items=items, settings=settings, outdir=place or directory / "out", quiet=True, **more)
    code = run_batch(batch, results)
    return code, json.loads(results.getvalue())


@pytest.mark.parametrize(("numbers", "code"), [((2, 4), 0), ((1, 2), 24), ((1, 3), 13)])
def test_the_exit_code_tells_whether_all_some_or_none_are_complete(tmp_path, load, runs, numbers, code):
    found, statuses = play(tmp_path, load, *numbers)
    assert found == code
    assert statuses == {f"run{number}": "failed" if number % 2 else "completed" for number in numbers}


def test_flow_runs_are_named_after_the_batch_and_tagged_like_it(tmp_path, load, runs):
    play(tmp_path, load, 2, 4, name="nightly", tags=("night",))
    assert [(each["name"], each["tags"]) for each in runs] == [(f"nightly-run{n}", ("night",)) for n in (2, 4)]


def test_only_what_is_missing_or_new_runs_again(tmp_path, load, runs):
    play(tmp_path, load, 1, 2, 4)
    runs.clear()
    play(tmp_path, load, 1, 2, 4, 6)
    assert sorted(each["outdir"] for each in runs) == ["run1", "run6"]


def test_a_batch_whose_results_go_to_a_url_is_recorded_on_this_machine(tmp_path, load, runs):
    assert told(tmp_path, load, 2, 4, place="s3://bucket/out")[0] == 0
    runs.clear()
    assert told(tmp_path, load, 2, 4, place="s3://bucket/out")[0] == 0
    assert runs == []
    assert told(tmp_path, load, 2, place="s3://bucket/other")[0] == 0
    assert [each["outdir"] for each in runs] == ["run2"]


@pytest.mark.parametrize(("outcome", "goes_on"), [(Outcome.RUNNING, True), (Outcome.FAILED, False)])
def test_a_run_that_was_killed_goes_on(tmp_path, load, runs, monkeypatch, outcome, goes_on):
    directory = run_directory(tmp_path / "home" / "runs", "killed")
    directory.mkdir(parents=True)
    begun = RunManifest(
        run_id="killed",
        name="killed",
        workflow="tool",
        plan=load({}).digest,
        job_order=prepared(load({}), {"n": 4}, Settings()),
        outdir=str(tmp_path / "out" / "run4"),
        settings=manifest.kept_settings(Settings()),
        outcome=outcome,
    )
    manifest.write(directory, begun)
    resumed = []

    async def resume(run, *, settings):
        resumed.append(run)
        return RunResult(status=RunStatus.COMPLETED, outputs={}, flow_run_id=run, url=None, errors=())

    monkeypatch.setattr(api, "resume", resume)
    _, found = told(tmp_path, load, 2, 4)
    assert (resumed, found["run4"]["run_id"]) == ((["killed"], "killed") if goes_on else ([], "1"))
    assert [each["n"] for each in runs] == ([2] if goes_on else [2, 4])


def test_each_run_has_its_page_also_where_it_is_complete_already(tmp_path, load, runs):
    for _ in range(2):
        assert told(tmp_path, load, 2)[1]["run2"]["url"] == "http://ui/1"
    assert len(runs) == 1


def test_wrong_inputs_are_all_named_before_anything_starts(tmp_path, load, runs):
    (tmp_path / "t.jsonl").write_text('{"n": "x"}\n{"n": 1}\n{"n": 1, "text": {"class": "File", "path": "no"}}\n')
    with pytest.raises(InputError, match=r"2 of 3 runs are wrong(.|\n)*row 1(.|\n)*row 3"):
        prepare_items([str(tmp_path / "t.jsonl")], [], load, Settings(home=tmp_path))
    assert runs == []


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("t.csv", "txet\n1\n", "t.csv, row 1: there is no input 'txet'. Did you mean 'text'?"),
        ("t.jsonl", '{"txet": 1}\n', "t.jsonl, row 1: there is no input 'txet'. Did you mean 'text'?"),
        ("t.yml", "- n: 1\n", "t.yml: expected a mapping"),
    ],
)
def test_wrong_inputs_are_told_alike_wherever_they_stand(tmp_path, load, monkeypatch, name, text, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as found:
        prepare_items([name], [], load, Settings(home=tmp_path))
    assert found.value.message.splitlines()[1].startswith(f"  {told}")


def test_rows_that_cannot_be_read_hide_no_wrong_inputs(tmp_path, load, runs):
    (tmp_path / "t.csv").write_text("n\n1,2\nx\n3\n")
    (tmp_path / "u.csv").write_text("n,n\n1,2\n")
    given = [str(tmp_path / name) for name in ("t.csv", "u.csv")]
    with pytest.raises(InputError, match=r"3 of 4 runs are wrong(.|\n)*row 1: it has(.|\n)*row 2: (.|\n)*u.csv: two"):
        prepare_items(given, [], load, Settings(home=tmp_path))
    assert runs == []


def test_flags_go_over_the_inputs_of_all_runs(tmp_path, load):
    (tmp_path / "t.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    items = prepare_items([str(tmp_path / "t.jsonl")], ["--n", "7"], load, Settings(home=tmp_path))
    assert [item.job_order["n"] for item in items] == [7, 7]
    assert len({item.name for item in items}) == len({item.key for item in items}) == 2


def test_a_table_without_rows_is_an_error(tmp_path, load):
    (tmp_path / "t.csv").write_text("n\n")
    with pytest.raises(UsageError, match="nothing to run"):
        prepare_items([str(tmp_path / "t.csv")], [], load, Settings(home=tmp_path))


def test_a_batch_that_is_stopped_tells_of_no_failed_runs(tmp_path, load, monkeypatch, capsys):
    async def run(*_, **__):
        signal.raise_signal(signal.SIGINT)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:  # Prefect is told that it was interrupted
            errors = (InterruptedRunError("The run was interrupted by a signal."),)
            return RunResult(status=RunStatus.FAILED, outputs={}, flow_run_id="1", url=None, errors=errors)

    monkeypatch.setattr(api, "run", run)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with pytest.raises(InterruptedRunError, match="stopped"):
            play(tmp_path, load, 2)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert "failed" not in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--n", "7"], []])
def test_files_may_follow_flags(tmp_path, load, flags):
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.yml").write_text("n: 1\n")
    given, *more = (str(tmp_path / f"{name}.yml") for name in ("a", "b", "c"))
    items = prepare_items([given], [*flags, *more], load, Settings(home=tmp_path))
    assert [item.name for item in items] == ["a", "b", "c"]


def test_a_file_after_flags_that_is_not_there_is_refused(tmp_path, load):
    (tmp_path / "a.yml").write_text("n: 1\n")
    with pytest.raises(UsageError, match=r"there is no file b\.yml"):
        prepare_items([str(tmp_path / "a.yml")], ["--n", "7", "b.yml"], load, Settings(home=tmp_path))


def test_paths_in_cells_start_from_the_directory_of_the_table(tmp_path, load, monkeypatch):
    for directory in ("here", "tables"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "x.txt").touch()
    table = tmp_path / "tables" / "t.csv"
    table.write_text('n,text\n1,x.txt\n2,"{""class"": ""File"", ""path"": ""x.txt""}"\n')
    monkeypatch.chdir(tmp_path / "here")
    items = prepare_items([str(table)], [], load, Settings(home=tmp_path))
    expected = (tmp_path / "tables" / "x.txt").as_uri()
    assert [item.job_order["text"]["location"] for item in items] == [expected, expected]


def test_the_key_of_a_run_on_plain_files_is_that_of_earlier_records(tmp_path, load):
    text = tmp_path / "in put.txt"
    text.write_text("1")
    (tmp_path / "a.yml").write_text("n: 1\ntext: {class: File, path: in put.txt}\n")
    [item] = prepare_items([str(tmp_path / "a.yml")], [], load, Settings(home=tmp_path))
    known = json.dumps([item.plan.digest, item.job_order, [[1, text.stat().st_mtime_ns]]], sort_keys=True)
    assert item.key == hashlib.sha256(known.encode()).hexdigest()


def test_a_record_that_cannot_be_written_stops_no_run(tmp_path, load, runs, monkeypatch):
    def add(*_):
        raise PublishError("the record cannot be written")

    monkeypatch.setattr(Record, "add", add)
    code, found = told(tmp_path, load, 2, 4)
    assert code == 0
    assert [each["errors"] for each in found.values()] == [["the record cannot be written"]] * 2


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("t.csv", "$ref,n,text\nsub/job.yml,5,\nsub/job.yml,,b.txt\n"),
        (
            "t.jsonl",
            '{"$ref": "sub/job.yml", "n": 5}\n{"$ref": "sub/job.yml", "text": {"class": "File", "path": "b.txt"}}\n',
        ),
    ],
    ids=["csv", "jsonl"],
)
def test_a_row_may_refer_to_a_job_order_over_which_it_goes(tmp_path, load, name, table):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/job.yml").write_text("n: 1\ntext: {class: File, path: a.txt}")
    for file in ("sub/a.txt", "b.txt"):
        (tmp_path / file).write_text("")
    (tmp_path / name).write_text(table)

    items = prepare_items([str(tmp_path / name)], [], load, Settings(home=tmp_path / "home"))

    given = [(item.job_order["n"], item.job_order["text"]["location"]) for item in items]
    assert given == [(5, f"{tmp_path.as_uri()}/sub/a.txt"), (1, f"{tmp_path.as_uri()}/b.txt")]
