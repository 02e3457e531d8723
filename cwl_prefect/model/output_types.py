"""Types of what workflows give, for type checkers."""

from collections.abc import Mapping
from typing import Literal, NotRequired, TypedDict

from typing_extensions import TypeVar

from cwl_prefect.model.values import CwlObject

Outputs = TypeVar("Outputs", bound=Mapping[str, object], default=CwlObject)
"""Type of an output object: any CWL object, where it is not known more closely."""

_File = TypedDict("_File", {"class": Literal["File"], "secondaryFiles": NotRequired[list["File | Directory"]]})
_Directory = TypedDict("_Directory", {"class": Literal["Directory"]})


class File(_File):
    """A file that a workflow gives (CWL CommandLineTool, §File), as ``cwl-prefect types`` names it.

    Its ``path`` is not there where results go to a URL.

    Examples:
        >>> from typing import TypedDict
        >>> from cwl_prefect import FakeBackend, File, run_sync
        >>> class HelloOutputs(TypedDict):
        ...     greeting: File
        >>> result = run_sync("examples/cwl/hello/hello.cwl", backend=FakeBackend(), outputs=HelloOutputs)
        >>> result.outputs["greeting"]["basename"]
        'greeting.txt'
    """

    location: str
    path: str
    basename: str
    nameroot: str
    nameext: str
    size: int  # bytes
    checksum: str
    format: NotRequired[str]
    contents: NotRequired[str]


class Directory(_Directory):
    """A directory that a workflow gives (CWL CommandLineTool, §Directory), as ``cwl-prefect types`` names it.

    Its ``path`` is not there where results go to a URL.

    Examples:
        >>> from cwl_prefect import Directory, File
        >>> def files(found: Directory) -> list[File]:
        ...     return [each for each in found["listing"] if each["class"] == "File"]
    """

    location: str
    path: str
    basename: str
    listing: list["File | Directory"]
