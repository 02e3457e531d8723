"""A document reaches no file of the host that nobody gave it."""

import os
import socket
from pathlib import Path

import pytest

from cwl_prefect.backends.job_template.job_variables import Layer, Origin
from cwl_prefect.errors import CwlPrefectError, InputError, StepError
from cwl_prefect.flows.execution.work_pool import StepsPool
from cwl_prefect.flows.lifecycle import opening
from cwl_prefect.settings import Settings
from tests.security.driven import LOAD, Site

SECRET = "the secret"
DOCKER = pytest.param("docker", marks=pytest.mark.docker)

TAKE = """
    cwlVersion: v1.2
    class: CommandLineTool
    hints: {DockerRequirement: {dockerPull: busybox:1.35}}
    baseCommand: COMMAND
    inputs:
      given:
        type: CLASS
        inputBinding: {}
        default: {class: CLASS, location: "LOCATION"}
    outputs: {out: stdout}
    stdout: out
"""
READ = TAKE.replace("COMMAND", "cat").replace("CLASS", "File")
LIST = TAKE.replace("COMMAND", "ls").replace("CLASS", "Directory")
PLACE = """
    cwlVersion: v1.2
    class: CommandLineTool
    hints: {DockerRequirement: {dockerPull: busybox:1.35}}
    requirements:
      InitialWorkDirRequirement:
        listing:
          - {class: File, location: "LOCATION", basename: taken}
    baseCommand: [cat, taken]
    inputs: []
    outputs: {out: stdout}
    stdout: out
"""
MADE_UP = """
    cwlVersion: v1.2
    class: Workflow
    requirements: {InlineJavascriptRequirement: {}}
    inputs: []
    outputs: {text: {type: string, outputSource: read/text}}
    steps:
      name:
        run:
          class: ExpressionTool
          inputs: []
          outputs: {f: File}
          expression: '${return {f: {class: "File", location: "LOCATION"}};}'
        in: []
        out: [f]
      read:
        run:
          class: ExpressionTool
          inputs: {f: {type: File, loadContents: true}}
          outputs: {text: string}
          expression: "${return {text: inputs.f.contents};}"
        in: {f: name/f}
        out: [text]
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    found = Site(
        home=tmp_path / "home" / "ada", tree=tmp_path / "repository" / "tree", elsewhere=tmp_path / "elsewhere"
    )
    for directory in (found.home / ".ssh", found.tree, found.elsewhere, found.home / ".cache/cwl-prefect/server"):
        directory.mkdir(parents=True)
    (found.home / ".ssh" / "id_rsa").write_text(SECRET)
    (found.home / ".cache/cwl-prefect/server/server.json").write_text(SECRET)
    (found.elsewhere / "data.txt").write_text(SECRET)
    monkeypatch.setenv("HOME", str(found.home))
    return found


@pytest.fixture
def engine_socket(site: Site, monkeypatch: pytest.MonkeyPatch):
    """A socket as that of Docker, in a directory."""
    (site.elsewhere / "run").mkdir()
    monkeypatch.chdir(site.elsewhere)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("run/docker.sock")
        yield


async def refused(site: Site, document: str, location: str, **settings: object) -> str:
    """Run a document that names a location, and return why it did not."""
    with pytest.raises(CwlPrefectError) as caught:
        await site.run(document.replace("LOCATION", location), **settings)
    assert isinstance(caught.value, InputError)
    assert SECRET not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("backend", ["local", DOCKER])
@pytest.mark.parametrize(
    ("document", "location", "why"),
    [
        pytest.param(READ, "file://{home}/.ssh/id_rsa", "credentials", id="key-by-default"),
        pytest.param(PLACE, "file://{home}/.ssh/id_rsa", "credentials", id="key-in-working-directory"),
        pytest.param(LOAD, "file:///proc/self/environ", "belongs to the system", id="driver's-environment"),
        pytest.param(LIST, "file:///proc", "belongs to the system", id="proc"),
        pytest.param(LIST, "file:///", "it holds /", id="root"),
        pytest.param(LIST, "file://{home}", "it holds", id="home"),
        pytest.param(LIST, "file://{home}/.ssh", "credentials", id="keys"),
        pytest.param(
            READ, "file://{elsewhere}/run/docker.sock", "neither a file nor a directory", id="engine's-socket"
        ),
        pytest.param(LIST, "file://{elsewhere}/run", "docker.sock in it", id="directory-of-engine's-socket"),
        pytest.param(READ, "file://otherhost/etc/passwd", "another machine", id="other-host"),
        pytest.param(READ, "file:///dev/zero", "neither a file nor a directory", id="device"),
        pytest.param(LOAD, "file://{home}/.cache/cwl-prefect/server/server.json", "its own", id="server's-secret"),
        pytest.param(MADE_UP, "file://{home}/.ssh/id_rsa", "credentials", id="key-by-expression"),
        pytest.param(MADE_UP, "file:///proc/self/environ", "belongs to the system", id="environment-by-expression"),
        pytest.param(READ, "file://{tree}/key", "credentials", id="link-in-the-tree"),
        pytest.param(READ, "key", "credentials", id="relative-link-in-the-tree"),
        pytest.param(READ, "file://{tree}/fifo", "neither a file nor a directory", id="fifo"),
        pytest.param(LIST, "file://{tree}/holds", "fifo in it", id="directory-with-a-fifo"),
    ],
)
@pytest.mark.usefixtures("engine_socket")
async def test_never_read_whoever_wrote_the_document(
    site: Site, document: str, location: str, why: str, backend: str
) -> None:
    (site.tree / "key").symlink_to(site.home / ".ssh" / "id_rsa")
    (site.tree / "holds").mkdir()
    os.mkfifo(site.tree / "fifo")
    os.mkfifo(site.tree / "holds" / "fifo")

    assert why in await refused(site, document, location, backend=backend)


@pytest.mark.parametrize("by", ["job order", "allowed path"])
async def test_a_key_is_read_only_where_its_very_path_is_named(site: Site, by: str) -> None:
    key = {"class": "File", "location": (site.home / ".ssh" / "id_rsa").as_uri()}
    document = LOAD.replace("LOCATION", key["location"])
    if by == "job order":
        assert await site.run(document, {"f": key}) == {"text": SECRET}
    else:
        assert "credentials" in await refused(site, document, "", allow_path=[site.home])


OUTSIDE = [
    pytest.param(READ, "file://{elsewhere}/data.txt", ":9:", id="default"),
    pytest.param(PLACE, "file://{elsewhere}/data.txt", ":7:", id="working-directory"),
    pytest.param(LOAD, "link", ":8:", id="link-in-the-tree"),
    pytest.param(LIST, "linked", ":9:", id="link-in-a-directory-of-the-tree"),
    pytest.param(MADE_UP, "file://{elsewhere}/data.txt", "name: File", id="expression"),
]


@pytest.mark.parametrize(("document", "location", "place"), OUTSIDE)
async def test_a_file_outside_of_the_tree_is_told_and_with_untrusted_refused(
    site: Site, document: str, location: str, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    (site.tree / "link").symlink_to(site.elsewhere / "data.txt")
    (site.tree / "linked").mkdir()
    (site.tree / "linked" / "link").symlink_to(site.elsewhere / "data.txt")

    await site.run(document.replace("LOCATION", location))
    assert len([line for line in caplog.messages if "outside of the document's tree" in line]) == 1

    caplog.clear()
    await site.run(document.replace("LOCATION", location), allow_path=[site.elsewhere])
    assert caplog.messages == []

    said = await refused(site, document, location, untrusted=True, backend="auto", require_containers=True)
    assert "outside of the document's own tree" in said
    assert place in said


@pytest.mark.parametrize("location", ["data.txt", "../data.txt"], ids=["directory", "repository"])
async def test_files_of_the_document_s_own_tree_are_read_without_a_word(
    site: Site, location: str, caplog: pytest.LogCaptureFixture
) -> None:
    (site.tree / location).write_text("fine")
    if location.startswith(".."):
        (site.tree.parent / ".git").mkdir()

    assert await site.run(LOAD.replace("LOCATION", location), untrusted=True) == {"text": "fine"}
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("target", "why"),
    [
        pytest.param("/dev/zero", "pipe, socket or device", id="device"),
        pytest.param("{tree}/fifo", "pipe, socket or device", id="fifo"),
        pytest.param("/proc/self/environ", "wf.cwl:4: .* belongs to the system", id="environment"),
        pytest.param("{home}/.ssh/id_rsa", "wf.cwl:4: .* credentials", id="key"),
    ],
)
@pytest.mark.parametrize("directive", ["$include", "$import"])
async def test_a_document_includes_nothing_that_no_run_reads(site: Site, directive: str, target: str, why: str) -> None:
    os.mkfifo(site.tree / "fifo")
    with pytest.raises(CwlPrefectError, match=why) as caught:
        await site.run(INCLUDE.replace("TARGET", target).replace("DIRECTIVE", directive))
    assert SECRET not in str(caught.value)


INCLUDE = """
    cwlVersion: v1.2
    class: ExpressionTool
    inputs: []
    doc: {DIRECTIVE: TARGET}
    outputs: {text: string}
    requirements: {InlineJavascriptRequirement: {}}
    expression: "${return {text: 'x'};}"
"""


async def test_an_inclusion_outside_of_the_tree_is_told_and_with_untrusted_refused(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    document = INCLUDE.replace("DIRECTIVE", "$include").replace("TARGET", "../../elsewhere/data.txt")

    await site.run(document)
    (told,) = caplog.messages
    assert "wf.cwl:4" in told
    assert "outside of the document's tree" in told
    with pytest.raises(InputError, match="outside of the document's own tree"):
        await site.run(document, untrusted=True)


@pytest.mark.parametrize("origin", [Origin.RUN, Origin.DEPLOYMENT], ids=["person", "form"])
async def test_the_form_of_a_deployment_that_trusts_nobody_names_files_of_allowed_directories_only(
    site: Site, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: dict[str, object] = {"f": {"class": "File", "location": (site.elsewhere / "data.txt").as_uri()}}
    template = {"variables": {"properties": {"env": {"default": {"CWL_PREFECT_UNTRUSTED": "true"}}}}}
    pool = StepsPool(name="p", type="process", base_job_template=template, layers=(Layer(origin=origin, variables={}),))

    async def found(_settings: Settings) -> StepsPool:
        return pool

    monkeypatch.setattr(opening, "steps_pool", found)

    document = LOAD.replace("LOCATION", "none")
    if origin is Origin.DEPLOYMENT:
        with pytest.raises(InputError, match="outside of the document's own tree"):
            await site.run(document, order)
        assert await site.run(document, order, allow_path=[site.elsewhere]) == {"text": SECRET}
    else:
        assert await site.run(document, order) == {"text": SECRET}


IN_PLACE = """
    cwlVersion: v1.2
    class: CommandLineTool
    hints: {DockerRequirement: {dockerPull: busybox:1.35}}
    requirements:
      InplaceUpdateRequirement: {inplaceUpdate: true}
      InitialWorkDirRequirement: {listing: [{entry: $(inputs.f), entryname: mine, writable: true}]}
    baseCommand: [sh, -c, "echo more >> mine"]
    inputs: {f: File}
    outputs: {out: {type: File, outputBinding: {glob: mine}}}
"""


@pytest.mark.parametrize("backend", ["local", DOCKER])
async def test_a_user_s_own_file_is_never_changed_in_place(site: Site, backend: str) -> None:
    mine = site.tree / "mine.txt"
    mine.write_text("mine\n")

    outputs = await site.run(IN_PLACE, {"f": {"class": "File", "location": mine.as_uri()}}, backend=backend)

    assert mine.read_text() == "mine\n"
    found = outputs["out"]
    assert isinstance(found, dict)
    assert Path(str(found["location"]).removeprefix("file://")).read_text() == "mine\nmore\n"


CHANGES = """
    cwlVersion: v1.2
    class: CommandLineTool
    baseCommand: [sh, -c, "echo more >> $0"]
    inputs: {f: {type: File, inputBinding: {}}}
    outputs: []
"""


async def test_a_process_that_changes_its_input_is_an_error(site: Site) -> None:
    mine = site.tree / "mine.txt"
    mine.write_text("mine\n")

    with pytest.raises(StepError, match=r"wf: its input .*/mine\.txt was changed"):
        await site.run(CHANGES, {"f": {"class": "File", "location": mine.as_uri()}})
