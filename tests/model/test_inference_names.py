"""Which names speak of data that is not trained on."""

import pytest

from gradlint.model.inference_names import EVALUATION_DATA


@pytest.mark.parametrize(
    "name", ["val_loader", "testloader", "test_x", "self.dev", "query_images", "pred_loader", "val2"]
)
def test_names_of_data_to_evaluate_on(name: str) -> None:
    assert EVALUATION_DATA.search(name)


@pytest.mark.parametrize(
    "name", ["device", "devices", "values", "queries", "pred", "predictions", "pred_images", "tests_run"]
)
def test_names_of_other_things(name: str) -> None:
    assert not EVALUATION_DATA.search(name)
