"""What the call cache is about: the identity of a tool, the key of a call, the outputs that are kept for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cwl_prefect.model.job import DockerImage
from cwl_prefect.model.values import CwlObject, CwlValue

KEY_SCHEME = 1
"""Version of how keys are made; entries of another version are never found."""

ENTRY_FORMAT = 1
"""Version of how entries are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolIdentity:
    """What of a tool can change the result of its calls.

    Attributes:
        parts: Parts of the key that are the same for all calls.
        requirements: The effective requirements that matter, by class.
        defaults: Values of inputs that are not given, by port.
        ports: All input ports.
        visible: Fields of File and Directory objects that the tool's expressions may look at.
        image: The image it runs in, where it runs in one.
        command: First word of its command line, where that is a plain text.
        obstacle: Why its calls can never be reused, or None.
        reuse: WorkReuse: a boolean or an expression.
        ordered: Whether the order of the keys in a record can be seen, as JavaScript sees it.
    """

    parts: Mapping[str, CwlValue]
    requirements: Mapping[str, CwlValue]
    defaults: Mapping[str, CwlValue]
    ports: tuple[str, ...]
    visible: frozenset[str]
    image: DockerImage | None = None
    command: str | None = None
    obstacle: str | None = None
    reuse: bool | str = True
    ordered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallKey:
    """The key of a call, and what it was made of, for people."""

    digest: str
    parts: CwlObject


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file of an entry, where its path is relative to the call's output directory."""

    path: str
    checksum: str  # `sha1$…`
    size: int
    executable: bool = False
    content: bytes | None = None  # of a small file, which has no object of its own

    @property
    def object_name(self) -> str:
        """Name of the object that holds its content."""
        return f"{self.checksum.removeprefix('sha1$')}-{self.size}{'-x' if self.executable else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLink:
    """A link to an input of the call, or to something in an input directory."""

    path: str
    number: int  # of the input among all files and directories of the call's inputs, in the order of the key
    below: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenLink:
    """A link that leads nowhere on the machine of the run, as to a file of the image that a tool ran in."""

    path: str
    target: str  # as it is written in the link


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """The outputs of one call; locations in them are relative to its output directory, as ``out:path``.

    Attributes:
        call_keys: Keys of the calls inside, where it is a subworkflow or a scatter.
    """

    key: CallKey
    step: str
    tool: str
    run_id: str
    created_at: float
    duration_s: float
    outputs: CwlObject
    files: tuple[StoredFile, ...] = ()
    directories: tuple[str, ...] = ()
    links: tuple[StoredLink, ...] = ()
    broken_links: tuple[BrokenLink, ...] = ()
    call_keys: tuple[str, ...] = field(default=())

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)
