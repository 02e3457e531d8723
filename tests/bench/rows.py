"""The rows of the benchmark: what is measured, and the bar that each must hold."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.bench import history, workloads
from tests.bench.catch_up import seconds_to_catch_up
from tests.bench.processes import BenchError, Run
from tests.bench.runners import Runners
from tests.bench.workloads import Workload

IMAGE = "busybox"
PAIRS = 3  # for each repetition, of what differs by little


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One figure against its bar; smaller is better."""

    row: str
    what: str
    figure: float
    bar: float
    unit: str
    ours: tuple[float, ...] = ()
    reference: tuple[float, ...] = ()
    note: str = ""

    @property
    def held(self) -> bool:
        """Whether the bar is held."""
        return self.figure <= self.bar


@dataclass(slots=True)
class Bench:
    """What the rows share: the runners, where documents lie, how often to measure, and figures that two rows need."""

    runners: Runners
    documents: Path
    repeat: int
    echo: Workload = field(init=False)
    _wide: dict[int, list[Run]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.echo = workloads.echo(self.documents)

    def warm_up(self) -> None:
        """Run each runner once, so that bytecode is compiled, the file cache is filled, and a process stands by."""
        self.runners.server("start")
        self.runners.ours(self.echo)
        self.runners.until_one_stands_by()
        self.runners.reference(self.echo)

    def against(self, workload: Workload, *, container: bool = False) -> tuple[list[Run], list[Run]]:
        """Measure both runners in turn."""
        pairs = [
            (self.runners.reference(workload, container=container), self.runners.ours(workload, container=container))
            for _ in range(self.repeat)
        ]
        return [ours for _, ours in pairs], [reference for reference, _ in pairs]

    def plain_scatter(self) -> list[Run]:
        """Measure cwl-prefect alone on 1,000 calls, unless another row has."""
        if 1000 not in self._wide:
            workload = workloads.scatter(self.documents, 1000)
            self._wide[1000] = [self.runners.ours(workload) for _ in range(self.repeat)]
        return self._wide[1000]

    def remember_scatter(self, runs: list[Run]) -> None:
        """Keep the runs of 1,000 calls for the row of 10,000."""
        self._wide[1000] = runs


def _walls(runs: list[Run]) -> tuple[float, ...]:
    return tuple(round(run.wall_s, 3) for run in runs)


def _ratio(row: str, what: str, bar: float, runs: tuple[list[Run], list[Run]]) -> Check:
    ours, reference = map(_walls, runs)
    figure = median(ours) / median(reference)
    return Check(row=row, what=what, figure=figure, bar=bar, unit="times cwltool", ours=ours, reference=reference)


def scatter_1000(bench: Bench) -> Iterator[Check]:
    """1,000 calls of echo."""
    runs = bench.against(workloads.scatter(bench.documents, 1000))
    bench.remember_scatter(runs[0])
    yield _ratio("scatter-1000", "1,000-wide scatter of echo", 0.46, runs)


def javascript_1000(bench: Bench) -> Iterator[Check]:
    """1,000 calls of echo whose argument is a JavaScript expression."""
    runs = bench.against(workloads.scatter(bench.documents, 1000, javascript=True))
    yield _ratio("javascript-1000", "the same with a JavaScript argument", 0.48, runs)


def cached_1000(bench: Bench) -> Iterator[Check]:
    """1,000 calls of echo that all ran before."""
    workload = workloads.scatter(bench.documents, 1000)
    first, second, reference = [], [], []
    for _ in range(bench.repeat):
        ours, theirs = bench.runners.cache(), bench.runners.cache()
        first.append(bench.runners.ours(workload, cache=ours))
        second.append(bench.runners.ours(workload, cache=ours))
        bench.runners.reference(workload, cache=theirs)
        reference.append(bench.runners.reference(workload, cache=theirs))
    row, what = "cached-1000", "1,000-wide scatter, all cached"
    yield Check(
        row=row,
        what=what,
        figure=median(_walls(second)) / median(_walls(first)),
        bar=0.2,
        unit="times its first run",
        ours=_walls(second),
        reference=_walls(first),
    )
    yield _ratio(row, "… against cwltool --cachedir", 0.3, (second, reference))


def chain_100(bench: Bench) -> Iterator[Check]:
    """100 steps of cat in a row."""
    runs = bench.against(workloads.chain(bench.documents, 100))
    yield _ratio("chain-100", "chain of 100 cat steps", 1.2, runs)


def echo_once(bench: Bench) -> Iterator[Check]:
    """One echo with a server running."""
    yield _ratio("echo", "echo once, server running", 0.5, bench.against(bench.echo))


def echo_from_nothing(bench: Bench) -> Iterator[Check]:
    """One echo with no server running, on a used home."""
    runs = []
    for _ in range(bench.repeat):
        bench.runners.server("stop")
        runs.append(bench.runners.ours(bench.echo))
    walls = _walls(runs)
    yield Check(
        row="echo-from-nothing",
        what="echo once from nothing, used home",
        figure=median(walls),
        bar=8.0,
        unit="s",
        ours=walls,
    )


def echo_fresh_home(bench: Bench) -> Iterator[Check]:
    """One echo with no server running, on a home that was never used."""
    runs = []
    for _ in range(bench.repeat):
        with bench.runners.fresh_home() as home:
            runs.append(bench.runners.ours(bench.echo, home=home))
    walls = _walls(runs)
    yield Check(
        row="echo-fresh-home",
        what="echo once from nothing, fresh home",
        figure=median(walls),
        bar=15.0,
        unit="s",
        ours=walls,
    )


def scatter_10000(bench: Bench) -> Iterator[Check]:
    """10,000 calls of echo: time, memory, and the server's lag."""
    row = "scatter-10000"
    small = median(_walls(bench.plain_scatter()))
    workload = workloads.scatter(bench.documents, 10000)
    runs, lags, tasks = [], [], 0
    for _ in range(bench.repeat):
        runs.append(bench.runners.ours(workload, alone=True))  # another process would hold the memory
        lag, tasks = seconds_to_catch_up(bench.runners.home)
        lags.append(round(lag, 2))
    walls = _walls(runs)
    peaks = tuple(round(run.peak_rss_mib, 1) for run in runs)
    yield Check(
        row=row,
        what="10,000-wide scatter of echo",
        figure=median(walls) / small,
        bar=11.0,
        unit="times 1,000-wide",
        ours=walls,
        reference=(small,),
    )
    yield Check(row=row, what="… its peak memory", figure=max(peaks), bar=500.0, unit="MiB", ours=peaks)
    yield Check(
        row=row,
        what="… the server catches up",
        figure=median(lags),
        bar=5.0,
        unit="s",
        ours=tuple(lags),
        note=f"{tasks} task runs",
    )


def history_10000(bench: Bench) -> Iterator[Check]:
    """What answers about runs, with 10,000 of them on the server and in the home."""
    with bench.runners.fresh_home() as home:
        history.fill(bench.runners, home, bench.documents, 10_000)
        for name in ("runs ls", "workspace gc"):
            runs = [bench.runners.command(name.split(), home=home) for _ in range(bench.repeat)]
            walls = _walls(runs)
            if name == "runs ls" and history.NAMES.encode() not in runs[0].stdout:
                raise BenchError(f"{name} lists nothing")
            what = f"{name} with 10,000 runs of history"
            yield Check(row="history-10000", what=what, figure=median(walls), bar=2.0, unit="s", ours=walls)


def bind_1000(bench: Bench) -> Iterator[Check]:
    """1,000 calls of a tool with 20 inputs, bound in this process, and one call with 20,000 items."""
    from tests.bench import binding

    times = binding.measure(bench.documents / "bind", repeat=bench.repeat)
    figure = median(times.ours) / median(times.cwltool)
    what = "1,000 calls of 20 inputs bound"
    yield Check(
        row="bind", what=what, figure=figure, bar=0.25, unit="times cwltool", ours=times.ours, reference=times.cwltool
    )
    items = median(times.items)
    yield Check(row="bind", what="… 20,000 items bound", figure=items, bar=2.0, unit="s", ours=times.items)


def inputs_1000(bench: Bench) -> Iterator[Check]:
    """1,000 inputs of 10 KiB from an object store, fetched in this process."""
    from tests.bench import inputs

    times = inputs.measure(bench.documents / "inputs", repeat=PAIRS * bench.repeat)
    figure = median(ours / bulk for ours, bulk in zip(times.ours, times.bulk, strict=True))
    what, unit = "1,000 inputs of 10 KiB from an object store", "times fsspec's bulk get"
    yield Check(row="inputs-1000", what=what, figure=figure, bar=1.5, unit=unit, ours=times.ours, reference=times.bulk)


def report_10000(bench: Bench) -> Iterator[Check]:
    """The report of a run with 10,000 calls, made and opened in Chromium."""
    from tests.bench import reports

    found = reports.measure(bench.documents / "report", calls=10_000, repeat=bench.repeat)
    what, row = "report of 10,000 calls made", "report-10000"
    yield Check(row=row, what=what, figure=median(found.made_s), bar=10.0, unit="s", ours=found.made_s)
    yield Check(row=row, what="… opened", figure=median(found.opened_s), bar=3.0, unit="s", ours=found.opened_s)
    yield Check(row=row, what="… its size", figure=found.mib, bar=15.0, unit="MiB")


def recording_1000(bench: Bench) -> Iterator[Check]:
    """1,000 calls of echo: processor time with all that is recorded against none, and what spans and metrics add."""
    from tests.telemetry import collecting

    workload = workloads.scatter(bench.documents, 1000)
    with collecting() as collector:
        kinds = {
            "none": {"CWL_PREFECT_RECORD": "0", "CWL_PREFECT_ARTIFACTS": "0"},
            "all": {},
            "sent": {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url},
        }
        found: dict[str, list[float]] = {name: [] for name in kinds}
        for number in range(PAIRS * bench.repeat):
            for name in sorted(kinds, reverse=number % 2 == 1):  # what comes first is no better off on the whole
                found[name].append(bench.runners.ours(workload, alone=True, more=kinds[name]).cpu_s)
    yield _overhead("recording of a 1,000-wide scatter", 1.03, found["all"], found["none"])
    yield _overhead("… spans and metrics", 1.02, found["sent"], found["all"])


def _overhead(what: str, bar: float, ours: list[float], without: list[float]) -> Check:
    figure = median(one / other for one, other in zip(ours, without, strict=True))
    seconds = {"ours": tuple(ours), "reference": tuple(without)}
    return Check(row="recording-1000", what=what, figure=figure, bar=bar, unit="times without", **seconds)


def docker_50(bench: Bench) -> Iterator[Check]:
    """50 calls of echo, each in a container."""
    runs = bench.against(workloads.scatter(bench.documents, 50, image=IMAGE), container=True)
    yield _ratio("docker-50", "50-wide scatter in Docker", 0.5, runs)


def kubernetes_step(bench: Bench) -> Iterator[Check]:
    """One call that does nothing on Kubernetes, several times, against a bare Job."""
    yield _against_bare_jobs(
        bench, "kubernetes-step", "no-op step on Kubernetes", 1.3, width=1, repeat=5 * bench.repeat
    )


def kubernetes_50(bench: Bench) -> Iterator[Check]:
    """50 calls at once on Kubernetes, against 50 bare Jobs."""
    yield _against_bare_jobs(
        bench, "kubernetes-50", "50-wide scatter on Kubernetes", 1.2, width=50, repeat=bench.repeat
    )


def kubernetes_store_50(bench: Bench) -> Iterator[Check]:
    """50 calls at once on Kubernetes with files in an object store, against the same on a directory of the node."""
    from tests.bench import jobs

    times = jobs.measure_store(bench.documents / "kubernetes-store-50", width=50, repeat=bench.repeat)
    figure, what = median(times.ours) / median(times.bare), "50-wide scatter on Kubernetes by an object store"
    yield Check(
        row="kubernetes-store-50",
        what=what,
        figure=figure,
        bar=2.0,
        unit="times a volume",
        ours=times.ours,
        reference=times.bare,
    )


def _against_bare_jobs(bench: Bench, row: str, what: str, bar: float, *, width: int, repeat: int) -> Check:
    from tests.bench import jobs

    times = jobs.measure(bench.documents / row, width=width, repeat=repeat)
    figure = median(times.ours) / median(times.bare)
    return Check(
        row=row, what=what, figure=figure, bar=bar, unit="times bare Jobs", ours=times.ours, reference=times.bare
    )


ROWS: dict[str, Callable[[Bench], Iterator[Check]]] = {
    "echo": echo_once,
    "chain-100": chain_100,
    "scatter-1000": scatter_1000,
    "javascript-1000": javascript_1000,
    "cached-1000": cached_1000,
    "scatter-10000": scatter_10000,
    "history-10000": history_10000,
    "bind": bind_1000,
    "inputs-1000": inputs_1000,
    "report-10000": report_10000,
    "recording-1000": recording_1000,
    "docker-50": docker_50,
    "kubernetes-step": kubernetes_step,
    "kubernetes-50": kubernetes_50,
    "kubernetes-store-50": kubernetes_store_50,
    "echo-from-nothing": echo_from_nothing,
    "echo-fresh-home": echo_fresh_home,
}
