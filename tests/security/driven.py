"""Runs of hostile documents: really driven, on real backends, only without Prefect."""

from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

from cwl_prefect.api import load_plan
from cwl_prefect.flows.build import prepared
from cwl_prefect.flows.execution.driver import Driver, Scope
from cwl_prefect.flows.execution.run import RunRequest
from cwl_prefect.flows.execution.work_pool import demanded
from cwl_prefect.flows.lifecycle.opening import open_run
from cwl_prefect.settings import Settings
from tests.unit.flows.driving import PlainTasks


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

    async def run(self, document: str, order: dict[str, object] | None = None, **settings: object) -> dict[str, object]:
        """Run a document to its outputs."""
        path = self.write(document)
        given = {"home": self.home / ".cache" / "cwl-prefect", "cache": False, "backend": "local"}
        chosen = Settings.model_validate(given | self.settings | settings)
        plan = load_plan(path, settings=chosen)
        chosen = demanded(chosen, plan)
        ready = prepared(plan, order or {}, chosen)
        async with open_run(plan, RunRequest(job_order=ready, settings=chosen), "run") as run:
            outputs, _ = await Driver(run, PlainTasks()).workflow(plan, ready, Scope())
        return outputs
