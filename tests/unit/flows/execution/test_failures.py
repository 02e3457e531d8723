"""Results of other processes are never read, wherever an API says that they are; and what is told of failures."""

import pickle
from pathlib import Path

import pytest
from prefect._internal.result_records import ResultRecordMetadata
from prefect.states import Completed, Failed

from cwl_prefect.errors import ServerError, StepError
from cwl_prefect.flows.execution.failures import MOST_TOLD, result_of, told_failures


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


def test_of_many_failures_the_first_is_told_whole_and_of_some_more_their_first_lines():
    errors = [StepError(f"align[{number}] failed\n  command: wc", hint="mend it.") for number in range(MOST_TOLD + 3)]
    first, *others = told_failures(errors[:2]).splitlines()
    assert (first, others) == ("align[0] failed", ["  command: wc", "To fix: mend it.", "align[1] failed"])
    assert told_failures(errors).splitlines()[-2:] == ["align[20] failed", "… and 2 more failures"]
