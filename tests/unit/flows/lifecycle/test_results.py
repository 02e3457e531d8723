from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest

from cwl_prefect.errors import UsageError
from cwl_prefect.flows.lifecycle import results
from cwl_prefect.flows.lifecycle.results import NamedRun, asked_destination, destination, is_transient, named_run
from cwl_prefect.settings import Settings
from tests.plans import workflow

RUN = NamedRun(run_id="0f3a9c1e-77", name="brave otter/..", deployment="align/night ly")
DEPLOYED = NamedRun(run_id="0f3a9c1e-77", name="brave-otter", deployment="align/nightly", deployed=True)

# As `docker run` and a kubelet make it, with their long options cut.
MOUNTS = """\
74 49 0:39 / / rw,relatime master:3 - overlay overlay rw,lowerdir=/var/lib/docker/overlay2
90 74 254:0 /tmp/o /var/lib/cwl-prefect rw,relatime - ext4 /dev/vda rw
91 74 0:48 / /scratch rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw
92 74 254:0 /root/kubelet/pods/171d/volumes/kubernetes.io~empty-dir/e /empty rw,relatime - ext4 /dev/vda rw
93 74 254:0 /data /my\\040data rw,relatime shared:1 - ext4 /dev/vda rw
""".splitlines()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("https://host/out", r"cannot go to https://host/out: web servers are only read from"),
        ("s3://key:secret@bucket/out", r"cannot go to s3://bucket/out: it holds a password"),
    ],
    ids=["web", "password"],
)
def test_a_url_that_results_cannot_go_to_is_refused(place, said):
    with pytest.raises(UsageError, match=said) as refused:
        asked_destination(place)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("place", [None, Path("out"), Path("/tmp/a:b"), "s3://bucket/out"], ids=str)
def test_a_directory_or_url_is_taken_as_it_is(place):
    assert asked_destination(place) == place


@pytest.mark.parametrize(
    ("run", "outdir", "setting", "place"),
    [
        (RUN, None, None, "/home/outputs/0f3a9c1e-77"),
        (RUN, None, "/data", "/data"),
        (DEPLOYED, None, "/data", "/data/0f3a9c1e-77"),
        (DEPLOYED, None, "/data/{deployment}", "/data/align/nightly/0f3a9c1e-77"),
        (DEPLOYED, None, "/data/{deployment}/{run_name}", "/data/align/nightly/brave-otter-0f3a9c1e"),
        (DEPLOYED, None, "/data/x-{run_id}", "/data/x-0f3a9c1e-77"),
        (DEPLOYED, "/given", "/data/{run_id}", "/given"),
        (RUN, "/given/{run_name}", None, "/given/brave-otter-..-0f3a9c1e"),
        (RUN, None, "/data/{deployment}", "/data/align/night-ly"),
    ],
)
def test_two_runs_of_a_deployment_never_share_a_destination(run, outdir, setting, place):
    settings = Settings(home="/home", outdir=setting)
    assert destination(run, outdir and Path(outdir), settings) == Path(place)


@pytest.mark.parametrize(
    ("run", "setting", "place"),
    [
        (RUN, "s3://bucket/out", "s3://bucket/out"),
        (DEPLOYED, "s3://bucket/out", "s3://bucket/out/0f3a9c1e-77"),
        (DEPLOYED, "s3://bucket/{deployment}/{run_name}", "s3://bucket/align/nightly/brave-otter-0f3a9c1e"),
    ],
)
def test_urls_name_runs_as_directories_do(run, setting, place):
    assert destination(run, None, Settings(outdir=setting)) == place


def test_what_lies_at_a_url_stays_when_its_run_is_given_up(tmp_path):
    found = SimpleNamespace(outdir="s3://bucket/out", run_id="r1")
    results.remove_undelivered(found, Settings(home=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_what_in_braces_stands_for_nothing_is_refused():
    with pytest.raises(UsageError, match=r"\{runid\} stands for nothing"):
        destination(RUN, None, Settings(outdir="/data/{runid}"))
    assert destination(RUN, Path("/data/{runid}"), Settings()) == Path("/data/{runid}")


@pytest.mark.parametrize(
    ("place", "transient"),
    [
        ("/root/.cache/cwl-prefect/outputs", True),
        ("/var/lib/cwl-prefect-2/outputs", True),
        ("/var/lib/cwl-prefect/outputs", False),
        ("/scratch/outputs", True),
        ("/empty/outputs", True),
        ("/my data/outputs", False),
    ],
)
def test_what_goes_away_with_a_container_is_told_by_its_mounts(place, transient):
    assert is_transient(Path(place), MOUNTS) is transient


def test_where_no_mounts_are_known_nothing_goes_away():
    assert not is_transient(Path("/data"), [])


class Client:
    """An API with one pool and one deployment."""

    def __init__(self, pool_type="kubernetes"):
        self.pool_type = pool_type
        self.asked = []

    async def read_work_pool(self, name):
        self.asked.append(name)
        return SimpleNamespace(type=self.pool_type)

    async def read_deployment(self, deployment):
        self.asked.append(deployment)
        return SimpleNamespace(name="nightly")


@pytest.fixture
def flow_run(monkeypatch):
    """The flow run that everything happens in."""
    found = SimpleNamespace(name="brave-otter", deployment_id=uuid4(), work_pool_name="lab")
    client = Client()
    monkeypatch.setattr(results, "_current", lambda: (found, client))
    return client


@pytest.mark.parametrize(("outdir", "asked"), [("/data/{deployment}", 1), ("/data", 0)])
async def test_the_deployment_is_asked_for_where_the_destination_has_it(flow_run, outdir, asked):
    request = SimpleNamespace(outdir=None, settings=Settings(outdir=outdir))
    run = await named_run("r1", workflow(name="align"), request)
    assert (run.name, run.deployment, run.deployed) == ("brave-otter", "align/nightly" if asked else "align", True)
    assert len(flow_run.asked) == asked


@pytest.mark.parametrize(
    ("pool_type", "said"),
    [("docker", "to the default of volumes"), ("kubernetes", "persistentVolumeClaim"), ("process", None)],
)
async def test_a_run_whose_results_would_go_away_is_refused(flow_run, monkeypatch, pool_type, said):
    flow_run.pool_type = pool_type
    monkeypatch.setattr(results, "_mounts", lambda: MOUNTS)
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "r1")
    await results.demand_lasting(Path("/var/lib/cwl-prefect/outputs"))
    if said is None:
        await results.demand_lasting(Path("/results"))
        return
    with pytest.raises(UsageError, match=said):
        await results.demand_lasting(Path("/results"))


async def test_what_no_worker_started_goes_where_it_wants(flow_run, monkeypatch):
    monkeypatch.setattr(results, "_mounts", lambda: MOUNTS)
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID", raising=False)
    await results.demand_lasting(Path("/results"))
    assert flow_run.asked == []
