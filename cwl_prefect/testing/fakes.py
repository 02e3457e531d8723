"""Tools that are played by what a test says of them."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from cwl_prefect.model.job import ContainerJob
from cwl_prefect.model.names import without_indices


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeTool:
    """What a tool does when it is called.

    Attributes:
        stdout: What it prints.
        stderr: What it complains.
        files: Contents of the files that it writes, by their paths in the output directory.
        exits: Exit codes of the tries of a call; the last holds for all after it.
        takes: How long a try takes; in a simulation, by the simulated clock.

    Examples:
        >>> from datetime import timedelta
        >>> from cwl_prefect.testing import FakeTool
        >>> FakeTool(files={"reads.bam": "aligned"}, exits=(75, 0), takes=timedelta(hours=6)).exits
        (75, 0)
    """

    stdout: str = ""
    stderr: str = ""
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    exits: tuple[int, ...] = (0,)
    takes: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeCall:
    """One try of a call, as it was played.

    Attributes:
        name: The call, as ``align[3]``.
        step: Its step, as ``align``.
        command: What would have run.
        began: When, on the clock of the loop; in a simulation, since the run began.
        ended: When it ended.
        exit_code: How it ended.
    """

    name: str
    step: str
    command: tuple[str, ...]
    began: timedelta
    ended: timedelta
    exit_code: int


class FakeTools:
    """Plays the tools of a workflow, as a handler of a FakeBackend; one of which nothing is said ends well.

    Args:
        tools: What each step's tool does, by the path of the step, as ``align`` or ``prepare.align``.

    Attributes:
        calls: Every try so far, in the order of their ends.

    Examples:
        >>> from cwl_prefect.testing import FakeBackend, FakeTool, FakeTools
        >>> tools = FakeTools({"hello": FakeTool(stdout="hello from a test")})
        >>> backend = FakeBackend(tools)
    """

    def __init__(self, tools: Mapping[str, FakeTool]) -> None:
        self.calls: list[FakeCall] = []
        self._tools = dict(tools)
        self._tries: Counter[str] = Counter()

    async def __call__(self, job: ContainerJob) -> int:
        """Play one try of a call, and return its exit code."""
        step, loop = without_indices(job.name), asyncio.get_running_loop()
        tool = self._tools.get(step, FakeTool())
        exit_code = tool.exits[min(self._tries[job.name], len(tool.exits) - 1)]
        self._tries[job.name] += 1
        began_s = loop.time()
        await asyncio.sleep(tool.takes.total_seconds())
        _write(tool, job)
        call = FakeCall(
            name=job.name,
            step=step,
            command=job.command,
            began=timedelta(seconds=began_s),
            ended=timedelta(seconds=loop.time()),
            exit_code=exit_code,
        )
        self.calls.append(call)
        return exit_code


def _write(tool: FakeTool, job: ContainerJob) -> None:
    for name, content in tool.files.items():
        path = Path(job.workdir) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    for path, text in ((job.stdout, tool.stdout), (job.stderr, tool.stderr)):
        if text:
            path.write_text(text, encoding="utf-8")
