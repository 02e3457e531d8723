"""What the policy says of paths; that it is asked is shown by tests/security/test_host_files.py."""

from pathlib import Path

import pytest

from cwl_prefect.cwl.access.host_files import HostFiles, Verdict, trees_of
from cwl_prefect.errors import InputError
from cwl_prefect.settings import Settings
from tests.plans import workflow


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "homes" / "ada"
    directory.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(directory))
    return directory


def policy(document: Path, **settings: object) -> HostFiles:
    """The policy for a document."""
    known = {"home": document.parent / "own", **settings}
    return HostFiles.of(workflow(origin=str(document)), Settings.model_validate(known))


def said(known: HostFiles, path: Path) -> Verdict:
    return known.judged(path.as_uri()).verdict


class TestTrees:
    def test_it_is_the_directory_of_a_document_outside_of_any_repository(self, tmp_path: Path):
        assert trees_of(str(tmp_path / "a" / "wf.cwl")) == (str(tmp_path / "a"),)

    @pytest.mark.parametrize("mark", [".git", ".hg", ".svn"])
    def test_it_is_the_root_of_the_nearest_repository(self, tmp_path: Path, mark: str):
        for place in ("outer", "outer/inner"):
            (tmp_path / place / mark).mkdir(parents=True)
        assert trees_of(str(tmp_path / "outer/inner/a/b/wf.cwl")) == (str(tmp_path / "outer" / "inner"),)

    def test_a_repository_that_everybody_may_write_to_is_none(self, tmp_path: Path):
        (tmp_path / "shared" / ".git").mkdir(parents=True)
        (tmp_path / "shared").chmod(0o1777)
        assert trees_of(str(tmp_path / "shared/a/wf.cwl")) == (str(tmp_path / "shared/a"),)

    def test_a_home_that_is_a_repository_is_none(self, home: Path):
        (home / ".git").mkdir()
        assert trees_of(str(home / "a" / "wf.cwl")) == (str(home / "a"),)

    def test_a_document_that_is_a_link_has_the_trees_of_both_its_places(self, tmp_path: Path):
        (tmp_path / "real").mkdir()
        (tmp_path / "real" / "wf.cwl").write_text("")
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "wf.cwl").symlink_to(tmp_path / "real" / "wf.cwl")
        assert trees_of(str(tmp_path / "bin/wf.cwl")) == (str(tmp_path / "bin"), str(tmp_path / "real"))

    def test_the_part_of_a_document_is_in_its_tree(self, tmp_path: Path):
        assert trees_of(f"{tmp_path}/wf.cwl#main") == (str(tmp_path),)

    @pytest.mark.parametrize("origin", [None, "https://example.org/wf.cwl", "HTTP://example.org/wf.cwl"])
    def test_a_document_of_the_web_has_none_here(self, origin: str | None):
        assert trees_of(origin) == ()


class TestVerdicts:
    def test_what_a_document_names_elsewhere_is_outside_and_refused_where_it_is_not_trusted(self, tmp_path: Path):
        document, data = tmp_path / "a" / "wf.cwl", tmp_path / "b" / "data"
        assert said(policy(document), data) is Verdict.OUTSIDE
        assert said(policy(document, untrusted=True), data) is Verdict.REFUSED
        assert said(policy(document, untrusted=True, allow_path=[data.parent]), data) is Verdict.ALLOWED

    @pytest.mark.parametrize("name", [".ssh/id_rsa", ".aws/credentials", ".netrc", ".docker/config.json", ".kube"])
    def test_a_home_s_credentials_are_refused_also_where_the_home_is_allowed(self, home: Path, name: str):
        assert said(policy(home / "wf.cwl", allow_path=[home]), home / name) is Verdict.REFUSED

    @pytest.mark.parametrize("path", ["/root/.ssh/x", "/home/bob/.netrc", "/Users/bob/.kube/config", "/run/secrets/x"])
    def test_so_are_those_of_others(self, tmp_path: Path, path: str):
        assert said(policy(tmp_path / "wf.cwl"), Path(path)) is Verdict.REFUSED

    def test_names_like_those_of_credentials_are_files_as_any_elsewhere(self, tmp_path: Path):
        assert said(policy(tmp_path / "wf.cwl"), tmp_path / "fixtures" / ".ssh" / "config") is Verdict.ALLOWED

    @pytest.mark.parametrize("path", ["/proc/1/environ", "/sys/kernel", "/dev/null", "/dev/../proc/self/environ"])
    def test_the_system_s_files_are_refused_whoever_names_them(self, tmp_path: Path, path: str):
        named = {"class": "File", "location": f"file://{path}"}
        assert policy(tmp_path / "wf.cwl").with_named(named).judged(f"file://{path}").verdict is Verdict.REFUSED

    def test_memory_that_is_a_file_system_is_as_any_other(self, tmp_path: Path):
        assert said(policy(tmp_path / "wf.cwl"), Path("/dev/shm/data")) is Verdict.OUTSIDE

    @pytest.mark.parametrize("name", ["server/server.json", "cache/x", "runs/0e8fb5b0-2dbf-4c24-9f4e-3a1c7d7e6a55/x"])
    def test_what_the_program_keeps_is_refused_also_within_the_tree(self, tmp_path: Path, name: str):
        assert said(policy(tmp_path / "wf.cwl"), tmp_path / "own" / name) is Verdict.REFUSED

    def test_workspaces_beside_a_document_do_not_make_its_own_files_private(self, tmp_path: Path):
        known = policy(tmp_path / "wf.cwl", workdir=tmp_path)
        assert said(known, tmp_path / "data") is Verdict.ALLOWED
        assert said(known, tmp_path / "0e8fb5b0-2dbf-4c24-9f4e-3a1c7d7e6a55" / "data") is Verdict.REFUSED

    def test_what_the_run_made_is_allowed_and_judged_anew_each_time(self, tmp_path: Path):
        run = tmp_path / "own" / "runs" / "0e8fb5b0-2dbf-4c24-9f4e-3a1c7d7e6a55"
        run.mkdir(parents=True)
        made = run / "out"
        made.write_text("")
        known, found = policy(tmp_path / "a" / "wf.cwl", untrusted=True).with_made(run), {"class": "File"}
        known.demand({**found, "location": made.as_uri()})
        made.unlink()
        made.symlink_to("/etc/passwd")
        with pytest.raises(Exception, match="outside of the document's own tree"):
            known.demand({**found, "location": made.as_uri()})

    def test_a_link_that_the_run_made_is_judged_by_what_it_leads_to(self, tmp_path: Path):
        run = tmp_path / "a" / "own" / "runs" / "0e8fb5b0-2dbf-4c24-9f4e-3a1c7d7e6a55"
        for directory in (run, tmp_path / "data", tmp_path / "other"):
            directory.mkdir(parents=True)
        for path in ("data/named", "a/of-the-tree", "other/secret"):
            (tmp_path / path).write_text("")
            (run / Path(path).name).symlink_to(tmp_path / path)
        named = {"class": "Directory", "location": (tmp_path / "data").as_uri()}
        known = policy(tmp_path / "a" / "wf.cwl").with_named(named).with_made(run)
        assert said(known, run / "named") is Verdict.ALLOWED
        assert said(known, run / "of-the-tree") is Verdict.ALLOWED
        assert said(known, run / "secret") is Verdict.REFUSED

    def test_files_below_a_named_directory_are_named_with_it(self, tmp_path: Path):
        (tmp_path / "data").mkdir()
        named = {"class": "Directory", "location": (tmp_path / "data").as_uri()}
        known = policy(tmp_path / "a" / "wf.cwl", untrusted=True).with_named(named)
        assert said(known, tmp_path / "data" / "x") is Verdict.ALLOWED
        assert said(known, tmp_path / "data.txt") is Verdict.REFUSED


class TestUrls:
    URL = "s3://bucket/a"

    @pytest.mark.parametrize("url", [URL, "drs://host/1"])
    @pytest.mark.parametrize(("untrusted", "verdict"), [(False, Verdict.ALLOWED), (True, Verdict.REFUSED)])
    def test_a_store_is_read_for_trusted_documents(self, tmp_path: Path, untrusted: bool, verdict: Verdict, url: str):
        assert policy(tmp_path / "wf.cwl", untrusted=untrusted).judged(url).verdict is verdict

    def test_it_is_read_where_a_person_names_it(self, tmp_path: Path):
        known = policy(tmp_path / "wf.cwl", untrusted=True).with_named([{"class": "File", "location": self.URL}])
        assert known.judged(self.URL).verdict is Verdict.ALLOWED

    @pytest.mark.parametrize("url", ["https://host/a", "zenodo:1/a"])
    def test_the_web_is_read_for_all_documents(self, tmp_path: Path, url: str):
        assert policy(tmp_path / "wf.cwl", untrusted=True).judged(url).verdict is Verdict.ALLOWED

    @pytest.mark.parametrize("host", ["169.254.169.254", "127.0.0.1:80", "LOCALHOST", "[::1]", "10.1", "0x7f.1"])
    def test_an_inner_address_is_read_for_trusted_documents(self, tmp_path: Path, host: str):
        url = f"http://{host}/latest"
        assert policy(tmp_path / "wf.cwl").judged(url).verdict is Verdict.ALLOWED
        with pytest.raises(InputError, match=r"it leads into the network(?s:.*)job order(?s:.*)CWL_PREFECT_ALLOW_URL"):
            policy(tmp_path / "wf.cwl", untrusted=True).demand_location(url)

    def test_it_is_read_where_a_person_names_its_host_or_a_setting_does(self, tmp_path: Path):
        url = "http://10.0.0.1/b"
        known = policy(tmp_path / "wf.cwl", untrusted=True)
        named = known.with_named([{"class": "File", "location": "http://10.0.0.1/a"}])
        allowed = policy(tmp_path / "wf.cwl", untrusted=True, allow_url=["http://10.0.0.1/"])
        assert [each.judged(url).verdict for each in (named, allowed)] == [Verdict.ALLOWED] * 2

    def test_of_what_was_fetched_a_run_reads_its_own_alone(self, tmp_path: Path):
        known = policy(tmp_path / "wf.cwl", untrusted=True)
        place = tmp_path / "own" / "downloads"
        for name in ("tree/a", "file", "other"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text("text")
        known.fetched.update({str(place / "tree"), str(place / "file")})

        assert [said(known, place / name) for name in ("tree/a", "file")] == [Verdict.ALLOWED] * 2
        assert [said(known, path) for path in (place / "other", place)] == [Verdict.REFUSED] * 2


class TestDocumentsOfCatalogs:
    def test_who_names_one_as_a_directory_names_what_lies_beside(self, tmp_path: Path):
        document = tmp_path / "scene" / "a.json"
        document.parent.mkdir()
        for path in (document, document.with_name("red.tif")):
            path.touch()
        given = {"class": "Directory", "location": document.as_uri()}
        known = policy(tmp_path / "pkg" / "wf.cwl", untrusted=True).with_named(given)

        known.demand(given)
        assert said(known, document.with_name("red.tif")) is Verdict.ALLOWED
        assert said(known, tmp_path / "other") is Verdict.REFUSED

    def test_one_that_only_the_document_names_is_refused_outside_of_its_tree(self, tmp_path: Path):
        document = tmp_path / "scene" / "a.json"
        document.parent.mkdir()
        document.touch()

        with pytest.raises(InputError, match="outside of the document's own tree"):
            policy(tmp_path / "pkg" / "wf.cwl", untrusted=True).demand(
                {"class": "Directory", "location": document.as_uri()}
            )
