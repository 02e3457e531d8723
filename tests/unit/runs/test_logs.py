import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import Log

from cwl_prefect.runs import logs as module
from cwl_prefect.runs.logs import Wanted, lines

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUN, NESTED = uuid4(), uuid4()
TASKS = {"draw": uuid4(), "many[0-99]": uuid4(), "after.cat": uuid4()}


def line(message: str, task: str | None = None, *, run: UUID = RUN, after_s: int = 0, level: int = logging.INFO) -> Log:
    return Log(
        id=uuid4(),
        name="prefect",
        level=level,
        message=message,
        timestamp=BEGAN + timedelta(seconds=after_s),
        flow_run_id=run,
        task_run_id=None if task is None else TASKS[task],
    )


class Client:
    """An API that knows lines; more come while a run goes on, each time that somebody asks how it is."""

    def __init__(self, *known: Log, later: tuple[Log, ...] = ()) -> None:
        self.known = list(known)
        self.later = list(later)

    async def read_logs(self, chosen, limit, offset, _sort):
        after = None if chosen.timestamp is None else chosen.timestamp.after_
        found = [one for one in self.known if one.flow_run_id in chosen.flow_run_id.any_]
        found = [one for one in found if one.level >= chosen.level.ge_ and (after is None or one.timestamp >= after)]
        return sorted(found, key=lambda one: one.timestamp)[offset:][:limit]

    async def read_task_runs(self, *, task_run_filter, limit):
        wanted = task_run_filter.id.any_
        assert len(wanted) <= limit
        return [SimpleNamespace(id=task, name=name) for name, task in TASKS.items() if task in wanted]

    async def read_flow_run(self, _run_id):
        self.known += self.later[:1]
        del self.later[:1]
        return SimpleNamespace(state=SimpleNamespace(type=SimpleNamespace(value="RUNNING" if self.later else "FAILED")))


@pytest.fixture(autouse=True)
def api(monkeypatch):
    async def nested(*_):
        return [{"id": str(NESTED), "name": "after"}]

    monkeypatch.setattr(module, "nested_flow_runs", nested)
    monkeypatch.setattr(module, "posting", lambda client: client)
    monkeypatch.setattr(module, "PAUSE_S", 0)


async def told(client: Client, *, follow: bool = False, **wanted) -> list[str]:
    found = [text async for text in lines(client, RUN, Wanted(**wanted), follow=follow)]
    return [text.removeprefix("2026-03-01 12:00:0") for text in found]


ALL = (
    line("Beginning"),
    line("inputs: x", "draw", after_s=1),
    line("many[5]: no reads", "many[0-99]", after_s=2),
    line("Finished", "many[0-99]", after_s=3, level=logging.ERROR),
    line("w.cwl:3:1: many[77] failed: it exited\n  command: x", after_s=4, level=logging.ERROR),
    line("Beginning subflow", run=NESTED, after_s=5),
    line("wc: done", "after.cat", run=NESTED, after_s=6),
)


async def test_each_line_says_what_logged_it_also_in_nested_runs():
    assert await told(Client(*ALL)) == [
        "0 Beginning",
        "1 draw: inputs: x",
        "2 many[5]: no reads",
        "3 ERROR many[0-99]: Finished",
        "4 ERROR many[77]: w.cwl:3:1: many[77] failed: it exited\n  command: x",
        "5 after: Beginning subflow",
        "6 after.cat: wc: done",
    ]


@pytest.mark.parametrize(
    ("wanted", "seconds"),
    [
        pytest.param({"step": "many"}, "234", id="step"),
        pytest.param({"step": "many[5]"}, "2", id="call"),
        pytest.param({"step": "after"}, "56", id="subworkflow"),
        pytest.param({"step": "aft"}, "", id="no-step"),
        pytest.param({"level": logging.WARNING}, "34", id="level"),
        pytest.param({"since": BEGAN + timedelta(seconds=5)}, "56", id="age"),
    ],
)
async def test_lines_are_chosen(wanted, seconds):
    assert "".join(text[0] for text in await told(Client(*ALL), **wanted)) == seconds


async def test_many_lines_are_read_page_by_page(monkeypatch):
    monkeypatch.setattr(module, "PAGE", 2)
    assert len(await told(Client(*ALL))) == len(ALL)


async def test_a_run_is_followed_to_its_end_and_each_line_is_told_once():
    later = (line("late but older", "draw", after_s=3), line("last", after_s=9))
    found = await told(Client(*ALL[:5], later=later), follow=True)
    assert [text[0] for text in found] == ["0", "1", "2", "3", "4", "3", "9"]
