"""A cached result is what the call would have given: for generated expressions, other paths, names and machines.

The first machine runs a call and keeps its result. The second has the files elsewhere, maybe with other names, contents
or fields, and other directories for its runs; what it gives with the first one's cache must be what it gives without.
"""

import asyncio
import hashlib
import json
import shutil
import urllib.parse
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cwl_prefect.backends.fake import FakeBackend
from cwl_prefect.cwl.javascript import engine
from cwl_prefect.errors import CwlPrefectError
from cwl_prefect.flows.execution.attempt import Call
from cwl_prefect.flows.execution.backends import Backends
from cwl_prefect.flows.execution.call_work import CallWork
from cwl_prefect.flows.execution.run import Run, RunRequest
from cwl_prefect.flows.lifecycle.opening import open_run
from cwl_prefect.model.job import ContainerJob, DockerImage
from cwl_prefect.model.plan import ToolPlan, WorkflowPlan
from cwl_prefect.settings import Keep, Settings
from tests.unit.documents import plan_of

TOOL = """
cwlVersion: v1.2
class: CommandLineTool
requirements:
  InlineJavascriptRequirement: {}
  InitialWorkDirRequirement: {listing: []}
  EnvVarRequirement: {envDef: {}}
hints: {DockerRequirement: {dockerPull: debian}, ResourceRequirement: {coresMin: 2}}
baseCommand: say
inputs:
  f: File
  g: File[]
  d: {type: Directory, loadListing: deep_listing}
stdout: said.txt
outputs:
  said: {type: string, outputBinding: {glob: said.txt, loadContents: true, outputEval: "$(self[0].contents)"}}
  found: {type: Any, outputBinding: {glob: said.txt, outputEval: null}}
"""

CHANCE = ("Math.random() < 2", "new Date().getFullYear() > 0", "Date.now() > 0", "typeof Date()")
FIELDS = ("basename", "path", "location", "dirname", "nameroot", "size", "checksum", "contents", "format", "listing")
OBJECTS = ("inputs.f", "inputs.g[0]", "inputs.g[1]", "inputs.f.secondaryFiles[0]", "inputs.d", "inputs.d.listing[0]")

objects = st.sampled_from(OBJECTS)
fields = st.sampled_from(FIELDS)


def _of_object(text: str) -> st.SearchStrategy[str]:
    """Write JavaScript that looks at a File or Directory."""
    return st.one_of(
        fields.map(lambda field: f"String({text}.{field})"),
        fields.map(lambda field: f"String({text}.{field}).length"),
        fields.map(lambda field: f"String('{field}' in {text})"),
        fields.map(lambda field: f"{text}.hasOwnProperty('{field}')"),
        st.sampled_from(
            (
                f"{text}.path.split('/').pop()",
                f"{text}.path.split('/')[2]",
                f"{text}.path.split('/').length",
                f"{text}.path.length % 2",
                f"{text}.path.length > 60",
                f"{text}.location.replace(/.*[/]/, '')",
                f"JSON.stringify({text})",
                f"JSON.stringify({{...{text}}})",
                f"Object.keys({text}).length",
                f"Object.entries({text}).map(String).join()",
                f"(o => {{ var r = []; for (var k in o) {{ r.push(String(o[k])); }} return r.join(); }})({text})",
                f"(function (o) {{ o.basename = 'other'; return o.basename + o.size; }})({text})",
                f"({text}.listing || []).map(function (o) {{ return o.location; }}).join()",
            )
        ),
    )


javascript = st.one_of(
    objects.flatmap(_of_object),
    st.sampled_from(
        ("runtime.outdir", "runtime.outdir.length", "runtime.cores", "JSON.stringify(runtime)", "inputs.g.length")
    ),
    st.sampled_from(("JSON.stringify(inputs)", "new Date(0).getHours()", "inputs.f.location === inputs.g[0].location")),
    st.sampled_from(CHANCE),
)
references = st.one_of(
    st.builds("{}.{}".format, objects, st.sampled_from(("basename", "path", "location", "class"))),
    st.sampled_from((*OBJECTS[:3], "inputs.d", "inputs.g", "inputs.f.size", "runtime.outdir", "runtime.cores")),
)
expressions = st.one_of(javascript.map(lambda text: f"${{return {text};}}"), references.map("$({})".format))
texts = st.one_of(expressions, expressions.map("some {} text".format))
outputs = st.one_of(
    expressions,
    st.sampled_from(("$(inputs.f)", "$(inputs.g)", "$(self)", "$(inputs.d)", "${return {a: inputs.f, b: self[0]};}")),
    st.sampled_from(("$(self[0].location)", "$(self[0].path)", "$(self[0].size)", "${return self[0].path.length;}")),
    st.sampled_from(
        ("${return {class: 'File', location: self[0].location};}", "${return Object.keys(self[0]).length;}")
    ),
)


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A generated tool, with an expression at one place."""

    argument: str = "x"
    variable: str = "x"
    staged: str = "x"
    found: str = "$(self[0].size)"
    in_container: bool

    @property
    def takes_chances(self) -> bool:
        texts = (self.argument, self.variable, self.staged, self.found)
        return any(chance in text for chance in CHANCE for text in texts)


tools = st.one_of(
    st.builds(Tool, argument=texts, in_container=st.booleans()),
    st.builds(Tool, variable=texts.map("v{}".format), in_container=st.booleans()),
    st.builds(Tool, staged=texts.map("s{}".format), in_container=st.booleans()),
    st.builds(Tool, found=outputs, in_container=st.booleans()),
)


@dataclass(frozen=True, kw_only=True)
class Files:
    """Where the files of a call lie, and what its values say of them."""

    place: str = "first"
    name: str = "reads.txt"
    content: str = "content"
    said: frozenset[str] = frozenset()  # fields that the values have
    inner: str = "inner.txt"


SAID = {
    "size": 7,
    "checksum": "sha1$040f06fd774092478d450774f5ba30c5da78acc8",
    "format": "urn:reads",
    "contents": "content",
}
others = st.builds(
    Files,
    place=st.sampled_from(("first", "second", "a/third one")),
    name=st.just("reads.txt") | st.sampled_from(("reads.txt", "other.txt")),
    content=st.just("content") | st.sampled_from(("content", "CONTENT")),
    said=st.just(frozenset()) | st.frozensets(st.sampled_from(sorted(SAID))),
    inner=st.just("inner.txt") | st.sampled_from(("inner.txt", "outer.txt")),
)


class Machine(FakeBackend):
    """Plays a tool that tells all that it is given, but for its own directories."""

    def __init__(self, *, containers: bool) -> None:
        super().__init__(self.play, containers=containers)
        self.root = Path()

    async def identify(self, image: DockerImage | None, *, step: str) -> str | None:
        return "sha256:1" if image else "here"

    def play(self, job: ContainerJob) -> int:
        staged = Path(job.workdir, "staged.txt")
        told = [*job.command, job.env.get("TOLD", ""), staged.read_text() if staged.is_file() else ""]
        job.stdout.write_text(json.dumps(told).replace(str(self.root), "ROOT"))
        return 0


@dataclass(kw_only=True)
class Lab:
    """Two machines with one cache."""

    directory: Path
    loop: asyncio.AbstractEventLoop
    plan: WorkflowPlan
    machines: dict[bool, Machine]
    runs: dict[tuple[str, bool], Run]
    calls: int = 0

    def tool(self, made: Tool) -> ToolPlan:
        (only,) = self.plan.steps
        base = only.run
        assert isinstance(base, ToolPlan)
        document = {**base.document, "arguments": [{"valueFrom": made.argument}]}
        ports = {port["id"].rpartition("#")[2]: port for port in document["outputs"]}
        found = {**ports["found"], "outputBinding": {"glob": "said.txt", "outputEval": made.found}}
        document["outputs"] = [found, ports["said"]]
        replaced = {
            "InitialWorkDirRequirement": {"listing": [{"entryname": "staged.txt", "entry": made.staged}]},
            "EnvVarRequirement": {"envDef": [{"envName": "TOLD", "envValue": made.variable}]},
        }
        requirements = tuple({**entry, **replaced.get(entry["class"], {})} for entry in base.requirements)
        digest = hashlib.sha256(repr(made).encode()).hexdigest()
        return replace(base, document=document, requirements=requirements, digest=digest)

    def values(self, files: Files) -> dict:
        place = self.directory / "files" / files.place / files.content
        inner = place / files.inner / "d" / files.inner
        said = {field: SAID[field] for field in sorted(files.said)}

        def file(name: str, **more: object) -> dict:
            _write(place / name, files.content)
            return {"class": "File", "location": (place / name).as_uri(), "basename": name, **more}

        _write(inner, "inner")
        return {
            "f": {**file(files.name, **said), "secondaryFiles": [file("reads.idx")]},
            "g": [file(files.name), file("more.txt")],
            "d": {"class": "Directory", "location": inner.parent.as_uri(), "basename": "d"},
        }

    def call(self, machine: str, made: Tool, files: Files, *, cache: bool = True) -> tuple[object, bool]:
        """Return what a call gives, in words that do not depend on where its outputs lie, and whether it was cached."""
        run = self.runs[machine, made.in_container]
        run = run if cache else replace(run, cache=None)
        self.calls += 1
        step = f"s{self.calls:05}"  # of one length, and new: to remove a workspace takes longer than a call
        root = run.runs / run.run_id / step
        self.machines[made.in_container].root = root
        call = Call(tool=self.tool(made), values=self.values(files), step=step, index=())

        async def ended() -> tuple[object, bool]:
            work = CallWork(run, call)
            try:
                await work.prepare()
                result = await work.attempt()
            except CwlPrefectError as error:
                return str(error), False
            finally:
                await work.release()
            return self.told(result.outputs, root), result.cached

        return self.loop.run_until_complete(ended())

    def told(self, outputs: object, root: Path) -> object:
        """Return outputs with the content of each file in them instead of its place below the run."""

        def plain(value: object) -> object:
            if isinstance(value, list):
                return [plain(item) for item in value]
            if not isinstance(value, dict):
                return value.replace(str(root), "ROOT") if isinstance(value, str) else value
            location = str(value.get("location", ""))
            path = Path(urllib.parse.unquote(location.removeprefix("file://")))
            if value.get("class") == "File" and path.is_relative_to(root.parent):
                value = {**value, "location": path.name, "bytes": path.read_text()}
            return {key: plain(item) for key, item in value.items()}

        return plain(outputs)


def _write(path: Path, text: str) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    engine.install(timeout_s=20, memory_mib=64)
    directory = tmp_path_factory.mktemp("soundness")
    plan = plan_of(TOOL)
    loop = asyncio.new_event_loop()
    machines = {containers: Machine(containers=containers) for containers in (False, True)}
    runs: dict[tuple[str, bool], Run] = {}

    async def opened() -> AsyncExitStack:
        stack = AsyncExitStack()
        for home in ("one", "another/home"):
            for containers, backend in machines.items():
                here = Settings(home=directory / home, cache_url=str(directory / "cache"), keep=Keep.ALWAYS)
                request = RunRequest(job_order={}, settings=here, backends=Backends.of(backend, here))
                run = await stack.enter_async_context(open_run(plan, request, f"run-{containers}"))
                runs[home.partition("/")[0], containers] = run
        return stack

    stack = loop.run_until_complete(opened())
    yield Lab(directory=directory, loop=loop, plan=plan, machines=machines, runs=runs)
    loop.run_until_complete(stack.aclose())
    loop.close()
    shutil.rmtree(directory)


@given(made=tools, files=others)
@settings(max_examples=2000, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_cached_result_is_what_the_call_would_have_given(lab: Lab, made: Tool, files: Files):
    lab.call("one", made, Files())
    found, cached = lab.call("another", made, files)
    if cached:
        assert not made.takes_chances
        assert found == lab.call("another", made, files, cache=False)[0]
