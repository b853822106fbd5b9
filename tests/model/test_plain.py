"""What gives no tensor is told by its spelling; whatever may be one is not said to be none."""

import pytest

from gradlint.model.code import Evaluate, Expression
from gradlint.model.extract import extract
from gradlint.model.plain import gives_no_tensor
from gradlint.source import Source


def expression(text: str) -> Expression:
    (statement,) = extract(Source("a.py", text)).body.body
    assert isinstance(statement, Evaluate)
    return statement.value


@pytest.mark.parametrize(
    "text",
    [
        "0.5",
        "f'{x}'",
        "[1, 2.0, None]",
        "[len(row) for row in rows]",
        "x is None",
        "x.shape[0] / 2",
        "self.config.scale",
        "cfg.model.width ** -0.5",
        "len(x)",
        "math.sqrt(x)",
        "np.mean(x)",
        "x.sum().item()",
        "1 if flag else x.numel()",
    ],
)
def test_numbers_texts_and_settings_are_no_tensors(text: str) -> None:
    assert gives_no_tensor(expression(text))


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "[1, x]",
        "[f(row) for row in rows]",
        "x > 0",
        "self.weight",
        "x.shape[0] * x",
        "x.sum()",
        "model(x)",
        "x if flag else 0",
        "torch.sqrt(x)",
        "x[0]",
        "config",
        "x.T",
    ],
)
def test_what_may_be_a_tensor_is_not_said_to_be_none(text: str) -> None:
    assert not gives_no_tensor(expression(text))
