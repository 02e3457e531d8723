"""Runs of hostile documents: really driven, on real backends, only without Prefect."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

from pydantic import JsonValue

from cwl_prefect.api import load_plan
from cwl_prefect.flows.build import prepared
from cwl_prefect.flows.execution.driver import Driver, Scope
from cwl_prefect.flows.execution.run import RunRequest
from cwl_prefect.flows.execution.work_pool import demanded
from cwl_prefect.flows.lifecycle.opening import open_run
from cwl_prefect.model.values import CwlObject
from cwl_prefect.settings import Settings
from tests.unit.flows.driving import PlainTasks

LOAD = """\
cwlVersion: v1.2
class: ExpressionTool
requirements: {InlineJavascriptRequirement: {}}
inputs:
  f:
    type: File
    loadContents: true
    default: {class: File, location: "LOCATION"}
outputs: {text: string}
expression: "${return {text: inputs.f.contents};}"
"""
"""A document that gives the text at a location which it names itself."""


async def driven(document: str | Path, order: Mapping[str, JsonValue], settings: Settings) -> CwlObject:
    """Run a document to its outputs."""
    plan = load_plan(document, settings=settings)
    chosen = demanded(settings, plan)
    ready = prepared(plan, order, chosen)
    async with open_run(plan, RunRequest(job_order=ready, settings=chosen), "run") as run:
        outputs, _ = await Driver(run, PlainTasks()).workflow(plan, ready, Scope())
    return outputs


@dataclass(frozen=True, kw_only=True)
class Site:
    """A user's machine: a home, a place for documents, and what lies elsewhere.

    Attributes:
        home: The user's home.
        tree: Where the document and its files lie.
        elsewhere: What is neither.
    """

    home: Path
    tree: Path
    elsewhere: Path
    settings: dict[str, object] = field(default_factory=dict)

    def write(self, text: str, name: str = "wf.cwl") -> Path:
        """Write a file of the document's tree, whose text may name the places of this machine in braces."""
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        places = {"home": self.home, "tree": self.tree, "elsewhere": self.elsewhere}
        text = dedent(text).lstrip("\n")
        for place, directory in places.items():
            text = text.replace("{" + place + "}", str(directory))
        path.write_text(text)
        return path

    async def run(self, document: str, order: CwlObject | None = None, **settings: object) -> CwlObject:
        """Run a document of the tree to its outputs."""
        path = self.write(document)
        given = {"home": self.home / ".cache" / "cwl-prefect", "cache": False, "backend": "local"}
        return await driven(path, order or {}, Settings.model_validate(given | self.settings | settings))
