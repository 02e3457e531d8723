"""What a process loads before it waits: the models that calls would finish before their first use, too."""

import sys

from pydantic import BaseModel, ConfigDict

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
    _load([], [(__name__, "Nothing"), ("no.such.module", "Waiting"), (__name__, "Ready"), (__name__, "Waiting")])
    assert Waiting.__pydantic_complete__
    assert sys.modules[__name__].Waiting(name="a").name == "a"
