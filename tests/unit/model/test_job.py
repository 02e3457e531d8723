import gc
import weakref

import pytest

from cwl_prefect.model.job import CallStatus, DockerImage, StepResult


@pytest.mark.parametrize(
    ("image", "name"),
    [
        (DockerImage(pull="a:1"), "a:1"),
        (DockerImage(pull="a:1", image_id="b"), "b"),
        (DockerImage(import_="a.tgz"), "a.tgz"),
        (DockerImage(load="a.tar"), "a.tar"),
        (DockerImage(file="FROM a"), "(built from dockerFile)"),
    ],
)
def test_an_image_has_a_name_for_people(image, name):
    assert image.name == name


def test_results_with_equal_outputs_are_not_mistaken_for_each_other():
    first, second = (StepResult(status=CallStatus.SUCCEEDED, outputs={}) for _ in range(2))
    assert first != second


def test_a_result_can_be_tracked_without_being_kept():
    result = StepResult(status=CallStatus.CACHED, outputs={"o": 1})
    seen = weakref.ref(result)
    assert (result.cached, result.outputs, result.note) == (True, {"o": 1}, None)
    del result
    gc.collect()
    assert seen() is None
