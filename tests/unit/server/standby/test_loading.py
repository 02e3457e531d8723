"""What a process loads before it waits: the models that calls would finish before their first use, too."""

import gc
import sys

from pydantic import BaseModel, ConfigDict
from typer.core import TyperCommand, TyperOption

from cwl_prefect.__main__ import _complete_options
from cwl_prefect.cli.app import command
from cwl_prefect.server.standby.process import _load
from cwl_prefect.server.standby.starter import _complete_models


class Waiting(BaseModel):
    model_config = ConfigDict(defer_build=True)

    name: str


class Ready(BaseModel):
    name: str


def test_a_model_is_named_once_it_was_used():
    def named() -> set[str]:
        return {name for module, name in _complete_models({__name__})}

    class Used(BaseModel):
        model_config = ConfigDict(defer_build=True)

        name: str

    place = f"{test_a_model_is_named_once_it_was_used.__qualname__}.<locals>.Used"
    assert "Ready" in named()
    assert place not in named()
    Used(name="a")
    assert place in named()
    assert list(_complete_models(frozenset())) == []


def test_the_models_that_are_named_are_finished_and_others_left_out():
    assert not Waiting.__pydantic_complete__
    models = [(__name__, "Nothing"), ("no.such.module", "Waiting"), (__name__, "Ready"), (__name__, "Waiting")]
    _load([], models, lambda: None)
    assert Waiting.__pydantic_complete__
    assert sys.modules[__name__].Waiting(name="a").name == "a"


def test_what_typer_makes_of_options_at_their_first_use_is_made_before(monkeypatch):
    run = command.commands["run"]
    assert isinstance(run, TyperCommand)
    options = [option for option in run.params if isinstance(option, TyperOption)]
    for option in options:
        monkeypatch.setattr(option, "_runtime_param", None)
    _load([], [], _complete_options)
    completed = {option.name for option in options if option._runtime_param is not None}
    assert {"outdir", "cache", "max_cores", "backend"} <= completed


def test_what_cannot_be_completed_keeps_nobody_from_waiting():
    tried = []

    def fail() -> None:
        tried.append(gc.isenabled())
        raise AttributeError

    _load([], [], fail)
    assert tried == [False]
    assert gc.isenabled()  # what comes after the failure was done, too
