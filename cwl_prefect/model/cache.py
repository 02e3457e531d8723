"""What the call cache is about: the identity of a tool, the key of a call, the outputs that are kept for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

from pydantic import Base64Bytes, Field, PlainValidator

from cwl_prefect._lib.hashing import digits
from cwl_prefect.model.job import DockerImage
from cwl_prefect.model.values import CwlObject, CwlValue, as_object

KEY_SCHEME = 2
"""Version of how keys are made; entries of another version are never found."""

ENTRY_FORMAT = 3
"""Version of how entries are written."""

JsonObject: TypeAlias = Annotated[CwlObject, PlainValidator(as_object)]
"""An object of JSON that was read just now: what is in it need not be looked at."""

RESOURCES = "resources"
"""What is read where an expression reads the cores, memory or disk of ``runtime``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Something that an expression of a call read, and that is no content.

    Attributes:
        port: The input in whose files it is; None: of any input.
        field: The field of the File and Directory objects; ``*``: which fields they have.
        expression: What read it.
    """

    port: str | None
    field: str
    expression: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What the expressions of a call read that ended well.

    Attributes:
        reads: What of its inputs they read.
        obstacle: Why the call may give something else another time, or None.
        directories: Directories of the call whose paths are others in each run.
    """

    reads: tuple[Read, ...] = ()
    obstacle: str | None = None
    directories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolIdentity:
    """What of a tool can change the result of its calls.

    Attributes:
        parts: Parts of the key that are the same for all calls.
        requirements: The effective requirements that matter, by class.
        defaults: Values of inputs that are not given, by port.
        ports: All input ports.
        resources: What the tool asks for of the machine.
        formats: Whether the formats of its input files are checked.
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
    resources: CwlValue = None
    formats: bool = False
    image: DockerImage | None = None
    command: str | None = None
    obstacle: str | None = None
    reuse: bool | str = True
    ordered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallKey:
    """The key of a call, and what it was made of, for people."""

    digest: str
    parts: JsonObject


Checksum: TypeAlias = Annotated[str, Field(pattern=r"^sha1\$[0-9a-f]{40}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file of an entry, where its path is relative to the call's output directory."""

    path: str
    checksum: Checksum
    size: int
    executable: bool = False
    content: Base64Bytes | None = None  # of a small file, which has no object of its own

    @property
    def object_name(self) -> str:
        """Name of the object that holds its content."""
        return f"{digits(self.checksum)}-{self.size}{'-x' if self.executable else ''}"


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

    They are those of another call with the same key where ``seen`` is the same.
    """

    key: CallKey
    step: str
    tool: str
    run_id: str
    created_at: float
    duration_s: float
    outputs: JsonObject
    reads: tuple[Read, ...] = ()  # what its expressions read beside what the key is made of
    seen: JsonObject = field(default_factory=dict)  # what that was
    files: tuple[StoredFile, ...] = ()
    directories: tuple[str, ...] = ()
    links: tuple[StoredLink, ...] = ()
    broken_links: tuple[BrokenLink, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)
