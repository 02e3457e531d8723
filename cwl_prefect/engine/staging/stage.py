"""From a bound call to a job: every file that the tool expects is put, linked or mounted where it expects it."""

import errno
import os
import stat as file_status
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from cwl_prefect.engine.staging.copying import copy, write_all
from cwl_prefect.engine.staging.layout import LITERAL_KINDS, READ_ONLY_KINDS, Layout, Node, split
from cwl_prefect.engine.staging.workspace import Workspace
from cwl_prefect.errors import StepError
from cwl_prefect.model.job import BoundCall, ContainerJob, EntryKind, Mount, StagedEntry

HINTS = {
    errno.ENOSPC: "free space where the workspaces are, or choose another place by --workdir",
    errno.EDQUOT: "your disk quota is used up: free space, or choose another place by --workdir",
    errno.EROFS: "choose a writable place by --workdir",
    errno.EACCES: "check that you may read the inputs and write to the workspaces",
    errno.EPERM: "check that you may read the inputs and write to the workspaces",
    errno.ENOENT: "check that the file still exists on this machine",
    errno.ENAMETOOLONG: "give the file a shorter basename",
}


def stage(
    call: BoundCall,
    workspace: Workspace,
    *,
    job_id: str,
    name: str,
    mounts: bool,
    labels: Mapping[str, str],
) -> ContainerJob:
    """Put a call's files in place and say how to run it.

    Without mounts, every target is a path inside the workspace, where inputs are links. With mounts, inputs are mounted
    read-only; those in the output directory have a mount point there, which ``relink`` replaces after the run.
    Literals are written and writable entries copied, unless the call updates them in place.

    Args:
        call: The call.
        workspace: Its own, empty workspace.
        job_id: Identifier of the job.
        name: Name of the call for people, as ``align[3]``.
        mounts: Whether the backend shows files to the tool at other paths.
        labels: What to mark the job with.

    Raises:
        StepError: Two entries have one target, a target is outside of where it may be, or a file cannot be read or
            written.
    """
    with _errors_of(name):
        staging = _put_in_place(call, workspace, mounts=mounts)
        stdin = None if call.stdin is None else staging.host_path(str(Path(call.outdir, call.stdin)))
    job = unstaged(call, workspace, job_id=job_id, name=name, labels=labels)
    if stdin is None and not staging.mounts:
        return job
    return replace(job, mounts=tuple(staging.mounts), stdin=stdin)


def unstaged(
    call: BoundCall, workspace: Workspace, *, job_id: str, name: str, labels: Mapping[str, str]
) -> ContainerJob:
    """Return a job as it would be started, but for its mounts, without touching any file."""
    return ContainerJob(
        job_id=job_id,
        name=name,
        image=call.image,
        command=call.command,
        env=call.env,
        mounts=(),
        workdir=call.outdir,
        stdin=None if call.stdin is None else Path(call.stdin),
        stdout=stream_file(call.stdout, "stdout", workspace),
        stderr=stream_file(call.stderr, "stderr", workspace),
        resources=call.resources,
        network=call.network,
        timeout_s=call.timeout_s,
        labels=labels,
    )


def stream_file(target: str | None, name: str, workspace: Workspace) -> Path:
    """Return the file that takes a stream of a call: the one that it names in its output directory, or a log."""
    return workspace.logs / name if target is None else workspace.out / target


def layout_of(call: BoundCall) -> Layout:
    """Return what a call finds where.

    Raises:
        StepError: Two entries are to be at one place, or a target is no usable path.
        OSError: A directory that must be taken apart cannot be read.
    """
    layout = Layout(in_place=call.inplace_update)
    layout.add_directory(call.outdir)
    layout.add_directory(call.tmpdir)
    for entry in call.entries:
        layout.add(entry)
    return layout


def _reserve_streams(layout: Layout, call: BoundCall) -> None:
    for stream in (call.stdout, call.stderr):
        if stream is None:
            continue
        names = [name for name in stream.split("/") if name not in ("", ".")]
        if stream.startswith("/") or ".." in names or not names:
            msg = f"{stream!r} is not a file name inside the output directory"
            raise StepError(msg, hint="stdout and stderr must be relative paths without '..'")
        layout.reserve(f"{call.outdir}/{stream}")


def _put_in_place(call: BoundCall, workspace: Workspace, *, mounts: bool) -> "_Mounts | _Links":
    layout = layout_of(call)
    _reserve_streams(layout, call)
    staging = _Mounts(call=call, workspace=workspace) if mounts else _Links(call=call, workspace=workspace)
    staging.realise(layout)
    return staging


@contextmanager
def _errors_of(name: str) -> Iterator[None]:
    """Name in every error the call that it kept from being staged."""
    try:
        yield
    except StepError as error:
        raise error.naming(name).at_step(name) from error
    except OSError as error:
        msg = f"the files of {name} cannot be put in place: {error}"
        raise StepError(msg, step=name, hint=HINTS.get(error.errno or 0)) from error


def is_original(entry: StagedEntry, *, in_place: bool) -> bool:
    """Check whether the tool gets the very file or directory instead of a copy or something new."""
    return entry.kind in READ_ONLY_KINDS or (in_place and entry.kind not in LITERAL_KINDS)


@dataclass(slots=True, kw_only=True)
class _Links:
    """Puts everything at its very target, inside the workspace."""

    call: BoundCall
    workspace: Workspace
    mounts: list[Mount] = field(default_factory=list)

    def realise(self, layout: Layout) -> None:
        """Make every link, copy and literal of a layout.

        Raises:
            StepError: A target is outside of the workspace, or an input is not of its kind.
            OSError: A file cannot be read or written.
        """
        roots = self._roots
        for target in (self.call.outdir, self.call.tmpdir, *(entry.target for entry in self.call.entries)):
            _demand_inside(target, roots)
        for directory in roots:
            node = layout.find(directory)
            if node is not None and (node.children or not os.path.isdir(directory)):  # noqa: PTH112 - a text
                realise(node, Path(directory), in_place=self.call.inplace_update)

    def host_path(self, target: str) -> Path:
        """Return a target, which is its own path on this machine.

        Raises:
            StepError: It is outside of the workspace.
        """
        _demand_inside(target, self._roots)
        return Path(target)

    @property
    def _roots(self) -> list[str]:
        return [str(directory) for directory in (self.workspace.out, self.workspace.tmp, self.workspace.stage)]


def realise(node: Node, path: Path, *, in_place: bool) -> None:
    """Make the links, copies and literals of what is at a place, and below it.

    Raises:
        StepError: An input is not of its kind.
        OSError: A file cannot be read or written.
    """
    if node.children is not None:
        _make_directory(path)
        for name, inner in node.children.items():
            realise(inner, path / name, in_place=in_place)
    elif node.entry is not None and is_original(node.entry, in_place=in_place):
        _demand_source(node.entry)
        path.symlink_to(node.entry.source)
    elif node.entry is not None:
        _produce(node.entry, path)


@dataclass(slots=True, kw_only=True)
class _Mounts:
    """Mounts everything at its target, with whatever has to exist below for that."""

    call: BoundCall
    workspace: Workspace
    mounts: list[Mount] = field(default_factory=list)
    _hosts: dict[str, Path] = field(default_factory=dict)  # by target: what is shown there
    _scratch_directories: int = 0

    def realise(self, layout: Layout) -> None:
        """Decide on every mount of a layout, and make what has to be there for them.

        Raises:
            StepError: The tool may not write at a target, or an input is not of its kind.
            OSError: A file cannot be read or written.
        """
        if not self.call.any_path:
            self._demand_writable_inside()
        self._show(self.workspace.out, self.call.outdir, writable=True)
        self._show(self.workspace.tmp, self.call.tmpdir, writable=True)
        self._realise(layout.root, "", None)
        self.mounts.sort(key=lambda mount: mount.target.count("/"))

    def host_path(self, target: str) -> Path:
        """Return the path on this machine that the tool sees at a target.

        Raises:
            StepError: Nothing is mounted there.
        """
        names = split(target)
        for length in range(len(names), 0, -1):
            host = self._hosts.get("/" + "/".join(names[:length]))
            if host is not None:
                return host.joinpath(*names[length:])
        msg = f"stdin is {target}, which is neither an input nor in the output directory"
        raise StepError(msg, hint="let stdin be the path of an input file")

    def _demand_writable_inside(self) -> None:
        for entry in self.call.entries:
            if entry.kind in (EntryKind.WRITABLE_FILE, EntryKind.WRITABLE_DIRECTORY):
                _demand_inside(entry.target, [self.call.outdir])

    def _realise(self, node: Node, target: str, host: Path | None) -> None:
        if node.children is None:
            if node.entry is not None:
                self._put(node.entry, target, host)
            return
        if host is not None:
            _make_directory(host)
        elif node.entry is not None and target not in self._hosts:
            self._show(self._scratch_directory(), target, writable=self.call.any_path)
        inner_host = self._hosts.get(target, host)
        for name, inner in node.children.items():
            self._realise(inner, f"{target}/{name}", None if inner_host is None else inner_host / name)

    def _put(self, entry: StagedEntry, target: str, host: Path | None) -> None:
        if is_original(entry, in_place=self.call.inplace_update):
            directory = _demand_source(entry)
            if host is not None:
                host.mkdir() if directory else host.touch(exist_ok=False)
            self._show(Path(os.path.realpath(entry.source)), target, writable=entry.kind not in READ_ONLY_KINDS)
            return
        place = host if host is not None else self._scratch_directory() / split(target)[-1]
        _produce(entry, place)
        if host is None:
            self._show(place, target, writable=entry.kind is not EntryKind.LITERAL)
        else:
            self._hosts[target] = place

    def _show(self, source: Path, target: str, *, writable: bool) -> None:
        target = "/" + "/".join(split(target))
        if target == "/":
            msg = "the whole root of the container cannot be replaced"
            raise StepError(msg, hint="choose another dockerOutputDirectory")
        if target not in self._hosts:
            self.mounts.append(Mount(source=source, target=target, writable=writable))
            self._hosts[target] = source

    def _scratch_directory(self) -> Path:
        self._scratch_directories += 1
        scratch = self.workspace.stage / str(self._scratch_directories)
        scratch.mkdir(parents=True)
        return scratch


def _produce(entry: StagedEntry, place: Path) -> None:
    """Write a literal, or copy what the tool may change."""
    if entry.kind not in LITERAL_KINDS:
        _demand_source(entry)
        copy(Path(entry.source), place)
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    descriptor = os.open(place, flags, 0o444 if entry.kind is EntryKind.LITERAL else 0o666)
    try:
        write_all(descriptor, entry.source.encode("utf-8", "surrogateescape"))
    finally:
        os.close(descriptor)


def _demand_source(entry: StagedEntry) -> bool:
    """Check that an entry's source is there and of its kind; tell whether it is a directory."""
    directory = file_status.S_ISDIR(Path(entry.source).stat().st_mode)
    if directory == (entry.kind in (EntryKind.DIRECTORY, EntryKind.WRITABLE_DIRECTORY)):
        return directory
    found, wanted = ("directory", "file") if directory else ("file", "directory")
    msg = f"{entry.source} is a {found}, but the step takes a {wanted}"
    raise StepError(msg, hint=f"give the input 'class: {found.title()}', or name a {wanted}")


def _demand_inside(target: str, roots: list[str]) -> None:
    if target in roots:
        return
    names = split(target)
    if any(names[: len(root)] == root for root in map(split, roots)):
        return
    msg = f"{target} is outside of the directories that the step may write to ({', '.join(roots)})"
    raise StepError(msg, hint="only a tool whose DockerRequirement is a requirement may name absolute paths elsewhere")


def _make_directory(path: Path) -> None:
    try:
        path.mkdir()
    except FileExistsError:
        if path.is_symlink() or not path.is_dir():
            raise
