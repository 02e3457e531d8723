"""Results of other processes are never read, wherever an API says that they are."""

import pickle
from pathlib import Path

import pytest
from prefect._internal.result_records import ResultRecordMetadata
from prefect.states import Completed, Failed

from cwl_prefect.errors import ServerError, StepError
from cwl_prefect.flows.execution.failures import result_of


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("state", [Completed, Failed])
async def test_a_result_elsewhere_is_not_unpickled(tmp_path: Path, state):
    (tmp_path / "result").write_bytes(pickle.dumps(Evil(tmp_path / "mark")))
    elsewhere = ResultRecordMetadata(storage_key=str(tmp_path / "result"), serializer={"type": "pickle"})
    with pytest.raises(ServerError, match="a result that this process did not make"):
        await result_of(state(data=elsewhere))
    assert not (tmp_path / "mark").exists()


async def test_what_this_process_gave_is_returned_or_raised():
    assert await result_of(Completed(data=5)) == 5
    with pytest.raises(StepError, match="it broke"):
        await result_of(Failed(data=StepError("it broke")))
