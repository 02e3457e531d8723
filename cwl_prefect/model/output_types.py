"""Types of what workflows give, for type checkers."""

from collections.abc import Mapping

from typing_extensions import TypeVar

from cwl_prefect.model.values import CwlObject

Outputs = TypeVar("Outputs", bound=Mapping[str, object], default=CwlObject)
"""Type of an output object: any CWL object, where it is not known more closely."""
