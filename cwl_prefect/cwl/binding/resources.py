"""What a call asks of the machine (CWL CommandLineTool, §ResourceRequirement)."""

import math
import subprocess
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from cwl_prefect._lib.quantities import mebibytes
from cwl_prefect.cwl.javascript.expressions import Scope
from cwl_prefect.cwl.values.errors import part_errors
from cwl_prefect.cwl.values.type_errors import shown
from cwl_prefect.errors import StepError
from cwl_prefect.model.job import Resources
from cwl_prefect.model.plan import ToolPlan, requirement

_CUDA = "http://commonwl.org/cwltool#CUDARequirement"
_SHARED_MEMORY = "http://commonwl.org/cwltool#ShmSize"


def resources(tool: ToolPlan, scope: Scope, *, least_ram_mib: float | None) -> Resources:
    """Return what a call asks for: the least of each range, sizes in whole mebibytes.

    Args:
        tool: The tool.
        scope: What expressions see.
        least_ram_mib: Known need of the call; raises what the document asks for.

    Raises:
        StepError: A value is negative, its greatest is less than its least, or it is no number.
        ExpressionError: An expression failed.
    """
    asked = requirement(tool.requirements, tool.hints, "ResourceRequirement") or {}
    ram = 1024 if tool.cwl_version == "v1.0" else 256
    return Resources(
        cores=float(_least(asked, "cores", 1, scope)),
        ram_mib=float(math.ceil(max(_least(asked, "ram", ram, scope), least_ram_mib or 0))),
        tmpdir_mib=float(math.ceil(_least(asked, "tmpdir", 1024, scope))),
        outdir_mib=float(math.ceil(_least(asked, "outdir", 1024, scope))),
        gpus=_gpus(tool, scope),
        shm_mib=_shared_memory(tool),
    )


def runtime_of(found: Resources) -> dict[str, Any]:
    """Return what expressions see of what a call was given, as ``runtime``."""
    seen: dict[str, Any] = {
        "cores": math.ceil(found.cores),
        "ram": int(found.ram_mib),
        "tmpdirSize": int(found.tmpdir_mib),
        "outdirSize": int(found.outdir_mib),
    }
    return seen | ({"cudaDeviceCount": found.gpus} if found.gpus else {})


def _least(asked: Mapping[str, Any], name: str, otherwise: float, scope: Scope) -> float:
    least = _number(asked.get(f"{name}Min"), f"{name}Min", scope)
    most = _number(asked.get(f"{name}Max"), f"{name}Max", scope)
    if least is not None and most is not None and most < least:
        raise StepError(
            f"ResourceRequirement: {name}Max is {most:g}, which is less than {name}Min, {least:g}.",
            hint=f"Correct one of them; {name}Min alone will do.",
        )
    return next((value for value in (least, most) if value is not None), otherwise)


def _number(declared: Any, field: str, scope: Scope) -> float | None:
    with part_errors(f"ResourceRequirement: {field}"):
        found = scope.evaluate(declared)
        if found is None:
            return None
        if not isinstance(found, int | float) or isinstance(found, bool):
            raise StepError(f"expected a number, {declared} gave {shown(found)}.")
        if not math.isfinite(found):
            raise StepError(f"expected a finite number, found {found}.")
        if found < 0:
            raise StepError(f"expected a number that is not negative, found {found}.")
        return found or None


def _gpus(tool: ToolPlan, scope: Scope) -> int:
    asked = requirement(tool.requirements, tool.hints, _CUDA)
    return 0 if asked is None else math.ceil(_least(asked, "cudaDeviceCount", 1, scope))


def check_gpus(tool: ToolPlan, count: int) -> None:
    """Check whether this machine has the devices that a tool asks for.

    Raises:
        StepError: It has not.
    """
    asked = requirement(tool.requirements, tool.hints, _CUDA)
    if asked is None:
        return
    version, devices = _nvidia_devices()
    if devices < count or version < float(str(asked.get("cudaVersionMin", 0))):
        raise StepError(
            "CUDARequirement: this machine has no fitting NVIDIA device.",
            hint="Run the step where nvidia-smi lists enough devices of the wanted compute capability.",
        )


def _nvidia_devices() -> tuple[float, int]:
    """Return the CUDA version of this machine and how many devices it has."""
    try:
        answer = subprocess.run(["nvidia-smi", "-q", "-x"], capture_output=True, check=True, timeout=30)  # noqa: S607
        root = ElementTree.fromstring(answer.stdout)  # noqa: S314
        return float(root.findtext("cuda_version") or 0), int(root.findtext("attached_gpus") or 0)
    except (OSError, subprocess.SubprocessError, ElementTree.ParseError, ValueError):
        return 0.0, 0


def _shared_memory(tool: ToolPlan) -> float | None:
    asked = requirement(tool.requirements, tool.hints, _SHARED_MEMORY)
    if asked is None:
        return None
    try:
        return mebibytes(str(asked["shmSize"]), of_plain=2**-20)  # as `docker run --shm-size` has it
    except ValueError as error:
        raise StepError(f"ShmSize: {shown(asked['shmSize'])} is not a size.", hint="Write it as 64m or 1g.") from error
